//! What goes into pouring and what comes out of it: the job, the sink for the disk, the report.

use crate::stream::checksum::{Choice, Expected};
use crate::stream::decompress::Compression;
use crate::stream::error::SinkError;
use crate::stream::request::{DownloadRules, Request};
use bytes::Bytes;
use std::path::PathBuf;

/// Takes the disk that is in an image. Offsets may come in any order, no byte comes twice.
pub trait Sink {
    /// Before the first byte; again if another URL is tried. `size` is None when only the end will tell.
    ///
    /// # Errors
    /// When the image cannot fit; nothing may have been touched then.
    fn begin(&mut self, size: Option<u64>) -> Result<(), SinkError>;
    /// Bytes at their place.
    ///
    /// # Errors
    /// The disk's.
    fn data(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SinkError>;
    /// The same, for a sink that may keep the memory until it is written.
    ///
    /// # Errors
    /// As from [`Sink::data`].
    fn piece(&mut self, offset: u64, bytes: Bytes) -> Result<(), SinkError> {
        self.data(offset, &bytes)
    }
    /// A run that reads as zeroes.
    ///
    /// # Errors
    /// The disk's.
    fn zero(&mut self, offset: u64, length: u64) -> Result<(), SinkError>;
}

/// An image and the rules for it.
#[derive(Clone, Debug)]
pub struct Job {
    /// Where it is.
    pub request: Request,
    /// How it is fetched.
    pub rules: DownloadRules,
    /// Where its digest is.
    pub checksum: Choice,
    /// MD5 is good enough.
    pub md5: bool,
    /// `disk_format`.
    pub declared: Option<String>,
    /// `permitted_image_formats`.
    pub permitted: Vec<String>,
    /// Compare declared and found format.
    pub inspect: bool,
    /// Size of the disk, bytes: nothing larger is downloaded as raw or written.
    pub room: u64,
    /// For what of a qcow2 image comes before its tables, when the file cannot be read in parts.
    pub spool_dir: PathBuf,
}

impl Job {
    /// Largest file that is read. A qcow2 file may be larger than its disk (snapshots, alignment), but not without measure.
    pub(super) fn limit(&self) -> u64 {
        self.room.saturating_mul(2).saturating_add(1 << 30)
    }
}

/// What was poured.
#[derive(Clone, Debug)]
pub struct Poured {
    /// Bytes of the disk in the image.
    pub size: u64,
    /// Bytes downloaded.
    pub downloaded: u64,
    /// The image came as qcow2.
    pub qcow2: bool,
    /// How it was compressed.
    pub compression: Option<Compression>,
    /// Bytes that had to wait in the temporary directory until it was known where they belong.
    pub spooled: u64,
    /// The digest that held.
    pub digest: Expected,
}
