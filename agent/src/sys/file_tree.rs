//! A tenant's file system, mounted where nobody else sees it, and files below its root, from which no path leads out.
//!
//! The mount has no place in the tree (`fsmount(2)`): no other program can stumble into it, and it ends with the last
//! descriptor. A child of another thread has a copy of that until it runs its program; meanwhile the file system would still
//! write, also below one that is mounted next from the same blocks. Hence a tree is gone only when its device is free. The kernel's own drivers read it, because a root file system may be ext4, xfs or btrfs, and half a reader of our
//! own for each would be no safer; they get a read-only block device where reading is enough, and `nosuid,nodev,noexec`
//! always. Paths are resolved with `RESOLVE_IN_ROOT` (`openat2(2)`): `..` and every symbolic link of the image end at its own root.

use crate::sys::block::BlockDevice;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::libc::{SYS_fsconfig, SYS_fsmount, SYS_fsopen, c_int, c_uint, syscall};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

const FSOPEN_CLOEXEC: c_uint = 1;
const FSMOUNT_CLOEXEC: c_uint = 1;
const SET_FLAG: c_uint = 0;
const SET_STRING: c_uint = 1;
const CREATE: c_uint = 6;
const RDONLY_NOSUID_NODEV_NOEXEC: c_uint = 1 | 2 | 4 | 8;
/// Most names read of one folder.
const MAX_NAMES: usize = 4096;
/// How long a device may stay in use after the last of our own descriptors is closed.
const PATIENCE: Duration = Duration::from_secs(30);

/// File systems that are mounted, and what keeps each from writing when it is read only: the journal is not replayed.
const KINDS: &[(&str, &str, &[&str])] = &[
    ("ext2", "ext4", &["noload"]),
    ("ext3", "ext4", &["noload"]),
    ("ext4", "ext4", &["noload"]),
    ("xfs", "xfs", &["norecovery"]),
    ("btrfs", "btrfs", &[]),
    ("vfat", "vfat", &[]),
    #[cfg(test)]
    ("tmpfs", "tmpfs", &[]),
];

/// A mounted file system.
#[derive(Debug)]
pub struct FileTree {
    // The order matters: the device becomes free after the root is closed.
    root: OwnedFd,
    device: Device,
    writable: bool,
}

/// What is mounted. Dropped, it waits until the kernel has let go of it.
#[derive(Debug)]
struct Device(PathBuf);

impl Device {
    fn until_free(&self) -> io::Result<()> {
        if std::fs::metadata(&self.0).is_ok_and(|facts| facts.file_type().is_block_device()) {
            BlockDevice::wait_until_free(&self.0, PATIENCE).map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("the file system on {} is still in use: {error}", self.0.display()),
                )
            })?;
        }
        Ok(())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Err(error) = self.until_free() {
            tracing::warn!(%error, "a file system was not unmounted");
        }
    }
}

impl FileTree {
    /// Mounts `device`, whose file system is of this kind (as libblkid names it).
    ///
    /// # Errors
    /// `Unsupported` for another kind; otherwise the kernel's.
    pub fn mount(device: &Path, kind: &str, writable: bool) -> io::Result<Self> {
        let row = KINDS.iter().find(|row| row.0 == kind);
        let unknown = || {
            let known: Vec<&str> = KINDS.iter().map(|row| row.0).collect();
            io::Error::new(
                io::ErrorKind::Unsupported,
                format!("a file system of type {kind:?} is not mounted; {} are", known.join(", ")),
            )
        };
        let (_, driver, still) = row.ok_or_else(unknown)?;
        let source = CString::new(device.as_os_str().as_bytes())?;
        let fs = fsopen(&CString::new(*driver)?)?;
        let set = |command, key: &CStr, value: Option<&CStr>| fsconfig(fs.as_fd(), command, Some(key), value);
        set(SET_STRING, c"source", Some(&source))?;
        if !writable {
            set(SET_FLAG, c"ro", None)?;
            for option in *still {
                set(SET_FLAG, &CString::new(*option)?, None)?;
            }
        }
        if *driver == "xfs" {
            set(SET_FLAG, c"nouuid", None)?; // the same image may be on another disk of this machine
        }
        fsconfig(fs.as_fd(), CREATE, None, None)?;
        let attributes = if writable { RDONLY_NOSUID_NODEV_NOEXEC & !1 } else { RDONLY_NOSUID_NODEV_NOEXEC };
        let root = fsmount(fs.as_fd(), attributes)?;
        Ok(Self { root, device: Device(device.to_path_buf()), writable })
    }

    /// Everything to the device, which is free afterwards. A tree that is dropped waits for that, too, and can only log an error.
    ///
    /// # Errors
    /// This is where a late write error shows. `ResourceBusy` when another program still uses the file system.
    pub fn unmount(self) -> io::Result<()> {
        self.sync()?;
        drop(self.root);
        self.device.until_free()
    }

