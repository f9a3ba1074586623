//! Block devices, and the plain files that stand in for them: open, ask, read, write past the page cache.
//!
//! This room does as it is told. Whether a device *may* be touched is decided by `disk::guard::permit`.

mod access;
mod clear;
mod cursor;

pub use access::{Access, PartitionNews};
pub use cursor::BlockCursor;

use super::aligned::is_aligned;
use super::device_map;
use nix::fcntl::OFlag;
use nix::libc::c_int;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What one device is asked about itself and made to do. Numbers from `linux/fs.h`.
mod order {
    use nix::libc::{c_int, c_uint};
    nix::ioctl_read_bad!(read_only, nix::request_code_none!(0x12, 94), c_int);
    nix::ioctl_none_bad!(reread_partitions, nix::request_code_none!(0x12, 95));
    nix::ioctl_none_bad!(flush_buffers, nix::request_code_none!(0x12, 97));
    nix::ioctl_write_ptr_bad!(partition, nix::request_code_none!(0x12, 105), Ordered);

    /// `struct blkpg_ioctl_arg` of `linux/blkpg.h`.
    #[repr(C)]
    pub struct Ordered {
        pub order: c_int,
        pub flags: c_int,
        pub length: c_int,
        pub data: *mut Partition,
    }

    /// `struct blkpg_partition`; the names are not used by the kernel.
    #[repr(C)]
    pub struct Partition {
        pub start: i64,
        pub length: i64,
        pub number: c_int,
        pub names: [u8; 128],
    }

    nix::ioctl_read_bad!(logical_sector, nix::request_code_none!(0x12, 104), c_int);
    nix::ioctl_read_bad!(bytes, nix::request_code_read!(0x12, 114, size_of::<usize>()), u64);
    nix::ioctl_write_ptr_bad!(discard, nix::request_code_none!(0x12, 119), [u64; 2]);
    nix::ioctl_write_ptr_bad!(secure_discard, nix::request_code_none!(0x12, 125), [u64; 2]);
    nix::ioctl_read_bad!(physical_sector, nix::request_code_none!(0x12, 123), c_uint);
    nix::ioctl_write_ptr_bad!(zero_out, nix::request_code_none!(0x12, 127), [u64; 2]);
}

/// An open device. Reads and writes go past the page cache when offset, length and memory are multiples of the
/// physical sector (use [`AlignedBuffer`](super::aligned::AlignedBuffer)); otherwise through the cache, which [`BlockDevice::sync`] writes out.
#[derive(Debug)]
pub struct BlockDevice {
    path: PathBuf,
    file: File,
    direct: Option<File>,
    is_block: bool,
    /// Where byte 0 lies on what is open; not 0 for a window.
    base: u64,
    size: u64,
    logical: u32,
    physical: u32,
    read_only: bool,
}

