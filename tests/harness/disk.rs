//! What is on a machine's disk, read from its file while the machine is off, with Debian's own blkid as the judge.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Whether firmware could start something from this disk: a boot sector's signature or a partition table at either end.
///
/// # Panics
/// When the file cannot be read.
pub fn could_boot(disk: &Path) -> bool {
    let file = File::open(disk).unwrap_or_else(|error| panic!("{}: {error}", disk.display()));
    let size = file.metadata().map_or(0, |known| known.len());
    let mut sector = [0; 512];
    let mut holds = |at: u64, what: &[u8], offset: usize| {
        file.read_exact_at(&mut sector, at).unwrap_or_else(|error| panic!("{}: {error}", disk.display()));
        sector[offset..].starts_with(what)
    };
    holds(0, &[0x55, 0xaa], 510) || holds(512, b"EFI PART", 0) || holds(size - 512, b"EFI PART", 0)
}

/// What blkid finds at this offset of the disk: a partition table, a file system, a RAID member; empty when nothing.
///
/// # Panics
/// When blkid cannot be run.
pub fn signatures(disk: &Path, offset: u64) -> String {
    let mut blkid = Command::new("/usr/sbin/blkid");
    blkid.args(["-p", "-O", &offset.to_string()]).arg(disk).stdin(Stdio::null());
    let output = blkid.output().unwrap_or_else(|error| panic!("blkid (package util-linux): {error}"));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Whether every byte of the disk is zero.
///
/// # Panics
/// When the file cannot be read.
pub fn is_blank(disk: &Path) -> bool {
    let file = File::open(disk).unwrap_or_else(|error| panic!("{}: {error}", disk.display()));
    let size = file.metadata().map_or(0, |known| known.len());
    let mut block = vec![0; 1 << 20];
    // Holes read as zeroes without touching the disk below.
    (0..size).step_by(block.len()).all(|at| {
        let count = file.read_at(&mut block, at).unwrap_or_else(|error| panic!("{}: {error}", disk.display()));
        block[..count].iter().all(|byte| *byte == 0)
    })
}
