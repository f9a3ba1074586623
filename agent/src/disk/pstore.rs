//! The kernel's persistent store: crash messages of former tenants, kept in the firmware.

use super::error::DiskError;
use super::guard::Gate;
use std::path::{Path, PathBuf};

/// Deletes every record of the store, if it is mounted. Returns how many there were.
///
/// # Errors
/// The gate is closed, or a record cannot be deleted.
pub fn erase(gate: &Gate) -> Result<usize, DiskError> {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    match mount_point(&mounts) {
        Some(place) => clear(gate, &place),
        None => {
            tracing::info!("no pstore is mounted: nothing to erase");
            Ok(0)
        }
    }
}

/// Where a file system of type `pstore` is mounted. Blanks in the path are written as octal numbers.
fn mount_point(mounts: &str) -> Option<PathBuf> {
    let rows = mounts.lines().map(|row| row.split(' ').collect::<Vec<_>>());
    let place = rows.filter(|row| row.get(2) == Some(&"pstore")).find_map(|row| row.get(1).copied())?;
    Some(PathBuf::from(place.replace("\\040", " ")))
}

fn clear(gate: &Gate, place: &Path) -> Result<usize, DiskError> {
    let entries = std::fs::read_dir(place).map_err(DiskError::io("reading", place))?;
    let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    if paths.is_empty() {
        return Ok(0);
    }
    gate.permit_folder(place)?;
    let mut failures = Vec::new();
    for path in &paths {
        let is_folder = path.symlink_metadata().is_ok_and(|facts| facts.is_dir());
        let removed = if is_folder { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        failures.extend(removed.err().map(|error| format!("deleting {}: {error}", path.display())));
    }
    if failures.is_empty() { Ok(paths.len()) } else { Err(DiskError::Erase(failures.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::{clear, mount_point};
    use crate::disk::guard::Gate;

    #[test]
    fn the_mount_is_found_by_its_type() {
        let mounts = "proc /proc proc rw 0 0\npstore /sys/fs/pstore\\040x pstore rw,nosuid 0 0\n";
        assert_eq!(mount_point(mounts).unwrap().to_str(), Some("/sys/fs/pstore x"));
        assert_eq!(mount_point("pstore /mnt tmpfs rw 0 0\n"), None);
    }

    #[test]
    fn records_go_and_what_links_point_at_stays() {
        let (store, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let kept = elsewhere.path().join("kept");
        std::fs::write(&kept, "x").unwrap();
        std::fs::write(store.path().join("dmesg-efi-1"), "secret").unwrap();
        std::fs::create_dir(store.path().join("folder")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), store.path().join("link")).unwrap();
        let closed = Gate::of_this_machine(&[]).unwrap();
        if closed.scope() != &crate::disk::guard::Scope::AllDisks {
            let refused = clear(&closed, store.path()).unwrap_err().to_string();
            assert!(refused.contains("--allow-erase"), "{refused}");
            assert!(store.path().join("dmesg-efi-1").exists());
        }
        let open = Gate::of_this_machine(&[store.path().to_path_buf()]).unwrap();
        assert_eq!(clear(&open, store.path()).unwrap(), 3);
        assert_eq!(std::fs::read_dir(store.path()).unwrap().count(), 0);
        assert!(kept.exists());
        assert_eq!(clear(&closed, store.path()).unwrap(), 0, "an empty store needs no permission");
    }
}
