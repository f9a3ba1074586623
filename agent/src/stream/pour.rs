//! The stack: download, digest, decompression, format, and out comes a disk, piece by piece with its place.
//!
//! [`pour`] returns well only when everything was delivered *and* the digest of the download was right. Until then a
//! [`Sink`] must keep the disk from being bootable.

use super::checksum::{Choice, Expected, MAX_FILE, from_file};
use super::decompress::{Compression, fill};
use super::error::{FetchError, SinkError, StreamError};
use super::fetch::{Download, PIECE};
use super::format::{FormatError, HEAD, Policy, Way, decide, detect};
use super::hashed::{Hashed, unwrap_error};
use super::qcow2::header::Header;
use super::qcow2::load::{TableSource, load};
use super::qcow2::map::Map;
use super::qcow2::pass::Pass;
use super::range::RangeReader;
use super::request::{DownloadRules, Request};
use super::spool::Spool;
use super::ticker::Ticker;
use crate::sys::progress::Progress;
use bytes::Bytes;
use std::cell::Cell;
use std::io::Read;
use std::path::PathBuf;

/// Zeroes are asked for in portions of this size, so that progress shows and a stop is noticed.
const ZERO_STEP: u64 = 256 << 20;

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
    /// For the temporary copy of a qcow2 image that cannot be read in parts.
    pub spool_dir: PathBuf,
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
    /// A temporary copy was made.
    pub spooled: bool,
    /// The digest that held.
    pub digest: Expected,
}

/// Downloads, verifies and delivers an image. Blocks; must not run on a thread that drives an async runtime.
///
/// # Errors
/// See [`StreamError`].
pub fn pour(job: &Job, sink: &mut dyn Sink, progress: &Progress) -> Result<Poured, StreamError> {
    let expected = expected(job, progress)?;
    let mirrors = job.request.urls.len();
    let mut turn = 0;
    loop {
        match once(job, job.request.rotated(turn), &expected, sink, progress) {
            // A mirror with bad bytes is no reason to give up while there are others.
            Err(StreamError::Checksum(error)) if turn + 1 < mirrors => {
                tracing::warn!(%error, "trying the next image URL");
                turn += 1;
            }
            result => return result,
        }
    }
}

fn expected(job: &Job, progress: &Progress) -> Result<Expected, StreamError> {
    let (url, kind) = match &job.checksum {
        Choice::Known(expected) => return Ok(expected.clone()),
        Choice::File { url, kind } => (url, *kind),
    };
    let request = Request { urls: vec![url.clone()], ..job.request.clone() };
    let text = Download::small(request, job.rules.clone(), MAX_FILE, progress)?;
    let first = job.request.urls.first();
    let name = first.and_then(|url| url.path_segments()).and_then(|mut parts| parts.next_back()).unwrap_or_default();
    Ok(from_file(&text, url, name, kind, job.md5)?)
}

struct Pouring<'a> {
    job: &'a Job,
    request: Request,
    sink: &'a mut dyn Sink,
    progress: &'a Progress,
}

fn once(
    job: &Job,
    request: Request,
    expected: &Expected,
    sink: &mut dyn Sink,
    progress: &Progress,
) -> Result<Poured, StreamError> {
    progress.say("opening the image");
    // A qcow2 file may be larger than its disk (snapshots, alignment), but not without measure.
    let limit = job.room.saturating_mul(2).saturating_add(1 << 30);
    let download = Download::start(request.clone(), job.rules.clone(), limit, progress)?;
    let mut source = Hashed::start(download, expected.clone())?;
    let mut poured =
        Poured { size: 0, downloaded: 0, qcow2: false, compression: None, spooled: false, digest: expected.clone() };
    let mut pouring = Pouring { job, request, sink, progress };
    poured.compression = Compression::detect(source.peek(HEAD)?);
    match poured.compression {
        None => pouring.plain(&mut source, &mut poured)?,
        Some(kind) => pouring.compressed(kind, &mut source, &mut poured)?,
    }
    poured.downloaded = source.given();
    Ok(poured)
}

