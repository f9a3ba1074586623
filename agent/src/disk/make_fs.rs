//! File systems for the partitions beside the root: swap space and FAT by our own hand, the rest by the `mkfs` programs of the
//! ramdisk, on a loop device over exactly the partition: none of them can write beside it.

use super::error::DiskError;
use super::fat_write;
use crate::sys::aligned::AlignedBuffer;
use crate::sys::block::BlockDevice;
use crate::sys::child::Program;
use crate::sys::loop_window::LoopWindow;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long others may look at the disk.
const BUSY: Duration = Duration::from_secs(10);
/// Longest a formatter may take: a large disk that zeroes slowly.
const PATIENCE: Duration = Duration::from_secs(1800);
/// The swap header counts in pages of this size on every machine we build for.
const PAGE: u64 = 4096;

/// Formats of the ephemeral partition: name, program and its arguments before the device. No program: FAT, made by ourselves.
const FORMATS: &[Row] = &[
    ("ext4", Some(("mke2fs", &["-q", "-F", "-t", "ext4", "-L"]))),
    ("ext3", Some(("mke2fs", &["-q", "-F", "-t", "ext3", "-L"]))),
    ("ext2", Some(("mke2fs", &["-q", "-F", "-t", "ext2", "-L"]))),
    ("xfs", Some(("mkfs.xfs", &["-q", "-f", "-L"]))),
    ("btrfs", Some(("mkfs.btrfs", &["-q", "-f", "-L"]))),
    ("vfat", None),
];
/// A program and its arguments before label and device.
type Maker = (&'static str, &'static [&'static str]);
/// A format and who makes it.
type Row = (&'static str, Option<Maker>);
/// Where programs are looked for.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A way to format, known to be there.
#[derive(Clone, Copy, Debug)]
pub struct Format(&'static str, Option<Maker>);

/// Looks for the program before anything is touched.
///
/// # Errors
/// [`DiskError::Request`] for a format this ramdisk cannot make.
pub fn format(name: &str) -> Result<Format, DiskError> {
    let there = |program: &str| FOLDERS.iter().any(|folder| Path::new(folder).join(program).exists());
    let usable = |row: &&Row| row.1.is_none_or(|(program, _)| there(program));
    let row = FORMATS.iter().filter(usable).find(|row| row.0 == name);
    let refuse = || {
        let known: Vec<&str> = FORMATS.iter().filter(usable).map(|row| row.0).collect();
        DiskError::Request(format!(
            "ephemeral_format {name:?} cannot be made by this ramdisk; {} can. Set instance_info.ephemeral_format, or [pxe]default_ephemeral_format of the conductor",
            known.join(", ")
        ))
    };
    row.map(|row| Format(row.0, row.1)).ok_or_else(refuse)
}

impl Format {
    /// Formats `length` bytes of `disk` from `start`; nobody may hold the disk.
    ///
    /// # Errors
    /// [`DiskError::Io`], with the formatter's own words.
    pub fn make(&self, disk: &Path, start: u64, length: u64, label: &str) -> Result<(), DiskError> {
        let failed = |error: io::Error| {
            let source = io::Error::other(format!("{} for {label}: {error}", self.0));
            DiskError::Io { doing: "formatting a partition of", device: disk.into(), source }
        };
        let device = BlockDevice::open_when_free(disk, BUSY).map_err(failed)?;
        let sector = device.logical_sector();
        let Some((program, args)) = self.1 else {
            let window = device.window(start, length).map_err(failed)?;
            let made = fat_write::make(&mut window.cursor(), length, sector, label, rand::random(), &[]);
            return made.and_then(|()| device.sync()).map_err(failed);
        };
        drop(device);
        let window = LoopWindow::new(disk, start, length, sector, true).map_err(failed)?;
        let run = Program::new(program).args(args).arg(label).arg(window.path()).time_limit(PATIENCE).succeed();
        run.map(|_| ()).map_err(|error| failed(io::Error::other(error)))
    }
}

/// Makes swap space of a window of a disk (kernel: `union swap_header`, version 1).
///
/// # Errors
/// The disk's.
pub fn swap(window: &BlockDevice, label: &str) -> io::Result<()> {
    let mut page = AlignedBuffer::zeroed(PAGE as usize);
    let last = u32::try_from(window.size() / PAGE - 1).unwrap_or(u32::MAX);
    page[1024..1028].copy_from_slice(&1_u32.to_le_bytes());
    page[1028..1032].copy_from_slice(&last.to_le_bytes());
    page[1036..1052].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    page[1052..1052 + label.len().min(16)].copy_from_slice(&label.as_bytes()[..label.len().min(16)]);
    page[4086..4096].copy_from_slice(b"SWAPSPACE2");
    window.write_zeroes(0, (64 << 10).min(window.size()))?;
    window.write_at(0, &page[..PAGE as usize])?;
    window.sync()
}

#[cfg(test)]
mod tests {
    use super::{format, swap};
    use crate::sys::block::{Access, BlockDevice};
    use crate::sys::loop_device::LoopDevice;
    use std::process::Command;

    fn said(program: &str, args: &[&str], file: &std::path::Path) -> String {
        let run = Command::new(program).args(args).arg(file).output().unwrap();
        assert!(run.status.success(), "{program}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8_lossy(&run.stdout).into_owned()
    }

    #[test]
    fn swap_space_is_what_mkswap_makes() {
        let files = [(); 2].map(|()| tempfile::NamedTempFile::new().unwrap());
        files.iter().for_each(|file| file.as_file().set_len(16 << 20).unwrap());
        swap(&BlockDevice::open(files[0].path(), Access::Exclusive).unwrap(), "swap1").unwrap();
        said("mkswap", &["-L", "swap1"], files[1].path());
        let mut pages = files.map(|file| std::fs::read(file.path()).unwrap()[..4096].to_vec());
        pages.iter_mut().for_each(|page| page[1036..1052].fill(0));
        assert!(pages[0] == pages[1]);
    }

    #[test]
    fn formats_are_made_within_the_partition() {
        for (name, kind) in [("ext4", "ext4"), ("ext3", "ext3"), ("vfat", "vfat")] {
            let Some(disk) = LoopDevice::new(96 << 20, 512) else { return };
            let device = BlockDevice::open(disk.path(), Access::Exclusive).unwrap();
            device.write_at(0, &[7; 4096]).unwrap();
            device.write_at((66 << 20) + 512, &[7; 4096]).unwrap();
            device.sync().unwrap();
            drop(device);
            format(name).unwrap().make(disk.path(), 2 << 20, 64 << 20, "ephemeral0").unwrap();
            let device = BlockDevice::open(disk.path(), Access::Exclusive).unwrap();
            let mut border = [0; 4096];
            for at in [0, (66 << 20) + 512] {
                device.read_at(at, &mut border).unwrap();
                assert!(border == [7; 4096], "{name}: wrote beside the partition");
            }
            device.sync().unwrap();
            let copy = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(copy.path(), &std::fs::read(disk.file()).unwrap()[2 << 20..66 << 20]).unwrap();
            let facts = said("blkid", &["-p", "-o", "export"], copy.path());
            assert!(facts.contains(&format!("TYPE={kind}")) && facts.contains("LABEL=ephemeral0"), "{facts}");
        }
    }

    #[test]
    fn what_cannot_be_made_is_refused_with_what_can() {
        for name in ["ntfs", "", "ext4; reboot", "../mke2fs"] {
            let error = format(name).unwrap_err().to_string();
            assert!(error.contains("ext4") && error.contains("vfat"), "{error}");
        }
    }
}
