//! Why a partition table cannot be used, and what to do.

use std::io;

/// Why a GPT cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GptError {
    /// A header that contradicts itself or its checksums.
    #[error("the partition table of the image is damaged: {0}. Rebuild the image; `sgdisk -v IMAGE` says more")]
    Damaged(&'static str),
    /// Made for a disk with other sectors.
    #[error(
        "the image has a partition table for sectors of {image} bytes, but this disk has sectors of {disk}. \
         Use an image made for {disk}-byte sectors"
    )]
    SectorSize {
        /// Of the table.
        image: u64,
        /// Of the disk.
        disk: u64,
    },
    /// Without a GPT the table does not say for which sectors it was made.
    #[error(
        "a partition of the image reaches beyond the end of this disk. Its table may be made for other sectors than \
         those of {disk} bytes that this disk has, or for a larger disk"
    )]
    Outside {
        /// Bytes of a sector.
        disk: u64,
    },
    /// No place for another partition.
    #[error("no room for another partition: {0}")]
    NoRoom(&'static str),
    /// The disk failed.
    #[error("the partition table cannot be read or written: {0}")]
    Io(#[from] io::Error),
}
