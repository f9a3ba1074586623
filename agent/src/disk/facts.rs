//! What disks there are and what belongs together, looked at once. Decisions are made on this picture alone.

use super::choose::kept_volumes;
use super::error::DiskError;
use super::guard::Scope;
use super::raid::root_volume;
use crate::sys::block::{Access, BlockDevice};
use crate::sys::device_map;
use crate::sys::disk_identity::identify;
use crate::sys::disk_list::{self, FoundDisk};
use crate::sys::md;
use crate::sys::partitions::{self, Part};
use crate::sys::sysfs::Roots;
use crate::sys::udev_db::block_properties;
use common::root_hint::DiskFacts;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Largest virtual floppy: a tenant must not save a whole disk from erasing by giving it the floppy's label.
const MAX_VIRTUAL_MEDIA: u64 = 64 << 20;

/// A disk that could be worked on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Disk {
    /// `sda`; the whole path for a plain file.
    pub kernel_name: String,
    /// `/dev/sda`.
    pub path: PathBuf,
    /// What hints are compared with.
    pub facts: DiskFacts,
    /// Names of the RAID volume this is.
    pub volumes: Vec<String>,
    /// Writes are refused.
    pub read_only: bool,
    /// The kernel's partitions of it.
    pub partitions: Vec<Partition>,
    /// An assembled array lives on it or on one of its partitions.
    pub raid_member: bool,
    /// Arrays that live on the whole of it.
    pub arrays: BTreeSet<String>,
    /// It is such an array.
    pub is_array: bool,
    /// A partition that is erased alone, because its neighbours belong to an array: the firmware knows only whole disks.
    pub is_partition: bool,
    /// The RAID configuration applied since this boot says that the system belongs here, or that it does not.
    pub root_volume: Option<bool>,
    /// The ramdisk's parameter floppy.
    pub virtual_media: bool,
    /// RAID members on it whose array does not run: where they lie, and the name of the volume. Only [`look_for`] reads them.
    pub idle_members: BTreeMap<PathBuf, String>,
    /// Kernel names of everything that shares data with it, itself included.
    pub relatives: BTreeSet<String>,
    /// Other disks of this list by which the same data seem to be reached: they have the same world wide name and size, and no
    /// map joins them.
    pub paths: BTreeSet<String>,
    /// The paths below it, if it is a multipath map.
    pub below: BTreeSet<String>,
    /// NVMe: all namespaces behind the same controller or subsystem, itself included.
    pub namespaces: BTreeSet<String>,
    /// It can be told that data are no longer needed.
    pub discards: bool,
    /// Discard and write-zeroes are done by the device itself.
    pub zeroes_itself: bool,
}

/// A partition the kernel knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partition {
    /// `/dev/sda1`.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Arrays that live on it.
    pub arrays: BTreeSet<String>,
}

/// As [`look`], for work on a node: where its skip list names RAID volumes, members of arrays that do not run are asked for
/// theirs. One disk less is enough for that: mdadm does not start such an array by itself, and its data must not go for it.
///
/// # Errors
/// As [`look`].
pub fn look_for(roots: &Roots, scope: &Scope, node: &Map<String, Value>) -> Result<Vec<Disk>, DiskError> {
    let mut disks = look(roots, scope)?;
    if !kept_volumes(node).is_empty() {
        for disk in disks.iter_mut().filter(|disk| !disk.is_array) {
            disk.idle_members = idle_members(disk);
        }
    }
    Ok(disks)
}

/// Members on a disk whose array does not run, with the names of their volumes.
pub fn idle_members(disk: &Disk) -> BTreeMap<PathBuf, String> {
    let parts = disk.partitions.iter().map(|part| (&part.path, &part.arrays));
    let idle = std::iter::once((&disk.path, &disk.arrays)).chain(parts).filter(|(_, arrays)| arrays.is_empty());
    let member = |path: &PathBuf| {
        let found = BlockDevice::open(path, Access::Read).and_then(|device| md::superblock(&device));
        // A locked disk is looked at again when it is unlocked; whoever writes to one reads it before.
        let found = found.inspect_err(|error| {
            tracing::warn!(device = %path.display(), %error, "cannot be asked whether it is a RAID member");
        });
        Some((path.clone(), found.ok()??.volume))
    };
    idle.filter_map(|(path, _)| member(path)).collect()
}

