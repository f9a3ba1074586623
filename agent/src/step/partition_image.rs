//! The step write_image for partition images: a partition table of our own, the image in its root partition, and around it
//! what the conductor asked for (ipa-features 21, agent-protocol 11).
//!
//! The order keeps a half-written disk from booting: the table and empty file systems first, the image with its first MiB
//! last; the boot loader comes by its own command afterwards.

use super::write_image::{WriteReport, bad_params, drive_failed, fail, stream_failed};
use super::{StepContext, StepError};
use crate::disk::boot_entry::BIOS_PARTITION_IMAGE;
use crate::disk::boot_mode::{BootMode, boot_mode, table_kind};
use crate::disk::error::DiskError;
use crate::disk::layout::{Layout, LayoutError, Role, Wish, plan};
use crate::disk::make_fs::{self, Format};
use crate::disk::table::{self, Kind};
use crate::disk::write::{DiskWriter, WriteError};
use crate::disk::{config_drive, fat_write, mbr, own_loader, signature};
use crate::stream::error::SinkError;
use crate::stream::pour::{Job, Sink, pour};
use crate::sys::block::{Access, BlockDevice};
use bytes::Bytes;
use common::image_ref::ImageInfo;
use serde_json::{Map, Value, json};
use std::io;
use std::path::Path;
use std::time::Instant;

const MIB: u64 = 1 << 20;
/// Old signatures at both ends of the disk and of each new partition are wiped over so many bytes.
const WIPE: u64 = 8 << 20;

/// What `image_info` says about partitions.
struct Sizes {
    root: u64,
    swap: u64,
    ephemeral: u64,
    format: Option<Format>,
    preserve: bool,
}

