//! EFI variables as files (efivarfs): read, write, delete. Contents are hostile: firmware and tenants wrote them.

use super::ramdisk::root_is_ramdisk;
use nix::libc::{EFBIG, ENOSPC, c_long};
use nix::sys::statfs::{FsType, statfs};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// `linux/magic.h`; nix does not name it.
const EFIVARFS_MAGIC: FsType = FsType(0xde5e_81e4);
/// Vendor of `Boot####` and `BootOrder`.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Non-volatile, seen by boot services and at run time.
const ATTRIBUTES: [u8; 4] = 7_u32.to_le_bytes();
/// Longest variable read.
const MAX_BYTES: u64 = 64 * 1024;
/// Most variables looked at.
const MAX_VARIABLES: usize = 4096;
/// `FS_IMMUTABLE_FL`: the kernel sets it on variables it does not know to be harmless to delete.
const IMMUTABLE: c_long = 0x10;

mod flag {
    use nix::libc::c_long;
    nix::ioctl_read!(get, b'f', 1, c_long);
    nix::ioctl_write_ptr!(set, b'f', 2, c_long);
}

/// The folder of variables.
#[derive(Clone, Debug)]
pub struct EfiVariables(PathBuf);

impl EfiVariables {
    /// `/sys/firmware/efi/efivars`, or what a test puts in its place.
    pub fn at(folder: &Path) -> Self {
        Self(folder.to_path_buf())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}-{GLOBAL}"))
    }

    /// Names of the global variables.
    ///
    /// # Errors
    /// As from reading a folder.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.0)?.take(MAX_VARIABLES) {
            let name = entry?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(GLOBAL)).and_then(|name| name.strip_suffix('-'));
            names.extend(name.map(str::to_string));
        }
        names.sort();
        Ok(names)
    }

    /// The value of a variable without its attributes; none if there is no such variable.
    ///
    /// # Errors
    /// As from reading a file.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(Some(bytes.get(ATTRIBUTES.len()..).unwrap_or_default().to_vec()))
    }

    /// Creates or replaces a variable, and reads it back.
    ///
    /// # Errors
    /// `StorageFull` when the firmware has no room left.
    pub fn write(&self, name: &str, value: &[u8]) -> io::Result<()> {
        self.must_be_ours()?;
        let path = self.path(name);
        let existed = path.exists();
        self.unlock(&path);
        let written = Self::write_file(&path, value);
        if let Err(error) = written {
            if !existed {
                let _ = std::fs::remove_file(&path);
            }
            return Err(match error.raw_os_error() {
                Some(ENOSPC | EFBIG) => io::Error::new(io::ErrorKind::StorageFull, format!("no room for {name}")),
                _ => error,
            });
        }
        if self.read(name)?.as_deref() != Some(value) {
            return Err(io::Error::other(format!("the firmware did not keep {name} as it was written")));
        }
        Ok(())
    }

    /// Variables of a machine whose system we are not: only a ramdisk may change them, `--allow-erase` names disks.
    fn must_be_ours(&self) -> io::Result<()> {
        let is_firmware = statfs(&self.0).is_ok_and(|facts| facts.filesystem_type() == EFIVARFS_MAGIC);
        let refused = "this agent does not run from a ramdisk, so the firmware's variables of this machine are not changed. Boot it from the deploy ramdisk";
        if may_change(is_firmware, root_is_ramdisk) {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::PermissionDenied, refused))
        }
    }

    fn write_file(path: &Path, value: &[u8]) -> io::Result<()> {
        // One write: efivarfs takes each as a whole variable. No truncation first: that would delete it.
        let whole = [&ATTRIBUTES[..], value].concat();
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(path)?;
        let count = file.write(&whole)?;
        if count != whole.len() {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        if file.metadata()?.len() > whole.len() as u64 {
            file.set_len(whole.len() as u64)?; // a plain folder in a test; efivarfs sets the length itself
        }
        Ok(())
    }

    /// Deletes a variable; one that is not there is fine.
    ///
    /// # Errors
    /// As from `unlink(2)`.
    pub fn delete(&self, name: &str) -> io::Result<()> {
        self.must_be_ours()?;
        let path = self.path(name);
        self.unlock(&path);
        match std::fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Takes the immutable flag off; what cannot be unlocked fails at the write that follows.
    fn unlock(&self, path: &Path) {
        let Ok(file) = File::open(path) else { return };
        let mut flags: c_long = 0;
        // SAFETY: the descriptor is open; the kernel writes at most one long.
        if unsafe { flag::get(file.as_raw_fd(), &mut flags) }.is_ok() && flags & IMMUTABLE != 0 {
            let flags = flags & !IMMUTABLE;
            // SAFETY: as above; the kernel reads at most one long.
            if let Err(error) = unsafe { flag::set(file.as_raw_fd(), &flags) } {
                tracing::warn!(path = %path.display(), %error, "cannot unlock an EFI variable");
            }
        }
    }
}

/// A plain folder is a test's.
fn may_change(is_firmware: bool, in_ramdisk: impl FnOnce() -> bool) -> bool {
    !is_firmware || in_ramdisk()
}

#[cfg(test)]
mod tests {
    use super::{EfiVariables, GLOBAL, may_change};

    #[test]
    fn the_firmware_is_changed_from_a_ramdisk_only() {
        assert!(may_change(true, || true) && may_change(false, || false));
        assert!(!may_change(true, || false));
    }

    #[test]
    fn variables_are_kept_with_their_attributes() {
        let folder = tempfile::tempdir().unwrap();
        let variables = EfiVariables::at(folder.path());
        assert_eq!(variables.read("BootOrder").unwrap(), None);
        variables.write("BootOrder", &[1, 0, 2, 0]).unwrap();
        variables.write("BootOrder", &[2, 0]).unwrap();
        std::fs::write(folder.path().join("Lang-00000000-0000-0000-0000-000000000000"), "x").unwrap();
        assert_eq!(std::fs::read(folder.path().join(format!("BootOrder-{GLOBAL}"))).unwrap(), [7, 0, 0, 0, 2, 0]);
        assert_eq!(variables.read("BootOrder").unwrap().unwrap(), [2, 0]);
        assert_eq!(variables.names().unwrap(), ["BootOrder"]);
        variables.delete("BootOrder").unwrap();
        variables.delete("BootOrder").unwrap();
        assert_eq!(variables.read("BootOrder").unwrap(), None);
    }

    #[test]
    fn a_locked_variable_is_unlocked() {
        let folder = tempfile::tempdir().unwrap();
        let variables = EfiVariables::at(folder.path());
        variables.write("Boot0001", b"old").unwrap();
        let path = folder.path().join(format!("Boot0001-{GLOBAL}"));
        let locked = std::process::Command::new("chattr").arg("+i").arg(&path).status();
        if !locked.is_ok_and(|status| status.success()) {
            println!("skipped: this file system has no immutable flag");
            return;
        }
        variables.write("Boot0001", b"new").unwrap();
        assert_eq!(variables.read("Boot0001").unwrap().unwrap(), b"new");
    }
}
