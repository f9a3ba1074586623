//! A disk for a sandbox: a loop device over a file of the story, detached when the story ends, however it ends.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Both places of a GPT, and whatever else a cleaning wipes, are within this many bytes of an end of the disk.
const EDGE: u64 = 1 << 20;

/// One loop device.
#[derive(Debug)]
pub struct LoopDisk {
    /// `/dev/loopN`.
    pub device: PathBuf,
    /// The file behind it.
    pub file: PathBuf,
    bytes: u64,
    _held: File,
}

impl LoopDisk {
    /// Makes a sparse file of `bytes` and attaches it.
    ///
    /// # Panics
    /// When the machine has no loop devices for us (needs root), with that sentence.
    pub fn new(folder: &Path, name: &str, bytes: u64) -> Self {
        Self::with(&[], folder, name, bytes)
    }

    /// The same without the page cache between device and file: what was written past a cache is on the disk below, as with a
    /// device of iron, and no flush at the end pays for all.
    ///
    /// # Panics
    /// As [`LoopDisk::new`].
    pub fn direct(folder: &Path, name: &str, bytes: u64) -> Self {
        Self::with(&["--direct-io=on"], folder, name, bytes)
    }

    fn with(options: &[&str], folder: &Path, name: &str, bytes: u64) -> Self {
        let file = folder.join(name);
        let made = File::create(&file).and_then(|made| made.set_len(bytes));
        made.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let path = file.to_string_lossy();
        let said = losetup(&[options, &["--find", "--show", "--partscan", &path]].concat());
        let device = PathBuf::from(said.trim());
        let _held = File::open(&device).unwrap_or_else(|error| panic!("{}: {error}", device.display()));
        forget_partitions(&device);
        // Detached while it is open, it goes with its last user: also when this process is killed.
        losetup(&["--detach", &device.to_string_lossy()]);
        Self { device, file, bytes, _held }
    }

    /// The file, after everything that the kernel still held of the disk, or of its partitions, went there: the device itself
    /// could answer from memory what was written around it, through a partition or past its cache.
    pub fn settled(&self) -> &Path {
        let name = self.device.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let parts = fs::read_dir(Path::new("/sys/block").join(&name)).into_iter().flatten().flatten();
        let parts = parts.map(|entry| entry.file_name()).filter(|part| part.to_string_lossy().starts_with(&name));
        for device in parts.map(|part| Path::new("/dev").join(part)).chain([self.device.clone()]) {
            // A partition may go in this moment; then its contents are flushed by that.
            let _ = Command::new("blockdev").arg("--flushbufs").arg(&device).stderr(Stdio::null()).status();
        }
        &self.file
    }

    fn contents(&self) -> File {
        File::open(self.settled()).unwrap_or_else(|error| panic!("{}: {error}", self.file.display()))
    }

    /// Puts bytes that no cleaning may leave at both ends: a file system's and a partition table's marks in the right
    /// places, and a text.
    ///
    /// # Panics
    /// When the device cannot be written.
    pub fn soil(&self) {
        let device = File::options().write(true).open(&self.device).expect("the loop device");
        let put = |bytes: &[u8], at: u64| device.write_all_at(bytes, at).expect("the loop device");
        put(&[0x55, 0xaa], 510);
        put(b"EFI PART", 512);
        put(b"EFI PART", self.bytes - 512);
        put(&[0x53, 0xef], 1024 + 56);
        put(b"secret of the tenant before", 4096);
        device.sync_all().expect("the loop device");
        drop(device);
        drop(self.contents());
    }

    /// Marks of partition tables and file systems that are still there.
    ///
    /// # Panics
    /// When the device cannot be read.
    pub fn dirt(&self) -> Vec<&'static str> {
        let contents = self.contents();
        let mut edge = vec![0; usize::try_from(EDGE).expect("small")];
        read(&contents, &mut edge, self.bytes - EDGE);
        let backup = &edge[edge.len() - 512..][..8] == b"EFI PART";
        read(&contents, &mut edge, 0);
        let marks = [
            ("MBR", edge[510..512] == [0x55, 0xaa]),
            ("GPT", &edge[512..520] == b"EFI PART"),
            ("backup GPT", backup),
            ("ext file system", edge[1080..1082] == [0x53, 0xef]),
        ];
        marks.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect()
    }

    /// The first MiB, by its offset, that is not all zeros.
    ///
    /// # Panics
    /// When the device cannot be read.
    pub fn first_data(&self) -> Option<u64> {
        let contents = self.contents();
        let mut part = vec![0; usize::try_from(EDGE).expect("small")];
        let zeros = part.clone();
        (0..self.bytes / EDGE).map(|index| index * EDGE).find(|&at| {
            read(&contents, &mut part, at);
            part != zeros
        })
    }

    /// The first MiB of the partition that the table lists second: the config drive's.
    ///
    /// # Panics
    /// When the table has no second partition, or it cannot be read.
    pub fn second_partition(&self) -> Vec<u8> {
        let contents = self.contents();
        let mut table = [0; 512];
        read(&contents, &mut table, 0);
        let (first, sectors) = (sector(&table[470..474]), sector(&table[474..478]));
        assert!(first > 0 && sectors > 0, "the partition table lists no second partition");
        let mut start = vec![0; usize::try_from((sectors * 512).min(EDGE)).expect("small")];
        read(&contents, &mut start, first * 512);
        start
    }

    /// First byte of the disk that is not the image's. The table's second to fourth partition do not count: an agent adds
    /// one for the config drive.
    ///
    /// # Panics
    /// When one of them cannot be read.
    pub fn differs_from(&self, image: &Path) -> Option<u64> {
        let contents = self.contents();
        let image = File::open(image).unwrap_or_else(|error| panic!("{}: {error}", image.display()));
        let length = image.metadata().expect("the image").len();
        let (mut wanted, mut found) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        let mut at = 0;
        while at < length {
            let part = usize::try_from((length - at).min(1 << 20)).expect("small");
            image.read_exact_at(&mut wanted[..part], at).expect("the image");
            read(&contents, &mut found[..part], at);
            let counts = |index: &usize| at > 0 || !(462..510).contains(index);
            if let Some(inside) = (0..part).filter(counts).find(|&index| wanted[index] != found[index]) {
                return Some(at + inside as u64);
            }
            at += part as u64;
        }
        None
    }
}

fn read(contents: &File, buffer: &mut [u8], offset: u64) {
    contents.read_exact_at(buffer, offset).expect("the file behind the loop device");
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        forget_partitions(&self.device);
    }
}

/// Partitions that an agent told the kernel about outlive the loop device, and would meet the next one of this name.
fn forget_partitions(device: &Path) {
    // Without partitions it complains: then there is nothing to do.
    let _ = Command::new("partx").arg("--delete").arg(device).stderr(Stdio::null()).status();
}

/// Little-endian sector number.
fn sector(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn losetup(args: &[&str]) -> String {
    let output = Command::new("losetup").args(args).output().expect("losetup (package mount)");
    assert!(
        output.status.success(),
        "no loop device: {}. The stories with real agents need root and loop devices",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