impl Pouring<'_> {
    fn way(&self, head: &[u8]) -> Result<Way, FormatError> {
        let found = detect(head)?;
        let policy = Policy {
            declared: self.job.declared.as_deref(),
            permitted: &self.job.permitted,
            inspect: self.job.inspect,
        };
        let way = decide(found, policy)?;
        tracing::info!(?found, declared = self.job.declared.as_deref(), ?way, "image format");
        Ok(way)
    }

    fn begin(&mut self, size: Option<u64>) -> Result<(), StreamError> {
        self.sink.begin(size).map_err(StreamError::Sink)
    }

    fn plain(&mut self, source: &mut Hashed, poured: &mut Poured) -> Result<(), StreamError> {
        let head = Bytes::copy_from_slice(source.peek(HEAD)?);
        if self.way(&head)? == Way::Qcow2 {
            return self.qcow2(&head, source, poured);
        }
        let total = source.facts.total;
        self.begin(total)?;
        let mut ticker = Ticker::new(self.progress, "writing the image", total.unwrap_or(0));
        while let Some(piece) = source.next_piece()? {
            self.sink.data(poured.size, &piece).map_err(StreamError::Sink)?;
            poured.size += piece.len() as u64;
            ticker.advance(piece.len() as u64)?;
        }
        source.verify()
    }

    fn compressed(&mut self, kind: Compression, source: &mut Hashed, poured: &mut Poured) -> Result<(), StreamError> {
        let damaged = |error| unwrap_error(error, |cause| StreamError::Compressed { kind: kind.name(), cause });
        let total = source.facts.total.unwrap_or(0);
        let mut head = vec![0; HEAD];
        let mut spool = None;
        let read = Cell::new(0);
        {
            let mut reader = kind.open(Metered { inner: &mut *source, read: &read }).map_err(damaged)?;
            let got = fill(&mut reader, &mut head).map_err(damaged)?;
            head.truncate(got);
            let way = self.way(&head)?;
            let doing = match way {
                Way::Copy => {
                    self.begin(None)?;
                    "writing the image"
                }
                Way::Qcow2 => {
                    // The header alone may already refuse it; then the disk and the memory are spared.
                    Header::parse(&head)?;
                    spool = Some(Spool::new(&self.job.spool_dir, None)?);
                    "unpacking the qcow2 image to a temporary copy"
                }
            };
            let mut ticker = Ticker::new(self.progress, doing, total);
            let mut piece = head.clone();
            let mut before = 0;
            while !piece.is_empty() {
                match &mut spool {
                    Some(spool) => spool.push(&piece)?,
                    None => self.sink.data(poured.size, &piece).map_err(StreamError::Sink)?,
                }
                poured.size += piece.len() as u64;
                ticker.advance(read.get() - before)?;
                before = read.get();
                piece.resize(PIECE, 0);
                let got = fill(&mut reader, &mut piece).map_err(damaged)?;
                piece.truncate(got);
            }
        }
        source.verify()?;
        match spool {
            None => Ok(()),
            Some(spool) => self.pour_spool(&spool, poured),
        }
    }

    fn qcow2(&mut self, head: &[u8], source: &mut Hashed, poured: &mut Poured) -> Result<(), StreamError> {
        let header = Header::parse(head)?;
        match self.tables(&header, source) {
            Ok(map) => {
                poured.qcow2 = true;
                poured.size = header.virtual_size;
                self.begin(Some(header.virtual_size))?;
                let mut ticker = Ticker::new(self.progress, "writing the qcow2 image", header.virtual_size);
                let mut pass = Pass::new(&header, &map);
                while let Some(piece) = source.next_piece()? {
                    pass.feed(&piece, &mut give(self.sink, &mut ticker))?;
                    ticker.advance(0)?;
                }
                pass.finish(&mut give(self.sink, &mut ticker))?;
                source.verify()?;
                zeroes(&map, self.sink, &mut ticker)
            }
            Err(StreamError::Fetch(FetchError::NoRanges { url })) => {
                tracing::warn!(url, "no HTTP ranges: the qcow2 image is copied to the temporary directory first");
                let total = source.facts.total;
                let mut spool = Spool::new(&self.job.spool_dir, total)?;
                let mut ticker =
                    Ticker::new(self.progress, "copying the qcow2 image to a temporary file", total.unwrap_or(0));
                while let Some(piece) = source.next_piece()? {
                    spool.push(&piece)?;
                    ticker.advance(piece.len() as u64)?;
                }
                source.verify()?;
                self.pour_spool(&spool, poured)
            }
            Err(error) => Err(error),
        }
    }

    /// The mapping tables, by range requests beside the stream.
    fn tables(&self, header: &Header, source: &Hashed) -> Result<Map, StreamError> {
        let facts = &source.facts;
        let no_ranges = || {
            let url = self.request.urls.get(facts.url_index).map(common::url_text::shown).unwrap_or_default();
            StreamError::Fetch(FetchError::NoRanges { url })
        };
        let total = facts.total.ok_or_else(no_ranges)?;
        self.progress.say("reading the mapping tables of the qcow2 image");
        let mut ranges = RangeReader::new(&self.request, &self.job.rules, facts, total)?;
        load(header, total, &mut ranges)
    }

    /// The copy was verified before: here nothing hostile can change any more.
    fn pour_spool(&mut self, spool: &Spool, poured: &mut Poured) -> Result<(), StreamError> {
        let mut head = vec![0; usize::try_from(spool.size()).unwrap_or(HEAD).min(HEAD)];
        spool.read(0, &mut head)?;
        let header = Header::parse(&head)?;
        let map = load(&header, spool.size(), &mut SpoolTables(spool))?;
        (poured.qcow2, poured.spooled, poured.size) = (true, true, header.virtual_size);
        self.begin(Some(header.virtual_size))?;
        let mut ticker = Ticker::new(self.progress, "writing the qcow2 image", header.virtual_size);
        let mut pass = Pass::new(&header, &map);
        let mut piece = vec![0; PIECE];
        let mut at = 0;
        while at < spool.size() {
            let part = usize::try_from(spool.size() - at).unwrap_or(PIECE).min(PIECE);
            spool.read(at, &mut piece[..part])?;
            pass.feed(&piece[..part], &mut give(self.sink, &mut ticker))?;
            at += part as u64;
        }
        pass.finish(&mut give(self.sink, &mut ticker))?;
        zeroes(&map, self.sink, &mut ticker)
    }
}

