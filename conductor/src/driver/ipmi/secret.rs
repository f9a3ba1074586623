//! Bytes that nobody prints: passwords and keys of a BMC.

use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Secret bytes. `Debug` hides them, memory is wiped on drop, comparison takes the same time for equal lengths.
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for a digest or the wire only.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Filled up with zeros to `length` (IPMI passwords are fixed fields); longer ones are cut.
    pub fn padded(&self, length: usize) -> Secret {
        let mut bytes = self.0.clone();
        bytes.resize(length, 0);
        Secret(bytes)
    }

    /// Nothing set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Constant-time comparison (for equal lengths).
pub fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}
