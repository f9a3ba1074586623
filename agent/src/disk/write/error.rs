//! Why a disk could not be written, and what to do.

use std::io;
use std::path::PathBuf;

/// Why a disk could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Known before anything was touched if the size was known, else as soon as it showed.
    #[error("the image needs {need} bytes and {} has only {have}. Use a smaller image or a larger disk", .disk.display())]
    TooLarge {
        /// Which disk.
        disk: PathBuf,
        /// Bytes of the image, at least.
        need: u64,
        /// Bytes of the disk.
        have: u64,
    },
    /// It cannot be had for writing.
    #[error("cannot open {} for writing: {cause}. Is it mounted, in a RAID or otherwise in use?", .disk.display())]
    Open {
        /// Which disk.
        disk: PathBuf,
        /// From the kernel.
        cause: io::Error,
    },
    /// The disk refuses writes.
    #[error("{} is read-only", .0.display())]
    ReadOnly(PathBuf),
    /// A write failed.
    #[error("writing {} at byte {at}: {cause}. The disk may be failing", .disk.display())]
    Io {
        /// Which disk.
        disk: PathBuf,
        /// Where.
        at: u64,
        /// From the kernel.
        cause: io::Error,
    },
    /// No thread, or it died.
    #[error("the thread that writes {} ended unexpectedly", .0.display())]
    Thread(PathBuf),
}