fn give<'a>(
    sink: &'a mut dyn Sink,
    ticker: &'a mut Ticker<'_>,
) -> impl FnMut(u64, &[u8]) -> Result<(), StreamError> + 'a {
    |offset, bytes| {
        sink.data(offset, bytes).map_err(StreamError::Sink)?;
        ticker.advance(bytes.len() as u64)
    }
}

fn zeroes(map: &Map, sink: &mut dyn Sink, ticker: &mut Ticker<'_>) -> Result<(), StreamError> {
    for &(start, length) in &map.zeroes {
        let mut done = 0;
        while done < length {
            let part = ZERO_STEP.min(length - done);
            sink.zero(start + done, part).map_err(StreamError::Sink)?;
            ticker.advance(part)?;
            done += part;
        }
    }
    Ok(())
}

/// Counts what a decoder takes, for the progress: how much will come out nobody knows.
struct Metered<'a> {
    inner: &'a mut Hashed,
    read: &'a Cell<u64>,
}

impl Read for Metered<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(into)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

impl TableSource for RangeReader {
    fn read(&mut self, offset: u64, length: usize) -> Result<Bytes, StreamError> {
        RangeReader::read(self, offset, length)
    }
}

struct SpoolTables<'a>(&'a Spool);

impl TableSource for SpoolTables<'_> {
    fn read(&mut self, offset: u64, length: usize) -> Result<Bytes, StreamError> {
        let mut bytes = vec![0; length];
        self.0.read(offset, &mut bytes)?;
        Ok(bytes.into())
    }
}

#[cfg(test)]
pub(in crate::stream) mod tests;
