//! Boot entries on images made by real tools, in a folder that stands in for the firmware's variables.

use super::{BIOS_PARTITION_IMAGE, Wanted, install};
use crate::disk::boot_option::{label, order};
use crate::disk::loader::Loader;
use crate::sys::efivars::EfiVariables;
use std::path::Path;
use std::process::Command;

const GUID: &str = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff";
const START: u64 = 2048 * 512;

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A disk with an EFI system partition that holds these files.
fn disk(files: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(80 << 20).unwrap();
    let path = file.path().to_str().unwrap().to_string();
    run("sgdisk", &["-n", "15:2048:+40M", "-t", "15:ef00", "-u", &format!("15:{GUID}"), "-n", "1:0:0", &path]);
    let part = format!("{path}@@{START}");
    run("mkfs.vfat", &["-F", "16", "--offset", "2048", &path, "40960"]);
    for (name, content) in files {
        let content_file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(content_file.path(), content).unwrap();
        let folders: Vec<&str> = name.split('/').collect();
        for depth in 1..folders.len() {
            let _ = Command::new("mmd")
                .args(["-D", "s", "-i", &part, &format!("::/{}", folders[..depth].join("/"))])
                .output();
        }
        run("mcopy", &["-i", &part, content_file.path().to_str().unwrap(), &format!("::/{name}")]);
    }
    file
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn uefi() -> Wanted {
    Wanted { root_uuid: Some("0x00000000".into()), target_boot_mode: Some("uefi".into()), ..Default::default() }
}

fn labels(folder: &Path) -> Vec<(u16, String)> {
    let variables = EfiVariables::at(folder);
    let order = order(&variables.read("BootOrder").unwrap().unwrap_or_default());
    let name = |entry: u16| label(&variables.read(&format!("Boot{entry:04X}")).unwrap().unwrap()).unwrap();
    order.into_iter().map(|entry| (entry, name(entry))).collect()
}

#[test]
fn a_list_wins_and_its_entry_comes_first() {
    let list = utf16("\u{feff}shimx64.efi,debian,,This is the boot entry for debian\n");
    let disk =
        disk(&[("EFI/BOOT/BOOTX64.EFI", b"MZ"), ("EFI/debian/BOOTX64.CSV", &list), ("EFI/debian/shimx64.efi", b"MZ")]);
    let vars = tempfile::tempdir().unwrap();
    let variables = EfiVariables::at(vars.path());
    let other = crate::disk::boot_option::encode(
        "PXE",
        &crate::disk::boot_option::BootPartition {
            number: 1,
            start: 1,
            blocks: 1,
            signature: crate::disk::boot_option::DiskSignature::Mbr([0; 4]),
        },
        r"\x",
    );
    variables.write("Boot0000", &other).unwrap();
    variables.write("BootOrder", &[0, 0]).unwrap();
    let made = install(disk.path(), &uefi(), vars.path()).unwrap();
    assert_eq!((made.len(), made[0].path.as_str()), (1, r"\EFI\debian\shimx64.efi"));
    assert_eq!(labels(vars.path()), [(1, "debian".into()), (0, "PXE".into())]);

    // What firmware and other programs read: the partition by number, place and GUID, then the file.
    let option = variables.read("Boot0001").unwrap().unwrap();
    let nodes = &option[6 + ("debian".len() + 1) * 2..];
    assert_eq!(nodes[4..8], [15, 0, 0, 0]);
    assert_eq!(nodes[8..16], 2048_u64.to_le_bytes());
    assert_eq!(nodes[24..40], uuid::Uuid::parse_str(GUID).unwrap().to_bytes_le());

    install(disk.path(), &uefi(), vars.path()).unwrap();
    assert_eq!(labels(vars.path()), [(1, "debian".into()), (0, "PXE".into())], "a second run leaves no second entry");
}

#[test]
fn without_a_list_every_loader_gets_an_entry_and_our_own_kind_is_first() {
    let disk =
        disk(&[("EFI/BOOT/BOOTIA32.EFI", b"MZ"), ("EFI/BOOT/bootx64.efi", b"MZ"), ("EFI/BOOT/fbx64.efi", b"MZ")]);
    let vars = tempfile::tempdir().unwrap();
    let made = install(disk.path(), &uefi(), vars.path()).unwrap();
    assert_eq!((made.len(), made[0].label.as_str()), (2, "ironic1"));
    if cfg!(target_arch = "x86_64") {
        assert!(made[0].path.eq_ignore_ascii_case(r"\EFI\BOOT\BOOTX64.EFI"), "{made:?}");
    }
    let names: Vec<String> = labels(vars.path()).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&"ironic1".to_string()) && names.contains(&"ironic2".to_string()));
}