/// Writes the partition image `info` and everything around it to `device`.
///
/// # Errors
/// [`StepError`]; before anything is touched if the request itself is at fault.
pub(super) fn write(
    info: &ImageInfo,
    mut job: Job,
    drive: Option<Vec<u8>>,
    device: &Path,
    context: &StepContext,
) -> Result<WriteReport, StepError> {
    let started = Instant::now();
    let (rules, progress) = (&context.rules, &context.progress);
    let sizes = sizes(info)?;
    let ramdisk = if rules.efivars.is_dir() { BootMode::Uefi } else { BootMode::Bios };
    let mode = boot_mode(&context.node, ramdisk);
    if mode == BootMode::Bios && !rules.ignore_bootloader_failure {
        return Err(fail("InvalidImage", BIOS_PARTITION_IMAGE.into()));
    }
    let failed = |error: io::Error| fail("ImageWriteError", format!("{}: {error}", device.display()));
    let disk = BlockDevice::open(device, Access::Exclusive)
        .map_err(|cause| fail("ImageWriteError", WriteError::Open { disk: device.into(), cause }.to_string()))?;
    let sector = disk.logical_sector();
    let drive = drive
        .map(|image| config_drive::fit(image, sector, rules.config_drive_rebuild))
        .transpose()
        .map_err(drive_failed)?;
    let wish = Wish {
        mode,
        table: table_kind(&context.node, mode),
        esp: rules.partition_sizes.0,
        bios_boot: rules.partition_sizes.1,
        root: sizes.root,
        swap: sizes.swap,
        ephemeral: sizes.ephemeral,
        config_drive: drive.as_ref().map_or(0, |image| (image.len() as u64).div_ceil(MIB)),
    };
    let layout = plan(&wish, disk.size(), u64::from(sector)).map_err(|error| refused(&error))?;
    if sizes.preserve {
        let found = table::read(&disk).map_err(|error| fail("ImageWriteError", error.to_string()))?;
        layout.check(found.kind, &found.parts).map_err(|error| refused(&error))?;
    }
    let (_, root) = layout.find(Role::Root).ok_or_else(|| refused(&LayoutError::NoRoot))?;
    job.room = root.length;
    tracing::info!(disk = %device.display(), ?mode, ?layout, preserve = sizes.preserve, "partition image");

    let mut sink = PartitionSink { disk: &disk, layout: &layout, preserve: sizes.preserve, writer: None, failed: None };
    let poured = pour(&job, &mut sink, progress);
    if let Some(error) = sink.failed.take() {
        return Err(error);
    }
    let image = poured.map_err(stream_failed)?;
    progress.say("image verified, making the other partitions");
    let writer = sink.writer.take().ok_or_else(|| fail("ImageWriteError", "the image has no bytes".into()))?;
    drop(writer.finish().map_err(|error| fail("ImageWriteError", error.to_string()))?);
    let window = |role: Role| {
        layout.find(role).map(|(_, part)| disk.window(part.start, part.length)).transpose().map_err(failed)
    };
    if let Some(esp) = window(Role::Esp)? {
        fat_write::make(&mut esp.cursor(), esp.size(), sector, own_loader::LABEL, rand::random(), &[])
            .map_err(failed)?;
    }
    if let (Some(part), Some(image)) = (window(Role::ConfigDrive)?, &drive) {
        part.write_at(0, image).map_err(failed)?;
    }
    if let Some(swap) = window(Role::Swap)? {
        make_fs::swap(&swap, "swap1").map_err(failed)?;
    }
    disk.sync().map_err(failed)?;
    let uuid = |role: Role| -> Result<Option<String>, StepError> {
        let Some(window) = window(role)? else { return Ok(None) };
        let found = signature::file_system(&window).map_err(|error| fail("ImageWriteError", error.to_string()))?;
        Ok(found.and_then(|found| found.uuid))
    };
    let (root_uuid, esp_uuid) = (uuid(Role::Root)?, uuid(Role::Esp)?);
    if let Err(cause) = disk.reread_partitions() {
        tracing::warn!(disk = %device.display(), %cause, "the kernel did not read the partition table again");
    }
    drop(disk);
    if let (Some((_, part)), Some(format)) = (layout.find(Role::Ephemeral), sizes.format)
        && !sizes.preserve
    {
        progress.say("formatting the ephemeral partition");
        format
            .make(device, part.start, part.length, "ephemeral0")
            .map_err(|error| fail("ImageWriteError", error.to_string()))?;
    }
    let root_uuid = root_uuid.ok_or_else(|| {
        fail("InvalidImage", "the image has no file system with a UUID at its beginning, so it is no partition image; if it has a partition table of its own, deploy it without kernel and ramdisk as a whole-disk image".into())
    })?;
    let mut text =
        format!("prepare_image: image ({}) written to device {} root_uuid={root_uuid}", info.id, device.display());
    if let Some(esp) = esp_uuid.as_ref().filter(|_| info.other.get("deploy_boot_mode") == Some(&json!("uefi"))) {
        text.push_str(&format!(" efi_system_partition_uuid={esp}"));
    }
    progress.say(text.clone());
    let uuids = answer(&layout, device, &root_uuid, esp_uuid);
    Ok(WriteReport { text, root_uuid, uuids, image, config_drive: None, time: started.elapsed() })
}

fn refused(error: &LayoutError) -> StepError {
    bad_params(error.to_string())
}

/// Result of `get_partition_uuids`; the keys contain spaces.
fn answer(layout: &Layout, device: &Path, root: &str, esp: Option<String>) -> Map<String, Value> {
    let node = |number| json!(table::node(device, number).to_string_lossy());
    let partitions: Map<String, Value> =
        (1..).zip(&layout.parts).map(|(number, part)| (part.role.to_string(), node(number))).collect();
    Map::from_iter([
        ("partitions".to_string(), Value::Object(partitions)),
        ("root uuid".into(), json!(root)),
        ("efi system partition uuid".into(), json!(esp)),
    ])
}

