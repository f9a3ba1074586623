//! A temporary copy, for qcow2 images that can be read only from front to back. It has no name and is never larger
//! than there is room.

use super::error::{FetchError, StreamError};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, fstatfs};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Room that is left alone: the ramdisk has to go on living.
const RESERVE: u64 = 32 << 20;
/// Bytes between two looks at the room.
const LOOK: u64 = 16 << 20;
/// linux/magic.h; not in the `nix` crate.
const RAMFS: FsType = FsType(0x8584_58f6);

/// The copy.
pub struct Spool {
    file: File,
    dir: PathBuf,
    size: u64,
    unchecked: u64,
}

impl Spool {
    /// An empty one in `dir`, for `expected` bytes if somebody knows.
    ///
    /// # Errors
    /// [`FetchError::NoRoom`], or what the file system says.
    pub fn new(dir: &Path, expected: Option<u64>) -> Result<Self, StreamError> {
        let fail = |cause| StreamError::Spool { dir: dir.to_path_buf(), cause };
        let path = dir.join(format!("image-{:016x}", rand::random::<u64>()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path).map_err(fail)?;
        std::fs::remove_file(&path).map_err(fail)?;
        let spool = Self { file, dir: dir.to_path_buf(), size: 0, unchecked: 0 };
        spool.room_for(expected.unwrap_or(LOOK))?;
        Ok(spool)
    }

    /// More bytes.
    ///
    /// # Errors
    /// As from [`Spool::new`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.unchecked += bytes.len() as u64;
        if self.unchecked >= LOOK {
            self.unchecked = 0;
            self.room_for(LOOK)?;
        }
        self.file.write_all(bytes).map_err(|cause| StreamError::Spool { dir: self.dir.clone(), cause })?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Bytes kept.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads all of `into` from `offset`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), StreamError> {
        self.file.read_exact_at(into, offset).map_err(|cause| StreamError::Spool { dir: self.dir.clone(), cause })
    }

    fn room_for(&self, need: u64) -> Result<(), StreamError> {
        let facts =
            fstatfs(&self.file).map_err(|cause| StreamError::Spool { dir: self.dir.clone(), cause: cause.into() })?;
        let kind = facts.filesystem_type();
        let block = u64::try_from(facts.block_size()).unwrap_or(0);
        // A ramfs counts no blocks.
        let disk = if kind == RAMFS { u64::MAX } else { facts.blocks_available().saturating_mul(block) };
        let memory =
            if kind == RAMFS || kind == TMPFS_MAGIC { memory_available().unwrap_or(u64::MAX) } else { u64::MAX };
        let room = disk.min(memory).saturating_sub(RESERVE);
        if need <= room {
            return Ok(());
        }
        Err(FetchError::NoRoom { dir: self.dir.clone(), need: self.size + need, room: self.size + room }.into())
    }
}

/// MemAvailable, bytes.
fn memory_available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::Spool;

    #[test]
    fn a_spool_is_nameless_and_knows_its_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(dir.path(), Some(100)).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        spool.push(b"hello ").unwrap();
        spool.push(b"world").unwrap();
        let mut back = [0; 5];
        spool.read(6, &mut back).unwrap();
        assert_eq!((&back, spool.size()), (b"world", 11));
        let error = Spool::new(dir.path(), Some(1 << 60)).err().unwrap().to_string();
        assert!(error.contains("has room for"), "{error}");
    }
}
