//! Keeps udev away from a disk whose partitions change: it respects a lock on the whole disk and comes back when the lock
//! is gone (systemd, "Locking Block Device Access"). Without it udev has the kernel read the table again at the wrong time.

use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::io;
use std::path::Path;

/// Held until dropped.
#[derive(Debug)]
pub struct DeviceLock(#[expect(dead_code, reason = "its end is its use")] Flock<File>);

impl DeviceLock {
    /// Waits until nobody else has it: udev for as long as it looks at the disk.
    ///
    /// # Errors
    /// As from `open(2)` or `flock(2)`.
    pub fn take(disk: &Path) -> io::Result<Self> {
        let lock = Flock::lock(File::open(disk)?, FlockArg::LockExclusive);
        lock.map(Self).map_err(|(_, error)| error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::DeviceLock;
    use nix::fcntl::{Flock, FlockArg};
    use std::fs::File;

    #[test]
    fn it_is_held_as_long_as_it_lives() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let ask = || Flock::lock(File::open(file.path()).unwrap(), FlockArg::LockSharedNonblock).is_ok();
        let lock = DeviceLock::take(file.path()).unwrap();
        assert!(!ask());
        drop(lock);
        assert!(ask());
        assert!(DeviceLock::take("/nowhere/disk".as_ref()).is_err());
    }
}
