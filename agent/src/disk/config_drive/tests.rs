//! Tests of `config_drive`.

use super::{ConfigDriveError, decode, fit, from_body, last_place, place};
use crate::sys::block::{Access, BlockDevice};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::Write;
use std::process::Command;

/// Small, with the marks of an ISO 9660 volume labelled config-2.
fn iso() -> Vec<u8> {
    let mut image = vec![0; 40 << 10];
    image[32769..32774].copy_from_slice(b"CD001");
    image[32808..32840].copy_from_slice(b"config-2                        ");
    image
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_wrapping() {
    let text = STANDARD.encode(gzip(&iso()));
    assert!(decode(text.as_bytes()).unwrap() == iso());
    let (one, two) = text.split_at(76);
    let broken_lines = format!("{one}\r\n{two}\n");
    for body in [broken_lines.into_bytes(), gzip(&iso()), iso(), STANDARD.encode(iso()).into_bytes()] {
        assert!(from_body(body).unwrap() == iso());
    }
    assert!(matches!(decode(b"!!!"), Err(ConfigDriveError::Wrapping(_))));
    assert!(matches!(decode(STANDARD.encode(b"\x1f\x8b damaged").as_bytes()), Err(ConfigDriveError::Wrapping(_))));
    assert!(matches!(decode(STANDARD.encode("<html>").as_bytes()), Err(ConfigDriveError::Wrapping(_))));
    let bomb = gzip(&vec![0; 65 << 20]);
    assert!(matches!(from_body(bomb), Err(ConfigDriveError::TooLarge)));
}

fn disk(mib: u64, program: &str, words: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(mib << 20).unwrap();
    tool(program, words, &file);
    file
}

fn tool(program: &str, words: &str, file: &tempfile::NamedTempFile) -> String {
    let words = words.split(' ').map(|word| if word == "DISK" { file.path().to_str().unwrap() } else { word });
    let run = Command::new(program).args(words).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).into_owned()
}

fn put(file: &tempfile::NamedTempFile) -> Result<super::Placed, ConfigDriveError> {
    place(&BlockDevice::open(file.path(), Access::Exclusive).unwrap(), &iso())
}

fn holds(file: &tempfile::NamedTempFile, placed: super::Placed) -> bool {
    let disk = std::fs::read(file.path()).unwrap();
    disk[placed.start as usize..][..iso().len()] == iso()
}

#[test]
fn a_gpt_gets_a_partition_at_the_end_and_the_next_time_it_is_reused() {
    let file = disk(256, "sgdisk", "-n 1:2048:+100M -n 3:0:+4M DISK");
    let placed = put(&file).unwrap();
    assert_eq!((placed.number, placed.length, placed.reused), (2, 64 << 20, false));
    assert!(placed.start > 190 << 20 && holds(&file, placed));
    assert!(tool("sgdisk", "-v DISK", &file).contains("No problems found"));
    assert_eq!(put(&file).unwrap(), super::Placed { reused: true, ..placed });
    tool("sgdisk", "-c 1:CONFIG-2 DISK", &file);
    assert!(matches!(put(&file), Err(ConfigDriveError::Several(2))));
    let full = disk(100, "sgdisk", "-n 1:2048:+60M DISK");
    assert!(matches!(put(&full), Err(ConfigDriveError::Gpt(_))));
    let own = disk(100, "sgdisk", "-n 1:2048:+20M -n 2:0:+16K -c 2:config-2 DISK");
    assert!(matches!(put(&own), Err(ConfigDriveError::Cramped { room: 16384, .. })));
}

#[test]
fn an_mbr_gets_a_primary_partition() {
    let file =
        disk(256, "parted", "-s DISK mklabel msdos mkpart primary ext4 1MiB 100MiB mkpart extended 100MiB 150MiB");
    let placed = put(&file).unwrap();
    assert_eq!((placed.number, placed.start, placed.length), (3, 192 << 20, 64 << 20));
    assert!(holds(&file, placed));
    let table = tool("parted", "-sm DISK unit MiB print", &file);
    assert!(table.contains("3:192MiB:256MiB:64.0MiB"), "{table}");
    assert!(put(&file).unwrap().reused, "found by the label in it");
    let full = disk(256, "parted", "-s DISK mklabel msdos mkpart primary ext4 1MiB 250MiB");
    assert!(matches!(put(&full), Err(ConfigDriveError::InTheWay(1))));
    let words = "-s DISK mklabel msdos mkpart primary 1MiB 2MiB mkpart primary 2MiB 3MiB mkpart primary 3MiB 4MiB mkpart primary 4MiB 5MiB";
    assert!(matches!(put(&disk(256, "parted", words)), Err(ConfigDriveError::Primaries(4))));
    let bare = tempfile::NamedTempFile::new().unwrap();
    bare.as_file().set_len(256 << 20).unwrap();
    assert!(matches!(put(&bare), Err(ConfigDriveError::NoTable)));
}

