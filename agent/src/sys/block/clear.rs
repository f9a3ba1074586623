//! Ranges of a device that are to hold nothing: discarded, or zero.

use super::{BlockDevice, order};
use crate::sys::aligned::AlignedBuffer;
use nix::fcntl::{FallocateFlags, fallocate};
use std::io;
use std::os::fd::AsRawFd;

impl BlockDevice {
    /// Tells the device that a range is no longer needed. What is read there afterwards is up to the device.
    ///
    /// # Errors
    /// `EOPNOTSUPP` and `EINVAL` are common on good disks: go on another way.
    pub fn discard(&self, offset: u64, length: u64) -> io::Result<()> {
        self.fits(offset, length)?;
        if self.is_block {
            // SAFETY: the descriptor is open, the pointer is to two u64 as BLKDISCARD reads.
            unsafe { order::discard(self.file.as_raw_fd(), &[self.base + offset, length])? };
            return Ok(());
        }
        self.punch(offset, length, FallocateFlags::FALLOC_FL_PUNCH_HOLE)
    }

    /// The same with the device's promise that the data cannot be had back, copies that it made included.
    ///
    /// # Errors
    /// `EOPNOTSUPP` from nearly every disk; memory cards have it.
    pub fn discard_securely(&self, offset: u64, length: u64) -> io::Result<()> {
        self.fits(offset, length)?;
        if !self.is_block {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // SAFETY: the descriptor is open, the pointer is to two u64 as BLKSECDISCARD reads.
        unsafe { order::secure_discard(self.file.as_raw_fd(), &[self.base + offset, length])? };
        Ok(())
    }

    /// Makes a range read as zeroes and gives its blocks back, where the device promises both: `fallocate(2)` with
    /// FALLOC_FL_PUNCH_HOLE becomes WRITE ZEROES with unmap (block/fops.c), never a mere discard.
    ///
    /// # Errors
    /// `EOPNOTSUPP` from devices without such a promise: [`BlockDevice::zero_out`] is next.
    pub fn unmap_to_zeroes(&self, offset: u64, length: u64) -> io::Result<()> {
        self.fits(offset, length)?;
        self.punch(offset, length, FallocateFlags::FALLOC_FL_PUNCH_HOLE)
    }

    /// Makes a range read as zeroes, by the device's own order if it has one, else by the kernel writing zeroes.
    ///
    /// # Errors
    /// As from the device; callers fall back to writing.
    pub fn zero_out(&self, offset: u64, length: u64) -> io::Result<()> {
        self.fits(offset, length)?;
        if self.is_block {
            // SAFETY: the descriptor is open, the pointer is to two u64 as BLKZEROOUT reads.
            unsafe { order::zero_out(self.file.as_raw_fd(), &[self.base + offset, length])? };
            return Ok(());
        }
        match self.punch(offset, length, FallocateFlags::FALLOC_FL_ZERO_RANGE) {
            Err(error) if error.raw_os_error() == Some(nix::libc::EOPNOTSUPP) => self.write_zeroes(offset, length),
            other => other,
        }
    }

    /// Makes a range read as zeroes by writing them, 1 MiB at a time.
    ///
    /// # Errors
    /// As from `pwrite(2)`.
    pub fn write_zeroes(&self, offset: u64, length: u64) -> io::Result<()> {
        self.fits(offset, length)?;
        // Fresh memory costs as much as the write: no more of it than is written, and none for nothing.
        let zeroes = AlignedBuffer::zeroed(length.min(1 << 20) as usize);
        let mut done = 0;
        while done < length {
            let part = (length - done).min(zeroes.len() as u64);
            self.write_at(offset + done, &zeroes[..usize::try_from(part).unwrap_or(zeroes.len())])?;
            done += part;
        }
        Ok(())
    }

    fn punch(&self, offset: u64, length: u64, flag: FallocateFlags) -> io::Result<()> {
        let number = |value: u64| i64::try_from(value).map_err(io::Error::other);
        fallocate(
            &self.file,
            flag | FallocateFlags::FALLOC_FL_KEEP_SIZE,
            number(self.base + offset)?,
            number(length)?,
        )?;
        Ok(())
    }
}
