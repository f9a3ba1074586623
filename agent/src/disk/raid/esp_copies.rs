//! The EFI system partition of a system on software RAID. Firmware knows no RAID: each disk gets a partition
//! `uefi-holder-N`, and they are a RAID 1 `esp` whose superblock lies at the end (metadata 1.0), so that firmware sees a FAT
//! on each and the system keeps them in step. The image's partition is copied there block by block: same files, UUID, label.

use super::holders::{self, Holder};
use super::plan::ESP;
use super::verdict::ESP as VOLUME;
use super::{fat_fit, mdadm};
use crate::disk::boot_option::BootPartition;
use crate::disk::error::DiskError;
use crate::disk::guard::Gate;
use crate::disk::table::node;
use crate::disk::wipe;
use crate::sys::aligned::AlignedBuffer;
use crate::sys::block::{Access, BlockDevice};
use crate::sys::device_lock::DeviceLock;
use crate::sys::md::{self, Array};
use crate::sys::sysfs::Roots;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Type of an EFI system partition, as stored: C12A7328-F81F-11D2-BA4B-00A0C93EC93B.
const KIND: [u8; 16] = *b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";
const MIB: usize = 1 << 20;

/// The array of copies, and each copy as firmware finds it.
pub struct Copies {
    /// `/dev/md126`.
    pub device: PathBuf,
    /// In the order of the disks' names.
    pub partitions: Vec<BootPartition>,
}

/// Finds the array of copies on the same disks, or makes it.
///
/// # Errors
/// [`DiskError::Raid`] says what is in the way.
pub fn prepare(root: &Array, gate: &Gate) -> Result<Copies, DiskError> {
    let roots = Roots::machine();
    let disks = holders::open(&roots, root, gate)?;
    let locks: Result<Vec<_>, _> = disks
        .iter()
        .map(|disk| DeviceLock::take(disk.device.path()).map_err(DiskError::io("locking", disk.device.path())))
        .collect();
    let mut partitions = Vec::new();
    for (number, disk) in disks.iter().enumerate() {
        partitions.push(disk.partition(&format!("uefi-holder-{number}"), ESP * MIB as u64, KIND)?);
    }
    let nodes: Vec<PathBuf> =
        disks.iter().zip(&partitions).map(|(disk, part)| node(disk.device.path(), part.number)).collect();
    let device = match there(&roots, &disks, &nodes) {
        Some(array) => array.path,
        None => {
            for node in &nodes {
                wipe::wipe(&gate.permit(node)?)?;
            }
            mdadm::create("1", "1.0", Some(VOLUME), &nodes)?
        }
    };
    drop((disks, locks));
    mdadm::settle();
    Ok(Copies { device, partitions })
}

/// The array called `esp` on exactly these partitions, or on those of them that still work.
fn there(roots: &Roots, disks: &[Holder], nodes: &[PathBuf]) -> Option<Array> {
    let names: BTreeSet<String> =
        nodes.iter().filter_map(|node| Some(node.file_name()?.to_str()?.to_owned())).collect();
    let same = |array: &Array| array.level == "raid1" && array.members.is_subset(&names);
    let found =
        md::arrays(roots).into_iter().find(|array| same(array) && md::volume(array).as_deref() == Some(VOLUME))?;
    tracing::info!(
        array = found.kernel_name,
        disks = disks.len(),
        "the array of EFI system partitions is there already"
    );
    Some(found)
}

/// Copies the image's EFI system partition, which lies at `start` of `source`.
///
/// # Errors
/// [`DiskError::Raid`] when it is larger than its copies can be.
pub fn copy(source: &BlockDevice, start: u64, length: u64, target: &BlockDevice) -> Result<(), DiskError> {
    let mut head = vec![0; 512];
    source.read_at(start, &mut head).map_err(DiskError::io("reading", source.path()))?;
    let read = |at: u64, data: &mut [u8]| source.read_at(start + at, data);
    let fit = fat_fit::fit(&head, &read, length, target.size());
    let fit =
        fit.map_err(|why| DiskError::Raid(format!("the EFI system partition of the image cannot be copied: {why}")))?;
    let mut buffer = AlignedBuffer::zeroed(MIB);
    let mut at = 0;
    while at < fit.bytes {
        let part = usize::try_from(fit.bytes - at).unwrap_or(MIB).min(MIB);
        source.read_at(start + at, &mut buffer[..part]).map_err(DiskError::io("reading", source.path()))?;
        target.write_at(at, &buffer[..part]).map_err(DiskError::io("writing", target.path()))?;
        at += part as u64;
    }
    for (at, bytes) in &fit.changes {
        target.write_at(*at, bytes).map_err(DiskError::io("writing", target.path()))?;
    }
    target.drop_cache().map_err(DiskError::io("flushing", target.path()))?;
    tracing::info!(to = %target.path().display(), bytes = fit.bytes, shortened = !fit.changes.is_empty(), "EFI system partition copied");
    Ok(())
}

