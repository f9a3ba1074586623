//! Digests of streams and files, by the names images are described with.

use common::image_ref::DigestKind;
use sha2::Digest as _;
use std::fs::File;
use std::io::{self, Read};
use std::time::Instant;

/// A running digest.
pub enum Hasher {
    /// MD5.
    Md5(md5::Md5),
    /// SHA-1.
    Sha1(sha1::Sha1),
    /// SHA-256.
    Sha256(sha2::Sha256),
    /// SHA-384.
    Sha384(sha2::Sha384),
    /// SHA-512.
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// Starts one.
    pub fn new(kind: DigestKind) -> Self {
        match kind {
            DigestKind::Md5 => Self::Md5(md5::Md5::new()),
            DigestKind::Sha1 => Self::Sha1(sha1::Sha1::new()),
            DigestKind::Sha256 => Self::Sha256(sha2::Sha256::new()),
            DigestKind::Sha384 => Self::Sha384(sha2::Sha384::new()),
            DigestKind::Sha512 => Self::Sha512(sha2::Sha512::new()),
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha384(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Lower-case hex.
    pub fn finish(self) -> String {
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

/// The digest of a whole file. Blocks; fails when `deadline` passes.
pub fn of_file(mut file: &File, kind: DigestKind, deadline: Instant) -> io::Result<String> {
    let mut hasher = Hasher::new(kind);
    let mut piece = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&piece[..count]);
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "hashing takes longer than allowed"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        for (kind, expected) in [
            (DigestKind::Md5, "900150983cd24fb0d6963f7d28e17f72"),
            (DigestKind::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (DigestKind::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ] {
            let mut hasher = Hasher::new(kind);
            hasher.update(b"a");
            hasher.update(b"bc");
            assert_eq!(hasher.finish(), expected);
        }
        for kind in [DigestKind::Sha384, DigestKind::Sha512] {
            assert_eq!(Hasher::new(kind).finish().len(), kind.hex_len());
        }
    }
}
