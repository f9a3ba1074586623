//! Partition tables of either kind: which there are, and what the kernel calls a partition.

use std::path::{Path, PathBuf};

/// Kinds of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// GUID partition table.
    Gpt,
    /// Master boot record.
    Msdos,
}

/// `/dev/sda1`, `/dev/nvme0n1p1`, `/dev/md0p1`: how the kernel names a partition of a disk (`block/partitions/core.c`).
pub fn node(disk: &Path, number: u32) -> PathBuf {
    let name = disk.to_string_lossy();
    let between = if name.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
    PathBuf::from(format!("{name}{between}{number}"))
}

#[cfg(test)]
mod tests {
    use super::node;
    use crate::sys::loop_device::LoopDevice;
    use std::path::Path;
    use std::process::Command;

    #[test]
    fn partitions_are_named_as_the_kernel_names_them() {
        for (disk, name) in
            [("/dev/sda", "/dev/sda3"), ("/dev/nvme0n1", "/dev/nvme0n1p3"), ("/dev/md127", "/dev/md127p3")]
        {
            assert_eq!(node(Path::new(disk), 3), Path::new(name));
        }
        let Some(disk) = LoopDevice::new(16 << 20, 512) else { return };
        assert!(Command::new("sgdisk").args(["-n", "2:2048:+1M"]).arg(disk.path()).output().unwrap().status.success());
        let _ = Command::new("partx").arg("--add").arg(disk.path()).output(); // kernels without GPT support
        assert!(node(disk.path(), 2).exists(), "the kernel agrees");
    }
}
