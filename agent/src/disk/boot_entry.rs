//! `image.install_bootloader` for whole-disk images: tells UEFI firmware to start what the image brought. Nothing from
//! the image is run; BIOS firmware needs to be told nothing (agent-protocol 7.1).

use super::boot_option::{BootPartition, encode, label, number, order};
use super::error::DiskError;
use super::esp;
use super::fat::{Fat, Source};
use super::loader::{self, Loader};
use crate::sys::block::{Access, BlockDevice};
use crate::sys::efivars::EfiVariables;
use std::io;
use std::path::Path;
use uuid::Uuid;

/// What the conductor asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Identifier of the disk (`0x1234abcd`), or none.
    pub root_uuid: Option<String>,
    /// Partition GUID of the EFI system partition, if the table does not show it.
    pub efi_system_part_uuid: Option<String>,
    /// `uefi` or `bios`.
    pub target_boot_mode: Option<String>,
}

/// Makes boot entries for the system on `disk`, first in the order. Returns them; empty: nothing had to be done.
///
/// # Errors
/// [`DiskError::Boot`] and [`DiskError::NotFound`] say what is missing.
pub fn install(disk: &Path, wanted: &Wanted, efivars: &Path) -> Result<Vec<Loader>, DiskError> {
    let root = wanted.root_uuid.as_deref().unwrap_or_default().trim();
    let identifier = root.strip_prefix("0x").filter(|hex| hex.len() == 8 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    if !root.is_empty() && identifier.is_none() {
        return Err(DiskError::Boot(format!(
            "root_uuid is {root}, a file system: this is a partition image, and installing its boot loader would run programs of the image. This agent deploys whole-disk images; use one"
        )));
    }
    if !efivars.is_dir() {
        let uefi = wanted.target_boot_mode.as_deref() == Some("uefi");
        if uefi && identifier.is_some_and(|hex| hex != "00000000") {
            return Err(DiskError::Boot(
                "the ramdisk was not booted by UEFI, so UEFI boot entries cannot be written; correct the node's boot mode".into(),
            ));
        }
        if uefi {
            tracing::warn!("asked for UEFI, but the ramdisk was booted by BIOS: no boot entry was written");
        }
        return Ok(Vec::new());
    }
    let variables = EfiVariables::at(efivars);
    let device = BlockDevice::open(disk, Access::Read).map_err(DiskError::io("opening", disk))?;
    let unique = wanted.efi_system_part_uuid.as_deref().and_then(|text| Uuid::parse_str(text).ok());
    let Some(partition) = esp::find(&device, unique)? else {
        return Err(DiskError::NotFound(format!(
            "no EFI system partition on {}, so UEFI firmware cannot start it. Use an image made for UEFI, or boot the node by BIOS",
            disk.display()
        )));
    };
    let loaders = loaders_on(&device, &partition)?;
    if loaders.is_empty() {
        let text = format!("the EFI system partition of {} has no boot loader", disk.display());
        tracing::warn!("{text}");
        return Ok(loaders); // as the reference: the image may still boot by other means
    }
    enter(&variables, &loaders, &[(partition, String::new())])?;
    Ok(loaders)
}

/// The loaders on the EFI system partition of an open disk.
///
/// # Errors
/// A file system that cannot be read.
pub fn loaders_on(device: &BlockDevice, partition: &BootPartition) -> Result<Vec<Loader>, DiskError> {
    let block = u64::from(device.logical_sector());
    let part = Part { device, start: partition.start * block, bytes: partition.blocks * block };
    let unreadable = |error: io::Error| {
        let disk = device.path().display();
        DiskError::Boot(format!("the EFI system partition {} of {disk} cannot be read: {error}", partition.number))
    };
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
    let each = partitions.iter().flat_map(|place| loaders.iter().map(move |loader| (loader, place)));
    let options: Vec<(Loader, Vec<u8>)> = each
        .map(|(loader, (partition, suffix))| {
            let label = format!("{}{suffix}", loader.label);
            let option = encode(&label, partition, &loader.path);
            (Loader { label, path: loader.path.clone() }, option)
        })
        .collect();
    register(variables, &options).map_err(explain)
}

/// Replaces entries of the same labels, and puts the new ones first in the order. Old entries go before new ones come:
/// the firmware's store is small. The order is written last, once.
fn register(variables: &EfiVariables, options: &[(Loader, Vec<u8>)]) -> io::Result<()> {
    let mut taken = std::collections::BTreeSet::new();
    let mut gone = Vec::new();
    for name in variables.names()? {
        let Some(entry) = number(&name) else { continue };
        let found = variables.read(&name)?.and_then(|value| label(&value));
        if found.is_some_and(|found| options.iter().any(|(loader, _)| loader.label == found)) {
            tracing::info!(entry = name, "an older boot entry of this label is removed");
            variables.delete(&name)?;
            gone.push(entry);
        } else {
            taken.insert(entry);
        }
    }
    let mut new = Vec::new();
    for (loader, option) in options {
        let free = (0..=u16::MAX).find(|number| !taken.contains(number));
        let free = free.ok_or_else(|| io::Error::new(io::ErrorKind::StorageFull, "every Boot#### is taken"))?;
        variables.write(&format!("Boot{free:04X}"), option)?;
        tracing::info!(
            entry = format!("Boot{free:04X}"),
            label = loader.label,
            path = loader.path,
            "boot entry written"
        );
        taken.insert(free);
        new.push(free);
    }
    let old = variables.read("BootOrder")?.map(|value| order(&value)).unwrap_or_default();
    let rest = old.into_iter().filter(|entry| !gone.contains(entry) && !new.contains(entry)).collect::<Vec<_>>();
    let whole: Vec<u8> = new.iter().chain(&rest).flat_map(|entry| entry.to_le_bytes()).collect();
    variables.write("BootOrder", &whole)
}

fn explain(error: io::Error) -> DiskError {
    DiskError::Boot(match error.kind() {
        io::ErrorKind::StorageFull => format!(
            "the firmware's store of variables is full ({error}): no boot entry was written. Delete old entries in the firmware's setup, or reset it to defaults, and deploy again"
        ),
        _ => format!("the firmware's boot entries cannot be changed: {error}. Is efivarfs mounted for writing?"),
    })
}

struct Part<'a> {
    device: &'a BlockDevice,
    start: u64,
    bytes: u64,
}

impl Source for Part<'_> {
    fn read(&self, offset: u64, data: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(data.len() as u64);
        if end.is_none_or(|end| end > self.bytes) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it points outside the partition"));
        }
        self.device.read_at(self.start + offset, data)
    }
}

#[cfg(test)]
mod tests;
