//! `create_configuration` and `apply_configuration`: everything is checked on every disk, then tables, partitions, arrays.

use super::config::{self, Volume};
use super::plan::{self, Layout, Target};
use super::verdict::{Verdict, verdicts};
use super::{delete, mdadm, root_volume, targets};
use crate::disk::boot_mode::{BootMode, boot_mode, table_kind};
use crate::disk::choose::{self, kept_volumes};
use crate::disk::error::DiskError;
use crate::disk::facts::{Disk, look, look_for};
use crate::disk::gpt::{Gpt, GptError};
use crate::disk::guard::Gate;
use crate::disk::table::{Kind, node};
use crate::disk::{mbr, protect, wipe};
use crate::sys::block::{Access, BlockDevice, PartitionNews};
use crate::sys::device_lock::DeviceLock;
use crate::sys::progress::Progress;
use crate::sys::sysfs::Roots;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Type of a partition that is a RAID member, as stored: A19D880F-05FC-4D3B-A006-743F0F84911E.
const RAID: [u8; 16] = *b"\x0f\x88\x9d\xa1\xfc\x05\x3b\x4d\xa0\x06\x74\x3f\x0f\x84\x91\x1e";
/// The same in an MBR.
const RAID_MBR: u8 = 0xfd;

/// What the RAID steps need to know.
pub struct Request<'a> {
    /// The node record.
    pub node: &'a Map<String, Value>,
    /// The safety gate.
    pub gate: &'a Gate,
    /// Shared file systems are protected.
    pub guarded: bool,
    /// Where progress goes.
    pub progress: &'a Progress,
}

/// Checks a configuration against this machine's disks, before anything is deleted for it.
///
/// # Errors
/// [`DiskError::Raid`].
pub fn validate(request: &Request<'_>, config: &Map<String, Value>) -> Result<(), DiskError> {
    let disks = look(&Roots::machine(), request.gate.scope())?;
    config::read(config, request.node, targets::candidates(&disks).len()).map(drop)
}

/// Makes the arrays. Returns the configuration, or an empty object when nothing in it is for software RAID.
///
/// # Errors
/// What speaks against a disk, before any is touched; then what failed.
pub fn create(request: &Request<'_>, config: &Map<String, Value>) -> Result<Value, DiskError> {
    if !config::wants_software(config) {
        tracing::info!("no logical disk has the controller `software`: nothing to do");
        return Ok(Value::Object(Map::new()));
    }
    let record = request.node;
    mdadm::assemble(request.gate);
    let disks = look_for(&Roots::machine(), request.gate.scope(), record)?;
    let volumes = config::read(config, record, targets::candidates(&disks).len())?;
    let volumes = without_kept(volumes, record, &disks)?;
    if volumes.is_empty() {
        tracing::info!("every volume is there already and is kept");
        return Ok(Value::Object(config.clone()));
    }
    let (used, wanted) = targets::choose(&disks, volumes, &choose::kept(&disks, record)?)?;
    for disk in &used {
        targets::must_be_empty(disk, request.gate, protect::is_on(request.guarded, record))?;
    }
    let ramdisk = if Path::new("/sys/firmware/efi").is_dir() { BootMode::Uefi } else { BootMode::Bios };
    let mode = boot_mode(record, ramdisk);
    let table = table_kind(record, mode);
    let mut plan_for = Vec::new();
    for disk in &used {
        let device = BlockDevice::open(&disk.path, Access::Ask).map_err(DiskError::io("opening", &disk.path))?;
        let (size, sector) = (device.size(), u64::from(device.logical_sector()));
        plan_for.push(Target { path: disk.path.clone(), size, sector });
    }
    let layout = plan::layout(&plan_for, &wanted, mode == BootMode::Uefi, table)?;
    make(request, &used, &layout, table)?;
    request.progress.say(format!("{} arrays made", layout.arrays.len()));
    Ok(Value::Object(config.clone()))
}

/// Leaves out the volumes whose arrays the skip list keeps, with those that share their disks.
fn without_kept(volumes: Vec<Volume>, node: &Map<String, Value>, disks: &[Disk]) -> Result<Vec<Volume>, DiskError> {
    let skipped = kept_volumes(node);
    if skipped.is_empty() {
        return Ok(volumes);
    }
    let known = delete::known(&Roots::machine(), disks, &skipped);
    let verdicts = verdicts(&known, &skipped, &delete::skipped_disks(disks, node)?);
    let stays = |volume: &Volume| {
        let mut same = known.iter().filter(|array| array.volume.is_some() && array.volume == volume.name);
        same.any(|array| verdicts.get(&array.name).is_some_and(|verdict| *verdict != Verdict::Delete))
    };
    Ok(volumes.into_iter().filter(|volume| !stays(volume)).collect())
}

