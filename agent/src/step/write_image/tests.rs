//! Tests of `write_image`.

use super::{write_image, write_url};
use crate::step::{Rules, StepContext, StepError};
use crate::stream::test_server::{Fault, Server, noise};
use crate::sys::loop_device::LoopDevice;
use crate::sys::progress::Progress;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::digest::Hasher;
use common::image_ref::{DigestKind, ImageInfo};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::Command;

fn rules() -> Rules {
    Rules {
        md5_enabled: false,
        disable_deep_image_inspection: false,
        permitted_image_formats: ["raw", "gpt", "qcow2"].map(String::from).to_vec(),
        insecure: false,
        ca_file: None,
        client: None,
        enable_discard_erase: false,
        partition_sizes: (550, 1),
        tls_min_version: "1.2".into(),
        image_server: None,
        download_timeout: 5,
        download_retries: 2,
        download_retry_interval: 0,
        download_max_duration: 0,
        allow_erase: Vec::new(),
        allow_steps: Vec::new(),
        containers: Default::default(),
        guard_special_filesystems: true,
        efivars: "/nowhere".into(),
        ignore_bootloader_failure: false,
        config_drive_rebuild: false,
        inject_files_priority: 0,
        disable_bootc_deploy: false,
    }
}

fn context() -> StepContext {
    StepContext {
        node: Map::new(),
        ports: Vec::new(),
        progress: Progress::default(),
        rules: rules(),
        evidence: Default::default(),
    }
}

fn sha256(bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(DigestKind::Sha256);
    hasher.update(bytes);
    hasher.hex()
}

/// A disk of 40 MiB with a GPT, boot code, and something in its partition.
fn image(dir: &Path) -> Vec<u8> {
    let path = dir.join("image.raw");
    std::fs::File::create(&path).unwrap().set_len(40 << 20).unwrap();
    let args = ["-n", "1:2048:+20M", "-c", "1:root"];
    assert!(Command::new("sgdisk").args(args).arg(&path).output().unwrap().status.success());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..400].fill(0x90);
    bytes[440..444].copy_from_slice(&0xdead_beef_u32.to_le_bytes());
    bytes[1 << 20..9 << 20].copy_from_slice(&noise(8 << 20, 1));
    std::fs::write(&path, &bytes).unwrap();
    bytes
}

fn qcow2(dir: &Path) -> Vec<u8> {
    let (raw, image) = (dir.join("image.raw"), dir.join("image.qcow2"));
    let run = Command::new("qemu-img").args(["convert", "-O", "qcow2", "-f", "raw"]).arg(raw).arg(&image).output();
    assert!(run.unwrap().status.success());
    std::fs::read(image).unwrap()
}

