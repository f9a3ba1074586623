//! Writes a small ISO 9660 volume in memory: plain names for everybody, Rock Ridge and Joliet for the real ones.
//!
//! Made for config drives, so: few files, small files, no boot record, the same bytes for the same input (no clock).
//! Names come from this program; content is copied as it is. `tree` sorts, `record` writes directories, `volume` the rest.

mod record;
mod tree;
mod volume;

use record::{Naming, directory_bytes};
use tree::Tree;

/// Bytes of a sector.
pub(crate) const SECTOR: usize = 2048;

/// Empty sectors at the end. Readers look for other file systems' marks far beyond a small volume, and some take the
/// short read for an error (busybox does); a drive's read-ahead does the same.
const PADDING: u32 = 150;

/// Why no volume can be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsoError {
    /// A path that is not plain.
    #[error("{0:?} is no path for a volume: use letters, digits, `_`, `-`, `.` and `/`, at most 28 characters a name")]
    Path(String),
    /// Two files of one name.
    #[error("{0:?} is in the volume twice, or differs from another name only in case")]
    Twice(String),
    /// Larger than the caller allows.
    #[error("the volume would have {0} bytes; at most {1} are allowed")]
    TooLarge(u64, u64),
    /// The label.
    #[error("the volume label {0:?} must have 1 to 16 letters, digits, `_` or `-`")]
    Label(String),
}

/// A volume with this label and these files, `a/b/c` paths and content.
pub fn build(label: &str, files: &[(&str, &[u8])], limit: u64) -> Result<Vec<u8>, IsoError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if label.is_empty() || label.len() > 16 || !label.chars().all(plain) {
        return Err(IsoError::Label(label.chars().take(40).collect()));
    }
    let content: u64 = files.iter().map(|(_, bytes)| (bytes.len() as u64).next_multiple_of(SECTOR as u64)).sum();
    if content > limit {
        return Err(IsoError::TooLarge(content, limit));
    }
    let mut tree = Tree::of(files)?;
    let sectors = tree.place(volume::FIRST_FREE) + PADDING;
    let total = sectors as u64 * SECTOR as u64;
    if total > limit {
        return Err(IsoError::TooLarge(total, limit));
    }
    let mut image = vec![0; sectors as usize * SECTOR];
    volume::write_head(&mut image, label, &tree, sectors);
    for naming in [Naming::RockRidge, Naming::Joliet] {
        for directory in &tree.directories {
            put(&mut image, directory.extent(naming), &directory_bytes(&tree, directory, naming));
        }
    }
    for file in &tree.files {
        put(&mut image, file.extent, file.content);
    }
    Ok(image)
}

fn put(image: &mut [u8], sector: u32, bytes: &[u8]) {
    let at = sector as usize * SECTOR;
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests;
