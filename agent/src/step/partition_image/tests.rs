//! Partition images from a server to a disk, looked at with sfdisk, blkid and e2fsck.

use crate::step::write_image::{WriteReport, write_image};
use crate::step::{StepContext, StepError, tests::context};
use crate::stream::test_server::Server;
use crate::sys::loop_device::LoopDevice;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::image_ref::ImageInfo;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

const ROOT: &str = "3b1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff";
const MIB: usize = 1 << 20;

fn said(program: &str, args: &[&str]) -> String {
    let run = Command::new(program).args(args).output().unwrap();
    assert!(run.status.success(), "{program}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).into_owned()
}

/// An ext4 file system of 32 MiB with a kernel in it, and the signed loader of a distribution.
fn image() -> Vec<u8> {
    let root = tempfile::tempdir().unwrap();
    let arch = if cfg!(target_arch = "aarch64") { "arm64-efi-signed/grubaa64" } else { "x86_64-efi-signed/grubx64" };
    for (name, content) in [
        ("boot/vmlinuz-6.1", "kernel"),
        ("etc/os-release", "ID=debian\n"),
        (&format!("usr/lib/grub/{arch}.efi.signed"), "MZ"),
    ] {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(32 << 20).unwrap();
    said(
        "mke2fs",
        &["-q", "-t", "ext4", "-U", ROOT, "-d", root.path().to_str().unwrap(), file.path().to_str().unwrap()],
    );
    std::fs::read(file.path()).unwrap()
}

fn qcow2(raw: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("raw"), dir.path().join("qcow2"));
    std::fs::write(&from, raw).unwrap();
    said("qemu-img", &["convert", "-O", "qcow2", "-f", "raw", from.to_str().unwrap(), to.to_str().unwrap()]);
    std::fs::read(to).unwrap()
}

fn info(server: &Server, file: &[u8], more: Value) -> ImageInfo {
    let sum: String = Sha256::digest(file).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut all = json!({"id": "image", "urls": [server.url("/image")], "disk_format": null, "os_hash_algo": "sha256",
        "os_hash_value": sum, "image_type": "partition", "root_mb": 40, "swap_mb": "16", "ephemeral_mb": 24,
        "ephemeral_format": null, "preserve_ephemeral": false, "deploy_boot_mode": "uefi"});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn uefi(disk: &LoopDevice, efivars: &Path) -> StepContext {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut context = context(vec![disk.path().into()], json!({"properties": {"capabilities": "boot_mode:uefi"}}));
    context.rules.efivars = efivars.into();
    context.rules.permitted_image_formats = ["raw", "qcow2"].map(String::from).into();
    context
}

fn drive() -> (Vec<u8>, String) {
    static MADE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let files = || [("openstack/latest/meta_data.json".to_string(), b"{}".to_vec())];
    let drive = MADE.get_or_init(|| crate::disk::fat_write::image(512, "config-2", &files()).unwrap());
    (drive.clone(), STANDARD.encode(drive))
}

fn deploy(disk: &LoopDevice, context: &StepContext, file: &[u8], more: Value) -> Result<WriteReport, StepError> {
    let server = Server::new(file.to_vec()).start();
    write_image(&info(&server, file, more), Some(&drive().1), disk.path(), context)
}

/// What blkid says of partition `number`, read from a copy: no node has to exist.
fn facts(disk: &LoopDevice, number: usize) -> (String, Vec<u8>) {
    let table: Value = serde_json::from_str(&said("sfdisk", &["--json", disk.path().to_str().unwrap()])).unwrap();
    let part = &table["partitiontable"]["partitions"][number - 1];
    let sector = disk_sector(&table);
    let [start, length] = ["start", "size"].map(|key| part[key].as_u64().unwrap() as usize * sector);
    let mut bytes = vec![0; length.min(64 * MIB)];
    std::fs::File::open(disk.file()).unwrap().read_exact_at(&mut bytes, start as u64).unwrap();
    let copy = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(copy.path(), &bytes).unwrap();
    copy.as_file().set_len(length as u64).unwrap();
    let blkid = Command::new("blkid").args(["-p", "-o", "export"]).arg(copy.path()).output().unwrap();
    (String::from_utf8_lossy(&blkid.stdout).into_owned(), bytes)
}

fn disk_sector(table: &Value) -> usize {
    table["partitiontable"]["sectorsize"].as_u64().unwrap_or(512) as usize
}

#[test]
fn a_partition_image_is_written_with_everything_around_it() {
    let Some(disk) = LoopDevice::new(700 << 20, 512) else { return };
    let vars = tempfile::tempdir().unwrap();
    let context = uefi(&disk, vars.path());
    let raw = image();
    for file in [raw.clone(), qcow2(&raw)] {
        let report = deploy(&disk, &context, &file, json!({})).unwrap();
        let device = disk.path().display();
        let esp = report.uuids["efi system partition uuid"].as_str().unwrap();
        let partitions = json!({"efi system partition": format!("{device}p1"), "ephemeral": format!("{device}p2"),
            "swap": format!("{device}p3"), "configdrive": format!("{device}p4"), "root": format!("{device}p5")});
        assert_eq!(
            Value::Object(report.uuids.clone()),
            json!({"partitions": partitions, "root uuid": ROOT, "efi system partition uuid": esp})
        );
        let text = format!(
            "prepare_image: image (image) written to device {device} root_uuid={ROOT} efi_system_partition_uuid={esp}"
        );
        assert_eq!(report.text, text);
        assert!(said("sgdisk", &["-v", disk.path().to_str().unwrap()]).contains("No problems found"));
        let (first, _) = facts(&disk, 1);
        assert!(
            first.contains("LABEL=efi-part") && first.contains(&format!("UUID={esp}")) && first.contains("TYPE=vfat"),
            "{first}"
        );
        let (second, _) = facts(&disk, 2);
        assert!(second.contains("LABEL=ephemeral0") && second.contains("TYPE=ext4"), "{second}");
        let (third, _) = facts(&disk, 3);
        assert!(third.contains("LABEL=swap1") && third.contains("TYPE=swap"), "{third}");
        assert!(facts(&disk, 4).1[..drive().0.len()] == drive().0);
        let (root, bytes) = facts(&disk, 5);
        assert!(root.contains(&format!("UUID={ROOT}")) && bytes[..raw.len()] == raw, "{root}");
    }

    // The boot loader follows, as the conductor orders it.
    let wanted = crate::disk::boot_entry::Wanted {
        root_uuid: Some(ROOT.into()),
        target_boot_mode: Some("uefi".into()),
        ..Default::default()
    };
    let made = crate::disk::boot_entry::install(disk.path(), &wanted, vars.path()).unwrap();
    assert_eq!((made.len(), made[0].label.as_str()), (1, "debian"));
}

#[test]
fn preserve_ephemeral_keeps_it_and_refuses_another_table() {
    let Some(disk) = LoopDevice::new(700 << 20, 512) else { return };
    let vars = tempfile::tempdir().unwrap();
    let context = uefi(&disk, vars.path());
    let raw = image();
    let keep = |more: Value| {
        let mut all = json!({"preserve_ephemeral": true});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let error = deploy(&disk, &context, &raw, keep(json!({}))).unwrap_err();
    assert!(error.kind == "InvalidCommandParamsError" && error.details.contains("Nothing was written"), "{error}");
    assert_eq!(std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(disk.file()).unwrap()), 0);
    deploy(&disk, &context, &raw, json!({})).unwrap();
    let device = crate::sys::block::BlockDevice::open(disk.path(), crate::sys::block::Access::Exclusive).unwrap();
    device.write_at(560 << 20, b"the tenant's data").unwrap();
    device.sync().unwrap();
    drop(device);
    let before = facts(&disk, 2).1;
    deploy(&disk, &context, &raw, keep(json!({}))).unwrap();
    assert!(facts(&disk, 2).1 == before, "the ephemeral partition changed");
    for more in [json!({"swap_mb": 17}), json!({"ephemeral_mb": 25}), json!({"root_mb": 41})] {
        assert!(deploy(&disk, &context, &raw, keep(more)).is_err());
        assert!(facts(&disk, 2).1 == before);
    }
    let error = deploy(&disk, &context, &raw, json!({"preserve_ephemeral": "perhaps"})).unwrap_err();
    assert!(error.details.contains("preserve_ephemeral"), "{error}");
}

#[test]
fn what_cannot_work_is_refused_before_the_disk_is_touched() {
    let Some(disk) = LoopDevice::new(700 << 20, 512) else { return };
    let vars = tempfile::tempdir().unwrap();
    let mut context = uefi(&disk, vars.path());
    let raw = image();
    // A sparse file that nobody wrote to has no blocks.
    let untouched = || std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(disk.file()).unwrap()) == 0;
    for (more, kind, part) in [
        (
            json!({"root_mb": 20}),
            "InvalidCommandParamsError",
            "Root partition is too small for requested image. Image virtual size: 32 MB, Root size: 20 MB",
        ),
        (json!({"root_mb": 0}), "InvalidCommandParamsError", "root_mb is 0"),
        (json!({"root_mb": "many"}), "InvalidCommandParamsError", "root_mb"),
        (json!({"swap_mb": 4000}), "InvalidCommandParamsError", "the disk has only"),
        (json!({"ephemeral_format": "ntfs"}), "InvalidCommandParamsError", "ntfs"),
    ] {
        let error = deploy(&disk, &context, &raw, more.clone()).unwrap_err();
        assert!(error.kind == kind && error.details.contains(part), "{more}: {error:?}");
        assert!(untouched(), "{more}");
    }
    context.node = json!({"properties": {"capabilities": "boot_mode:bios"}}).as_object().unwrap().clone();
    let error = deploy(&disk, &context, &raw, json!({})).unwrap_err();
    assert!(error.kind == "InvalidImage" && error.details.contains("whole-disk image"), "{error:?}");
    assert!(untouched());

    // Whoever ignores boot loaders gets the layout for BIOS.
    context.rules.ignore_bootloader_failure = true;
    let report = deploy(&disk, &context, &raw, json!({"deploy_boot_mode": "bios"})).unwrap();
    assert_eq!(report.uuids["efi system partition uuid"], Value::Null);
    assert!(report.text.ends_with(&format!("root_uuid={ROOT}")), "{}", report.text);
    let dump = said("sfdisk", &["--dump", disk.path().to_str().unwrap()]);
    assert!(
        dump.contains("label: dos")
            && dump.lines().any(|row| row.contains("bootable") && row.contains("size=       81920")),
        "{dump}"
    );
}

#[test]
fn a_wrong_digest_leaves_nothing_that_boots_and_a_whole_disk_is_no_partition_image() {
    let Some(disk) = LoopDevice::new(700 << 20, 512) else { return };
    let vars = tempfile::tempdir().unwrap();
    let context = uefi(&disk, vars.path());
    let raw = image();
    let error = deploy(&disk, &context, &raw, json!({"os_hash_value": "0".repeat(64)})).unwrap_err();
    assert_eq!(error.kind, "ImageChecksumError");
    let (_, root) = facts(&disk, 5);
    assert!(root[..MIB].iter().all(|byte| *byte == 0), "the file system would be found");
    let error = deploy(&disk, &context, &vec![7; 4 * MIB], json!({})).unwrap_err();
    assert!(error.kind == "InvalidImage" && error.details.contains("whole-disk image"), "{error:?}");
}

#[test]
fn disks_with_large_sectors_get_file_systems_they_can_have() {
    let Some(disk) = LoopDevice::new(700 << 20, 4096) else { return };
    let vars = tempfile::tempdir().unwrap();
    let report = deploy(&disk, &uefi(&disk, vars.path()), &image(), json!({"ephemeral_format": "vfat"})).unwrap();
    assert_eq!(report.root_uuid, ROOT);
    let (esp, _) = facts(&disk, 1);
    assert!(esp.contains("LABEL=efi-part"), "{esp}");
    let (_, config) = facts(&disk, 4);
    assert_eq!(config[11..13], 4096_u16.to_le_bytes(), "made anew for these sectors");
}