fn info(server: &Server, file: &[u8], more: Value) -> ImageInfo {
    let mut all = json!({"id": "image", "urls": [server.url("/image")], "disk_format": null, "container_format": null,
        "stream_raw_images": true, "os_hash_algo": "sha256", "os_hash_value": sha256(file), "node_uuid": "n"});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn drive() -> String {
    let mut image = vec![0; 40 << 10];
    image[32769..32774].copy_from_slice(b"CD001");
    image[32808..32840].copy_from_slice(b"config-2                        ");
    STANDARD.encode(image)
}

/// The old system: bytes everywhere.
fn dirty(path: &Path, bytes: u64) {
    let stuff = vec![0x5a; 1 << 20];
    let file = std::fs::File::options().write(true).open(path).unwrap();
    for at in (0..bytes).step_by(1 << 20) {
        std::os::unix::fs::FileExt::write_all_at(&file, &stuff, at).unwrap();
    }
    file.sync_all().unwrap();
}

fn check(path: &Path, file: &[u8], wanted: &[u8]) {
    dirty(path, 160 << 20);
    let server = Server::new(file.to_vec()).fault(Fault::DropAfter(file.len() / 2)).start();
    let report = write_image(&info(&server, file, json!({})), Some(&drive()), path, &context()).unwrap();
    let device = path.display();
    assert_eq!(report.text, format!("prepare_image: image (image) written to device {device} root_uuid=0xdeadbeef"));
    let disk = std::fs::read(path).unwrap();
    assert_eq!(disk[..400], wanted[..400]);
    assert!(disk[1 << 20..39 << 20] == wanted[1 << 20..39 << 20]);
    let placed = report.config_drive.unwrap();
    assert_eq!(disk[placed.start as usize..][32769..32774], *b"CD001");
    let run = Command::new("sgdisk").arg("-v").arg(path).output().unwrap();
    assert!(String::from_utf8_lossy(&run.stdout).contains("No problems found"), "{run:?}");
}

#[test]
fn a_raw_and_a_qcow2_image_reach_files_and_loop_devices_with_table_and_config_drive() {
    let dir = tempfile::tempdir().unwrap();
    let raw = image(dir.path());
    let packed = qcow2(dir.path());
    for file in [&raw, &packed] {
        let target = tempfile::NamedTempFile::new().unwrap();
        target.as_file().set_len(160 << 20).unwrap();
        check(target.path(), file, &raw);
        let Some(disk) = LoopDevice::new(160 << 20, 512) else { continue };
        check(disk.path(), file, &raw);
    }
}

fn refused(info: &ImageInfo, path: &Path) -> StepError {
    write_image(info, None, path, &context()).expect_err("must fail")
}

fn blank_ends(path: &Path) -> bool {
    let disk = std::fs::read(path).unwrap();
    disk[..1 << 20].iter().chain(&disk[disk.len() - (1 << 20)..]).all(|byte| *byte == 0)
}

#[test]
fn a_bad_image_never_leaves_a_bootable_disk_and_the_next_try_works() {
    let dir = tempfile::tempdir().unwrap();
    let raw = image(dir.path());
    let packed = qcow2(dir.path());
    let target = tempfile::NamedTempFile::new().unwrap();
    target.as_file().set_len(48 << 20).unwrap();
    let path = target.path();
    for file in [&raw, &packed] {
        dirty(path, 48 << 20);
        let server = Server::new(file.clone()).start();
        let error = refused(&info(&server, b"other", json!({})), path);
        assert_eq!(
            (error.kind, error.code, error.message),
            ("ImageChecksumError", 500, "Error verifying image checksum")
        );
        assert!(blank_ends(path));
        let server = Server::new(file.clone()).always(Fault::DropAfter(3 << 20)).without_ranges().start();
        let error = refused(&info(&server, file, json!({})), path);
        assert_eq!(error.kind, "ImageDownloadError", "{error}");
        let server = Server::new(file.clone()).start();
        write_image(&info(&server, file, json!({})), None, path, &context()).unwrap();
        assert!(!blank_ends(path));
    }
}

#[test]
fn what_is_wrong_from_the_start_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let raw = image(dir.path());
    let packed = qcow2(dir.path());
    let vmdk = [b"KDMV".to_vec(), vec![1; 100_000]].concat();
    let target = tempfile::NamedTempFile::new().unwrap();
    target.as_file().set_len(39 << 20).unwrap();
    let path = target.path();
    dirty(path, 39 << 20);
    let before = std::fs::read(path).unwrap();
    let cases: Vec<(&[u8], Value, &str, &str)> = vec![
        (&raw, json!({}), "ImageWriteError", "needs 41943040 bytes"),
        (&packed, json!({}), "ImageWriteError", "needs 41943040 bytes"),
        (&packed, json!({"disk_format": "raw"}), "InvalidImage", "declared as `raw`"),
        (&vmdk, json!({"disk_format": "vmdk"}), "InvalidImage", "qemu-img convert -f vmdk"),
        (&raw, json!({"id": ""}), "InvalidCommandParamsError", "id"),
        (&raw, json!({"id": "../x"}), "InvalidCommandParamsError", "separators"),
        (&raw, json!({"urls": []}), "InvalidCommandParamsError", "urls"),
        (&raw, json!({"urls": ["file:///etc/passwd"]}), "InvalidCommandParamsError", "http"),
        (&raw, json!({"os_hash_value": null}), "InvalidCommandParamsError", "no usable checksum"),
        (&raw, json!({"os_hash_algo": "md5", "os_hash_value": "0".repeat(32)}), "InvalidCommandParamsError", "MD5"),
        (&raw, json!({"image_type": "partition", "root_mb": 9}), "InvalidImage", "whole-disk"),
        (&raw, json!({"configdrive": "nonsense"}), "InvalidCommandParamsError", "config drive"),
        (&raw, json!({"image_server_auth_strategy": "http_basic"}), "InvalidCommandParamsError", "image_server_user"),
    ];
    for (file, more, kind, text) in cases {
        let server = Server::new(file.to_vec()).start();
        let error = refused(&info(&server, file, more.clone()), path);
        assert_eq!(error.kind, kind, "{more}: {error}");
        assert!(error.details.contains(text), "{more}: {error}");
    }
    let server = Server::new(raw.clone()).always(Fault::Status(404)).start();
    assert_eq!(refused(&info(&server, &raw, json!({})), path).kind, "ImageDownloadError");
    assert!(std::fs::read(path).unwrap() == before);
    let gone = write_image(&info(&server, &raw, json!({})), None, Path::new("/nonexistent/disk"), &context());
    assert_eq!(gone.unwrap_err().kind, "ImageWriteError");
}

