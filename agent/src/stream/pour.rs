//! The stack: download, digest, decompression, format, and out comes a disk, piece by piece with its place.
//!
//! [`pour`] returns well only when everything was delivered *and* the digest of the download was right. Until then a
//! [`Sink`] must keep the disk from being bootable.

mod job;

pub use job::{Job, Poured, Sink};

use super::checksum::{ChecksumError, Choice, Expected, MAX_FILE, from_file};
use super::decompress::{Compression, fill};
use super::error::{FetchError, StreamError};
use super::fetch::{Download, PIECE, SPARE};
use super::format::{END, FormatError, HEAD, Policy, Way, decide, detect, detect_end};
use super::hashed::{Hashed, unwrap_error};
use super::metered::Metered;
use super::oci;
use super::qcow2::Qcow2Error;
use super::qcow2::flow::Flow;
use super::qcow2::header::Header;
use super::qcow2::load::{TableSource, load};
use super::qcow2::map::Map;
use super::qcow2::pass::Pass;
use super::range::RangeReader;
use super::request::Request;
use super::spool::Spool;
use super::ticker::Ticker;
use crate::sys::aligned::BufferPool;
use crate::sys::progress::Progress;
use bytes::Bytes;
use std::cell::Cell;

/// Zeroes are asked for in portions of this size, so that progress shows and a stop is noticed.
const ZERO_STEP: u64 = 256 << 20;

/// Downloads, verifies and delivers an image. Blocks; must not run on a thread that drives an async runtime.
///
/// # Errors
/// See [`StreamError`].
pub fn pour(job: &Job, sink: &mut dyn Sink, progress: &Progress) -> Result<Poured, StreamError> {
    let job = &Job { rules: job.rules.begun(), ..job.clone() };
    let known = expected(job, progress)?;
    let mut turn = 0;
    loop {
        match from_one(job, job.request.rotated(turn), known.as_ref(), sink, progress) {
            // A mirror with bad bytes is no reason to give up while there are others.
            Err(error) if turn + 1 < turns(&error, job) => {
                tracing::warn!(%error, urls = job.request.urls.len(), "trying the next image URL, or the only one once more");
                turn += 1;
            }
            result => return result,
        }
    }
}

/// How many sources are tried in all after this error. Servers are tried in turn by the download itself, registries are not.
fn turns(error: &StreamError, job: &Job) -> usize {
    let urls = &job.request.urls;
    match error {
        // The bytes of the only source may have been bad on their way: it is asked a second time.
        StreamError::Checksum(ChecksumError::Mismatch { .. }) if job.rules.retries > 0 => urls.len().max(2),
        StreamError::Checksum(ChecksumError::Mismatch { .. }) | StreamError::Oci(_) => urls.len(),
        StreamError::Fetch(FetchError::OutOfTime { .. }) => 1,
        StreamError::Fetch(_) if urls.iter().any(|url| url.scheme() == "oci") => urls.len(),
        _ => 1,
    }
}

/// From the first of the URLs; plain ones are tried together.
fn from_one(
    job: &Job,
    mut request: Request,
    known: Option<&Expected>,
    sink: &mut dyn Sink,
    progress: &Progress,
) -> Result<Poured, StreamError> {
    let registry = request.urls.first().filter(|url| url.scheme() == "oci").cloned();
    request.urls.retain(|url| url.scheme() != "oci");
    let expected = match registry {
        None => known.cloned().ok_or_else(|| ChecksumError::Unusable("there is none".into()))?,
        Some(url) => {
            let blob = oci::resolve(&url, &request, &job.rules, progress)?;
            request = blob.request;
            // What the operator gave counts; the manifest's digest is what the registry says of itself.
            known.cloned().unwrap_or(blob.digest)
        }
    };
    once(job, request, &expected, sink, progress)
}

