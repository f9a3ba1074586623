//! Memory at page boundaries: what `O_DIRECT` wants; and a pool of such buffers, so that a stream of gibibytes is not a
//! stream of fresh pages from the kernel.

use bytes::Bytes;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Alignment of every buffer, bytes. No disk has larger sectors that matter to direct I/O.
const PAGE: usize = 4096;

#[repr(C, align(4096))]
#[derive(Clone)]
struct Page([u8; PAGE]);

/// Zero-filled memory whose start and length are multiples of 4096.
pub struct AlignedBuffer(Vec<Page>);

impl AlignedBuffer {
    /// At least `bytes` zeroes, rounded up to whole pages.
    pub fn zeroed(bytes: usize) -> Self {
        Self(vec![Page([0; PAGE]); bytes.div_ceil(PAGE)])
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `Page` is `repr(C)` around bytes without padding, so the vector is `len * PAGE` initialised bytes.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * PAGE) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` makes it ours alone.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * PAGE) }
    }
}

/// Buffers of one size that come back when the last reader lets go. Cheap to clone.
#[derive(Clone)]
pub struct BufferPool {
    free: Arc<Mutex<Vec<AlignedBuffer>>>,
    size: usize,
    keep: usize,
}

impl BufferPool {
    /// Of buffers of `size` bytes; at most `keep` of them wait unused. How many are lent at a time is the borrowers' business.
    pub fn new(size: usize, keep: usize) -> Self {
        Self { free: Arc::default(), size, keep }
    }

    /// A buffer with whatever was in it before.
    pub fn take(&self) -> PooledBuffer {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        PooledBuffer { memory: Some(free.unwrap_or_else(|| AlignedBuffer::zeroed(self.size))), pool: self.clone() }
    }
}

/// A lent buffer.
pub struct PooledBuffer {
    memory: Option<AlignedBuffer>,
    pool: BufferPool,
}

impl PooledBuffer {
    /// The first `length` bytes for any number of readers; the memory goes back to the pool when the last is done.
    pub fn freeze(self, length: usize) -> Bytes {
        Bytes::from_owner(self).slice(..length)
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        self.memory.as_deref().unwrap_or_default()
    }
}

impl AsMut<[u8]> for PooledBuffer {
    fn as_mut(&mut self) -> &mut [u8] {
        self.memory.as_deref_mut().unwrap_or_default()
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.pool.keep {
            free.extend(self.memory.take());
        }
    }
}

/// May this transfer go past the page cache?
pub(super) fn is_aligned(offset: u64, data: *const u8, length: usize, sector: usize) -> bool {
    length > 0
        && offset.is_multiple_of(sector as u64)
        && length.is_multiple_of(sector)
        && data.addr().is_multiple_of(PAGE)
}

#[cfg(test)]
mod tests {
    use super::BufferPool;

    #[test]
    fn memory_comes_back_when_the_last_reader_is_done() {
        let pool = BufferPool::new(8192, 1);
        let mut buffer = pool.take();
        buffer.as_mut()[..5].copy_from_slice(b"hello");
        let place = buffer.as_ref().as_ptr();
        let bytes = buffer.freeze(5);
        let part = bytes.slice(1..3);
        drop(bytes);
        assert_ne!(pool.take().as_ref().as_ptr(), place, "somebody still reads it");
        assert_eq!(&part[..], b"el");
        let other = pool.take();
        drop(part);
        drop(other);
        assert_eq!(pool.free.lock().unwrap().len(), 1, "no more than asked for are kept");
        assert_eq!(place.addr() % 4096, 0);
    }
}