/// Makes the image's own partition unrecognisable, so that the system mounts the copies by the same UUID.
///
/// # Errors
/// The device's.
pub fn retire(source: &BlockDevice, start: u64) -> Result<(), DiskError> {
    let mut head = vec![0; 512];
    source.read_at(start, &mut head).map_err(DiskError::io("reading", source.path()))?;
    let sector = u64::from(u16::from_le_bytes([head[11], head[12]])).clamp(512, 4096);
    let spare = u64::from(u16::from_le_bytes([head[50], head[51]])).min(64) * sector;
    let failed = || DiskError::io("writing", source.path());
    source.write_zeroes(start + spare, 512).map_err(failed())?;
    source.write_zeroes(start, 512).map_err(failed())?;
    source.sync().map_err(failed())
}

/// Opens the array of copies for writing.
///
/// # Errors
/// The gate's, or the device's.
pub fn open(copies: &Copies, gate: &Gate) -> Result<BlockDevice, DiskError> {
    let path = gate.permit(&copies.device)?;
    BlockDevice::open(&path, Access::Exclusive).map_err(DiskError::io("opening", &path))
}

#[cfg(test)]
mod tests {
    use super::{copy, retire};
    use crate::disk::boot_option::{BootPartition, DiskSignature};
    use crate::sys::block::{Access, BlockDevice};
    use std::process::Command;

    fn run(program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// An ESP of `fat` MiB at 1 MiB of a file, and an empty target.
    fn esp(width: &str, fat: u64, target: u64) -> (tempfile::NamedTempFile, tempfile::NamedTempFile, Vec<u8>) {
        let [image, source, to] = [(); 3].map(|()| tempfile::NamedTempFile::new().unwrap());
        image.as_file().set_len(fat).unwrap();
        let path = image.path().to_str().unwrap();
        run("mkfs.vfat", &["-F", width, "-n", "LABESP", "-i", "1234abcd", path]);
        let loader = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(loader.path(), vec![0x5a; 300_000]).unwrap();
        run("mmd", &["-i", path, "::/EFI", "::/EFI/BOOT"]);
        run("mcopy", &["-i", path, loader.path().to_str().unwrap(), "::/EFI/BOOT/BOOTX64.EFI"]);
        let mut bytes = vec![0; 1 << 20];
        bytes.extend(std::fs::read(image.path()).unwrap());
        std::fs::write(source.path(), &bytes).unwrap();
        to.as_file().set_len(target).unwrap();
        (source, to, bytes)
    }

    fn open(file: &tempfile::NamedTempFile) -> BlockDevice {
        BlockDevice::open(file.path(), Access::Exclusive).unwrap()
    }

    #[test]
    fn the_copy_has_the_same_files_uuid_and_label_also_when_it_must_be_a_little_shorter() {
        for (width, fat, target) in [
            ("16", 48 << 20, 64 << 20),
            ("32", 64 << 20, (64 << 20) - (128 << 10)),
            ("16", 64 << 20, (64 << 20) - (128 << 10)),
        ] {
            let (source, to, _) = esp(width, fat, target);
            copy(&open(&source), 1 << 20, fat, &open(&to)).unwrap();
            let path = to.path().to_str().unwrap();
            let told = run("blkid", &["-p", "-o", "export", path]);
            assert!(told.contains("UUID=1234-ABCD") && told.contains("LABEL=LABESP"), "{told}");
            run("fsck.vfat", &["-n", path]);
            let out = tempfile::tempdir().unwrap();
            run("mcopy", &["-i", path, "::/EFI/BOOT/BOOTX64.EFI", out.path().to_str().unwrap()]);
            assert_eq!(std::fs::read(out.path().join("BOOTX64.EFI")).unwrap(), vec![0x5a; 300_000]);
            let device = open(&to);
            let whole =
                BootPartition { number: 1, start: 0, blocks: target / 512, signature: DiskSignature::Gpt([0; 16]) };
            let loaders = crate::disk::boot_entry::loaders_on(&device, &whole).unwrap();
            assert_eq!(loaders[0].path, "\\EFI\\BOOT\\BOOTX64.EFI");
        }
    }

    #[test]
    fn what_cannot_fit_is_refused_and_the_retired_partition_is_no_file_system_any_more() {
        let (source, to, bytes) = esp("32", 64 << 20, 200 << 10);
        let error = copy(&open(&source), 1 << 20, 64 << 20, &open(&to)).unwrap_err().to_string();
        assert!(error.contains("cannot be copied"), "{error}");
        assert_eq!(std::fs::read(source.path()).unwrap(), bytes);
        retire(&open(&source), 1 << 20).unwrap();
        let told = Command::new("blkid").args(["-p", "-O", "1048576"]).arg(source.path()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&told.stdout), "");
    }
}
