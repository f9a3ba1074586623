//! Wiping metadata: what makes a device look used goes, so that the next boot finds no system. The data stays.

use super::error::DiskError;
use super::signature::{self, look};
use crate::sys::aligned::AlignedBuffer;
use crate::sys::block::BlockDevice;
use std::path::Path;
use std::time::Duration;

/// Zeroed at either end: both partition tables, boot sectors, LVM, ZFS and md superblocks lie there.
const END: u64 = 1 << 20;
/// How long a program that only looks may hold a device that the gate let through: device managers do when a disk appears.
pub const BUSY: Duration = Duration::from_secs(10);
/// How often, and how long apart, the kernel is asked to drop the old partitions. udev opens them for a moment after
/// every write, and there is nothing to wait on that tells when it is done.
const PATIENCE: (u32, Duration) = (40, Duration::from_millis(100));

/// Opens the device alone, wipes it and looks whether anything is left. The gate must have let it through.
///
/// # Errors
/// [`DiskError::Io`], or [`DiskError::Erase`] when signatures are left.
pub fn wipe(path: &Path) -> Result<(), DiskError> {
    let device = BlockDevice::open_when_free(path, BUSY).map_err(DiskError::io("opening", path))?;
    clear(&device)?;
    reread(&device);
    Ok(())
}

/// Wipes an open device: known signatures wherever they are, the spare GPT wherever it is, 1 MiB at both ends.
///
/// # Errors
/// As [`wipe`].
pub fn clear(device: &BlockDevice) -> Result<(), DiskError> {
    let failed = |doing| DiskError::io(doing, device.path());
    if device.is_read_only() {
        return Err(DiskError::Erase(format!("{} is read-only and cannot be wiped", device.path().display())));
    }
    clear_spare_table(device)?;
    let wiped = signature::wipe(device)?;
    let end = END.min(device.size());
    device.write_zeroes(0, end).map_err(failed("zeroing the start of"))?;
    device.write_zeroes(device.size() - end, end).map_err(failed("zeroing the end of"))?;
    device.drop_cache().map_err(failed("flushing"))?;
    tracing::info!(device = %device.path().display(), signatures = wiped.join(", "), "metadata wiped");

    let mut data = AlignedBuffer::zeroed(usize::try_from(END).unwrap_or(1 << 20));
    for offset in [0, device.size() - end] {
        let data = &mut data[..usize::try_from(end).unwrap_or(0)];
        device.read_at(offset, data).map_err(failed("reading back"))?;
        if data.iter().any(|&byte| byte != 0) {
            return Err(left(device, "data at its ends"));
        }
    }
    let found = look(device)?;
    if found.is_empty() { Ok(()) } else { Err(left(device, &found.to_string())) }
}

/// What a wipe zeroes and reads back on a device of this size: first byte and length, for proofs.
pub fn ends(size: u64) -> Vec<(u64, u64)> {
    let end = END.min(size);
    if size <= END { vec![(0, end)] } else { vec![(0, end), (size - end, end)] }
}

fn left(device: &BlockDevice, what: &str) -> DiskError {
    DiskError::Erase(format!(
        "{} still has {what} after it was wiped; it does not keep what is written to it. Replace it, or add it to skip_block_devices",
        device.path().display()
    ))
}

/// The spare GPT need not be at the end: an image written to a larger disk has it where the image ended.
fn clear_spare_table(device: &BlockDevice) -> Result<(), DiskError> {
    let failed = |doing| DiskError::io(doing, device.path());
    for sector in [512_u64, 520, 2048, 4096] {
        let mut header = [0; 512];
        if device.size() < sector * 3 {
            return Ok(());
        }
        device.read_at(sector, &mut header).map_err(failed("reading"))?;
        let Some(spare) = spare_table(&header).and_then(|block| block.checked_mul(sector)) else { continue };
        if spare.checked_add(sector).is_none_or(|end| end > device.size()) {
            continue;
        }
        device.read_at(spare, &mut header).map_err(failed("reading"))?;
        if header.starts_with(b"EFI PART") {
            device.write_zeroes(spare, sector).map_err(failed("wiping the spare partition table of"))?;
        }
    }
    Ok(())
}

