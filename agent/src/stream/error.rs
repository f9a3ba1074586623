//! Everything that can go wrong between a URL and a sink, by whose fault it is.

use super::checksum::ChecksumError;
use super::format::FormatError;
use super::oci::OciError;
use super::qcow2::Qcow2Error;

/// What a sink answers when it cannot take the bytes; whoever made the sink knows the type.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Why pouring an image stopped.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The server, the network, or the way to them.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A registry does not lead to an image.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// The bytes are not the promised ones.
    #[error(transparent)]
    Checksum(#[from] ChecksumError),
    /// What the bytes are may not be written.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A qcow2 image that lies about itself.
    #[error(transparent)]
    Qcow2(#[from] Qcow2Error),
    /// The compressed data is damaged or asks for too much memory.
    #[error("the {kind} data is damaged or unusable: {cause}. Compress the image again")]
    Compressed {
        /// gzip, zstd, xz.
        kind: &'static str,
        /// From the decoder.
        cause: std::io::Error,
    },
    /// The temporary copy cannot be kept.
    #[error("cannot keep a temporary copy in {dir}: {cause}")]
    Spool {
        /// Where it was to be.
        dir: std::path::PathBuf,
        /// Which call failed.
        cause: std::io::Error,
    },
    /// The disk side; its own text says all.
    #[error("{0}")]
    Sink(SinkError),
    /// Somebody asked to stop.
    #[error("stopped on request; the disk does not boot")]
    Cancelled,
    /// A thread of ours ended without a word.
    #[error("the {0} thread ended unexpectedly; try again and report this")]
    ThreadEnded(&'static str),
}

/// What went wrong with a download. URLs are shown without user, password and query.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Anything but 200, or 206 where a part was asked for.
    #[error("{url} answered {status}{}", advice(*.status))]
    Status {
        /// Which.
        url: String,
        /// Its answer.
        status: u16,
        /// How it wants to be asked (`WWW-Authenticate`).
        challenge: Option<String>,
    },
    /// No connection, or it broke.
    #[error("{url}: {cause}")]
    Broken {
        /// Which.
        url: String,
        /// The whole chain of causes.
        cause: String,
    },
    /// Silence, or a trickle that is as good as silence.
    #[error("{url} sent next to nothing for {seconds} s")]
    Stalled {
        /// Which.
        url: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The body ended before its announced end.
    #[error("{url} ended after {got} of {want} bytes")]
    Short {
        /// Which.
        url: String,
        /// Bytes that came.
        got: u64,
        /// Bytes announced.
        want: u64,
    },
    /// More than can be right.
    #[error("{url} is larger than the {limit} bytes accepted for it")]
    TooLarge {
        /// Which.
        url: String,
        /// Largest accepted size.
        limit: u64,
    },
    /// A redirect that must not be followed.
    #[error("{url} redirects to `{target}`: {reason}")]
    Redirect {
        /// Which.
        url: String,
        /// Where to, cut short.
        target: String,
        /// Why not.
        reason: &'static str,
    },
    /// Different bytes behind the same name.
    #[error("{url} changed while it was being downloaded; try again when it is left alone")]
    Changed {
        /// Which.
        url: String,
    },
    /// Asked for a part, got the whole or something else.
    #[error("{url} does not serve parts of the file (HTTP ranges)")]
    NoRanges {
        /// Which.
        url: String,
    },
    /// The time for the whole download is over.
    #[error("the download took more than the allowed {seconds} s (ipa-image-download-max-duration)")]
    OutOfTime {
        /// The limit.
        seconds: u64,
    },
    /// The temporary directory cannot hold the image.
    #[error(
        "a temporary copy of the image needs {need} bytes and {dir} has room for {room}: serve the image with HTTP range \
         support, or as raw, so that no copy is needed"
    )]
    NoRoom {
        /// Where.
        dir: std::path::PathBuf,
        /// At least so many.
        need: u64,
        /// Bytes free.
        room: u64,
    },
    /// All attempts failed.
    #[error("gave up after {attempts} attempts; the last: {last}")]
    GaveUp {
        /// How many.
        attempts: u32,
        /// The last failure.
        last: Box<FetchError>,
    },
    /// The client could not be made: bad CA file, bad proxy.
    #[error("{0}")]
    Setup(String),
}

impl FetchError {
    /// Another attempt at the same URL is pointless.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status < 500,
            Self::Broken { .. } | Self::Stalled { .. } | Self::Short { .. } => false,
            _ => true,
        }
    }

    /// No other URL can help either.
    pub(super) fn is_hopeless(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::OutOfTime { .. } | Self::Setup(_) | Self::TooLarge { .. })
    }

    /// It was time that ran out, here or in the last attempt.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::OutOfTime { .. } | Self::Stalled { .. } => true,
            Self::GaveUp { last, .. } => last.is_timeout(),
            _ => false,
        }
    }
}

fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 => ": check the image server's user, password or token",
        404 | 410 => ": check image_source",
        _ => "",
    }
}
