//! Root file systems as distributions lay them out, made by mke2fs and read through the kernel.

use super::{bring, is_plain};
use crate::disk::boot_entry::loaders_on;
use crate::disk::esp;
use crate::disk::fat::Fat;
use crate::disk::fat_write;
use crate::sys::block::{Access, BlockDevice};
use crate::sys::loop_device::LoopDevice;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const ROOT: &str = "3b1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff";

fn run(program: &str, args: &[&str]) {
    let run = Command::new(program).args(args).output().unwrap();
    assert!(run.status.success(), "{program}: {}", String::from_utf8_lossy(&run.stderr));
}

/// A disk with an empty EFI system partition and a root of these files; a name ending in `@` is a link to the content.
fn disk(files: &[(&str, &str)]) -> Option<LoopDevice> {
    let disk = LoopDevice::new(160 << 20, 512)?;
    let path = disk.path().to_str().unwrap();
    run("sgdisk", &["-n", "1:2048:+64M", "-t", "1:ef00", "-n", "2:0:0", path]);
    let root = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = root.path().join(name.trim_end_matches('@'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match name.ends_with('@') {
            true => std::os::unix::fs::symlink(content, path).unwrap(),
            false => std::fs::write(path, content).unwrap(),
        }
    }
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(64 << 20).unwrap();
    let folder = root.path().to_str().unwrap();
    run("mke2fs", &["-q", "-t", "ext4", "-U", ROOT, "-d", folder, image.path().to_str().unwrap()]);
    let device = BlockDevice::open(disk.path(), Access::Exclusive).unwrap();
    let parts = crate::disk::table::read(&device).unwrap().parts;
    device.write_at(parts[1].start, &std::fs::read(image.path()).unwrap()).unwrap();
    let window = device.window(parts[0].start, parts[0].length).unwrap();
    fat_write::make(
        &mut window.cursor(),
        parts[0].length,
        512,
        "efi-part",
        0x1234_abcd,
        &[("kept/file.txt".into(), b"kept".to_vec())],
    )
    .unwrap();
    device.sync().unwrap();
    drop((device, window));
    Some(disk)
}

/// What is on the EFI system partition after [`bring`], by path.
fn brought(disk: &Path) -> BTreeMap<String, String> {
    let partition = esp::find(&BlockDevice::open(disk, Access::Read).unwrap(), None).unwrap().unwrap();
    bring(disk, ROOT, &partition).unwrap();
    let device = BlockDevice::open(disk, Access::Read).unwrap();
    let window = device.window(partition.start * 512, partition.blocks * 512).unwrap();
    let fat = Fat::open(&window).unwrap();
    let text = |entry| String::from_utf8_lossy(&fat.read(entry, usize::MAX).unwrap()).into_owned();
    fat.walk().unwrap().iter().map(|(path, entry)| (path.join("/"), text(entry))).collect()
}

fn refusal(disk: &Path) -> String {
    let partition = esp::find(&BlockDevice::open(disk, Access::Read).unwrap(), None).unwrap().unwrap();
    bring(disk, ROOT, &partition).unwrap_err().to_string()
}

#[test]
#[cfg(target_arch = "x86_64")]
fn signed_packages_are_put_together_and_find_their_root() {
    let Some(disk) = disk(&[
        ("etc/os-release@", "../usr/lib/os-release"),
        ("usr/lib/os-release", "ID=debian\n"),
        ("usr/lib/shim/shimx64.efi.signed@", "/etc/alternatives/shim"),
        ("etc/alternatives/shim", "MZ shim"),
        ("usr/lib/shim/mmx64.efi.signed", "MZ keys"),
        ("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "MZ grub"),
        ("boot/grub/grub.cfg", "menuentry"),
    ]) else {
        return;
    };
    for _ in 0..2 {
        let files = brought(disk.path());
        assert_eq!(files["kept/file.txt"], "kept");
        assert_eq!(files["EFI/debian/shimx64.efi"], "MZ shim");
        assert_eq!(files["EFI/debian/grubx64.efi"], "MZ grub");
        assert_eq!(files["EFI/BOOT/BOOTX64.EFI"], "MZ shim");
        assert_eq!(files["EFI/BOOT/grubx64.efi"], "MZ grub");
        let stub = format!(
            "search --no-floppy --fs-uuid --set=root {ROOT}\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n"
        );
        assert_eq!((&files["EFI/debian/grub.cfg"], &files["EFI/BOOT/grub.cfg"]), (&stub, &stub));
    }
    let device = BlockDevice::open(disk.path(), Access::Read).unwrap();
    let window = device.window(2048 * 512, 64 << 20).unwrap();
    let same = crate::disk::signature::file_system(&window).unwrap().unwrap();
    assert_eq!(same.uuid.as_deref(), Some("1234-ABCD"), "what the conductor was told stays true");
    let loaders = loaders_on(&device, &esp::find(&device, None).unwrap().unwrap()).unwrap();
    assert_eq!(
        (loaders.len(), loaders[0].path.as_str(), loaders[0].label.as_str()),
        (1, r"\EFI\debian\shimx64.efi", "debian")
    );
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_packaged_tree_is_copied_and_an_image_without_configuration_boots_its_newest_kernel() {
    let Some(disk) = disk(&[
        ("etc/os-release", "ID=rocky\n"),
        ("etc/default/grub", "GRUB_CMDLINE_LINUX=\"console=ttyS0 $(x)\"\n"),
        ("boot/efi/EFI/rocky/shimx64.efi", "MZ shim"),
        ("boot/efi/EFI/rocky/grubx64.efi", "MZ grub"),
        ("boot/efi/EFI/rocky/grub.cfg", "search --fs-uuid 0000-another"),
        ("boot/efi/EFI/rocky/out@", "/etc/shadow"),
        ("boot/efi/EFI/BOOT/BOOTX64.EFI", "MZ shim"),
        ("boot/efi/EFI/BOOT/gr@", "../../../../../../../../../../etc/hostname"),
        ("boot/vmlinuz-5.9.0", "k"),
        ("boot/vmlinuz-5.14.0", "k"),
        ("boot/initramfs-5.14.0.img", "i"),
    ]) else {
        return;
    };
    let files = brought(disk.path());
    assert_eq!(files["EFI/rocky/grubx64.efi"], "MZ grub");
    let line =
        format!("linux /boot/vmlinuz-5.14.0 root=UUID={ROOT} ro console=ttyS0\ninitrd /boot/initramfs-5.14.0.img\n");
    assert!(files["EFI/rocky/grub.cfg"].contains(&line), "{}", files["EFI/rocky/grub.cfg"]);
    assert!(!files.contains_key("EFI/rocky/out") && !files.contains_key("EFI/BOOT/gr"), "links end inside the image");
}

#[test]
fn what_an_image_lacks_is_said() {
    let Some(bare) = disk(&[("etc/os-release", "ID=debian\n")]) else { return };
    assert!(refusal(bare.path()).contains("whole-disk image"), "{}", refusal(bare.path()));
    let grub = if cfg!(target_arch = "aarch64") {
        "usr/lib/grub/arm64-efi-signed/grubaa64.efi.signed"
    } else {
        "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
    };
    let Some(empty) = disk(&[(grub, "MZ")]) else { return };
    assert!(refusal(empty.path()).contains("nor a kernel"), "{}", refusal(empty.path()));
    let Some(fake) = disk(&[(grub, "#!/bin/sh")]) else { return };
    assert!(refusal(fake.path()).contains("no UEFI boot loader"), "a script is no loader");
    let partition = esp::find(&BlockDevice::open(bare.path(), Access::Read).unwrap(), None).unwrap().unwrap();
    let error = bring(bare.path(), "5678-ABCD", &partition).unwrap_err().to_string();
    assert!(error.contains("no partition of"), "{error}");
    assert!(is_plain("BOOTX64.EFI") && !is_plain("..") && !is_plain("a b") && !is_plain("ü"));
}
