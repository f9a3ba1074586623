//! What lies on a device, by libblkid: file systems, RAID and LVM members, partition tables. And their removal.
//!
//! Every probe runs from start to end inside one function: its objects neither outlive it nor change thread.

use super::error::DiskError;
use crate::sys::block::BlockDevice;
use blkid::prober::{ProbeState, Prober};
use blkid::{BlkIdError, PartitionsFlags, SuperblocksFlags};
use std::os::fd::AsRawFd;

/// More signatures than any honest device has; a hostile one must not keep us busy.
const MAX_SIGNATURES: usize = 128;

/// What was found on one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signatures {
    /// `ext4`, `linux_raid_member`, ...; several if they overlap.
    pub types: Vec<String>,
    /// Partition tables: `gpt`, `dos`.
    pub tables: Vec<String>,
    /// UUIDs of file systems and tables, type and unique identifiers of partitions, in lower case.
    pub identifiers: Vec<String>,
}

impl Signatures {
    /// Nothing known lies there.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty() && self.tables.is_empty()
    }
}

impl std::fmt::Display for Signatures {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.types.iter().chain(&self.tables).cloned().collect::<Vec<_>>().join(", "))
    }
}

/// The one file system on a device or partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSystem {
    /// `ext4`, `xfs`, `swap`, ...
    pub kind: String,
    /// As libblkid prints it.
    pub uuid: Option<String>,
}

/// The file system of a device or of a window of one; none if there is none, or several that overlap.
///
/// # Errors
/// A device that cannot be read.
pub fn file_system(device: &BlockDevice) -> Result<Option<FileSystem>, DiskError> {
    readable(device)?;
    let failed = |error| DiskError::io("looking for a file system on", device.path())(into_io(error));
    let probe = prepare(device).map_err(failed)?;
    if probe.do_safe_probe().map_err(failed)? != ProbeState::Success {
        return Ok(None);
    }
    let kind = probe.lookup_value("TYPE").ok();
    Ok(kind.map(|kind| FileSystem { kind, uuid: probe.lookup_value("UUID").ok() }))
}

/// Finds every signature, also those that overlap others.
///
/// # Errors
/// A device that cannot be read: "nothing found" would be a lie.
pub fn look(device: &BlockDevice) -> Result<Signatures, DiskError> {
    readable(device)?;
    let failed = |error| DiskError::io("looking for signatures on", device.path())(into_io(error));
    let probe = prepare(device).map_err(failed)?;
    let mut found = Signatures::default();
    for _ in 0..MAX_SIGNATURES {
        if probe.do_probe().map_err(failed)? != ProbeState::Success {
            break;
        }
        // By name, one by one: a label that is not UTF-8 makes only itself unreadable, not the rest.
        let value = |name: &str| probe.lookup_value(name).ok();
        found.types.extend(value("TYPE"));
        found.tables.extend(value("PTTYPE"));
        found.identifiers.extend(["UUID", "PTUUID"].into_iter().filter_map(value));
    }
    // The list of partitions is only valid while the probe lives, and is asked for on a fresh one.
    let probe = prepare(device).map_err(failed)?;
    if let Ok(list) = probe.part_list()
        && let Ok(count) = list.numof_partitions()
    {
        for at in 0..count.min(1024) {
            let Ok(partition) = list.get_partition(at) else { continue };
            found.identifiers.extend(partition.uuid());
            found.identifiers.push(partition.typ_string().unwrap_or_else(|| format!("{:#x}", partition.typ())));
        }
    }
    found.identifiers.iter_mut().for_each(|identifier| identifier.make_ascii_lowercase());
    Ok(found)
}

/// Overwrites the magic of every signature; returns what they were.
///
/// # Errors
/// A device that cannot be read or written.
pub fn wipe(device: &BlockDevice) -> Result<Vec<String>, DiskError> {
    readable(device)?;
    let failed = |error| DiskError::io("wiping signatures on", device.path())(into_io(error));
    let probe = prepare(device).map_err(failed)?;
    let mut wiped = Vec::new();
    while wiped.len() < MAX_SIGNATURES && probe.do_probe().map_err(failed)? == ProbeState::Success {
        wiped.extend(["TYPE", "PTTYPE"].into_iter().filter_map(|name| probe.lookup_value(name).ok()));
        probe.do_wipe(false).map_err(failed)?;
    }
    device.sync().map_err(DiskError::io("flushing", device.path()))?;
    Ok(wiped)
}