fn make(request: &Request<'_>, used: &[&Disk], layout: &Layout, table: Kind) -> Result<(), DiskError> {
    mdadm::load_modules();
    mdadm::must_be_known(&Roots::machine())?;
    let mut locks = Vec::new();
    let mut paths: Vec<PathBuf> = Vec::new();
    for (disk, parts) in used.iter().zip(&layout.parts) {
        let path = request.gate.permit(&disk.path)?;
        request.progress.say(format!("partitioning {}", path.display()));
        locks.push(DeviceLock::take(&path).map_err(DiskError::io("locking", &path))?);
        write_table(&path, parts, table)?;
        paths.push(path);
    }
    for array in &layout.arrays {
        let members: Vec<PathBuf> = array.members.iter().map(|(disk, number)| node(&paths[*disk], *number)).collect();
        for member in &members {
            // What an old array or file system left there must not come to life again in the new one.
            wipe::wipe(&request.gate.permit(member)?)?;
        }
        request.progress.say(format!("making a RAID {} of {} members", array.level.word(), members.len()));
        let device = mdadm::create(array.level.word(), "1.2", array.name.as_deref(), &members)?;
        let name = device.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        root_volume::remember(name, array.root);
        // Same places, same contents: an old table in there would show old partitions.
        wipe::wipe(&request.gate.permit(&device)?)?;
    }
    drop(locks);
    mdadm::settle();
    Ok(())
}

fn write_table(path: &Path, parts: &[plan::Part], table: Kind) -> Result<(), DiskError> {
    let device = BlockDevice::open(path, Access::Exclusive).map_err(DiskError::io("opening", path))?;
    wipe::clear(&device)?;
    let sector = u64::from(device.logical_sector());
    match table {
        Kind::Gpt => gpt(&device, sector, parts).map_err(|error| {
            DiskError::Raid(format!("the partition table of {} cannot be written: {error}", path.display()))
        })?,
        Kind::Msdos => msdos(&device, sector, parts).map_err(DiskError::io("writing the partition table of", path))?,
    }
    device.drop_cache().map_err(DiskError::io("flushing", path))?;
    wipe::reread(&device);
    for part in parts.iter().filter(|part| !node(path, part.number).exists()) {
        // A kernel that does not know this kind of table can be told.
        let news = PartitionNews::New(part.start, part.length);
        device
            .tell_partition(part.number, news)
            .map_err(DiskError::io("telling the kernel of a new partition of", path))?;
    }
    let absent = parts.iter().map(|part| node(path, part.number)).find(|part| !part.exists());
    match absent.filter(|_| device.is_block()) {
        Some(part) => {
            Err(DiskError::Raid(format!("the kernel did not make {} of the new partition table", part.display())))
        }
        None => Ok(()),
    }
}

fn gpt(device: &BlockDevice, sector: u64, parts: &[plan::Part]) -> Result<(), GptError> {
    let id = || uuid::Uuid::new_v4().to_bytes_le();
    let mut gpt = Gpt::fresh(device.size(), sector, id())?;
    for part in parts {
        gpt.add_at((part.start, part.length), RAID, id(), &format!("raid-{}", part.number))?;
    }
    gpt.write_fresh(&mut device.cursor())
}

fn msdos(device: &BlockDevice, sector: u64, parts: &[plan::Part]) -> std::io::Result<()> {
    let sectors = |bytes: u64| u32::try_from(bytes / sector).map_err(std::io::Error::other);
    mbr::write_fresh(&mut device.cursor(), uuid::Uuid::new_v4().as_u128() as u32)?;
    for part in parts {
        mbr::add(&mut device.cursor(), RAID_MBR, sectors(part.start)?, sectors(part.length)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::write_table;
    use crate::disk::raid::plan::Part;
    use crate::disk::table::{Kind, node};
    use crate::sys::loop_device::LoopDevice;
    use std::process::Command;

    #[test]
    fn both_tables_are_as_parted_reads_them() {
        let Some(disk) = LoopDevice::new(64 << 20, 512) else { return };
        let parts = [(1, 8 << 20, 16 << 20), (2, 24 << 20, 30 << 20)];
        let parts = parts.map(|(number, start, length)| Part { number, start, length });
        for (table, name) in [(Kind::Gpt, "gpt"), (Kind::Msdos, "msdos")] {
            write_table(disk.path(), &parts, table).unwrap();
            assert!(node(disk.path(), 2).exists(), "the kernel knows it");
            let output = Command::new("parted")
                .args(["-s", "-m"])
                .arg(disk.path())
                .args(["unit", "B", "print"])
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains(&format!(":{name}:")), "{text}");
            assert!(
                text.contains("1:8388608B:25165823B:16777216B:") && text.contains("2:25165824B:56623103B:31457280B:"),
                "{text}"
            );
            assert_eq!(text.matches("raid").count(), if table == Kind::Gpt { 4 } else { 2 }, "{text}");
        }
    }
}
