//! What an agent left on a disk, as Debian's own tools read it.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A partition, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Where it begins.
    pub start: u64,
    /// How long it is.
    pub length: u64,
}

/// The partition table of a disk's file, in its order.
pub fn partitions(disk: &Path) -> Vec<Part> {
    let table: Value = serde_json::from_str(&said(Command::new("sfdisk").arg("--json").arg(disk))).expect("a table");
    let sector = table["partitiontable"]["sectorsize"].as_u64().unwrap_or(512);
    let parts = table["partitiontable"]["partitions"].as_array().cloned().unwrap_or_default();
    let bytes = |part: &Value, key: &str| part[key].as_u64().unwrap_or(0) * sector;
    parts.iter().map(|part| Part { start: bytes(part, "start"), length: bytes(part, "size") }).collect()
}

/// A file of the ext4 file system at `start`.
pub fn ext4_file(disk: &Path, start: u64, name: &str) -> String {
    let place = format!("{}?offset={start}", disk.display());
    said(Command::new("debugfs").args(["-R", &format!("cat {name}"), &place]))
}

/// What e2fsck finds wrong with it; empty when nothing.
pub fn ext4_faults(disk: &Path, start: u64) -> String {
    let place = format!("{}?offset={start}", disk.display());
    let output = Command::new("e2fsck").args(["-n", "-f", &place]).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("e2fsck (package e2fsprogs): {error}"));
    if output.status.success() { String::new() } else { String::from_utf8_lossy(&output.stdout).into_owned() }
}

/// A file of the FAT file system at `start`.
pub fn fat_file(disk: &Path, start: u64, name: &str) -> String {
    said(Command::new("mtype").arg("-i").arg(format!("{}@@{start}", disk.display())).arg(format!("::{name}")))
}

fn said(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