impl BlockDevice {
    /// Opens a block device or a regular file; anything else is refused. To be written to alone, a multipath map loses the
    /// partitions that kpartx made of it and nobody uses; udev makes them anew when it is closed.
    ///
    /// # Errors
    /// As from `open(2)`; `InvalidInput` for a path that is neither block device nor regular file.
    pub fn open(path: &Path, access: Access) -> io::Result<Self> {
        let write = matches!(access, Access::Exclusive | Access::Shared);
        let mut flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        if matches!(access, Access::Ask | Access::Exclusive) {
            flags |= OFlag::O_EXCL;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(write).custom_flags(flags.bits());
        let file = match access {
            Access::Exclusive => device_map::open_freed(&options, path)?,
            _ => options.open(path)?,
        };
        let kind = file.metadata()?.file_type();
        let is_block = kind.is_block_device();
        if !is_block && !kind.is_file() {
            let text = format!("{} is neither a block device nor a regular file", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        // The same device once more, found through the first descriptor so that nobody can swap the path in between.
        // Some file systems refuse O_DIRECT: then everything goes through the cache.
        let same = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = (OFlag::O_CLOEXEC | OFlag::O_DIRECT).bits();
        let direct = OpenOptions::new().read(true).write(write).custom_flags(flags).open(same).ok();
        let mut device = Self {
            path: path.to_path_buf(),
            base: 0,
            size: 0,
            logical: 512,
            physical: 512,
            read_only: false,
            file,
            direct,
            is_block,
        };
        device.ask()?;
        Ok(device)
    }

    /// Opens it exclusively as soon as nobody else does: udev and its programs look at a disk whose table was just written.
    ///
    /// # Errors
    /// As from [`BlockDevice::open`]; `EBUSY` when `patience` has passed.
    pub fn open_when_free(path: &Path, patience: Duration) -> io::Result<Self> {
        Self::open_patiently(path, Access::Exclusive, patience)
    }

    /// Waits until nobody uses it, reading nothing and changing nothing: a file system lets go of it with its last descriptor.
    ///
    /// # Errors
    /// As from [`BlockDevice::open_when_free`].
    pub fn wait_until_free(path: &Path, patience: Duration) -> io::Result<()> {
        Self::open_patiently(path, Access::Ask, patience).map(drop)
    }

    fn open_patiently(path: &Path, access: Access, patience: Duration) -> io::Result<Self> {
        let until = Instant::now() + patience;
        loop {
            match Self::open(path, access) {
                Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(10)); // the kernel gives no sign
                }
                other => return other,
            }
        }
    }

    fn ask(&mut self) -> io::Result<()> {
        if !self.is_block {
            let facts = self.file.metadata()?;
            self.size = facts.len();
            self.read_only = facts.permissions().readonly();
            return Ok(());
        }
        let (mut size, mut logical, mut physical, mut read_only) = (0_u64, 0 as c_int, 0_u32, 0 as c_int);
        let fd = self.file.as_raw_fd();
        // SAFETY: `fd` is open for the life of `self.file`; every pointer is to a local of the type the kernel fills.
        unsafe {
            order::bytes(fd, &mut size)?;
            order::logical_sector(fd, &mut logical)?;
            order::physical_sector(fd, &mut physical)?;
            order::read_only(fd, &mut read_only)?;
        }
        self.size = size;
        self.logical = u32::try_from(logical).ok().filter(|&bytes| bytes > 0).unwrap_or(512);
        self.physical = physical.max(self.logical);
        self.read_only = read_only != 0;
        Ok(())
    }

    /// A part of the device as a device of its own, for a partition that may have no node yet. It shares the device's
    /// hold: both must be dropped to give it up.
    ///
    /// # Errors
    /// `StorageFull` for a range beyond the end.
    pub fn window(&self, start: u64, length: u64) -> io::Result<Self> {
        self.fits(start, length)?;
        Ok(Self {
            path: self.path.clone(),
            file: self.file.try_clone()?,
            direct: self.direct.as_ref().and_then(|direct| direct.try_clone().ok()),
            base: self.base + start,
            size: length,
            ..*self
        })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where byte 0 lies on the whole device, bytes: 0, but for a window.
    pub fn offset(&self) -> u64 {
        self.base
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Smallest unit the device can address, in bytes. 512 for a plain file.
    pub fn logical_sector(&self) -> u32 {
        self.logical
    }

    /// Unit the device prefers to write, in bytes.
    pub fn physical_sector(&self) -> u32 {
        self.physical
    }

    /// The device refuses writes.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// False for a plain file that stands in for a device.
    pub fn is_block(&self) -> bool {
        self.is_block
    }

    fn way(&self, offset: u64, data: *const u8, length: usize) -> &File {
        match &self.direct {
            Some(direct) if is_aligned(offset, data, length, self.physical as usize) => direct,
            _ => &self.file,
        }
    }

    /// Fills `data` from `offset`. `UnexpectedEof` beyond the end.
    ///
    /// # Errors
    /// As from `pread(2)`.
    pub fn read_at(&self, offset: u64, data: &mut [u8]) -> io::Result<()> {
        let offset = self.place(offset, data.len() as u64)?;
        self.way(offset, data.as_ptr(), data.len()).read_exact_at(data, offset)
    }

    /// Writes all of `data` at `offset`. Never grows a plain file: that would hide an overrun a real disk reports.
    ///
    /// # Errors
    /// As from `pwrite(2)`; `StorageFull` beyond the end.
    pub fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.fits(offset, data.len() as u64)?;
        let offset = self.base + offset;
        self.way(offset, data.as_ptr(), data.len()).write_all_at(data, offset)
    }

    /// Where to read. A window ends where it ends; what lies behind a whole device, the kernel says.
    fn place(&self, offset: u64, length: u64) -> io::Result<u64> {
        if self.base > 0 && offset.checked_add(length).is_none_or(|end| end > self.size) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it points outside the partition"));
        }
        self.base.checked_add(offset).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    fn fits(&self, offset: u64, length: u64) -> io::Result<()> {
        if offset.checked_add(length).is_some_and(|end| end <= self.size) {
            return Ok(());
        }
        let text =
            format!("{length} bytes at {offset} do not fit on {}, which has {} bytes", self.path.display(), self.size);
        Err(io::Error::new(io::ErrorKind::StorageFull, text))
    }

    /// For orders to the device's firmware.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Waits until everything written is on the device.
    ///
    /// # Errors
    /// As from `fsync(2)`; this is where a late write error shows.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Writes out and forgets the kernel's cached pages of the device, so that the next read asks the device.
    ///
    /// # Errors
    /// As from `fsync(2)` or BLKFLSBUF.
    pub fn drop_cache(&self) -> io::Result<()> {
        self.sync()?;
        if self.is_block {
            // SAFETY: the descriptor is open; BLKFLSBUF takes no argument.
            unsafe { order::flush_buffers(self.file.as_raw_fd())? };
        }
        Ok(())
    }

    /// Asks the kernel to read the partition table again. Nothing to do for a plain file, nor for a device-mapper map: the
    /// kernel makes no partitions of one, and udev has kpartx do it when the device is closed.
    ///
    /// # Errors
    /// `EINVAL` on devices without partitions and `EBUSY` while one is in use: good disks answer so, do not abort.
    pub fn reread_partitions(&self) -> io::Result<()> {
        let is_map = self.path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"dm-"));
        if self.is_block && !is_map {
            // SAFETY: the descriptor is open; BLKRRPART takes no argument.
            unsafe { order::reread_partitions(self.file.as_raw_fd())? };
        }
        Ok(())
    }

