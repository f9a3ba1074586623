//! Which block devices are disks: the kernel's list without loops, memory disks, optical drives, and parts of others.

use crate::sys::device_map::kind;
use crate::sys::disk_identity::{Identity, identify};
use crate::sys::sysfs::Roots;
use crate::sys::udev_db::{Properties, block_properties};
use common::root_hint::DiskFacts;
use std::collections::{BTreeMap, BTreeSet};

/// Kernel names that never are disks to work on: loop, RAM, compressed RAM, floppy, optical, network block devices that
/// nobody connected have no size anyway.
const NEVER: [&str; 5] = ["loop", "ram", "zram", "fd", "sr"];

/// A disk as the kernel and udev know it.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundDisk {
    /// `sda`.
    pub kernel_name: String,
    /// `/dev/sda`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Spins.
    pub rotational: bool,
    /// Bytes.
    pub logical_sector: u64,
    /// Bytes.
    pub physical_sector: u64,
    /// The links in `/dev/disk/by-path` that point here, in the order of their names.
    pub by_paths: Vec<String>,
    /// Its names.
    pub identity: Identity,
    /// What udev knows.
    pub udev: Properties,
}

impl FoundDisk {
    /// What root device hints and skip lists are compared with: every serial and name, since a hint may use any of them.
    pub fn facts(&self) -> DiskFacts {
        let identity = self.identity.clone();
        DiskFacts {
            name: self.path.clone(),
            size: self.size,
            rotational: Some(self.rotational),
            model: identity.model,
            vendor: identity.vendor,
            serials: identity.serials,
            wwns: identity.wwns,
            wwn_with_extension: identity.wwn_with_extension,
            wwn_vendor_extension: identity.wwn_vendor_extension,
            hctl: identity.hctl,
            by_paths: self.by_paths.clone(),
            tran: identity.tran,
        }
    }
}

/// The disks in the kernel's order (major, minor), which is also lsblk's.
///
/// Removable disks stay; those without medium (size 0), paths of a multipath map, LVM and crypt maps go.
pub fn list(roots: &Roots) -> Vec<FoundDisk> {
    let by_path = by_path_links(roots);
    let names = roots.entries("/sys/block");
    let paths_of_maps: BTreeSet<String> = names
        .iter()
        .filter(|name| kind(roots, name) == Some("mpath"))
        .flat_map(|name| roots.entries(format!("/sys/block/{name}/slaves")))
        .collect();
    let mut disks: Vec<((u64, u64), FoundDisk)> = names
        .into_iter()
        .filter(|name| !paths_of_maps.contains(name) && is_disk(roots, name))
        .filter_map(|name| found(roots, name, &by_path))
        .collect();
    disks.sort_by(|one, other| (one.0, &one.1.kernel_name).cmp(&(other.0, &other.1.kernel_name)));
    disks.into_iter().map(|(_, disk)| disk).collect()
}

fn found(roots: &Roots, name: String, by_path: &BTreeMap<String, Vec<String>>) -> Option<((u64, u64), FoundDisk)> {
    let folder = format!("/sys/block/{name}");
    let size = roots.number(format!("{folder}/size"))?.checked_mul(512).filter(|&size| size > 0)?;
    let number = roots.text(format!("{folder}/dev")).unwrap_or_default();
    let order = number.split_once(':').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    let udev = block_properties(roots, &name, &number);
    let logical_sector = roots.number(format!("{folder}/queue/logical_block_size")).unwrap_or(512);
    let disk = FoundDisk {
        // The kernel writes `/` of a driver's name as `!` in sysfs.
        path: format!("/dev/{}", name.replace('!', "/")),
        size,
        rotational: roots.flag(format!("{folder}/queue/rotational")).unwrap_or(false),
        logical_sector,
        physical_sector: roots.number(format!("{folder}/queue/physical_block_size")).unwrap_or(logical_sector),
        by_paths: by_path.get(&name).cloned().unwrap_or_default(),
        identity: identity(roots, &name, &udev),
        udev,
        kernel_name: name,
    };
    Some((order.unwrap_or((u64::MAX, u64::MAX)), disk))
}

/// Of a map: what its paths say. udev knows a map by the name that multipath made from that, and little more.
fn identity(roots: &Roots, name: &str, udev: &Properties) -> Identity {
    let own = identify(roots, name, udev);
    if kind(roots, name) != Some("mpath") {
        return own;
    }
    let paths = roots.entries(format!("/sys/block/{name}/slaves"));
    let paths = paths.iter().map(|path| {
        let number = roots.text(format!("/sys/block/{path}/dev")).unwrap_or_default();
        identify(roots, path, &block_properties(roots, path, &number))
    });
    // Where a disk lies and how it is attached differs from path to path.
    Identity { hctl: None, tran: None, ..paths.fold(Identity::default(), Identity::or).or(own) }
}

fn is_disk(roots: &Roots, name: &str) -> bool {
    let numbered =
        |prefix: &&str| name.strip_prefix(*prefix).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    if NEVER.iter().any(numbered) {
        return false;
    }
    let folder = format!("/sys/block/{name}");
    // SCSI types 5 and 7 are optical; a hidden device is one path of an NVMe subsystem.
    if matches!(roots.number(format!("{folder}/device/type")), Some(5 | 7))
        || roots.flag(format!("{folder}/hidden")) == Some(true)
    {
        return false;
    }
    if name.starts_with("dm-") {
        return matches!(kind(roots, name), Some("mpath" | "DMRAID"));
    }
    if roots.exists(format!("{folder}/md")) {
        return roots.text(format!("{folder}/md/level")).is_some_and(|level| level.contains("raid"));
    }
    true
}

/// Kernel name to links, for links that point at whole devices or parts alike.
fn by_path_links(roots: &Roots) -> BTreeMap<String, Vec<String>> {
    let folder = "/dev/disk/by-path";
    let mut links: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for link in roots.entries(folder).into_iter().map(|link| format!("{folder}/{link}")) {
        if let Some(name) = roots.link_name(&link) {
            links.entry(name).or_default().push(link);
        }
    }
    links
}
