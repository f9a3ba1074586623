//! A device as a stream, for code that wants `Read + Write + Seek`.

use super::BlockDevice;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// A position on a [`BlockDevice`].
#[derive(Debug)]
pub struct BlockCursor<'a> {
    device: &'a BlockDevice,
    position: u64,
}

impl<'a> BlockCursor<'a> {
    pub(super) fn new(device: &'a BlockDevice) -> Self {
        Self { device, position: 0 }
    }

    fn part(&self, wanted: usize) -> usize {
        let left = self.device.size().saturating_sub(self.position);
        usize::try_from(left).map_or(wanted, |left| left.min(wanted))
    }
}

impl Read for BlockCursor<'_> {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        let part = self.part(data.len());
        self.device.read_at(self.position, &mut data[..part])?;
        self.position += part as u64;
        Ok(part)
    }
}

impl Write for BlockCursor<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let part = self.part(data.len());
        self.device.write_at(self.position, &data[..part])?;
        self.position += part as u64;
        Ok(part)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.device.sync()
    }
}

impl Seek for BlockCursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.device.size().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