    /// Tells the kernel of one partition, which works while others of the disk are in use. Nothing to do for a plain file.
    ///
    /// # Errors
    /// `EBUSY` when the kernel has another partition of this number or place, or the partition is in use.
    pub fn tell_partition(&self, number: u32, news: PartitionNews) -> io::Result<()> {
        if !self.is_block {
            return Ok(());
        }
        let (order, start, length) = match news {
            PartitionNews::New(start, length) => (1, start, length),
            PartitionNews::Gone => (2, 0, 0),
        };
        let bytes = |value: u64| i64::try_from(value).map_err(io::Error::other);
        let number = c_int::try_from(number).map_err(io::Error::other)?;
        let mut partition = order::Partition { start: bytes(start)?, length: bytes(length)?, number, names: [0; 128] };
        let size = size_of::<order::Partition>() as c_int;
        let ordered = order::Ordered { order, flags: 0, length: size, data: &raw mut partition };
        // SAFETY: the descriptor is open; both structures are as `linux/blkpg.h` has them and outlive the call.
        unsafe { order::partition(self.file.as_raw_fd(), &ordered)? };
        Ok(())
    }

    /// The device as a stream, for code that wants `Read + Write + Seek`. Starts at byte 0.
    pub fn cursor(&self) -> BlockCursor<'_> {
        BlockCursor::new(self)
    }
}

