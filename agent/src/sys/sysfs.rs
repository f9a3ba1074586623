//! Bounded reads of what the kernel shows as files, below a root that tests can put elsewhere.
//!
//! A missing file is `None`, not an error: half of these attributes exist only for some hardware.

use crate::sys::text::{MAX_TEXT, clean_or_none};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Most bytes read from one attribute; sysfs gives a page at most, binary ones (VPD) less.
pub const MAX_ATTRIBUTE: usize = 64 * 1024;
/// Most entries of one folder; a machine with more is broken or hostile.
pub const MAX_ENTRIES: usize = 4096;

/// Where `/sys`, `/proc`, `/dev` and `/run` are.
#[derive(Clone, Debug)]
pub struct Roots {
    root: PathBuf,
}

/// Something that could not be read, and why: shown to people, never fatal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// A path or the name of a source.
    pub what: String,
    /// Cause and what to do.
    pub why: String,
}

impl Roots {
    /// The running machine.
    pub fn machine() -> Roots {
        Roots { root: PathBuf::from("/") }
    }

    /// A captured tree (tests).
    pub fn at(root: impl Into<PathBuf>) -> Roots {
        Roots { root: root.into() }
    }

    /// True for the running machine: only then may sockets and ioctls be asked as well.
    pub fn is_machine(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where `absolute` is below this root.
    pub fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        self.root.join(absolute.strip_prefix("/").unwrap_or(absolute))
    }

    /// At most `limit` bytes of a regular file; missing or without content behind it (ENXIO, EIO, ...) is `None`.
    ///
    /// # Errors
    /// Only a refusal: the file is there and this user may not read it.
    pub fn bytes(&self, path: impl AsRef<Path>, limit: usize) -> Result<Option<Vec<u8>>, Unread> {
        let path = path.as_ref();
        judged(path, read_bounded(&self.path(path), limit, End::Front))
    }

    /// Like [`Roots::bytes`], but the last `limit` bytes: for logs.
    ///
    /// # Errors
    /// As [`Roots::bytes`].
    pub fn tail(&self, path: impl AsRef<Path>, limit: usize) -> Result<Option<Vec<u8>>, Unread> {
        let path = path.as_ref();
        judged(path, read_bounded(&self.path(path), limit, End::Back))
    }

    /// An attribute as clean one-line text; missing, refused or empty is `None`.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let bytes = self.bytes(path, MAX_ATTRIBUTE).ok()??;
        clean_or_none(&bytes, MAX_TEXT)
    }

    /// An attribute that is a decimal number.
    pub fn number(&self, path: impl AsRef<Path>) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    /// An attribute that is `0` or `1`.
    pub fn flag(&self, path: impl AsRef<Path>) -> Option<bool> {
        match self.number(path)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// Names in a folder, in name order; missing is empty; names that are not clean text are left out.
    pub fn entries(&self, path: impl AsRef<Path>) -> Vec<String> {
        let Ok(folder) = std::fs::read_dir(self.path(path)) else { return Vec::new() };
        let names = folder.take(MAX_ENTRIES).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| !name.chars().any(char::is_control)).collect();
        names.sort();
        names
    }

    /// Is there anything under this name?
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).exists()
    }

    /// Is it a character device?
    pub fn is_character_device(&self, path: impl AsRef<Path>) -> bool {
        std::fs::metadata(self.path(path)).is_ok_and(|metadata| metadata.file_type().is_char_device())
    }

    /// Base name of what a link points at.
    pub fn link_name(&self, path: impl AsRef<Path>) -> Option<String> {
        let target = std::fs::read_link(self.path(path)).ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    }

    /// The real place of a link, as seen below this root (`/sys/devices/...`).
    pub fn real(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        let real = std::fs::canonicalize(self.path(path)).ok()?;
        let root = std::fs::canonicalize(&self.root).ok()?;
        Some(Path::new("/").join(real.strip_prefix(root).ok()?))
    }
}

/// A refusal is told; anything else that is not there counts as missing.
fn judged(path: &Path, read: io::Result<Vec<u8>>) -> Result<Option<Vec<u8>>, Unread> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(Unread { what: path.display().to_string(), why: "permission denied: run as root to see it".into() })
        }
        Err(_) => Ok(None),
    }
}

/// Which part of a long file is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Front,
    Back,
}

fn read_bounded(path: &Path, limit: usize, end: End) -> io::Result<Vec<u8>> {
    // Not blocking: a FIFO or a device under an attribute's name must not hold us.
    let mut file = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::from(ErrorKind::InvalidInput));
    }
    if end == End::Back {
        file.seek(SeekFrom::Start(file.metadata()?.len().saturating_sub(limit as u64)))?;
    }
    let mut bytes = Vec::new();
    file.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::Roots;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn attributes_are_trimmed_bounded_and_may_be_missing() {
        let tree = tempfile::tempdir().unwrap();
        let folder = tree.path().join("sys/block/sda");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("size"), "1024\n").unwrap();
        fs::write(folder.join("ro"), "1\n").unwrap();
        fs::write(folder.join("model"), b" QEMU\x1b[2J\xff\n").unwrap();
        fs::write(folder.join("huge"), vec![b'a'; 1 << 20]).unwrap();
        symlink("../../devices/pci/ata1", folder.join("device")).unwrap();
        let roots = Roots::at(tree.path());
        assert_eq!(roots.number("/sys/block/sda/size"), Some(1024));
        assert_eq!(roots.flag("/sys/block/sda/ro"), Some(true));
        assert_eq!(roots.text("/sys/block/sda/model").as_deref(), Some("QEMU[2J\u{fffd}"));
        assert_eq!(roots.text("/sys/block/sda/huge").unwrap().len(), super::MAX_TEXT);
        assert_eq!(roots.tail("/sys/block/sda/size", 3).unwrap().unwrap(), b"24\n");
        assert_eq!(roots.text("/sys/block/sda/none"), None);
        assert_eq!(roots.text("/sys/block/sda"), None, "a folder has no text");
        assert_eq!(roots.link_name("/sys/block/sda/device").as_deref(), Some("ata1"));
        assert_eq!(roots.entries("/sys/block"), ["sda"]);
        assert_eq!(roots.entries("/sys/nothing"), [""; 0]);
        assert_eq!(roots.real("/sys/block").unwrap().to_str(), Some("/sys/block"));
    }

    #[test]
    fn a_fifo_does_not_hold_the_reader() {
        let tree = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&tree.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(Roots::at(tree.path()).text("/fifo"), None);
    }
}
