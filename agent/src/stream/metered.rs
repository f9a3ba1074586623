//! Counts what a decoder takes out of a stream.

use super::hashed::Hashed;
use std::cell::Cell;
use std::io::{BufRead, Read};

/// Counts what a decoder takes, for the progress: how much will come out nobody knows.
pub(super) struct Metered<'a> {
    /// What is read.
    pub inner: &'a mut Hashed,
    /// Bytes so far.
    pub read: &'a Cell<u64>,
}

impl Read for Metered<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Metered<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.read.set(self.read.get() + count as u64);
        self.inner.consume(count);
    }
}
