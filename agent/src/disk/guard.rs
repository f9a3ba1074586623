//! The safety gate: every destructive act passes through [`Gate::permit`] first.

use super::error::DiskError;
use super::facts::kernel_name;
use crate::sys::block::{Access, BlockDevice};
use crate::sys::ramdisk::root_is_ramdisk;
use crate::sys::sysfs::Roots;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Which devices are candidates at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `/` is a ramdisk: the machine's disks are ours.
    AllDisks,
    /// It is not: only what `--allow-erase` named, in canonical form; nothing else is ever touched.
    Only(Vec<PathBuf>),
}

/// The gate of one run of the program.
#[derive(Clone, Debug)]
pub struct Gate {
    scope: Scope,
    roots: Roots,
}

impl Gate {
    /// Looks where `/` lives and resolves the allowed names.
    ///
    /// # Errors
    /// An allowed device that does not exist.
    pub fn of_this_machine(allow_erase: &[PathBuf]) -> Result<Self, DiskError> {
        Self::new(root_is_ramdisk(), allow_erase)
    }

    fn new(ramdisk: bool, allow_erase: &[PathBuf]) -> Result<Self, DiskError> {
        let resolve = |path: &PathBuf| path.canonicalize().map_err(DiskError::io("looking for --allow-erase", path));
        let scope = if ramdisk {
            Scope::AllDisks
        } else {
            Scope::Only(allow_erase.iter().map(resolve).collect::<Result<_, _>>()?)
        };
        Ok(Self { scope, roots: Roots::machine() })
    }

    /// Which devices are candidates.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// May this device be destroyed? Returns its canonical path; open that and nothing else.
    ///
    /// # Errors
    /// [`DiskError::Refused`] says why and what to do.
    pub fn permit(&self, device: &Path) -> Result<PathBuf, DiskError> {
        let path = device.canonicalize().map_err(DiskError::io("looking for", device))?;
        let facts = std::fs::metadata(&path).map_err(DiskError::io("looking at", &path))?;
        let is_block = facts.file_type().is_block_device();
        let name = if is_block { kernel_name(&self.roots, facts.rdev()) } else { None };
        let shown = path.display();
        let refuse = |why: String| Err(DiskError::Refused(format!("{shown} is not touched: {why}")));

        if let Scope::Only(allowed) = &self.scope
            && !allowed.contains(&path)
            && !name.as_deref().and_then(|name| self.disk_of(name)).is_some_and(|disk| allowed.contains(&disk))
        {
            return refuse(
                "this agent does not run from a ramdisk; start it with --allow-erase and the device's name if its contents may be destroyed".into(),
            );
        }
        if !is_block && (!facts.is_file() || self.scope == Scope::AllDisks) {
            return refuse("it is not a block device".into());
        }
        if let Some(user) = self.user_of(&path, name.as_deref()) {
            return refuse(format!("{user}; unmount or stop that first"));
        }
        // The kernel has the last word: it also knows of mounts in other mount namespaces.
        match BlockDevice::open(&path, Access::Ask) {
            Ok(_) => Ok(path),
            Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) => {
                refuse("the kernel says it is in use (mounted, swap, RAID, LVM, or opened by another program)".into())
            }
            Err(error) => Err(DiskError::io("opening", &path)(error)),
        }
    }

    /// `/dev/sda` for `sda1`.
    fn disk_of(&self, name: &str) -> Option<PathBuf> {
        let place = self.roots.real(format!("/sys/class/block/{name}"))?;
        let disk = place.parent()?.file_name()?.to_str()?;
        self.roots.exists(format!("/sys/class/block/{name}/partition")).then(|| Path::new("/dev").join(disk))
    }

    /// Who uses the device or one of its partitions, in words.
    fn user_of(&self, path: &Path, name: Option<&str>) -> Option<String> {
        let Some(name) = name else { return self.loop_over(path) };
        let folder = format!("/sys/class/block/{name}");
        let parts = self
            .roots
            .entries(&folder)
            .into_iter()
            .filter(|part| self.roots.exists(format!("{folder}/{part}/partition")));
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
        for name in std::iter::once(name.to_string()).chain(parts) {
            let folder = format!("/sys/class/block/{name}");
            if let Some(holder) = self.roots.entries(format!("{folder}/holders")).first() {
                return Some(format!("{name} is part of {holder}"));
            }
            let number = self.roots.text(format!("{folder}/dev")).unwrap_or_default();
            if let Some(place) = mounted_at(&mounts, &number) {
                return Some(format!("{name} is mounted on {place}"));
            }
            let node = format!("/dev/{}", name.replace('!', "/"));
            if swaps.lines().any(|row| row.split_whitespace().next() == Some(&node)) {
                return Some(format!("{name} is swap space"));
            }
        }
        None
    }

    fn loop_over(&self, file: &Path) -> Option<String> {
        let loops = self.roots.entries("/sys/block").into_iter().filter(|name| name.starts_with("loop"));
        let mut over = loops.filter(|name| {
            let behind = self.roots.text(format!("/sys/block/{name}/loop/backing_file"));
            behind.is_some_and(|behind| Path::new(&behind) == file)
        });
        over.next().map(|name| format!("the loop device {name} uses it"))
    }
}