/// None: a manifest will tell.
fn expected(job: &Job, progress: &Progress) -> Result<Option<Expected>, StreamError> {
    let (url, kind) = match &job.checksum {
        Choice::Known(expected) => return Ok(Some(expected.clone())),
        Choice::Manifest => return Ok(None),
        Choice::File { url, kind } => (url, *kind),
    };
    let request = Request { urls: vec![url.clone()], ..job.request.clone() };
    let text = Download::small(request, job.rules.clone(), MAX_FILE, progress)?;
    let first = job.request.urls.first();
    let name = first.and_then(|url| url.path_segments()).and_then(|mut parts| parts.next_back()).unwrap_or_default();
    Ok(Some(from_file(&text, url, name, kind, job.md5)?))
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
    let download = Download::start(request.clone(), job.rules.clone(), job.limit(), progress)?;
    let mut source = Hashed::start(download, expected.clone())?;
    let mut poured =
        Poured { size: 0, downloaded: 0, qcow2: false, compression: None, spooled: 0, digest: expected.clone() };
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
        self.copy(&mut || source.next_piece(), &mut |piece| ticker.advance(piece), poured)?;
        source.verify()
    }

    /// Byte for byte.
    fn copy(&mut self, next: &mut Next<'_>, tick: &mut Tick<'_>, poured: &mut Poured) -> Result<(), StreamError> {
        let mut end = Vec::new();
        while let Some(piece) = next()? {
            let length = piece.len();
            end.extend_from_slice(&piece[length.saturating_sub(END)..]);
            end.drain(..end.len().saturating_sub(END));
            self.sink.piece(poured.size, piece).map_err(StreamError::Sink)?;
            poured.size += length as u64;
            tick(length as u64)?;
        }
        // Nothing was made bootable yet.
        if self.job.inspect { Ok(detect_end(&end)?) } else { Ok(()) }
    }

    fn compressed(&mut self, kind: Compression, source: &mut Hashed, poured: &mut Poured) -> Result<(), StreamError> {
        let damaged = |error| unwrap_error(error, |cause| StreamError::Compressed { kind: kind.name(), cause });
        let total = source.facts.total.unwrap_or(0);
        let read = Cell::new(0);
        let pool = BufferPool::new(PIECE, SPARE);
        let map = {
            let mut reader = kind.open(Metered { inner: &mut *source, read: &read }).map_err(damaged)?;
            let mut unpack = || {
                let mut piece = pool.take();
                let got = fill(&mut reader, piece.as_mut()).map_err(damaged)?;
                Ok((got > 0).then(|| piece.freeze(got)))
            };
            let first: Bytes = unpack()?.unwrap_or_default();
            let head = first.slice(..first.len().min(HEAD));
            let way = self.way(&head)?;
            let mut first = Some(first);
            let mut next = || match first.take() {
                Some(first) => Ok(Some(first)),
                None => unpack(),
            };
            let mut ticker = Ticker::new(self.progress, "writing the image", total);
            let mut before = 0;
            // How much will come out nobody knows: what goes in is counted.
            let mut tick = |_| {
                let now = read.get();
                ticker.advance(now - std::mem::replace(&mut before, now))
            };
            match way {
                Way::Copy => {
                    self.begin(None)?;
                    self.copy(&mut next, &mut tick, poured)?;
                    None
                }
                Way::Qcow2 => Some(self.flow(&head, &mut next, &mut tick, poured)?),
            }
        };
        source.verify()?;
        map.map_or(Ok(()), |map| self.zeroes(&map))
    }

    fn qcow2(&mut self, head: &[u8], source: &mut Hashed, poured: &mut Poured) -> Result<(), StreamError> {
        let header = Header::parse(head)?;
        let map = match self.tables(&header, source) {
            Ok(map) => {
                (poured.qcow2, poured.size) = (true, header.virtual_size);
                self.begin(Some(header.virtual_size))?;
                let mut ticker = Ticker::new(self.progress, "writing the qcow2 image", source.facts.total.unwrap_or(0));
                let mut pass = Pass::new(&header, &map);
                while let Some(piece) = source.next_piece()? {
                    pass.feed(&piece, &mut give(self.sink, &piece))?;
                    ticker.advance(piece.len() as u64)?;
                }
                pass.finish(&mut give(self.sink, &Bytes::new()))?;
                map
            }
            Err(StreamError::Fetch(FetchError::NoRanges { url })) => {
                tracing::info!(url, "no HTTP ranges: the mapping tables of the qcow2 image are read as they come by");
                let mut ticker = Ticker::new(self.progress, "writing the qcow2 image", source.facts.total.unwrap_or(0));
                self.flow(head, &mut || source.next_piece(), &mut |bytes| ticker.advance(bytes), poured)?
            }
            Err(error) => return Err(error),
        };
        source.verify()?;
        self.zeroes(&map)
    }

    /// A qcow2 image out of a stream that is seen once.
    fn flow(
        &mut self,
        head: &[u8],
        next: &mut Next<'_>,
        tick: &mut Tick<'_>,
        poured: &mut Poured,
    ) -> Result<Map, StreamError> {
        let header = Header::parse(head)?;
        (poured.qcow2, poured.size) = (true, header.virtual_size);
        self.begin(Some(header.virtual_size))?;
        let mut flow = Flow::new(header, Spool::new(&self.job.spool_dir));
        let mut seen = 0;
        while let Some(piece) = next()? {
            seen += piece.len() as u64;
            // A decompressor can go on for ever.
            if seen > self.job.limit() {
                return Err(Qcow2Error::Invalid(format!("it is larger than {} bytes", self.job.limit())).into());
            }
            flow.feed(&piece, &mut give(self.sink, &piece))?;
            tick(piece.len() as u64)?;
        }
        let (map, kept) = flow.finish(&mut give(self.sink, &Bytes::new()))?;
        poured.spooled = kept;
        Ok(map)
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

    fn zeroes(&mut self, map: &Map) -> Result<(), StreamError> {
        let total = map.zeroes.iter().map(|run| run.1).sum();
        let mut ticker = Ticker::new(self.progress, "zeroing what is empty in the image", total);
        for &(start, length) in &map.zeroes {
            let mut done = 0;
            while done < length {
                let part = ZERO_STEP.min(length - done);
                self.sink.zero(start + done, part).map_err(StreamError::Sink)?;
                ticker.advance(part)?;
                done += part;
            }
        }
        Ok(())
    }
}

/// The next piece of a stream; None at its end.
type Next<'a> = dyn FnMut() -> Result<Option<Bytes>, StreamError> + 'a;
/// So many bytes were dealt with.
type Tick<'a> = dyn FnMut(u64) -> Result<(), StreamError> + 'a;

/// To the sink: what lies in `piece` as a part of it, for the sink to keep; what was unpacked or read back as bytes to copy.
fn give<'a>(sink: &'a mut dyn Sink, piece: &'a Bytes) -> impl FnMut(u64, &[u8]) -> Result<(), StreamError> + 'a {
    |offset, bytes| {
        let given = match piece.as_ptr_range().contains(&bytes.as_ptr()) {
            true => sink.piece(offset, piece.slice_ref(bytes)),
            false => sink.data(offset, bytes),
        };
        given.map_err(StreamError::Sink)
    }
}

impl TableSource for RangeReader {
    fn read(&mut self, offset: u64, length: usize) -> Result<Bytes, StreamError> {
        RangeReader::read(self, offset, length)
    }
}

#[cfg(test)]
pub(in crate::stream) mod tests;
