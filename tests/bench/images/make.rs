//! The images: the same disk in every form.

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Virtual size of the image.
pub const SIZE: u64 = 2 << 30;
/// How much of it is data; the rest are holes.
pub const DATA: u64 = 1200 << 20;
/// Data comes in runs of this.
pub const BLOCK: u64 = 4 << 20;

/// One form of the disk.
pub struct Made {
    /// For the table.
    pub name: &'static str,
    /// The file that is served.
    pub path: PathBuf,
    /// The disk as it is.
    pub raw: PathBuf,
    /// What the real agent calls it, if it can write it.
    pub real_format: Option<&'static str>,
    /// The program between `curl` and `dd`, if there is a way to do it so: an empty list for none needed.
    pub unpack: Option<&'static [&'static str]>,
}

/// Makes them all.
pub fn all(dir: &Path) -> Vec<Made> {
    let raw = make_raw(dir);
    let file = |name: &str| dir.join(name);
    let output = |program: &str, args: &[&str], into: &Path| {
        let into = File::create(into).expect("room for an image");
        run(Command::new(program).args(args).arg(&raw).stdout(into));
    };
    run(Command::new("qemu-img").args(["convert", "-O", "qcow2"]).arg(&raw).arg(file("image.qcow2")));
    output("gzip", &["-1", "-c"], &file("image.raw.gz"));
    output("zstd", &["-q", "-3", "-c"], &file("image.raw.zst"));
    let made = |name, path: &str, real_format, unpack| {
        let (path, raw) = (file(path), raw.clone());
        Made { name, path, raw, real_format, unpack }
    };
    vec![
        made("raw", "image.raw", Some("raw"), Some(&[] as &[&str])),
        made("qcow2", "image.qcow2", Some("qcow2"), None),
        made("raw.gz", "image.raw.gz", None, Some(&["gzip", "-dc"])),
        made("raw.zst", "image.raw.zst", None, Some(&["zstd", "-dcq"])),
    ]
}

/// Half compressible data, in runs between holes, with one partition.
fn make_raw(folder: &Path) -> PathBuf {
    let path = folder.join("image.raw");
    let mut file = File::create(&path).expect("an image file");
    file.set_len(SIZE).expect("an image file");
    let mut block = vec![0u8; BLOCK as usize];
    let (blocks, data) = (SIZE / BLOCK, DATA / BLOCK);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for number in 0..data {
        for chunk in block.chunks_mut(16) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk[..8].copy_from_slice(&state.to_le_bytes());
        }
        if number == 0 {
            block[446..510].fill(0);
            block[446..462].copy_from_slice(&[0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0]);
            block[510..512].copy_from_slice(&[0x55, 0xaa]);
        }
        file.seek(SeekFrom::Start(number * blocks / data * BLOCK)).expect("seek");
        file.write_all(&block).expect("room for an image");
    }
    file.sync_all().expect("sync");
    path
}

/// Runs a program that must succeed.
pub fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?} failed");
}

/// SHA-256 of a file, hex.
pub fn digest(path: &Path) -> String {
    let mut file = File::open(path).expect("an image");
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = file.read(&mut buffer) {
        hash.update(&buffer[..count]);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