/// Looks at the machine (or, in tests, at a captured tree).
///
/// # Errors
/// A device named in the scope that is not there.
pub fn look(roots: &Roots, scope: &Scope) -> Result<Vec<Disk>, DiskError> {
    let mut found = disk_list::list(roots);
    let mut links = Links::read(roots);
    links.join_paths(&found);
    match scope {
        Scope::AllDisks => Ok(found.into_iter().map(|disk| links.disk(roots, disk)).collect()),
        Scope::Only(paths) => {
            let mut disks = Vec::new();
            for path in paths {
                let facts = std::fs::metadata(path).map_err(DiskError::io("looking for", path))?;
                if facts.file_type().is_block_device() {
                    let name = kernel_name(roots, facts.rdev())
                        .ok_or_else(|| DiskError::NotFound(format!("the kernel does not know {}", path.display())))?;
                    let known = found.iter().position(|disk| disk.kernel_name == name);
                    let disk = known.map_or_else(|| named(roots, &name), |at| Some(found.swap_remove(at)));
                    let empty = || DiskError::NotFound(format!("{} has no medium", path.display()));
                    disks.push(links.disk(roots, disk.ok_or_else(empty)?));
                } else {
                    disks.push(plain_file(path, facts.len(), facts.permissions().readonly()));
                }
            }
            Ok(disks)
        }
    }
}

/// Name of the block device with this number.
pub fn kernel_name(roots: &Roots, number: u64) -> Option<String> {
    let (major, minor) = (nix::sys::stat::major(number), nix::sys::stat::minor(number));
    roots.link_name(format!("/sys/dev/block/{major}:{minor}"))
}

/// A block device that is no disk by itself (a loop device), allowed by name.
fn named(roots: &Roots, name: &str) -> Option<FoundDisk> {
    let folder = format!("/sys/class/block/{name}");
    let size = roots.number(format!("{folder}/size"))?.checked_mul(512).filter(|&size| size > 0)?;
    let udev = block_properties(roots, name, &roots.text(format!("{folder}/dev")).unwrap_or_default());
    let logical_sector = roots.number(format!("{folder}/queue/logical_block_size")).unwrap_or(512);
    Some(FoundDisk {
        kernel_name: name.to_string(),
        path: format!("/dev/{}", name.replace('!', "/")),
        size,
        rotational: roots.flag(format!("{folder}/queue/rotational")).unwrap_or(false),
        logical_sector,
        physical_sector: roots.number(format!("{folder}/queue/physical_block_size")).unwrap_or(logical_sector),
        by_paths: Vec::new(),
        identity: identify(roots, name, &udev),
        udev,
    })
}

fn plain_file(path: &Path, size: u64, read_only: bool) -> Disk {
    let name = path.display().to_string();
    Disk {
        kernel_name: name.clone(),
        path: path.to_path_buf(),
        facts: DiskFacts { name: name.clone(), size, rotational: Some(false), ..Default::default() },
        read_only,
        discards: true,
        relatives: BTreeSet::from([name]),
        ..Default::default()
    }
}

/// Which device is made of which: partitions, arrays, maps.
struct Links {
    /// Both directions.
    beside: BTreeMap<String, BTreeSet<String>>,
    partitions: BTreeMap<String, Vec<Part>>,
    holders: BTreeMap<String, BTreeSet<String>>,
    namespaces: BTreeMap<String, BTreeSet<String>>,
    /// The names of a disk that is reached in several ways, each with all of them.
    paths: BTreeMap<String, BTreeSet<String>>,
}

