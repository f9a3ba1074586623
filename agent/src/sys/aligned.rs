//! Memory at page boundaries: what `O_DIRECT` wants.

use std::ops::{Deref, DerefMut};

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

/// May this transfer go past the page cache?
pub(super) fn is_aligned(offset: u64, data: *const u8, length: usize, sector: usize) -> bool {
    length > 0
        && offset.is_multiple_of(sector as u64)
        && length.is_multiple_of(sector)
        && data.addr().is_multiple_of(PAGE)
}
