//! Overwriting a whole device, pass by pass, past the page cache.

use super::error::DiskError;
use crate::sys::aligned::AlignedBuffer;
use crate::sys::block::BlockDevice;
use crate::sys::progress::Progress;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// Bytes written at once.
pub const CHUNK: usize = 4 << 20;
/// Bytes the device is told to zero or forget at once: long enough to be fast, short enough to show progress.
const RANGE: u64 = 1 << 30;

/// Random bytes that can be made again, to compare what was written: a secret seed and the chunk's number.
#[derive(Clone)]
pub struct Pattern([u8; 32]);

impl std::fmt::Debug for Pattern {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Pattern(..)")
    }
}

impl Pattern {
    /// A new seed.
    pub fn new() -> Self {
        Self(rand::rng().random())
    }

    /// The bytes of chunk number `chunk`, each [`CHUNK`] long.
    pub fn fill(&self, chunk: u64, data: &mut [u8]) {
        let mut seed = self.0;
        seed.iter_mut().zip(chunk.to_le_bytes()).for_each(|(seed, byte)| *seed ^= byte);
        StdRng::from_seed(seed).fill_bytes(data);
    }

    /// Position of the first byte in `data`, read at `offset`, that was not written by this pattern.
    pub fn difference(&self, offset: u64, data: &[u8]) -> Option<usize> {
        let mut expected = vec![0; CHUNK];
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            self.fill(at / CHUNK as u64, &mut expected);
            let expected = &expected[usize::try_from(at % CHUNK as u64).unwrap_or(0)..];
            let part = &data[done..data.len().min(done + expected.len())];
            if let Some(wrong) = part.iter().zip(expected).position(|(found, wanted)| found != wanted) {
                return Some(done + wrong);
            }
            done += part.len();
        }
        None
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes the whole device once, with random bytes or with zeroes, and waits until they are on it.
///
/// # Errors
/// A failed write, or the order to stop.
pub fn pass(device: &BlockDevice, pattern: Option<&Pattern>, progress: &Progress) -> Result<(), DiskError> {
    let mut buffer = AlignedBuffer::zeroed(CHUNK);
    let mut offset = 0;
    while offset < device.size() {
        go_on(device, progress)?;
        let length = (device.size() - offset).min(CHUNK as u64);
        let data = &mut buffer[..usize::try_from(length).unwrap_or(CHUNK)];
        if let Some(pattern) = pattern {
            pattern.fill(offset / CHUNK as u64, data);
        }
        device.write_at(offset, data).map_err(DiskError::io("overwriting", device.path()))?;
        progress.advance(length);
        offset += length;
    }
    device.sync().map_err(DiskError::io("flushing", device.path()))
}

/// Tells the device to forget everything, as far as it can: what follows decides what is read afterwards.
pub fn discard(device: &BlockDevice) {
    for (offset, length) in ranges(device.size()) {
        if let Err(error) = device.discard(offset, length) {
            tracing::info!(device = %device.path().display(), %error, "discard is not to be had; going on without");
            return;
        }
    }
}

/// Tells the device to forget everything, by its secure order if it has that. Nothing is promised: whoever calls reads back.
///
/// # Errors
/// A device that refuses, or the order to stop.
pub fn discard_all(device: &BlockDevice, progress: &Progress) -> Result<(), DiskError> {
    let mut secure = true;
    for (offset, length) in ranges(device.size()) {
        go_on(device, progress)?;
        // A device that has no such order says so at the first range.
        secure = secure && device.discard_securely(offset, length).is_ok();
        if !secure {
            device.discard(offset, length).map_err(DiskError::io("discarding", device.path()))?;
        }
        progress.advance(length);
    }
    tracing::info!(device = %device.path().display(), secure, "everything is discarded");
    device.sync().map_err(DiskError::io("flushing", device.path()))
}

/// Has the device write zeroes by its own order. BLKZEROOUT promises zeroes afterwards, which BLKDISCARD does not.
///
/// # Errors
/// A device that cannot: overwrite it instead.
pub fn zero_out(device: &BlockDevice, progress: &Progress) -> Result<(), DiskError> {
    for (offset, length) in ranges(device.size()) {
        go_on(device, progress)?;
        device.zero_out(offset, length).map_err(DiskError::io("zeroing", device.path()))?;
        progress.advance(length);
    }
    device.sync().map_err(DiskError::io("flushing", device.path()))
}

fn ranges(size: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..size.div_ceil(RANGE)).map(move |at| (at * RANGE, RANGE.min(size - at * RANGE)))
}

fn go_on(device: &BlockDevice, progress: &Progress) -> Result<(), DiskError> {
    if progress.is_cancelled() {
        return Err(DiskError::Erase(format!("the erase of {} was stopped before its end", device.path().display())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, Pattern, pass};
    use crate::sys::block::{Access, BlockDevice};
    use crate::sys::progress::Progress;

    #[test]
    fn a_random_pass_covers_every_byte_and_can_be_made_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(CHUNK as u64 * 2 + 4096 + 512).unwrap();
        let device = BlockDevice::open(file.path(), Access::Exclusive).unwrap();
        let (pattern, progress) = (Pattern::new(), Progress::default());
        pass(&device, Some(&pattern), &progress).unwrap();
        assert_eq!(progress.done(), device.size());
        let mut data = vec![0; CHUNK + 4000];
        device.read_at(CHUNK as u64 - 100, &mut data).unwrap();
        assert_eq!(pattern.difference(CHUNK as u64 - 100, &data), None);
        data[CHUNK + 7] ^= 1;
        assert_eq!(pattern.difference(CHUNK as u64 - 100, &data), Some(CHUNK + 7));
        let mut tail = vec![0; 512];
        device.read_at(device.size() - 512, &mut tail).unwrap();
        assert_eq!(pattern.difference(device.size() - 512, &tail), None);
        assert!(Pattern::new().difference(0, &tail).is_some());

        pass(&device, None, &progress).unwrap();
        device.read_at(0, &mut data).unwrap();
        assert!(data.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_stopped_pass_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        let device = BlockDevice::open(file.path(), Access::Exclusive).unwrap();
        let progress = Progress::default();
        progress.cancel();
        assert!(pass(&device, None, &progress).unwrap_err().to_string().contains("stopped"));
    }
}
