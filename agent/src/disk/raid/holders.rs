//! The disks below an array, as booting needs them: each gets a small partition of its own before the members.

use super::delete::holder;
use crate::disk::boot_option::{BootPartition, DiskSignature};
use crate::disk::error::DiskError;
use crate::disk::gpt::Gpt;
use crate::disk::guard::Gate;
use crate::sys::block::{Access, BlockDevice, PartitionNews};
use crate::sys::md::{self, Array};
use crate::sys::sysfs::Roots;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A disk that holds members, open beside them.
pub struct Holder {
    /// Kernel name: `sda`.
    pub name: String,
    /// The disk. The gate has let it through.
    pub device: BlockDevice,
}

/// The array of this device.
///
/// # Errors
/// [`DiskError::Raid`] when it is none that runs.
pub fn array(roots: &Roots, device: &Path) -> Result<Array, DiskError> {
    let found = md::arrays(roots).into_iter().find(|array| array.path == device);
    found.ok_or_else(|| DiskError::Raid(format!("{} is no software RAID that runs", device.display())))
}

/// Opens the disks below an array, in the order of their names.
///
/// # Errors
/// The gate's, or a disk that cannot be opened.
pub fn open(roots: &Roots, array: &Array, gate: &Gate) -> Result<Vec<Holder>, DiskError> {
    let names: BTreeSet<String> = array.members.iter().map(|member| holder(roots, member)).collect();
    let open = |name: String| {
        let path = gate.permit_holder(&PathBuf::from(format!("/dev/{}", name.replace('!', "/"))))?;
        let device = BlockDevice::open(&path, Access::Shared).map_err(DiskError::io("opening", &path))?;
        Ok(Holder { name, device })
    };
    names.into_iter().map(open).collect()
}

impl Holder {
    /// Its GPT; none if it has an MBR.
    ///
    /// # Errors
    /// [`DiskError::Raid`] for a damaged one.
    pub fn gpt(&self) -> Result<Option<Gpt>, DiskError> {
        let read = Gpt::read(&mut self.device.cursor(), self.device.size(), u64::from(self.device.logical_sector()));
        read.map_err(|error| self.failed(&error.to_string()))
    }

    /// A partition of this name, made in the first gap if there is none; and the kernel is told of it.
    ///
    /// # Errors
    /// [`DiskError::Raid`] when there is no room, or no GPT.
    pub fn partition(&self, name: &str, bytes: u64, kind: [u8; 16]) -> Result<BootPartition, DiskError> {
        let mut gpt =
            self.gpt()?.ok_or_else(|| self.failed("it has no GPT, so it can hold no boot partition of that kind"))?;
        let there = gpt.partitions().into_iter().find(|part| part.name == name);
        let part = match there {
            Some(part) => part,
            None => {
                let start = gpt.gap(bytes).ok_or_else(|| {
                    self.failed(&format!(
                        "{} MiB for booting are not free; the array was made for other firmware",
                        bytes >> 20
                    ))
                })?;
                let id = uuid::Uuid::new_v4().to_bytes_le();
                let part =
                    gpt.add_at((start, bytes), kind, id, name).map_err(|error| self.failed(&error.to_string()))?;
                gpt.write(&mut self.device.cursor()).map_err(|error| self.failed(&error.to_string()))?;
                let news = PartitionNews::New(part.start, part.length);
                let told = self.device.tell_partition(part.number, news);
                told.map_err(DiskError::io("telling the kernel of a new partition of", self.device.path()))?;
                tracing::info!(disk = self.name, number = part.number, name, "partition for booting made");
                part
            }
        };
        let sector = u64::from(self.device.logical_sector());
        let signature = DiskSignature::Gpt(gpt.id(part.number).unwrap_or_default());
        Ok(BootPartition { number: part.number, start: part.start / sector, blocks: part.length / sector, signature })
    }

    fn failed(&self, why: &str) -> DiskError {
        DiskError::Raid(format!("{}: {why}", self.device.path().display()))
    }
}