impl Links {
    fn read(roots: &Roots) -> Self {
        let (mut beside, mut partitions) = (BTreeMap::<String, BTreeSet<String>>::new(), BTreeMap::new());
        let (mut holders, mut namespaces) = (BTreeMap::new(), BTreeMap::<String, BTreeSet<String>>::new());
        for disk in roots.entries("/sys/block") {
            let folder = format!("/sys/block/{disk}");
            let parts = partitions::of(roots, &disk);
            let places = std::iter::once((disk.clone(), folder.clone()))
                .chain(parts.iter().map(|part| (part.name.clone(), part.folder.clone())));
            for (name, place) in places {
                let above: BTreeSet<String> = roots.entries(format!("{place}/holders")).into_iter().collect();
                for other in above.iter().chain((name != disk).then_some(&disk)) {
                    beside.entry(name.clone()).or_default().insert(other.clone());
                    beside.entry(other.clone()).or_default().insert(name.clone());
                }
                holders.insert(name, above);
            }
            if let Some(controller) = roots.link_name(format!("{folder}/device")).filter(|_| disk.starts_with("nvme")) {
                namespaces.entry(controller).or_default().insert(disk.clone());
            }
            partitions.insert(disk, parts);
        }
        Self { beside, partitions, holders, namespaces, paths: BTreeMap::new() }
    }

    /// Several paths to one disk, which no multipath map joins here, share all their data. Size is compared, too: bridges are known
    /// that give every disk the same name.
    fn join_paths(&mut self, found: &[FoundDisk]) {
        let mut known = BTreeMap::<(&str, u64), BTreeSet<String>>::new();
        for disk in found {
            let Some(wwn) = disk.identity.wwn_with_extension.as_deref().filter(|wwn| !wwn.is_empty()) else { continue };
            known.entry((wwn, disk.size)).or_default().insert(disk.kernel_name.clone());
        }
        for names in known.into_values().filter(|names| names.len() > 1) {
            for name in &names {
                self.beside
                    .entry(name.clone())
                    .or_default()
                    .extend(names.iter().filter(|other| *other != name).cloned());
                self.paths.insert(name.clone(), names.clone());
            }
        }
    }

    fn relatives(&self, name: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::from([name.to_string()]);
        let mut open = vec![name.to_string()];
        while let Some(name) = open.pop() {
            let next = self.beside.get(&name).into_iter().flatten();
            open.extend(next.filter(|other| seen.insert((*other).clone())).cloned().collect::<Vec<_>>());
        }
        seen
    }

    /// Arrays that live on a disk or partition.
    fn arrays(&self, roots: &Roots, name: &str) -> BTreeSet<String> {
        let holders = self.holders.get(name).into_iter().flatten();
        holders.filter(|holder| roots.exists(format!("/sys/block/{holder}/md"))).cloned().collect()
    }