fn spare_table(header: &[u8; 512]) -> Option<u64> {
    let number = header.get(32..40)?.try_into().ok()?;
    header.starts_with(b"EFI PART").then(|| u64::from_le_bytes(number))
}

/// Has the kernel forget the old partitions. It is no failure if it will not: the table is gone from the disk.
pub fn reread(device: &BlockDevice) {
    for attempt in 1..=PATIENCE.0 {
        match device.reread_partitions() {
            Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) && attempt < PATIENCE.0 => {
                // The kernel has no event for "nobody holds a partition any more": it is asked again.
                std::thread::sleep(PATIENCE.1);
            }
            Err(error) if error.raw_os_error() == Some(nix::libc::EINVAL) => return, // a device without partitions
            Err(error) => {
                tracing::warn!(device = %device.path().display(), %error, "the kernel keeps the old partitions");
                return;
            }
            Ok(()) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::wipe;
    use crate::disk::signature::look;
    use crate::sys::block::{Access, BlockDevice};
    use crate::sys::loop_device::LoopDevice;
    use std::path::Path;
    use std::process::Command;

    fn run(program: &str, arguments: &[&str], device: &Path) {
        let output = Command::new(program).args(arguments).arg(device).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn a_program_that_only_looks_for_a_moment_is_waited_for() {
        let Some(disk) = LoopDevice::new(8 << 20, 512) else { return };
        run("mkswap", &[], disk.path());
        let looker = BlockDevice::open(disk.path(), Access::Exclusive).unwrap();
        std::thread::scope(|scope| {
            let wiping = scope.spawn(|| wipe(disk.path()));
            // Long enough for a wipe that does not wait to have ended: the next line fails then, and never otherwise.
            std::thread::sleep(std::time::Duration::from_millis(300));
            assert!(!wiping.is_finished(), "somebody has the disk");
            drop(looker);
            wiping.join().unwrap().unwrap();
        });
        nothing_left(disk.path());
    }

    fn nothing_left(path: &Path) {
        let device = BlockDevice::open(path, Access::Read).unwrap();
        assert!(look(&device).unwrap().is_empty());
        let output = Command::new("wipefs").arg(path).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "wipefs is of the same opinion");
    }

    #[test]
    fn a_partitioned_disk_of_either_sector_size_looks_new_afterwards() {
        for sector in [512, 4096] {
            let Some(disk) = LoopDevice::new(64 << 20, sector) else { return };
            run("sgdisk", &["-n", "1:0:+16M", "-n", "2:0:0"], disk.path());
            let _ = Command::new("partx").arg("--add").arg(disk.path()).output(); // kernels without GPT support
            let part = format!("{}p1", disk.path().display());
            assert!(Path::new(&part).exists(), "the kernel has the partitions");
            wipe(disk.path()).unwrap();
            nothing_left(disk.path());
            assert!(!Path::new(&part).exists(), "the kernel forgot the partitions");
        }
    }

    #[test]
    fn a_spare_table_in_the_middle_goes_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(16 << 20).unwrap();
        run("sgdisk", &["-n", "1:0:+4M"], file.path());
        file.as_file().set_len(64 << 20).unwrap(); // the image on a larger disk
        wipe(file.path()).unwrap();
        let device = BlockDevice::open(file.path(), Access::Read).unwrap();
        let mut spare = [0; 512];
        device.read_at((16 << 20) - 512, &mut spare).unwrap();
        assert_eq!(spare, [0; 512]);
    }

    #[test]
    fn tiny_devices_and_every_common_file_system_are_wiped() {
        let tiny = tempfile::NamedTempFile::new().unwrap();
        tiny.as_file().set_len(1024).unwrap();
        wipe(tiny.path()).unwrap();
        for (program, arguments) in [
            ("mkfs.ext4", &["-q"][..]),
            ("mkfs.vfat", &[]),
            ("mkswap", &[]),
            ("mkfs.btrfs", &["-q"]),
            ("mkfs.xfs", &["-q"]),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(320 << 20).unwrap();
            match Command::new(program).args(arguments).arg(file.path()).output() {
                Ok(output) if output.status.success() => {}
                _ => {
                    println!("skipped: {program} is not here");
                    continue;
                }
            }
            wipe(file.path()).unwrap();
            nothing_left(file.path());
        }
    }
}
