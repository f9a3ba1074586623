//! The operating system image of these stories: nothing that runs, but every byte of it is known.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tests::peers::loop_disk::LoopDisk;

const BYTES: usize = 64 << 20;
/// A partition of type Linux from sector 2048 to the end.
const START: u32 = 2048;

/// A file with an MBR and one partition; and its SHA-256.
pub fn image(dir: &Path, name: &str, seed: u64) -> (PathBuf, String) {
    let path = dir.join(name);
    let mut out = BufWriter::new(File::create(&path).expect("the image"));
    let mut state = seed | 1;
    let mut content = Vec::with_capacity(BYTES);
    while content.len() < BYTES {
        // xorshift64: every sector is another.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    content[446..510].fill(0);
    let sectors = u32::try_from(BYTES / 512).expect("small") - START;
    content[446] = 0x80;
    content[450] = 0x83;
    content[454..458].copy_from_slice(&START.to_le_bytes());
    content[458..462].copy_from_slice(&sectors.to_le_bytes());
    content[510..512].copy_from_slice(&[0x55, 0xaa]);
    out.write_all(&content).and_then(|()| out.flush()).expect("the image");
    let digest = Sha256::digest(&content);
    (path, digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The whole of a small file.
pub fn text(path: &Path) -> String {
    let mut text = String::new();
    File::open(path).and_then(|mut file| file.read_to_string(&mut text)).map(|_| text).unwrap_or_default()
}

/// The argument of `baremetal node deploy --config-drive`.
pub fn config_drive(host: &str) -> String {
    format!(r#"{{"meta_data": {{"hostname": "{host}"}}, "user_data": "I2Nsb3VkLWNvbmZpZwo="}}"#)
}

/// The host name is in the config drive on the disk.
pub fn has_config_drive(disk: &LoopDisk, host: &str) -> bool {
    disk.second_partition().windows(host.len()).any(|bytes| bytes == host.as_bytes())
}
