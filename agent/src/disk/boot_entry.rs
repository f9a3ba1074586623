//! `image.install_bootloader`: tells UEFI firmware to start what the image brought. Nothing from the image is run. A
//! whole-disk image has its loader on its EFI system partition; a partition image has it, signed by its maker, in its root
//! file system, and [`own_loader`] copies it. BIOS firmware needs to be told nothing about whole-disk images
//! (agent-protocol 7.1).

use super::boot_option::{BootPartition, encode};
use super::error::DiskError;
use super::fat::{Fat, Source};
use super::loader::{self, Loader};
use super::nvram::{self, NewEntry};
use super::{esp, own_loader};
use crate::sys::block::{Access, BlockDevice};
use crate::sys::efivars::EfiVariables;
use std::io;
use std::path::Path;
use uuid::Uuid;

/// What the conductor asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Identifier of the disk (`0x1234abcd`), UUID of the root file system (partition image), or none.
    pub root_uuid: Option<String>,
    /// Partition GUID of the EFI system partition, if the table does not show it.
    pub efi_system_part_uuid: Option<String>,
    /// `uefi` or `bios`.
    pub target_boot_mode: Option<String>,
}

/// Why a partition image cannot boot by BIOS, and what can.
pub const BIOS_PARTITION_IMAGE: &str = "this is a partition image, and the node boots by BIOS: its boot loader could only be installed by running programs of the image inside the ramdisk, which this agent never does. Use a whole-disk image (one with its own partition table and boot loader), or boot the node by UEFI (capability boot_mode:uefi): then the image's own signed loader is copied";

/// Makes boot entries for the system on `disk`, first in the order. Returns them; empty: nothing had to be done.
///
/// # Errors
/// [`DiskError::Boot`] and [`DiskError::NotFound`] say what is missing.
pub fn install(disk: &Path, wanted: &Wanted, efivars: &Path) -> Result<Vec<Loader>, DiskError> {
    let root = wanted.root_uuid.as_deref().unwrap_or_default().trim();
    let identifier = root.strip_prefix("0x").filter(|hex| hex.len() == 8 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let file_system = (!root.is_empty() && identifier.is_none()).then_some(root);
    if !efivars.is_dir() {
        let uefi = wanted.target_boot_mode.as_deref() == Some("uefi");
        if uefi && (file_system.is_some() || identifier.is_some_and(|hex| hex != "00000000")) {
            return Err(DiskError::Boot(
                "the ramdisk was not booted by UEFI, so UEFI boot entries cannot be written; correct the node's boot mode".into(),
            ));
        }
        if file_system.is_some() {
            return Err(DiskError::Boot(BIOS_PARTITION_IMAGE.into()));
        }
        if uefi {
            tracing::warn!("asked for UEFI, but the ramdisk was booted by BIOS: no boot entry was written");
        }
        return Ok(Vec::new());
    }
    let unique = wanted.efi_system_part_uuid.as_deref().and_then(|text| Uuid::parse_str(text).ok());
    let device = BlockDevice::open(disk, Access::Read).map_err(DiskError::io("opening", disk))?;
    let Some(partition) = esp::find(&device, unique)? else {
        return Err(DiskError::NotFound(match file_system {
            Some(_) if wanted.target_boot_mode.as_deref() != Some("uefi") => BIOS_PARTITION_IMAGE.into(),
            _ => format!(
                "no EFI system partition on {}, so UEFI firmware cannot start it. Use an image made for UEFI, or boot the node by BIOS",
                disk.display()
            ),
        }));
    };
    let mut loaders = loaders_on(&device, &partition)?;
    drop(device);
    if let (Some(root), true) = (file_system, loaders.is_empty()) {
        own_loader::bring(disk, root, &partition)?;
        let device = BlockDevice::open(disk, Access::Read).map_err(DiskError::io("opening", disk))?;
        loaders = loaders_on(&device, &partition)?;
    }
    if loaders.is_empty() {
        return nothing_to_start(wanted, &disk.display().to_string());
    }
    enter(&EfiVariables::at(efivars), &loaders, &[(partition, String::new())])?;
    Ok(loaders)
}

/// An empty EFI system partition: an image without a disk identifier may still start by other means, as with the reference. For
/// any other this would be a success with nothing done (agent-protocol 7.1).
///
/// # Errors
/// [`DiskError::Boot`].
pub fn nothing_to_start(wanted: &Wanted, disk: &str) -> Result<Vec<Loader>, DiskError> {
    let text = format!("the EFI system partition of {disk} has no boot loader");
    let root = wanted.root_uuid.as_deref().unwrap_or_default().trim();
    if (root.is_empty() || root == "0x00000000") || wanted.target_boot_mode.as_deref() == Some("bios") {
        tracing::warn!("{text}");
        return Ok(Vec::new());
    }
    Err(DiskError::Boot(format!(
        "{text}, so UEFI firmware cannot start it. Use an image made for UEFI, or boot the node by BIOS"
    )))
}

/// The loaders on the EFI system partition of an open disk.
///
/// # Errors
/// A file system that cannot be read.
pub fn loaders_on(device: &BlockDevice, partition: &BootPartition) -> Result<Vec<Loader>, DiskError> {
    let unreadable = |error: io::Error| {
        let disk = device.path().display();
        DiskError::Boot(format!("the EFI system partition {} of {disk} cannot be read: {error}", partition.number))
    };
    let block = u64::from(device.logical_sector());
    let part = device.window(partition.start * block, partition.blocks * block).map_err(unreadable)?;
    loader::choose(&Fat::open(&part).map_err(unreadable)?).map_err(unreadable)
}

/// Entries for the same loaders on each of `partitions` (the members of an array hold the same files). What comes with a
/// partition is added to its labels, so that the entry of one member does not replace that of another: ` (RAID, part0)`.
///
/// # Errors
/// [`DiskError::Boot`].
pub fn enter(
    variables: &EfiVariables,
    loaders: &[Loader],
    partitions: &[(BootPartition, String)],
) -> Result<(), DiskError> {
    let entry = |loader: &Loader, (partition, suffix): &(BootPartition, String)| {
        let label = format!("{}{suffix}", loader.label);
        NewEntry { option: encode(&label, partition, &loader.path), label }
    };
    let new: Vec<NewEntry> =
        partitions.iter().flat_map(|partition| loaders.iter().map(move |loader| entry(loader, partition))).collect();
    nvram::register(variables, &new, &esp::is_present)
}

impl Source for BlockDevice {
    fn read(&self, offset: u64, data: &mut [u8]) -> io::Result<()> {
        self.read_at(offset, data)
    }
}

#[cfg(test)]
mod tests;