impl AsRawFd for BlockDevice {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, BlockDevice};
    use crate::sys::aligned::AlignedBuffer;
    use crate::sys::loop_device::LoopDevice;
    use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};

    fn exercise(device: &BlockDevice) {
        let mut pattern = AlignedBuffer::zeroed(1 << 20);
        pattern.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at % 251) as u8);
        device.write_at(1 << 20, &pattern).unwrap();
        device.write_at((1 << 20) + 3, b"odd").unwrap();
        device.drop_cache().unwrap();
        let mut back = AlignedBuffer::zeroed(1 << 20);
        device.read_at(1 << 20, &mut back).unwrap();
        assert_eq!(&back[..6], [0, 1, 2, b'o', b'd', b'd']);
        assert_eq!(back[6..], pattern[6..]);

        device.zero_out(1 << 20, 65536).unwrap();
        device.read_at(1 << 20, &mut back).unwrap();
        assert!(back[..65536].iter().all(|&byte| byte == 0));
        assert_eq!(back[65536..], pattern[65536..]);
        device.write_zeroes(1 << 20, 1 << 20).unwrap();
        device.drop_cache().unwrap();
        device.read_at(1 << 20, &mut back).unwrap();
        assert!(back.iter().all(|&byte| byte == 0));

        let error = device.write_at(device.size() - 2, b"abc").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        let mut cursor = device.cursor();
        cursor.seek(SeekFrom::End(-4)).unwrap();
        cursor.write_all(b"last").unwrap();
        cursor.seek(SeekFrom::Current(-4)).unwrap();
        let mut text = String::new();
        cursor.read_to_string(&mut text).unwrap();
        assert_eq!(text, "last");
    }

    #[test]
    fn a_plain_file_stands_in_for_a_device_and_never_grows() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4 << 20).unwrap();
        let device = BlockDevice::open(file.path(), Access::Exclusive).unwrap();
        assert_eq!((device.size(), device.logical_sector(), device.is_block()), (4 << 20, 512, false));
        exercise(&device);
        device.discard(0, 4 << 20).unwrap();
        device.reread_partitions().unwrap();
        assert_eq!(file.as_file().metadata().unwrap().len(), 4 << 20);
    }

    #[test]
    fn loop_devices_of_both_sector_sizes_are_written_past_the_cache_and_held_alone() {
        for sector in [512, 4096] {
            let Some(disk) = LoopDevice::new(8 << 20, sector) else { return };
            let device = BlockDevice::open(disk.path(), Access::Exclusive).unwrap();
            assert_eq!((device.size(), device.logical_sector(), device.is_block()), (8 << 20, sector, true));
            assert!(device.direct.is_some());
            exercise(&device);
            device.discard(1 << 20, 1 << 20).unwrap();
            let (mut back, ones) = (AlignedBuffer::zeroed(4096), vec![0xff; 4096]);
            device.write_at(2 << 20, &ones).unwrap();
            device.unmap_to_zeroes(2 << 20, 4096).unwrap();
            device.read_at(2 << 20, &mut back).unwrap();
            assert!(back.iter().all(|&byte| byte == 0));
            let second = BlockDevice::open(disk.path(), Access::Exclusive).unwrap_err();
            assert_eq!(second.raw_os_error(), Some(nix::libc::EBUSY));
            BlockDevice::open(disk.path(), Access::Read).unwrap();
        }
    }

    #[test]
    fn a_window_is_a_device_that_ends_at_its_borders() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7; 8 << 20]).unwrap();
        let device = BlockDevice::open(file.path(), Access::Exclusive).unwrap();
        let window = device.window(2 << 20, 4 << 20).unwrap();
        assert_eq!(window.size(), 4 << 20);
        exercise(&window);
        window.discard(0, 1 << 20).unwrap();
        assert!(window.read_at((4 << 20) - 1, &mut [0; 2]).is_err());
        assert!(device.window(6 << 20, 3 << 20).is_err());
        drop((device, window));
        let bytes = std::fs::read(file.path()).unwrap();
        assert!(bytes[..2 << 20].iter().chain(&bytes[6 << 20..]).all(|byte| *byte == 7));
    }

    #[test]
    fn what_is_no_device_is_refused() {
        let error = BlockDevice::open("/dev/null".as_ref(), Access::Read).unwrap_err();
        assert!(error.to_string().contains("neither a block device nor a regular file"), "{error}");
        assert!(BlockDevice::open("/tmp".as_ref(), Access::Read).is_err());
    }
}