fn sizes(info: &ImageInfo) -> Result<Sizes, StepError> {
    let number = |key: &str| match info.other.get(key) {
        None | Some(Value::Null) => Ok(0),
        Some(value) => {
            let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
            number.ok_or_else(|| bad_params(format!("image_info.{key} is {value}, and not a number of MiB")))
        }
    };
    let (root, swap, ephemeral) = (number("root_mb")?, number("swap_mb")?, number("ephemeral_mb")?);
    let preserve = match info.other.get("preserve_ephemeral") {
        None | Some(Value::Null) => false,
        // Whoever means "preserve" and writes it in another way must not lose data.
        Some(value) => {
            value.as_bool().or_else(|| value.as_str()?.to_ascii_lowercase().parse().ok()).ok_or_else(|| {
                bad_params(format!("image_info.preserve_ephemeral is {value}, and neither true nor false"))
            })?
        }
    };
    let name = info.other.get("ephemeral_format").and_then(Value::as_str).filter(|name| !name.is_empty());
    let format = if ephemeral == 0 || preserve { None } else { Some(make_fs::format(name.unwrap_or("ext4"))) };
    let format = format.transpose().map_err(|error: DiskError| bad_params(error.to_string()))?;
    Ok(Sizes { root, swap, ephemeral, format, preserve })
}

/// The stream's end in the root partition. The table is written when the image's size is known to fit, not before.
struct PartitionSink<'a> {
    disk: &'a BlockDevice,
    layout: &'a Layout,
    preserve: bool,
    writer: Option<DiskWriter>,
    /// An error with another type than the stream's.
    failed: Option<StepError>,
}

impl PartitionSink<'_> {
    fn prepare(&self) -> io::Result<()> {
        let (size, sector) = (self.disk.size(), u64::from(self.disk.logical_sector()));
        let wipe = |start: u64, length: u64| {
            let ends = [(start, WIPE.min(length)), (start + length - WIPE.min(length), WIPE.min(length))];
            ends.into_iter().try_for_each(|(at, length)| self.disk.write_zeroes(at, length))
        };
        let kept = |role: Role| self.preserve && role == Role::Ephemeral;
        if !self.preserve {
            wipe(0, size)?;
        }
        for part in self.layout.parts.iter().filter(|part| !kept(part.role)) {
            wipe(part.start, part.length)?;
        }
        if self.preserve {
            return self.disk.sync(); // the old table was compared and is this one
        }
        match self.layout.table {
            Kind::Gpt => {
                let table = self.layout.gpt(size, sector);
                table.and_then(|mut table| table.write_fresh(&mut self.disk.cursor())).map_err(io::Error::other)
            }
            Kind::Msdos => mbr::create(&mut self.disk.cursor(), rand::random(), &self.layout.mbr_rows(sector)),
        }
    }

    fn writer(&mut self) -> Result<&mut DiskWriter, SinkError> {
        self.writer.as_mut().ok_or_else(|| WriteError::Thread(self.disk.path().into()).into())
    }
}

impl Sink for PartitionSink<'_> {
    fn begin(&mut self, size: Option<u64>) -> Result<(), SinkError> {
        let path = self.disk.path().to_path_buf();
        let (_, root) = self.layout.find(Role::Root).ok_or_else(|| WriteError::Thread(path.clone()))?;
        if let Some(need) = size.filter(|need| *need > root.length) {
            self.failed = Some(bad_params(format!(
                "Root partition is too small for requested image. Image virtual size: {} MB, Root size: {} MB. Nothing was written; set a larger root_gb",
                need.div_ceil(MIB),
                root.length / MIB
            )));
            return Err(WriteError::TooLarge { disk: path, need, have: root.length }.into());
        }
        if self.writer.is_none() {
            self.prepare().map_err(|cause| WriteError::Io { disk: path.clone(), at: 0, cause })?;
            let window = self.disk.window(root.start, root.length);
            let window = window.map_err(|cause| WriteError::Io { disk: path, at: root.start, cause })?;
            self.writer = Some(DiskWriter::on(window)?);
        }
        Ok(self.writer()?.begin(size)?)
    }

    fn data(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SinkError> {
        Ok(self.writer()?.data(offset, bytes)?)
    }

    fn piece(&mut self, offset: u64, bytes: Bytes) -> Result<(), SinkError> {
        Ok(self.writer()?.piece(offset, &bytes)?)
    }

    fn zero(&mut self, offset: u64, length: u64) -> Result<(), SinkError> {
        Ok(self.writer()?.zero(offset, length)?)
    }
}

#[cfg(test)]
mod tests;