    fn open_at(&self, path: &Path, flags: OFlag, mode: Mode) -> io::Result<OwnedFd> {
        // Access to devices and FIFOs of the image must not block or do anything: nodev, and O_NONBLOCK.
        let careful = if flags.contains(OFlag::O_PATH) { OFlag::empty() } else { OFlag::O_NONBLOCK | OFlag::O_NOCTTY };
        let flags = flags | careful | OFlag::O_CLOEXEC;
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_XDEV;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        Ok(openat2(&self.root, path, OpenHow::new().flags(flags).mode(mode).resolve(resolve))?)
    }

    /// Is there a folder (through symbolic links of the image)?
    pub fn is_folder(&self, path: &Path) -> bool {
        self.open_at(path, OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty()).is_ok()
    }

    /// Names in a folder, sorted; empty if there is no such folder.
    pub fn names(&self, path: &Path) -> Vec<String> {
        let Ok(folder) = self.open_at(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty()) else {
            return Vec::new();
        };
        let Ok(entries) = std::fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd())) else { return Vec::new() };
        let names = entries.take(MAX_NAMES).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// A regular file's content; none if there is no such file.
    ///
    /// # Errors
    /// `FileTooLarge` beyond `limit` bytes; otherwise the file system's.
    pub fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match self.open_at(path, OFlag::O_RDONLY, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{} has more than {limit} bytes", path.display()),
            ));
        }
        Ok(Some(bytes))
    }

    /// Makes the folder and those above it that are missing. True if the last one was made.
    ///
    /// # Errors
    /// The file system's; `NotADirectory` when a file is in the way.
    pub fn make_folders(&self, path: &Path) -> io::Result<bool> {
        let mut made = false;
        let mut above = PathBuf::new();
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            let next = above.join(name);
            made = !self.is_folder(&next);
            if made {
                let parent = self.open_at(&above, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())?;
                mkdirat(&parent, name, Mode::from_bits_truncate(0o755)).map_err(|error| match error {
                    Errno::EEXIST => {
                        io::Error::new(io::ErrorKind::NotADirectory, format!("/{} is no folder", next.display()))
                    }
                    other => other.into(),
                })?;
            }
            above = next;
        }
        Ok(made)
    }

    /// Creates or empties a file, through a symbolic link of the image if that is what it has there. The link's end is below
    /// the root, too.
    ///
    /// # Errors
    /// The file system's; `InvalidInput` when it is no regular file.
    pub fn create(&self, path: &Path) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT;
        let file = File::from(self.open_at(path, flags, Mode::from_bits_truncate(0o644))?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("/{} is no regular file", path.display())));
        }
        file.set_len(0)?;
        Ok(file)
    }

    /// Deletes a file or a symbolic link, not what it points to. False if there is none.
    ///
    /// # Errors
    /// The file system's.
    pub fn delete(&self, path: &Path) -> io::Result<bool> {
        let Some(name) = path.file_name() else { return Ok(false) };
        let folder = path.parent().unwrap_or(Path::new(""));
        let folder = match self.open_at(folder, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty()) {
            Ok(folder) => folder,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        match unlinkat(&folder, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Sets the mode of a folder.
    ///
    /// # Errors
    /// The file system's.
    pub fn set_folder_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        let folder = self.open_at(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())?;
        Ok(fchmod(&folder, Mode::from_bits_truncate(mode))?)
    }

    fn sync(&self) -> io::Result<()> {
        if self.writable {
            Ok(nix::unistd::syncfs(&self.open_at(Path::new(""), OFlag::O_RDONLY, Mode::empty())?)?)
        } else {
            Ok(())
        }
    }
}

/// Mode and owner of an open file; none: as it is.
///
/// # Errors
/// The file system's.
pub fn set_owner(file: &File, mode: Option<u32>, owner: Option<u32>, group: Option<u32>) -> io::Result<()> {
    if owner.is_some() || group.is_some() {
        fchown(file, owner.map(Uid::from_raw), group.map(Gid::from_raw))?;
    }
    // After the owner: a change of owner takes set-user-id bits away.
    if let Some(mode) = mode {
        fchmod(file, Mode::from_bits_truncate(mode))?;
    }
    Ok(())
}

/// What an open file is.
///
/// # Errors
/// The file system's.
pub fn facts(file: &File) -> io::Result<FileStat> {
    Ok(fstat(file)?)
}

fn fsopen(driver: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the text ends with a zero byte and lives through the call.
    owned(unsafe { syscall(SYS_fsopen, driver.as_ptr(), FSOPEN_CLOEXEC) })
}

fn fsconfig(fs: BorrowedFd<'_>, command: c_uint, key: Option<&CStr>, value: Option<&CStr>) -> io::Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: the descriptor is open; each text ends with a zero byte and lives through the call, or is null where the
    // command takes none.
    let done = unsafe { syscall(SYS_fsconfig, fs.as_raw_fd(), command, pointer(key), pointer(value), 0 as c_int) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn fsmount(fs: BorrowedFd<'_>, attributes: c_uint) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is open; the other arguments are numbers.
    owned(unsafe { syscall(SYS_fsmount, fs.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })
}

fn owned(number: std::ffi::c_long) -> io::Result<OwnedFd> {
    match c_int::try_from(number) {
        // SAFETY: the kernel just gave this descriptor to us alone.
        Ok(number) if number >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests;