    fn disk(&self, roots: &Roots, found: FoundDisk) -> Disk {
        let name = &found.kernel_name;
        let parts = self.partitions.get(name).cloned().unwrap_or_default();
        let own: Vec<&String> = std::iter::once(name).chain(parts.iter().map(|part| &part.name)).collect();
        let limit = |limit: &str| roots.number(format!("/sys/class/block/{name}/queue/{limit}")).unwrap_or(0);
        let floppy = roots.link_name("/dev/disk/by-label/ir-vfd-dev");
        let volume = |key: &str| found.udev.get(key).map(|name| name.rsplit(':').next().unwrap_or(name).to_string());
        let size_of = |part: &Part| roots.number(format!("{}/size", part.folder)).unwrap_or(0) * 512;
        let mut volumes: Vec<String> = ["MD_NAME", "MD_DEVNAME"].into_iter().filter_map(volume).collect();
        let is_array = roots.exists(format!("/sys/block/{name}/md"));
        // udev may know nothing yet, and a name decides what is kept: the members know it.
        if is_array && roots.is_machine() {
            let array = md::arrays(roots).into_iter().find(|array| array.kernel_name == *name);
            volumes.extend(array.and_then(|array| md::volume(&array)).filter(|name| !volumes.contains(name)));
        }
        Disk {
            volumes,
            is_array,
            root_volume: if is_array { root_volume::of(name) } else { None },
            read_only: roots.flag(format!("/sys/class/block/{name}/ro")).unwrap_or(false),
            raid_member: own.iter().any(|name| !self.arrays(roots, name).is_empty()),
            arrays: self.arrays(roots, name),
            is_partition: false,
            idle_members: BTreeMap::new(),
            virtual_media: found.size <= MAX_VIRTUAL_MEDIA
                && floppy.is_some_and(|floppy| own.iter().any(|name| **name == floppy)),
            relatives: self.relatives(name),
            paths: self.paths.get(name).into_iter().flatten().filter(|other| *other != name).cloned().collect(),
            below: if device_map::kind(roots, name) == Some("mpath") {
                roots.entries(format!("/sys/block/{name}/slaves")).into_iter().collect()
            } else {
                BTreeSet::new()
            },
            namespaces: self.namespaces.values().find(|all| all.contains(name)).cloned().unwrap_or_default(),
            discards: limit("discard_max_bytes") > 0,
            zeroes_itself: limit("discard_max_bytes") > 0 && limit("write_zeroes_max_bytes") > 0,
            partitions: parts
                .iter()
                .map(|part| Partition {
                    path: format!("/dev/{}", part.name.replace('!', "/")).into(),
                    size: size_of(part),
                    arrays: self.arrays(roots, &part.name),
                })
                .collect(),
            path: PathBuf::from(&found.path),
            facts: found.facts(),
            kernel_name: found.kernel_name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Disk, look, look_for};
    use crate::disk::choose;
    use crate::disk::guard::Scope;
    use crate::sys::loop_device::LoopDevice;
    use crate::sys::md::version_one;
    use crate::sys::sysfs::Roots;
    use crate::sys::test_tree::TestTree;
    use serde_json::{Map, json};
    use std::collections::BTreeSet;

    const PCI: &str = "sys/devices/pci0000:00/0000:00:1f.2";

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    fn find<'a>(disks: &'a [Disk], name: &str) -> &'a Disk {
        disks.iter().find(|disk| disk.kernel_name == name).unwrap()
    }

    fn partition(tree: &TestTree, folder: &str, name: &str, holder: Option<&str>) {
        tree.file(&format!("{folder}/{name}/partition"), "1\n").file(&format!("{folder}/{name}/size"), "2048\n");
        if let Some(holder) = holder {
            tree.file(&format!("{folder}/{name}/holders/{holder}"), "");
        }
    }

    #[test]
    fn an_array_its_members_and_their_partitions_belong_together() {
        let tree = TestTree::new();
        let sda = tree.disk("sda", "8:0", 10, &format!("{PCI}/ata1/host0/target0/0:0:0:0"));
        let sdb = tree.disk("sdb", "8:16", 10, &format!("{PCI}/ata2/host1/target0/1:0:0:0"));
        tree.disk("sdc", "8:32", 10, &format!("{PCI}/ata3/host2/target0/2:0:0:0"));
        let md = tree.disk("md0", "9:0", 9, "sys/devices/virtual");
        tree.file(&format!("{md}/md/level"), "raid1\n").file("run/udev/data/b9:0", "E:MD_NAME=any:root\n");
        partition(&tree, &sda, "sda1", Some("md0"));
        partition(&tree, &sdb, "sdb1", Some("md0"));
        let disks = look(&tree.roots(), &Scope::AllDisks).unwrap();
        let family = names(&["md0", "sda", "sda1", "sdb", "sdb1"]);
        for name in ["sda", "sdb", "md0"] {
            assert_eq!(find(&disks, name).relatives, family, "{name}");
        }
        assert_eq!(find(&disks, "sdc").relatives, names(&["sdc"]));
        assert!(
            find(&disks, "sda").raid_member && !find(&disks, "md0").raid_member && !find(&disks, "sdc").raid_member
        );
        assert_eq!(find(&disks, "md0").volumes, ["root"]);
        let parts = &find(&disks, "sda").partitions;
        assert_eq!((parts.len(), parts[0].path.to_str(), parts[0].size), (1, Some("/dev/sda1"), 1 << 20));
        assert_eq!((&parts[0].arrays, &find(&disks, "sda").arrays), (&names(&["md0"]), &names(&[])));
    }

    #[test]
    fn a_member_whose_array_does_not_run_keeps_its_disk_for_the_volume_that_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let superblock = version_one(4096, b"any:data");
        std::fs::write(file.path(), [vec![0; 4096], superblock].concat()).unwrap();
        file.as_file().set_len(8 << 30).unwrap();
        let scope = Scope::Only(vec![file.path().to_path_buf()]);
        let seen = |volume: &str| {
            let node = json!({"properties": {"skip_block_devices": [{"volume_name": volume}]}});
            let node = node.as_object().unwrap();
            let disks = look_for(&Roots::machine(), &scope, node).unwrap();
            (choose::kept(&disks, node).unwrap().len(), choose::root(&disks, node).is_ok(), disks[0].idle_members.len())
        };
        assert_eq!(seen("data"), (1, false, 1), "neither erased nor chosen for the system");
        assert_eq!(seen("other"), (0, true, 1));
        let disks = look_for(&Roots::machine(), &scope, &Map::new()).unwrap();
        assert!(disks[0].idle_members.is_empty(), "nobody asked");
    }

    #[test]
    fn two_paths_to_one_disk_share_their_data() {
        let tree = TestTree::new();
        for (name, number, size, wwn) in [
            ("sda", "8:0", 10, "0x5000c500a0000001"),
            ("sdb", "8:16", 10, "0x5000c500a0000001"),
            ("sdc", "8:32", 10, "0x5000c500a0000002"),
            ("sdd", "8:48", 20, "0x5000c500a0000001"),
        ] {
            tree.disk(name, number, size, &format!("{PCI}/ata1/host0/target0/0:0:0:{}", &number[2..]));
            tree.file(
                &format!("run/udev/data/b{number}"),
                format!("E:ID_WWN=0x5000c500a\nE:ID_WWN_WITH_EXTENSION={wwn}\n"),
            );
        }
        let disks = look(&tree.roots(), &Scope::AllDisks).unwrap();
        for name in ["sda", "sdb"] {
            assert_eq!(find(&disks, name).relatives, names(&["sda", "sdb"]), "{name}");
        }
        assert_eq!(find(&disks, "sda").paths, names(&["sdb"]));
        assert_eq!(find(&disks, "sdc").paths, names(&[]));
        assert_eq!(find(&disks, "sdc").relatives, names(&["sdc"]));
        assert_eq!(find(&disks, "sdd").relatives, names(&["sdd"]), "another size: the name is not its own");
        let node = json!({"properties": {"skip_block_devices": [{"name": "/dev/sda"}]}});
        assert_eq!(choose::kept(&disks, node.as_object().unwrap()).unwrap(), names(&["sda", "sdb"]));
    }

    #[test]
    fn a_map_is_one_disk_with_the_names_of_its_paths_and_the_partitions_that_kpartx_made() {
        let tree = TestTree::new();
        tree.multipath("dm-0", &["sda", "sdb"]).map_part("dm-1", "part1-mpath-3600", "dm-0");
        for number in ["8:128", "8:144"] {
            let lines =
                "E:ID_WWN=0x5000c500a\nE:ID_WWN_WITH_EXTENSION=0x5000c500a1\nE:ID_SERIAL_SHORT=LUN7\nE:ID_MODEL=Big\n";
            tree.file(&format!("run/udev/data/b{number}"), lines);
        }
        tree.file("run/udev/data/b253:0", "E:DM_SERIAL=3600\nE:DM_WWN=0x600\n");
        let array = tree.disk("md0", "9:0", 1, "sys/devices/virtual");
        tree.file(&format!("{array}/md/level"), "raid1\n").folder("sys/block/dm-1/holders/md0");
        let disks = look(&tree.roots(), &Scope::AllDisks).unwrap();
        let names_of = disks.iter().map(|disk| disk.kernel_name.as_str()).collect::<Vec<_>>();
        assert_eq!(names_of, ["md0", "dm-0"], "neither its paths nor its partitions are disks");
        let map = find(&disks, "dm-0");
        assert_eq!(
            (map.facts.serials.as_slice(), map.facts.model.as_deref()),
            (&["LUN7", "3600"].map(String::from)[..], Some("Big"))
        );
        assert_eq!(map.facts.wwns, ["0x5000c500a1", "0x5000c500a", "0x600"]);
        assert_eq!(map.facts.wwn_with_extension.as_deref(), Some("0x5000c500a1"));
        assert_eq!((&map.below, &map.paths), (&names(&["sda", "sdb"]), &names(&[])));
        assert_eq!(map.relatives, names(&["dm-0", "dm-1", "md0", "sda", "sdb"]));
        assert_eq!((map.partitions[0].path.to_str(), map.partitions[0].size), (Some("/dev/dm-1"), 1 << 30));
        assert!(map.raid_member && map.partitions[0].arrays.contains("md0"));
        for hint in [json!({"wwn": "0x5000c500a"}), json!({"serial": "LUN7"}), json!({"name": "/dev/dm-1"})] {
            let node = json!({"properties": {"skip_block_devices": [hint]}});
            assert!(choose::kept(&disks, node.as_object().unwrap()).unwrap().contains("dm-0"), "{hint}");
        }
    }

    #[test]
    fn namespaces_behind_one_controller_know_each_other() {
        let tree = TestTree::new();
        for (controller, namespace, number) in
            [("nvme0", "nvme0n1", "259:0"), ("nvme0", "nvme0n2", "259:1"), ("nvme1", "nvme1n1", "259:2")]
        {
            tree.disk(namespace, number, 10, &format!("{PCI}/nvme/{controller}"));
        }
        let disks = look(&tree.roots(), &Scope::AllDisks).unwrap();
        assert_eq!(find(&disks, "nvme0n1").namespaces, names(&["nvme0n1", "nvme0n2"]));
        assert_eq!(find(&disks, "nvme1n1").namespaces, names(&["nvme1n1"]));
        assert_eq!(find(&disks, "nvme0n1").relatives, names(&["nvme0n1"]), "they share a controller, not data");
    }

    #[test]
    fn flags_of_the_kernel_are_seen_and_only_a_small_floppy_counts_as_one() {
        let tree = TestTree::new();
        let sda = tree.disk("sda", "8:0", 10, &format!("{PCI}/ata1/host0/target0/0:0:0:0"));
        tree.file(&format!("{sda}/ro"), "1\n");
        let vda = tree.disk("vda", "254:0", 10, "sys/devices/pci0000:00/virtio0");
        tree.file(&format!("{vda}/queue/discard_max_bytes"), "2147483136\n");
        tree.file(&format!("{vda}/queue/write_zeroes_max_bytes"), "2147483136\n");
        let floppy = tree.disk("sdb", "8:16", 1, "sys/devices/usb1");
        tree.file(&format!("{floppy}/size"), "2880\n");
        let look = || look(&tree.roots(), &Scope::AllDisks).unwrap();
        tree.link("dev/disk/by-label/ir-vfd-dev", "dev/sdb");
        let disks = look();
        assert!(find(&disks, "sda").read_only && !find(&disks, "vda").read_only);
        assert!(find(&disks, "vda").zeroes_itself && !find(&disks, "sda").zeroes_itself);
        assert!(find(&disks, "vda").discards && !find(&disks, "sda").discards);
        assert!(find(&disks, "sdb").virtual_media && !find(&disks, "vda").virtual_media);
        tree.file(&format!("{floppy}/size"), "20971520\n");
        assert!(!find(&look(), "sdb").virtual_media, "a whole disk with the floppy's label is still erased");
    }

    #[test]
    fn by_name_only_the_named_are_seen() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(5 << 20).unwrap();
        let scope = Scope::Only(vec![file.path().to_path_buf()]);
        let disks = look(&Roots::machine(), &scope).unwrap();
        assert_eq!((disks.len(), disks[0].facts.size, disks[0].path.as_path()), (1, 5 << 20, file.path()));
        assert!(look(&Roots::machine(), &Scope::Only(vec!["/nowhere/disk".into()])).is_err());
        let Some(disk) = LoopDevice::new(8 << 20, 4096) else { return };
        let disks = look(&Roots::machine(), &Scope::Only(vec![disk.path().to_path_buf()])).unwrap();
        assert_eq!((disks.len(), disks[0].facts.size, disks[0].path.as_path()), (1, 8 << 20, disk.path()));
        assert!(disks[0].zeroes_itself && disks[0].kernel_name.starts_with("loop"));
    }
}
