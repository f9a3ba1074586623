//! The partitions of a disk, whatever kind of table it has.

use super::error::DiskError;
use super::gpt::{Gpt, GptError};
use super::mbr;
use crate::sys::block::BlockDevice;
use std::path::{Path, PathBuf};

/// Kinds of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// GUID partition table.
    Gpt,
    /// Master boot record.
    Msdos,
}

/// A partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 1.
    pub number: u32,
    /// Byte offset.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// Marked as a member of a volume group (LVM).
    pub is_lvm: bool,
}

/// What [`read`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// None: no table.
    pub kind: Option<Kind>,
    /// In the order of their numbers; containers of logical partitions left out.
    pub parts: Vec<Part>,
}

/// Reads the table of an open disk.
///
/// # Errors
/// [`DiskError::Request`] for a table that contradicts itself; the disk's.
pub fn read(device: &BlockDevice) -> Result<Table, DiskError> {
    let (size, sector) = (device.size(), u64::from(device.logical_sector()));
    let gpt = Gpt::read(&mut device.cursor(), size, sector).map_err(|error| match error {
        GptError::Io(error) => DiskError::io("reading", device.path())(error),
        other => DiskError::Request(format!("{}: {other}", device.path().display())),
    })?;
    if let Some(gpt) = gpt {
        let parts = gpt.partitions();
        let part = |part: &super::gpt::Partition| Part {
            number: part.number,
            start: part.start,
            length: part.length,
            is_lvm: part.is_lvm(),
        };
        return Ok(Table { kind: Some(Kind::Gpt), parts: parts.iter().map(part).collect() });
    }
    let found = mbr::read(&mut device.cursor(), size, sector).map_err(DiskError::io("reading", device.path()))?;
    let kind = found.as_ref().map(|_| Kind::Msdos);
    let parts = found.unwrap_or_default().into_iter().filter(|part| !part.is_extended());
    let part = |part: mbr::Partition| Part {
        number: part.number,
        start: part.start,
        length: part.length,
        is_lvm: part.kind == 0x8e,
    };
    Ok(Table { kind, parts: parts.map(part).filter(|part| part.start.saturating_add(part.length) <= size).collect() })
}

/// `/dev/sda1`, `/dev/nvme0n1p1`, `/dev/md0p1`: how the kernel names a partition of a disk.
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
