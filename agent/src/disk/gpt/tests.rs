//! Tests of `gpt`.

use super::{Gpt, GptError, Settled};
use proptest::prelude::{any, prop, proptest};
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

const LINUX: [u8; 16] =
    [0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4];

fn sgdisk(args: &[&str], path: &Path) -> String {
    let output = Command::new("sgdisk").args(args).arg(path).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{args:?}: {text}");
    text
}

/// A disk of `bytes` with the 32 MiB image at its start.
fn disk(bytes: usize) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(32 << 20).unwrap();
    sgdisk(&["-n", "1:2048:+4M", "-n", "5:0:+8M", "-c", "5:root", "-t", "1:ef00"], file.path());
    let mut disk = std::fs::read(file.path()).unwrap();
    disk[..100].fill(0x90);
    disk.resize(bytes, 0);
    disk
}

fn verified(disk: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), disk).unwrap();
    let verdict = sgdisk(&["-v"], file.path());
    assert!(verdict.contains("No problems found"), "{verdict}");
    sgdisk(&["-p"], file.path())
}

#[test]
fn the_spare_moves_to_the_end_and_sgdisk_finds_no_fault() {
    let mut disk = disk(100 << 20);
    let size = disk.len() as u64;
    let mut cursor = Cursor::new(&mut disk);
    let mut gpt = Gpt::read(&mut cursor, size, 512).unwrap().unwrap();
    assert_eq!(gpt.partitions().iter().map(|part| part.number).collect::<Vec<_>>(), [1, 5]);
    assert_eq!(gpt.settle(&mut cursor).unwrap(), Settled::Moved);
    let mut again = Gpt::read(&mut cursor, size, 512).unwrap().unwrap();
    assert_eq!(again.settle(&mut cursor).unwrap(), Settled::InPlace);
    assert_eq!(again.partitions(), gpt.partitions());
    let added = again.add_at_end(64 << 20, LINUX, [7; 16], "config-2").unwrap();
    again.write(&mut cursor).unwrap();
    assert_eq!((added.number, added.length), (2, 64 << 20));
    let table = verified(&disk);
    assert!(table.contains("config-2") && table.contains("root"), "{table}");
    assert_eq!(disk[..100], [0x90; 100], "the boot code stays");
    assert_eq!(u32::from_le_bytes(disk[458..462].try_into().unwrap()), (100 << 11) - 1, "the protective MBR grew");
}

#[test]
fn no_room_and_no_table() {
    let mut disk = disk(32 << 20);
    let size = disk.len() as u64;
    let mut cursor = Cursor::new(&mut disk);
    let mut gpt = Gpt::read(&mut cursor, size, 512).unwrap().unwrap();
    gpt.settle(&mut cursor).unwrap();
    assert!(matches!(gpt.add_at_end(64 << 20, LINUX, [7; 16], "x"), Err(GptError::NoRoom(_))));
    let error = Gpt::read(&mut cursor, size, 4096).unwrap_err();
    assert!(matches!(error, GptError::SectorSize { image: 512, disk: 4096 }), "{error}");
    assert!(Gpt::read(&mut Cursor::new(vec![0; 1 << 20]), 1 << 20, 512).unwrap().is_none());
    assert!(Gpt::read(&mut Cursor::new(vec![0; 512]), 512, 512).unwrap().is_none());
}

proptest! {
    #[test]
    fn no_table_breaks_the_reader(changes in prop::collection::vec((0..3000_usize, any::<u8>()), 1..6), seal in any::<bool>()) {
        use std::sync::LazyLock;
        static DISK: LazyLock<Vec<u8>> = LazyLock::new(|| disk(33 << 20)[..2 << 20].to_vec());
        let mut disk = DISK.clone();
        for (at, byte) in changes {
            disk[512 + at] = byte;
        }
        if seal {
            // With right checksums the damage goes deeper.
            let array = super::sum(&disk[1024..1024 + 16384]);
            super::set_half(&mut disk, 512 + 88, array);
            let mut header = disk[512..604].to_vec();
            header[16..20].fill(0);
            let sum = super::sum(&header);
            super::set_half(&mut disk, 512 + 16, sum);
        }
        disk.resize(4 << 20, 0);
        let mut cursor = Cursor::new(&mut disk);
        if let Ok(Some(mut gpt)) = Gpt::read(&mut cursor, 40 << 20, 512) {
            let _ = gpt.partitions();
            let _ = gpt.add_at_end(1 << 20, LINUX, [1; 16], "x");
        }
    }
}

#[test]
fn a_spare_table_counts_only_at_the_end_and_whole() {
    let mut disk = disk(32 << 20);
    let size = disk.len() as u64;
    let has = |disk: &[u8]| Gpt::has_spare(&mut Cursor::new(disk), disk.len() as u64, 512).unwrap();
    assert!(has(&disk));
    disk[512..1024].fill(0xff);
    assert!(has(&disk), "whatever the first one looks like");
    let mut grown = disk.clone();
    grown.resize(64 << 20, 0);
    assert!(!has(&grown));
    for at in [size - 512 + 40, size - 512 - 16_384 + 3] {
        let mut bad = disk.clone();
        bad[at as usize] ^= 1;
        assert!(!has(&bad), "{at}");
    }
    assert!(!has(&[]) && !has(&[0; 512]));
}
