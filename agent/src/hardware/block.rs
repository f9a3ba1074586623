//! The disks of the inventory, and what root device hints are compared with.

use crate::sys::disk_list::{self, FoundDisk};
use crate::sys::sysfs::Roots;
use common::inventory::Disk;
use common::root_hint::DiskFacts;

/// The real disks, in the kernel's order.
pub fn list(roots: &Roots) -> Vec<Disk> {
    disk_list::list(roots).into_iter().map(disk).collect()
}

/// The same disks with every serial and name known: hints match any of them.
pub fn facts(roots: &Roots) -> Vec<DiskFacts> {
    disk_list::list(roots).iter().map(FoundDisk::facts).collect()
}

fn disk(found: FoundDisk) -> Disk {
    let identity = found.identity;
    Disk {
        name: found.path,
        model: identity.model,
        size: found.size,
        rotational: Some(found.rotational),
        wwn: identity.wwns.into_iter().next(),
        serial: identity.serials.into_iter().next(),
        vendor: identity.vendor,
        wwn_with_extension: identity.wwn_with_extension,
        wwn_vendor_extension: identity.wwn_vendor_extension,
        hctl: identity.hctl,
        by_path: found.by_paths.into_iter().next_back(),
        logical_sectors: Some(found.logical_sector),
        physical_sectors: Some(found.physical_sector),
        tran: identity.tran,
    }
}
