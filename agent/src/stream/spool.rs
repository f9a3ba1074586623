//! What passed by before anybody could say where it belongs: a temporary file with holes, every byte at the offset it had
//! in the image. It has no name, is made when it is needed, and is never larger than there is room.

use super::error::{FetchError, StreamError};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, fstatfs};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Room that is left alone: the ramdisk has to go on living.
const RESERVE: u64 = 32 << 20;
/// Bytes between two looks at the room.
const LOOK: u64 = 16 << 20;
/// linux/magic.h; not in the `nix` crate.
const RAMFS: FsType = FsType(0x8584_58f6);

/// The bytes that wait.
pub struct Spool {
    file: Option<File>,
    dir: PathBuf,
    kept: u64,
    unchecked: u64,
    length: u64,
}

impl Spool {
    /// An empty one, to be in `dir`. Touches nothing yet.
    pub fn new(dir: &Path) -> Self {
        Self { file: None, dir: dir.to_path_buf(), kept: 0, unchecked: LOOK, length: 0 }
    }

    /// Keeps bytes for later.
    ///
    /// # Errors
    /// [`FetchError::NoRoom`], or what the file system says.
    pub fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StreamError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.create().map_err(|cause| self.failed(cause))?,
        };
        self.unchecked += bytes.len() as u64;
        if self.unchecked >= LOOK {
            self.unchecked = 0;
            self.room_for(&file, LOOK)?;
        }
        file.write_all_at(bytes, offset).map_err(|cause| self.failed(cause))?;
        self.file = Some(file);
        self.kept += bytes.len() as u64;
        self.length = self.length.max(offset + bytes.len() as u64);
        Ok(())
    }

    /// Bytes kept so far.
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// Reads all of `into` from `offset`; what was never put is zeroes.
    ///
    /// # Errors
    /// What the file system says.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), StreamError> {
        let there = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX).min(into.len());
        let (there, beyond) = into.split_at_mut(there);
        beyond.fill(0);
        match &self.file {
            Some(file) => file.read_exact_at(there, offset).map_err(|cause| self.failed(cause)),
            None => Ok(()),
        }
    }

    fn create(&self) -> io::Result<File> {
        let path = self.dir.join(format!("image-{:016x}", rand::random::<u64>()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    }

    fn failed(&self, cause: io::Error) -> StreamError {
        StreamError::Spool { dir: self.dir.clone(), cause }
    }

    fn room_for(&self, file: &File, need: u64) -> Result<(), StreamError> {
        let facts = fstatfs(file).map_err(|cause| self.failed(cause.into()))?;
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
        Err(FetchError::NoRoom { dir: self.dir.clone(), need: self.kept + need, room: self.kept + room }.into())
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
    fn a_spool_is_nameless_and_keeps_bytes_at_their_offsets() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(dir.path());
        let mut back = [7; 5];
        spool.read(6, &mut back).unwrap();
        assert_eq!(back, [0; 5], "nothing was put there");
        spool.put(1 << 20, b"world").unwrap();
        spool.put(0, b"hello ").unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        spool.read((1 << 20) - 1, &mut back).unwrap();
        assert_eq!((&back, spool.kept()), (b"\0worl", 11));
        spool.read((1 << 20) + 3, &mut back).unwrap();
        assert_eq!(&back, b"ld\0\0\0");
        let nowhere = Spool::new(&dir.path().join("gone")).put(0, b"x").unwrap_err().to_string();
        assert!(nowhere.contains("gone"), "{nowhere}");
    }
}