#[test]
fn a_list_that_names_nothing_real_does_not_hide_the_loader() {
    let disk = disk(&[("EFI/BOOT/BOOTX64.EFI", b"MZ"), ("EFI/BOOT/BOOT.CSV", &utf16("gone.efi,Gone"))]);
    let vars = tempfile::tempdir().unwrap();
    assert_eq!(install(disk.path(), &uefi(), vars.path()).unwrap()[0].label, "ironic1");
}

#[test]
fn no_partition_is_an_error_and_an_empty_one_is_not() {
    let vars = tempfile::tempdir().unwrap();
    let plain = tempfile::NamedTempFile::new().unwrap();
    plain.as_file().set_len(8 << 20).unwrap();
    let error = install(plain.path(), &uefi(), vars.path()).unwrap_err().to_string();
    assert!(error.contains("no EFI system partition"), "{error}");
    assert_eq!(install(disk(&[]).path(), &uefi(), vars.path()).unwrap(), []);
    assert_eq!(install(disk(&[]).path(), &Wanted { root_uuid: None, ..uefi() }, vars.path()).unwrap(), []);
    let named = Wanted { root_uuid: Some("0x1234abcd".into()), ..uefi() };
    let error = install(disk(&[]).path(), &named, vars.path()).unwrap_err().to_string();
    assert!(error.contains("has no boot loader, so UEFI firmware cannot start it"), "nothing was done: {error}");
    assert_eq!(labels(vars.path()), []);
}

#[test]
fn bios_needs_nothing_and_partition_images_are_refused() {
    let plain = tempfile::NamedTempFile::new().unwrap();
    let nowhere = Path::new("/nowhere/efivars");
    let bios = |root: Option<&str>| Wanted {
        root_uuid: root.map(Into::into),
        target_boot_mode: Some("bios".into()),
        ..Default::default()
    };
    for root in [None, Some("0x00000000"), Some("0x1234abcd")] {
        assert_eq!(install(plain.path(), &bios(root), nowhere).unwrap(), []);
    }
    assert_eq!(install(plain.path(), &uefi(), nowhere).unwrap(), []);
    let wrong_mode = Wanted { root_uuid: Some("0x1234abcd".into()), ..uefi() };
    assert!(install(plain.path(), &wrong_mode, nowhere).unwrap_err().to_string().contains("not booted by UEFI"));
    for root in ["3b1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff", "1234-ABCD"] {
        let error = install(plain.path(), &bios(Some(root)), nowhere).unwrap_err().to_string();
        assert!(error == BIOS_PARTITION_IMAGE && error.contains("whole-disk image"), "{error}");
    }
}

#[test]
fn members_of_an_array_have_entries_of_their_own() {
    let vars = tempfile::tempdir().unwrap();
    let variables = EfiVariables::at(vars.path());
    let part = |number| crate::disk::boot_option::BootPartition {
        number,
        start: 2048,
        blocks: 4096,
        signature: crate::disk::boot_option::DiskSignature::Mbr([1, 2, 3, 4]),
    };
    let loaders = [Loader { path: r"\EFI\debian\shimx64.efi".into(), label: "debian".into() }];
    let members = [(part(1), " (RAID, part0)".to_string()), (part(2), " (RAID, part1)".to_string())];
    for _ in 0..2 {
        super::enter(&variables, &loaders, &members).unwrap();
        assert_eq!(labels(vars.path()), [(0, "debian (RAID, part0)".into()), (1, "debian (RAID, part1)".into())]);
    }
}
