//! Digests of several kinds behind one face, by the names images are described with.

use crate::image_ref::DigestKind;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// A running digest.
pub enum Hasher {
    /// 128 bits; broken, for old conductors only.
    Md5(Md5),
    /// 160 bits; broken.
    Sha1(Sha1),
    /// 256 bits.
    Sha256(Sha256),
    /// 384 bits.
    Sha384(Sha384),
    /// 512 bits.
    Sha512(Sha512),
}

impl Hasher {
    /// An empty one.
    pub fn new(kind: DigestKind) -> Self {
        match kind {
            DigestKind::Md5 => Self::Md5(Md5::new()),
            DigestKind::Sha1 => Self::Sha1(Sha1::new()),
            DigestKind::Sha256 => Self::Sha256(Sha256::new()),
            DigestKind::Sha384 => Self::Sha384(Sha384::new()),
            DigestKind::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    /// More bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha384(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// The digest in lower-case hex.
    pub fn hex(self) -> String {
        match self {
            Self::Md5(hasher) => hex(&hasher.finalize()),
            Self::Sha1(hasher) => hex(&hasher.finalize()),
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::Sha384(hasher) => hex(&hasher.finalize()),
            Self::Sha512(hasher) => hex(&hasher.finalize()),
        }
    }
}

/// Lower-case hex of bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::Hasher;
    use crate::image_ref::DigestKind;

    #[test]
    fn known_digests_of_abc() {
        let wanted = [
            (DigestKind::Md5, "900150983cd24fb0d6963f7d28e17f72"),
            (DigestKind::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (DigestKind::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ];
        for (kind, hex) in wanted {
            let mut hasher = Hasher::new(kind);
            hasher.update(b"a");
            hasher.update(b"bc");
            assert_eq!(hasher.hex(), hex);
        }
        for kind in [DigestKind::Sha384, DigestKind::Sha512] {
            assert_eq!(Hasher::new(kind).hex().len(), kind.hex_len());
        }
    }
}
