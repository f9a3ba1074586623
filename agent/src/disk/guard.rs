//! The safety gate: every destructive act passes through [`Gate::permit`] first.

use super::error::DiskError;
use super::facts::kernel_name;
use crate::sys::block::{Access, BlockDevice};
use crate::sys::device_map;
use crate::sys::partitions::{self, Part};
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

const NOT_NAMED: &str = "this agent does not run from a ramdisk; start it with --allow-erase and the device's name if its contents may be destroyed";

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

        if !self.in_scope(&path, name.as_deref()) {
            return refuse(NOT_NAMED.into());
        }
        if !is_block && (!facts.is_file() || self.scope == Scope::AllDisks) {
            return refuse("it is not a block device".into());
        }
        if let Some(user) = self.user_of(&path, name.as_deref()) {
            return refuse(format!("{user}; unmount or stop that first"));
        }
        // The kernel has the last word: it also knows of mounts in other mount namespaces.
        match self.asked_alone(&path, name.as_deref()) {
            Ok(()) => Ok(path),
            Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) => {
                refuse("the kernel says it is in use (mounted, swap, RAID, LVM, or opened by another program)".into())
            }
            Err(error) => Err(DiskError::io("opening", &path)(error)),
        }
    }

    /// Opens what must be free. The partitions of a map keep the map itself from being opened alone until they are taken
    /// away, which [`BlockDevice::open`] does: so each of them is asked in its place.
    fn asked_alone(&self, path: &Path, name: Option<&str>) -> std::io::Result<()> {
        let parts = name.map(|name| device_map::partitions(&self.roots, name)).unwrap_or_default();
        if parts.is_empty() {
            return BlockDevice::open(path, Access::Ask).map(drop);
        }
        // An extended partition is held by its logical ones in the same way.
        let is_held = |part: &String| {
            let holders = self.roots.entries(format!("/sys/class/block/{part}/holders"));
            holders.iter().any(|holder| parts.contains(holder))
        };
        for part in parts.iter().filter(|part| !is_held(part)) {
            BlockDevice::open(&Path::new("/dev").join(part), Access::Ask)?;
        }
        Ok(())
    }

    /// May the partition table and the boot code of this disk be changed although arrays live on it? Only if nothing but
    /// arrays does, and nobody uses those. Returns its canonical path; open that with [`Access::Shared`].
    ///
    /// # Errors
    /// [`DiskError::Refused`] says why.
    pub fn permit_holder(&self, disk: &Path) -> Result<PathBuf, DiskError> {
        let path = disk.canonicalize().map_err(DiskError::io("looking for", disk))?;
        let facts = std::fs::metadata(&path).map_err(DiskError::io("looking at", &path))?;
        let name = kernel_name(&self.roots, facts.rdev()).filter(|_| facts.file_type().is_block_device());
        let refuse = |why: &str| DiskError::Refused(format!("{} is not touched: {why}", path.display()));
        let name = name.ok_or_else(|| refuse("it is not a block device"))?;
        if !self.in_scope(&path, Some(&name)) {
            return Err(refuse(NOT_NAMED));
        }
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            let parts = partitions::of(&self.roots, &name);
            for (part, folder) in self.with_partitions(&name, &parts) {
                for holder in partitions::users(&self.roots, &folder, &parts) {
                    if !self.roots.exists(format!("/sys/block/{holder}/md")) {
                        return Err(refuse(&format!("{part} is part of {holder}, which is no RAID")));
                    }
                    open.push(holder);
                }
                if let Some(user) = self.direct_user(&part, &folder) {
                    return Err(refuse(&user));
                }
            }
        }
        Ok(path)
    }

    /// Named by `--allow-erase`, a partition of one that was, or an array all of whose members were.
    fn in_scope(&self, path: &Path, name: Option<&str>) -> bool {
        let Scope::Only(allowed) = &self.scope else { return true };
        if allowed.iter().any(|one| one == path) {
            return true;
        }
        let Some(name) = name else { return false };
        if let Some(disk) = partitions::disk_of(&self.roots, name) {
            return self.in_scope(&Path::new("/dev").join(&disk), Some(&disk));
        }
        let members = self.roots.entries(format!("/sys/block/{name}/slaves"));
        let allowed = |member: &String| self.in_scope(&Path::new("/dev").join(member), Some(member));
        self.roots.exists(format!("/sys/block/{name}/md")) && !members.is_empty() && members.iter().all(allowed)
    }

    /// A device and its partitions, with their folders.
    fn with_partitions(&self, name: &str, parts: &[Part]) -> Vec<(String, String)> {
        let whole = (name.to_string(), format!("/sys/class/block/{name}"));
        std::iter::once(whole).chain(parts.iter().map(|part| (part.name.clone(), part.folder.clone()))).collect()
    }

    /// Mounted, or swap.
    fn direct_user(&self, name: &str, folder: &str) -> Option<String> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
        let number = self.roots.text(format!("{folder}/dev")).unwrap_or_default();
        if let Some(place) = mounted_at(&mounts, &number) {
            return Some(format!("{name} is mounted on {place}"));
        }
        let node = format!("/dev/{}", name.replace('!', "/"));
        let swap = swaps.lines().any(|row| row.split_whitespace().next() == Some(&node));
        swap.then(|| format!("{name} is swap space"))
    }

    /// May everything in this folder of the machine's firmware (pstore) be deleted?
    ///
    /// # Errors
    /// [`DiskError::Refused`] says why and what to do.
    pub fn permit_folder(&self, folder: &Path) -> Result<(), DiskError> {
        let path = folder.canonicalize().map_err(DiskError::io("looking for", folder))?;
        match &self.scope {
            Scope::Only(allowed) if !allowed.contains(&path) => {
                Err(DiskError::Refused(format!("{} is not touched: {NOT_NAMED}", path.display())))
            }
            _ => Ok(()),
        }
    }

    /// Who uses the device or one of its partitions, in words. A partition that kpartx has made of a map holds the map, but
    /// it is a partition like any other: what counts is who uses it.
    fn user_of(&self, path: &Path, name: Option<&str>) -> Option<String> {
        let Some(name) = name else { return self.loop_over(path) };
        let parts = partitions::of(&self.roots, name);
        let user = |(name, folder): (String, String)| match partitions::users(&self.roots, &folder, &parts).first() {
            Some(holder) => Some(format!("{name} is part of {holder}")),
            None => self.direct_user(&name, &folder),
        };
        self.with_partitions(name, &parts).into_iter().find_map(user)
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
    use crate::sys::test_tree::TestTree;

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
    fn an_array_is_allowed_when_all_its_members_are() {
        let tree = TestTree::new();
        let md = tree.disk("md0", "9:0", 2, "sys/devices/virtual");
        tree.file(&format!("{md}/md/level"), "raid1\n").file(&format!("{md}/md0p1/partition"), "1\n");
        tree.link("sys/class/block/md0p1", &format!("{md}/md0p1"));
        for (disk, number) in [("sda", "8:0"), ("sdb", "8:16")] {
            let folder = tree.disk(disk, number, 2, "sys/devices/pci0");
            tree.file(&format!("{folder}/{disk}1/partition"), "1\n");
            tree.link(&format!("sys/class/block/{disk}1"), &format!("{folder}/{disk}1"));
            tree.file(&format!("{md}/slaves/{disk}1"), "");
        }
        let allows = |disks: &[&str], name: &str| {
            let scope = Scope::Only(disks.iter().map(Into::into).collect());
            let gate = Gate { scope, roots: tree.roots() };
            gate.in_scope(&std::path::Path::new("/dev").join(name), Some(name))
        };
        for name in ["md0", "md0p1", "sda1"] {
            assert!(allows(&["/dev/sda", "/dev/sdb"], name), "{name}");
        }
        assert!(!allows(&["/dev/sda"], "md0") && !allows(&["/dev/sda"], "md0p1") && !allows(&["/dev/sda"], "sdb1"));
        assert!(!allows(&["/dev/sda", "/dev/sdb1"], "sdb") && allows(&["/dev/sda", "/dev/sdb1"], "md0"));
        assert!(!allows(&[], "md0"), "an array without members is nobody's");
    }

    #[test]
    fn a_partition_of_a_map_is_no_user_of_it_but_whoever_uses_the_partition_is_one() {
        let tree = TestTree::new();
        tree.multipath("dm-0", &["sda", "sdb"]).map_part("dm-1", "part1-mpath-3600", "dm-0");
        let gate = Gate { scope: Scope::AllDisks, roots: tree.roots() };
        let user_of = |name: &str| gate.user_of(&std::path::Path::new("/dev").join(name), Some(name));
        assert_eq!((user_of("dm-0"), user_of("dm-1")), (None, None));
        assert_eq!(user_of("sda").unwrap(), "sda is part of dm-0", "a path is never touched beside its map");
        // A logical partition lies on the extended one, and is a partition of the map, too.
        tree.map_part("dm-2", "part5-mpath-3600", "dm-1");
        assert_eq!(user_of("dm-0"), None);
        tree.map_part("dm-3", "LVM-data", "dm-2");
        assert_eq!(user_of("dm-0").unwrap(), "dm-2 is part of dm-3");
        assert_eq!(user_of("dm-2").unwrap(), "dm-2 is part of dm-3");
        // Another map's partition, or a volume on the whole, uses it.
        let tree = TestTree::new();
        tree.multipath("dm-0", &["sda", "sdb"]).map_part("dm-1", "part1-mpath-3601", "dm-0");
        let gate = Gate { scope: Scope::AllDisks, roots: tree.roots() };
        assert_eq!(gate.user_of("/dev/dm-0".as_ref(), Some("dm-0")).unwrap(), "dm-0 is part of dm-1");
    }

    #[test]
    fn a_partition_of_a_map_is_allowed_with_its_map() {
        let tree = TestTree::new();
        tree.multipath("dm-0", &["sda", "sdb"]).map_part("dm-1", "part1-mpath-3600", "dm-0");
        let gate = Gate { scope: Scope::Only(vec!["/dev/dm-0".into()]), roots: tree.roots() };
        let allows = |name: &str| gate.in_scope(&std::path::Path::new("/dev").join(name), Some(name));
        assert!(allows("dm-0") && allows("dm-1"));
        assert!(!allows("sda"), "whoever names the map does not mean a path of it");
    }

    #[test]
    fn the_table_of_a_disk_that_nobody_named_is_not_changed_either() {
        let Some(disk) = LoopDevice::new(8 << 20, 512) else { return };
        let other = Gate::new(false, &[]).unwrap();
        assert!(other.permit_holder(disk.path()).unwrap_err().to_string().contains("--allow-erase"));
        let gate = Gate::new(false, &[disk.path().to_path_buf()]).unwrap();
        assert_eq!(gate.permit_holder(disk.path()).unwrap(), disk.path());
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Gate::new(true, &[]).unwrap().permit_holder(file.path()).is_err());
    }

    #[test]
    fn mounts_are_found_by_device_number() {
        let mounts = "24 1 8:2 / / rw - ext4 /dev/sda2 rw\n30 24 8:1 / /boot/efi rw - vfat /dev/sda1 rw\n";
        assert_eq!(mounted_at(mounts, "8:1"), Some("/boot/efi"));
        assert_eq!(mounted_at(mounts, "8:17"), None);
    }
}