#[test]
fn large_disks_with_an_mbr_are_used_below_2_tib() {
    assert_eq!(last_place(3 << 40).unwrap(), ((2 << 40) - (64 << 20), 64 << 20));
    assert!(last_place(64 << 20).is_err());
}

fn real_iso() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let inside = dir.path().join("in/openstack/latest");
    std::fs::create_dir_all(&inside).unwrap();
    std::fs::write(inside.join("meta_data.json"), "{\"uuid\": \"1\"}").unwrap();
    std::fs::write(inside.join("user_data"), vec![b'u'; 70_000]).unwrap();
    let out = dir.path().join("iso");
    let run = Command::new("xorrisofs")
        .args(["-quiet", "-R", "-J", "-V", "config-2", "-o"])
        .arg(&out)
        .arg(dir.path().join("in"))
        .output();
    assert!(run.unwrap().status.success());
    std::fs::read(out).unwrap()
}

fn user_data(vfat: &[u8]) -> Vec<u8> {
    let fat = crate::disk::fat::Fat::open(&vfat).unwrap();
    let files = fat.walk().unwrap();
    let (_, entry) = files.iter().find(|(path, _)| path.join("/") == "openstack/latest/user_data").unwrap();
    fat.read(entry, usize::MAX).unwrap()
}

#[test]
fn what_a_disk_cannot_have_is_made_anew_as_vfat() {
    let whole = real_iso();
    for sector in [512, 2048] {
        assert!(fit(whole.clone(), sector, false).unwrap() == whole, "as it is");
    }
    for (sector, always) in [(4096, false), (512, true)] {
        let made = fit(whole.clone(), sector, always).unwrap();
        assert_eq!(made[11..13], u16::try_from(sector).unwrap().to_le_bytes());
        assert_eq!(user_data(&made), vec![b'u'; 70_000]);
        assert_eq!(crate::disk::volume_label::of(&made).as_deref(), Some("CONFIG-2"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &made).unwrap();
        tool("fsck.vfat", "-n DISK", &file);
        // A vfat for other sectors is one that cannot be mounted, too.
        let again = fit(made.clone(), 4096, false).unwrap();
        assert_eq!(again == made, sector == 4096);
        assert_eq!(user_data(&again), vec![b'u'; 70_000]);
    }
    assert!(matches!(fit(iso(), 4096, false), Err(ConfigDriveError::Rebuild(_))), "marks without content");
}

#[test]
fn a_disk_of_large_sectors_gets_its_config_drive_and_gpt_stays_whole() {
    let Some(disk) = crate::sys::loop_device::LoopDevice::new(256 << 20, 4096) else { return };
    let run = Command::new("sgdisk").args(["-n", "1:256:+100M"]).arg(disk.path()).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let device = BlockDevice::open(disk.path(), Access::Exclusive).unwrap();
    let drive = fit(real_iso(), device.logical_sector(), false).unwrap();
    let placed = place(&device, &drive).unwrap();
    assert!(!placed.reused && place(&device, &drive).unwrap().reused);
    drop(device);
    let run = Command::new("sgdisk").arg("-v").arg(disk.path()).output().unwrap();
    assert!(String::from_utf8_lossy(&run.stdout).contains("No problems found"), "{run:?}");
}

proptest::proptest! {
    #[test]
    fn no_image_makes_it_panic_or_grow(noise in proptest::collection::vec((0_usize..400_000, proptest::prelude::any::<u8>()), 0..40), vfat in proptest::prelude::any::<bool>()) {
        static IMAGES: std::sync::OnceLock<[Vec<u8>; 2]> = std::sync::OnceLock::new();
        let images = IMAGES.get_or_init(|| [real_iso(), fit(real_iso(), 512, true).unwrap()]);
        let mut image = images[usize::from(vfat)].clone();
        let length = image.len();
        for (at, byte) in noise {
            image[at % length] = byte;
        }
        if let Ok(made) = from_body(image).and_then(|image| fit(image, 4096, false)) {
            assert!(made.len() as u64 <= common::config_drive::MAX_BYTES);
        }
    }
}