/// libblkid takes an unreadable device for an empty one.
fn readable(device: &BlockDevice) -> Result<(), DiskError> {
    let sector = u64::from(device.logical_sector());
    let mut data = vec![0; device.logical_sector() as usize];
    for offset in [0, device.size().saturating_sub(sector)] {
        if device.size() >= sector {
            device.read_at(offset, &mut data).map_err(DiskError::io("reading", device.path()))?;
        }
    }
    Ok(())
}

fn prepare(device: &BlockDevice) -> Result<Prober, BlkIdError> {
    let mut probe = Prober::new()?;
    let number = |value: u64| i64::try_from(value).map_err(|cause| BlkIdError::Io(std::io::Error::other(cause)));
    let size = if device.offset() > 0 { Some(number(device.size())?) } else { None };
    probe.set_device(device.as_raw_fd(), number(device.offset())?, size)?;
    probe.enable_superblocks(true)?;
    probe.set_superblocks_flags(
        SuperblocksFlags::UUID | SuperblocksFlags::TYPE | SuperblocksFlags::MAGIC | SuperblocksFlags::BADCSUM,
    )?;
    probe.enable_partitions(true)?;
    probe.set_partitions_flags(PartitionsFlags::MAGIC | PartitionsFlags::FORCE_GPT)?;
    Ok(probe)
}

fn into_io(error: BlkIdError) -> std::io::Error {
    match error {
        BlkIdError::Io(error) => error,
        other => std::io::Error::other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{look, wipe};
    use crate::sys::block::{Access, BlockDevice};
    use std::process::Command;

    fn device(bytes: u64) -> (tempfile::NamedTempFile, BlockDevice) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(bytes).unwrap();
        let device = BlockDevice::open(file.path(), Access::Exclusive).unwrap();
        (file, device)
    }

    fn make(program: &str, arguments: &[&str], file: &tempfile::NamedTempFile) {
        let output = Command::new(program).args(arguments).arg(file.path()).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn an_empty_device_has_no_signature() {
        let (_file, device) = device(8 << 20);
        assert!(look(&device).unwrap().is_empty());
        assert_eq!(wipe(&device).unwrap(), [""; 0]);
    }

    #[test]
    fn tables_and_file_systems_are_found_and_wiped_with_their_copies() {
        let (file, device) = device(64 << 20);
        make("sgdisk", &["-n", "1:0:+8M", "-t", "1:37AFFC90-EF7D-4E96-91C3-2D7AE055B174"], &file);
        let found = look(&device).unwrap();
        assert_eq!(found.tables, ["gpt"]);
        assert!(found.identifiers.contains(&"37affc90-ef7d-4e96-91c3-2d7ae055b174".to_string()), "{found:?}");
        assert!(!wipe(&device).unwrap().is_empty());
        assert!(look(&device).unwrap().is_empty(), "{:?}", look(&device));

        make("mkfs.ext4", &["-q", "-L", "data"], &file);
        let found = look(&device).unwrap();
        assert_eq!(found.types, ["ext4"]);
        assert_eq!(wipe(&device).unwrap(), ["ext4"]);
        assert!(look(&device).unwrap().is_empty());
    }

    #[test]
    fn a_label_that_is_no_text_hides_nothing() {
        let (file, device) = device(64 << 20);
        make("mkfs.ext4", &["-q", "-L", "label"], &file);
        device.write_at(1024 + 120, b"\xff\xfe\xfd").unwrap(); // the label lies at byte 120 of the superblock
        device.sync().unwrap();
        let found = look(&device).unwrap();
        assert_eq!(found.types, ["ext4"], "{found:?}");
    }
}
