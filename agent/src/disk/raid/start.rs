//! Makes a system on an array start from each of its disks: what `install_bootloader` does for software RAID.

use super::{esp_copies, grub_copy, holders};
use crate::disk::boot_entry::{Wanted, enter, loaders_on, nothing_to_start};
use crate::disk::boot_option::BootPartition;
use crate::disk::error::DiskError;
use crate::disk::guard::Gate;
use crate::disk::{esp, loader::Loader};
use crate::sys::block::{Access, BlockDevice};
use crate::sys::efivars::EfiVariables;
use crate::sys::md::Array;
use crate::sys::sysfs::Roots;
use std::path::Path;

/// Boot entries for each disk, with the loaders copied there; or boot code on each disk for a BIOS.
///
/// # Errors
/// [`DiskError::Boot`], [`DiskError::Raid`], [`DiskError::NotFound`] say what is missing.
pub fn install(system: &Path, wanted: &Wanted, efivars: &Path, gate: &Gate) -> Result<Vec<Loader>, DiskError> {
    let system = gate.permit(system)?;
    let array = holders::array(&Roots::machine(), &system)?;
    let device = BlockDevice::open(&system, Access::Exclusive).map_err(DiskError::io("opening", &system))?;
    match (efivars.is_dir(), wanted.target_boot_mode.as_deref()) {
        (true, Some("bios")) | (false, None | Some("bios")) => {
            let count = grub_copy::install(&array, &device, gate)?;
            tracing::info!(disks = count, "every disk of the array starts the system");
            Ok(Vec::new())
        }
        (false, _) => Err(DiskError::Boot(
            "the ramdisk was not booted by UEFI, so UEFI boot entries cannot be written; correct the node's boot mode"
                .into(),
        )),
        (true, _) => uefi(&array, device, wanted, efivars, gate),
    }
}

fn uefi(
    array: &Array,
    device: BlockDevice,
    wanted: &Wanted,
    efivars: &Path,
    gate: &Gate,
) -> Result<Vec<Loader>, DiskError> {
    let unique = wanted.efi_system_part_uuid.as_deref().and_then(|text| uuid::Uuid::parse_str(text).ok());
    let part = esp::find(&device, unique)?.ok_or_else(|| {
        DiskError::NotFound(format!(
            "no EFI system partition on {}, so UEFI firmware cannot start it. Use an image made for UEFI, or boot the node by BIOS",
            device.path().display()
        ))
    })?;
    let copies = esp_copies::prepare(array, gate)?;
    let target = esp_copies::open(&copies, gate)?;
    let block = u64::from(device.logical_sector());
    let whole = BootPartition { start: 0, blocks: target.size() / u64::from(target.logical_sector()), ..part.clone() };
    let loaders = match loaders_on(&device, &part) {
        Ok(loaders) => {
            esp_copies::copy(&device, part.start * block, part.blocks * block, &target)?;
            if loaders_on(&target, &whole)? != loaders {
                return Err(DiskError::Raid(
                    "the copies of the EFI system partition do not hold what was copied; a disk may be failing".into(),
                ));
            }
            esp_copies::retire(&device, part.start * block)?;
            loaders
        }
        // Retired by an earlier try: then the copies have it.
        Err(error) => loaders_on(&target, &whole).map_err(|_| error)?,
    };
    drop((device, target));
    // The reference's conductor names the root file system of whole-disk images, too, when they go to software RAID.
    if loaders.is_empty() && wanted.root_uuid.as_deref().is_some_and(|root| !root.is_empty() && !root.starts_with("0x"))
    {
        return Err(DiskError::Boot(
            "there is no boot loader on the EFI system partition: partition images are not started from software RAID. Use a whole-disk image".into(),
        ));
    }
    if loaders.is_empty() {
        return nothing_to_start(wanted, &array.kernel_name);
    }
    let places = (0..).zip(copies.partitions).map(|(number, part)| (part, format!(" (RAID, part{number})")));
    enter(&EfiVariables::at(efivars), &loaders, &places.collect::<Vec<_>>())?;
    Ok(loaders)
}
