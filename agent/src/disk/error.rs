//! What can go wrong with disks. `step` gives each kind its name on the wire.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of the disk room; the text says what happened and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// No disk to work on.
    #[error("{0}")]
    NotFound(String),
    /// The safety gate is closed.
    #[error("{0}")]
    Refused(String),
    /// A shared file system lives there (texts of the reference, which operators know).
    #[error(
        "Protected {what} located on device {}. This volume or contents may be a shared block device. Please consult your storage administrator, and restart cleaning after either detaching the volumes, or switching the protection off (kernel parameter ipa-guard-special-filesystems=False, or driver_info wipe_special_filesystems = true).", device.display()
    )]
    Protected {
        /// What was found.
        what: String,
        /// Where.
        device: PathBuf,
    },
    /// An erase failed, or its result could not be verified.
    #[error("{0}")]
    Erase(String),
    /// What the node record or the command asks for makes no sense.
    #[error("{0}")]
    Request(String),
    /// The boot entry could not be made.
    #[error("{0}")]
    Boot(String),
    /// Software RAID: a wish that cannot be fulfilled, or mdadm said no.
    #[error("{0}")]
    Raid(String),
    /// A device failed.
    #[error("{doing} {}: {source}", device.display())]
    Io {
        /// `reading`, `opening`, ...
        doing: &'static str,
        /// Where.
        device: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DiskError {
    /// For `map_err`: `reading /dev/sda: ...`.
    pub fn io(doing: &'static str, device: &Path) -> impl FnOnce(io::Error) -> Self {
        let device = device.to_path_buf();
        move |source| Self::Io { doing, device, source }
    }
}
