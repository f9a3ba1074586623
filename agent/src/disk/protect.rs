//! Shared file systems (GPFS, VMFS, GFS2): other machines may be using them right now, so they are never erased unasked.

use super::error::DiskError;
use super::facts::Disk;
use super::signature::{Signatures, look};
use crate::sys::block::{Access, BlockDevice};
use serde_json::{Map, Value};
use std::path::Path;

/// Identifier of a partition type, and whose it is. Compared in lower case, as libblkid prints them.
const IDENTIFIERS: &[(&str, &str)] = &[
    ("37affc90-ef7d-4e96-91c3-2d7ae055b174", "IBM General Parallel File System"),
    ("aa31e02a-400f-11db-9590-000c2911d1b8", "VMware VMFS"),
    ("0xfb", "VMware VMFS"),
];

/// Names by libblkid.
const TYPES: &[(&str, &str)] = &[
    ("gfs", "Red Hat Global File System"),
    ("gfs2", "Red Hat Global File System 2"),
    ("vmfs", "VMware VMFS"),
    ("vmfs_volume_member", "VMware VMFS"),
    ("mpool", "shared storage pool"),
    ("ocfs", "Oracle Cluster File System"),
    ("ocfs2", "Oracle Cluster File System 2"),
];

/// Is the protection on? By the operator's rule, unless the node's `wipe_special_filesystems` is true, in `driver_info` (as
/// the documentation has it) or in `driver_internal_info` (where the reference looks, though the wrong way round: there
/// *false* switches the protection off; nobody can have meant that).
pub fn is_on(rule: bool, node: &Map<String, Value>) -> bool {
    let is_true =
        |value: &Value| *value == true || value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let wipe = |part: &str| node.get(part).and_then(|info| info.get("wipe_special_filesystems")).is_some_and(is_true);
    rule && !wipe("driver_info") && !wipe("driver_internal_info")
}

/// Looks at the disk and at each of its partitions. Returns what lies on them, all together.
///
/// # Errors
/// [`DiskError::Protected`], or a device that cannot be read.
pub fn check(disk: &Disk, guarded: bool) -> Result<Vec<Signatures>, DiskError> {
    let paths = std::iter::once(&disk.path).chain(disk.partitions.iter().map(|part| &part.path));
    paths.map(|path| check_device(path, guarded)).collect()
}

fn check_device(path: &Path, guarded: bool) -> Result<Signatures, DiskError> {
    let device = BlockDevice::open(path, Access::Read).map_err(DiskError::io("opening", path))?;
    let found = look(&device)?;
    match verdict(&found) {
        Some(what) if guarded => Err(DiskError::Protected { what: what.into(), device: path.to_path_buf() }),
        Some(what) => {
            tracing::warn!(device = %path.display(), what, "a shared file system is not protected, as asked");
            Ok(found)
        }
        None => Ok(found),
    }
}

/// Which shared file system is this? Compares every identifier, as the reference means to.
fn verdict(found: &Signatures) -> Option<&'static str> {
    let name_in = |table: &'static [(&str, &str)], texts: &[String]| {
        let hit = |row: &&(&str, &str)| texts.iter().any(|text| text.eq_ignore_ascii_case(row.0));
        table.iter().find(hit).map(|row| row.1)
    };
    name_in(IDENTIFIERS, &found.identifiers).or_else(|| name_in(TYPES, &found.types))
}

#[cfg(test)]
mod tests {
    use super::{check, verdict};
    use crate::disk::error::DiskError;
    use crate::disk::facts::Disk;
    use crate::disk::signature::Signatures;
    use std::process::Command;

    #[test]
    fn identifiers_are_compared_whatever_their_case() {
        let with = |identifier: &str| Signatures { identifiers: vec![identifier.into()], ..Default::default() };
        for identifier in ["37AFFC90-EF7D-4E96-91C3-2D7AE055B174", "aa31e02a-400f-11db-9590-000c2911d1b8", "0xFB"] {
            assert!(verdict(&with(identifier)).is_some(), "{identifier}");
        }
        assert_eq!(verdict(&with("0x83")), None);
        let gfs = Signatures { types: vec!["gfs2".into()], ..Default::default() };
        assert!(verdict(&gfs).unwrap().contains("Global File System 2"));
    }

    #[test]
    fn a_partition_type_on_the_disk_protects_it_unless_switched_off() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(16 << 20).unwrap();
        let arguments = ["-n", "1:0:+4M", "-t", "1:aa31e02a-400f-11db-9590-000c2911d1b8"];
        assert!(Command::new("sgdisk").args(arguments).arg(file.path()).output().unwrap().status.success());
        let disk = Disk { path: file.path().into(), ..Default::default() };
        let error = check(&disk, true).unwrap_err();
        assert!(matches!(&error, DiskError::Protected { what, .. } if what.contains("VMFS")), "{error}");
        assert_eq!(check(&disk, false).unwrap().len(), 1);
        let gone = Disk { path: "/nowhere/disk".into(), ..Default::default() };
        assert!(check(&gone, true).is_err(), "a device that cannot be looked at is an error");
    }
}