#[test]
fn an_image_for_other_sectors_is_refused_and_one_without_a_table_too() {
    let dir = tempfile::tempdir().unwrap();
    let raw = image(dir.path());
    if let Some(disk) = LoopDevice::new(64 << 20, 4096) {
        let server = Server::new(raw.clone()).start();
        let error = refused(&info(&server, &raw, json!({})), disk.path());
        assert!(error.kind == "InvalidImage" && error.details.contains("sectors of 512 bytes"), "{error}");
    }
    let bare = noise(2 << 20, 9);
    let server = Server::new(bare.clone()).start();
    let target = tempfile::NamedTempFile::new().unwrap();
    target.as_file().set_len(8 << 20).unwrap();
    let error = refused(&info(&server, &bare, json!({})), target.path());
    assert!(error.details.contains("neither a partition table nor a boot sector"), "{error}");
    write_url(&server.url("/x"), &sha256(&bare), target.path(), &rules(), &Progress::default()).unwrap();
    assert!(std::fs::read(target.path()).unwrap()[..bare.len()] == bare);
}

#[test]
fn a_table_that_no_machine_can_use_is_no_success() {
    let outcome = |image: &[u8], path: &Path| {
        let server = Server::new(image.to_vec()).start();
        write_image(&info(&server, image, json!({})), None, path, &context()).map_err(|error| {
            assert_eq!(error.kind, "InvalidImage", "{error}");
            error.details
        })
    };
    let file = |bytes: u64| {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(bytes).unwrap();
        file
    };
    let target = file(48 << 20);
    // A boot sector with an empty table, and with a partition from 1 MiB on, as 512-byte sectors count.
    let mut image = vec![0; 4 << 20];
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    let text = outcome(&image, target.path()).unwrap_err();
    assert!(text.contains("no partitions"), "{text}");
    image[446..462].copy_from_slice(&[0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0]);
    outcome(&image, target.path()).unwrap();
    if let Some(disk) = LoopDevice::new(8 << 20, 4096) {
        let text = outcome(&image, disk.path()).unwrap_err();
        assert!(text.contains("beyond the end") && text.contains("4096 bytes"), "{text}");
    }
    // One file system over the whole disk is no table, and boots.
    let floppy = file(4 << 20);
    assert!(Command::new("mkfs.vfat").arg(floppy.path()).output().unwrap().status.success());
    outcome(&std::fs::read(floppy.path()).unwrap(), target.path()).unwrap();
    // A GPT that was damaged: only the spare at the end of this disk can help.
    let dir = tempfile::tempdir().unwrap();
    let mut gpt = self::image(dir.path());
    gpt[512 + 60] ^= 1;
    let text = outcome(&gpt, target.path()).unwrap_err();
    assert!(text.contains("damaged: its header"), "{text}");
    outcome(&gpt, file(40 << 20).path()).unwrap();
    // The end of the image is missing, with the end of what its table speaks of.
    let cut = &self::image(dir.path())[..20 << 20];
    let text = outcome(cut, file(24 << 20).path()).unwrap_err();
    assert!(text.contains("damaged"), "{text}");
}

#[test]
fn a_config_drive_by_url_is_fetched_without_credentials() {
    let dir = tempfile::tempdir().unwrap();
    let raw = image(dir.path());
    let server = Server::new(raw.clone()).start();
    let drives = Server::new(drive().into_bytes()).start();
    let target = tempfile::NamedTempFile::new().unwrap();
    target.as_file().set_len(160 << 20).unwrap();
    let more = json!({"image_request_authorization": STANDARD.encode("Bearer t0ken"), "configdrive": "ignored"});
    let url = drives.url("/drive");
    let report = write_image(&info(&server, &raw, more), Some(&url), target.path(), &context()).unwrap();
    assert!(report.config_drive.is_some());
    assert!(server.seen()[0].contains("authorization: Bearer t0ken"));
    assert!(!drives.seen()[0].contains("authorization"));
}
