//! The digest of a file that is already here.

use common::digest::Hasher;
use common::image_ref::DigestKind;
use std::fs::File;
use std::io::{self, Read};
use std::time::Instant;

/// The digest of a whole file. Blocks; fails when `deadline` passes.
pub fn of_file(mut file: &File, kind: DigestKind, deadline: Instant) -> io::Result<String> {
    let mut hasher = Hasher::new(kind);
    let mut piece = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok(hasher.hex());
        }
        hasher.update(&piece[..count]);
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "hashing takes longer than allowed"));
        }
    }
}