/// Where the device number (`8:1`) is mounted, from `/proc/self/mountinfo`.
fn mounted_at<'a>(mounts: &'a str, number: &str) -> Option<&'a str> {
    let rows = mounts.lines().map(|row| row.split(' ').collect::<Vec<_>>());
    rows.filter(|row| row.get(2) == Some(&number)).find_map(|row| row.get(4).copied())
}

#[cfg(test)]
mod tests {
    use super::{Gate, Scope, mounted_at};
    use crate::sys::block::{Access, BlockDevice};
    use crate::sys::loop_device::LoopDevice;

    fn refusal(gate: &Gate, path: &std::path::Path) -> String {
        gate.permit(path).unwrap_err().to_string()
    }

    #[test]
    fn without_a_ramdisk_only_what_was_named_is_touched() {
        let named = tempfile::NamedTempFile::new().unwrap();
        let other = tempfile::NamedTempFile::new().unwrap();
        let gate = Gate::new(false, &[named.path().to_path_buf()]).unwrap();
        let path = named.path().canonicalize().unwrap();
        assert_eq!(gate.permit(named.path()).unwrap(), path);
        assert!(refusal(&gate, other.path()).contains("--allow-erase"));
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(other.path(), &link).unwrap();
        assert!(refusal(&gate, &link).contains("--allow-erase"), "a link is followed before the question");
        assert_eq!(gate.scope(), &Scope::Only(vec![path]));
        assert!(Gate::new(false, &["/nowhere/disk".into()]).is_err());
    }

    #[test]
    fn no_rule_lets_through_what_is_no_device() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let ramdisk = Gate::new(true, &[]).unwrap();
        assert!(refusal(&ramdisk, file.path()).contains("not a block device"));
        let folder = tempfile::tempdir().unwrap();
        let gate = Gate::new(false, &[folder.path().to_path_buf(), "/dev/null".into()]).unwrap();
        assert!(refusal(&gate, folder.path()).contains("not a block device"));
        assert!(refusal(&gate, "/dev/null".as_ref()).contains("not a block device"));
    }

    #[test]
    fn the_disk_under_the_running_system_is_refused_even_when_all_disks_are_allowed() {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let Some(device) =
            mounts.lines().find(|row| row.split(' ').nth(4) == Some("/")).and_then(|row| row.rsplit(' ').nth(1))
        else {
            return;
        };
        let Some(device) =
            device.strip_prefix("/dev/").map(|_| std::path::Path::new(device)).filter(|path| path.exists())
        else {
            println!("skipped: / is not on a block device here");
            return;
        };
        assert!(refusal(&Gate::new(true, &[]).unwrap(), device).contains("is mounted on"));
        assert!(refusal(&Gate::new(false, &[device.to_path_buf()]).unwrap(), device).contains("is mounted on"));
    }

    #[test]
    fn what_somebody_uses_is_refused() {
        let Some(disk) = LoopDevice::new(8 << 20, 512) else { return };
        let gate = Gate::new(false, &[disk.path().to_path_buf(), disk.file().to_path_buf()]).unwrap();
        gate.permit(disk.path()).unwrap();
        assert!(refusal(&gate, disk.file()).contains("the loop device"), "the file behind a loop device is in use");
        let user = BlockDevice::open(disk.path(), Access::Exclusive).unwrap();
        assert!(refusal(&gate, disk.path()).contains("in use"));
        drop(user);
        gate.permit(disk.path()).unwrap();
    }

    #[test]
    fn mounts_are_found_by_device_number() {
        let mounts = "24 1 8:2 / / rw - ext4 /dev/sda2 rw\n30 24 8:1 / /boot/efi rw - vfat /dev/sda1 rw\n";
        assert_eq!(mounted_at(mounts, "8:1"), Some("/boot/efi"));
        assert_eq!(mounted_at(mounts, "8:17"), None);
    }
}
