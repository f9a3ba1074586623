//! qcow2 in one pass: `header` says what the image is. From a server with ranges `load` reads its tables into a `map`, and
//! `pass` then takes the file from front to back and knows where each cluster goes. From a stream that is seen only once
//! `flow` learns the map under way, and keeps aside what came before its table.
//!
//! Written from the format's specification (QEMU: docs/interop/qcow2.txt). Everything in a file is hostile: each
//! number is checked before it is used, and nothing is allocated by a number that was not bounded first.

pub mod cluster;
pub mod flow;
pub mod header;
pub mod load;
pub mod map;
pub mod pass;
pub mod table;

/// Why a qcow2 image is refused.
#[derive(Debug, thiserror::Error)]
pub enum Qcow2Error {
    /// Needs something that is not in the image, or is never written.
    #[error("the qcow2 image {0}. Flatten it: `qemu-img convert -O qcow2 IMAGE FLAT.qcow2`, and set its new checksum")]
    Unsupported(String),
    /// Lies about itself.
    #[error("the qcow2 image is damaged or hostile: {0}. Check it with `qemu-img check`")]
    Invalid(String),
    /// Its tables would fill the memory.
    #[error(
        "the qcow2 image needs more memory for its tables than is granted ({0}). \
         Write it anew with `qemu-img convert -O qcow2 IMAGE NEW.qcow2`, or serve it as raw"
    )]
    TooFragmented(String),
    /// Ranged reads and the verified stream disagree.
    #[error(
        "the server sent other mapping tables by range request than in the file itself (at byte {0}): it cannot be \
         trusted, or the image was exchanged meanwhile"
    )]
    TablesDiffer(u64),
    /// A compressed cluster that does not unpack.
    #[error("the compressed cluster at byte {at} of the qcow2 image cannot be unpacked: {reason}")]
    Cluster {
        /// Offset in the file.
        at: u64,
        /// From the decoder.
        reason: String,
    },
}

/// A big-endian number at `at`, if the slice reaches that far.
fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
