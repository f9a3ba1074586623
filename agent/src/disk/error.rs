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

    /// The device's own firmware failed.
    pub fn firmware(device: &Path, error: &FirmwareError) -> Self {
        Self::Erase(format!("{}: {error}", device.display()))
    }
}

/// How a disk's own firmware failed an order.
#[derive(Debug, thiserror::Error)]
pub enum FirmwareError {
    /// It did not get through, or did not end in time.
    #[error("{doing}: {source}")]
    Io {
        /// Name of the order, as in the standard.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The device does not know the order.
    #[error("{doing}: the device does not know this order")]
    Unknown {
        /// See above.
        doing: &'static str,
    },
    /// The device said no, or failed.
    #[error("{doing}: the device says {why}")]
    Refused {
        /// See above.
        doing: &'static str,
        /// In the standard's words.
        why: String,
    },
    /// The answer cannot be one.
    #[error("{doing}: the answer makes no sense: {why}")]
    Garbage {
        /// See above.
        doing: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The device's state stands against it; the text says what to do.
    #[error("{0}")]
    State(String),
}

impl FirmwareError {
    /// For `map_err`.
    pub fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }

    /// An answer that cannot be one.
    pub fn garbage(doing: &'static str, why: &'static str) -> Self {
        Self::Garbage { doing, why }
    }
}
