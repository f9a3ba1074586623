//! What disks there are and what belongs together, looked at once. Decisions are made on this picture alone.

use super::error::DiskError;
use super::guard::Scope;
use crate::sys::disk_identity::identify;
use crate::sys::disk_list::{self, FoundDisk};
use crate::sys::sysfs::Roots;
use crate::sys::udev_db::block_properties;
use common::root_hint::DiskFacts;
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
    /// The ramdisk's parameter floppy.
    pub virtual_media: bool,
    /// Kernel names of everything that shares data with it, itself included.
    pub relatives: BTreeSet<String>,
    /// NVMe: all namespaces behind the same controller or subsystem, itself included.
    pub namespaces: BTreeSet<String>,
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
}

/// Looks at the machine (or, in tests, at a captured tree).
///
/// # Errors
/// A device named in the scope that is not there.
pub fn look(roots: &Roots, scope: &Scope) -> Result<Vec<Disk>, DiskError> {
    let mut found = disk_list::list(roots);
    let links = Links::read(roots);
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
        by_path: None,
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
        relatives: BTreeSet::from([name]),
        ..Default::default()
    }
}

/// Which device is made of which: partitions, arrays, maps.
struct Links {
    /// Both directions.
    beside: BTreeMap<String, BTreeSet<String>>,
    partitions: BTreeMap<String, Vec<String>>,
    holders: BTreeMap<String, BTreeSet<String>>,
    namespaces: BTreeMap<String, BTreeSet<String>>,
}

impl Links {
    fn read(roots: &Roots) -> Self {
        let (mut beside, mut partitions) = (BTreeMap::<String, BTreeSet<String>>::new(), BTreeMap::new());
        let (mut holders, mut namespaces) = (BTreeMap::new(), BTreeMap::<String, BTreeSet<String>>::new());
        for disk in roots.entries("/sys/block") {
            let folder = format!("/sys/block/{disk}");
            let parts: Vec<String> = roots
                .entries(&folder)
                .into_iter()
                .filter(|name| roots.exists(format!("{folder}/{name}/partition")))
                .collect();
            let places = std::iter::once((disk.clone(), folder.clone()))
                .chain(parts.iter().map(|part| (part.clone(), format!("{folder}/{part}"))));
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
        Self { beside, partitions, holders, namespaces }
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

    fn disk(&self, roots: &Roots, found: FoundDisk) -> Disk {
        let name = &found.kernel_name;
        let parts = self.partitions.get(name).cloned().unwrap_or_default();
        let own: Vec<&String> = std::iter::once(name).chain(&parts).collect();
        let limit = |limit: &str| roots.number(format!("/sys/class/block/{name}/queue/{limit}")).unwrap_or(0);
        let floppy = roots.link_name("/dev/disk/by-label/ir-vfd-dev");
        let volume = |key: &str| found.udev.get(key).map(|name| name.rsplit(':').next().unwrap_or(name).to_string());
        let size_of = |part: &str| roots.number(format!("/sys/block/{name}/{part}/size")).unwrap_or(0) * 512;
        Disk {
            volumes: ["MD_NAME", "MD_DEVNAME"].into_iter().filter_map(volume).collect(),
            read_only: roots.flag(format!("/sys/class/block/{name}/ro")).unwrap_or(false),
            raid_member: own
                .iter()
                .filter_map(|name| self.holders.get(*name))
                .flatten()
                .any(|holder| roots.exists(format!("/sys/block/{holder}/md"))),
            virtual_media: found.size <= MAX_VIRTUAL_MEDIA
                && floppy.is_some_and(|floppy| own.iter().any(|name| **name == floppy)),
            relatives: self.relatives(name),
            namespaces: self.namespaces.values().find(|all| all.contains(name)).cloned().unwrap_or_default(),
            zeroes_itself: limit("discard_max_bytes") > 0 && limit("write_zeroes_max_bytes") > 0,
            partitions: parts
                .iter()
                .map(|part| Partition { path: format!("/dev/{}", part.replace('!', "/")).into(), size: size_of(part) })
                .collect(),
            path: PathBuf::from(&found.path),
            facts: facts(&found),
            kernel_name: found.kernel_name,
        }
    }
}

fn facts(found: &FoundDisk) -> DiskFacts {
    let identity = found.identity.clone();
    DiskFacts {
        name: found.path.clone(),
        size: found.size,
        rotational: Some(found.rotational),
        model: identity.model,
        vendor: identity.vendor,
        serials: identity.serials,
        wwns: identity.wwns,
        wwn_with_extension: identity.wwn_with_extension,
        wwn_vendor_extension: identity.wwn_vendor_extension,
        hctl: identity.hctl,
        by_path: found.by_path.clone(),
        tran: identity.tran,
    }
}
