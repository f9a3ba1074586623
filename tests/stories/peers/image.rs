//! The operating system image of these stories: nothing that runs, but every byte of it is known.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    (path, hex(&content))
}

/// The same image as qcow2; and its SHA-256.
pub fn as_qcow2(raw: &Path) -> (PathBuf, String) {
    let path = raw.with_extension("qcow2");
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-O", "qcow2"]).arg(raw).arg(&path).stdin(Stdio::null());
    let status = convert.status().unwrap_or_else(|error| panic!("qemu-img (package qemu-utils): {error}"));
    assert!(status.success(), "qemu-img convert");
    let content = std::fs::read(&path).expect("the image");
    (path, hex(&content))
}

/// A root file system with a boot loader and a kernel by name only: everything that an agent looks for in a partition image;
/// and its SHA-256. Nothing of it could run.
pub fn partition_image(dir: &Path) -> (PathBuf, String) {
    let (path, root) = (dir.join("root.raw"), dir.join("root"));
    let files: [(&str, &[u8]); 6] = [
        ("etc/os-release", b"ID=lab\n"),
        ("boot/vmlinuz-6.1-lab", b"no kernel"),
        ("boot/grub/grub.cfg", b"# no configuration\n"),
        ("boot/efi/EFI/lab/shimx64.efi", b"MZ shim"),
        ("boot/efi/EFI/lab/grubx64.efi", b"MZ grub"),
        ("boot/efi/EFI/BOOT/BOOTX64.EFI", b"MZ shim"),
    ];
    for (name, content) in files {
        let file = root.join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder of the image");
        std::fs::write(file, content).expect("a file of the image");
    }
    let mut make = Command::new("mke2fs");
    make.args(["-q", "-F", "-t", "ext4", "-L", "labroot", "-d"]).arg(&root).arg(&path).arg("32M").stdin(Stdio::null());
    let status = make.status().unwrap_or_else(|error| panic!("mke2fs (package e2fsprogs): {error}"));
    assert!(status.success(), "mke2fs");
    let content = std::fs::read(&path).expect("the image");
    (path, hex(&content))
}

fn hex(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
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
