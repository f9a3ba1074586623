//! A download whose bytes are digested, on a thread of their own, exactly as they came.

use super::checksum::{ChecksumError, Expected};
use super::error::StreamError;
use super::fetch::{Download, Facts};
use bytes::Bytes;
use common::digest::Hasher;
use std::io::{BufRead, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

/// Pieces between the digest and its reader.
const WAITING: usize = 2;

/// Bytes of a download, in order, with a digest over all of them.
pub struct Hashed {
    /// From the server's first answer.
    pub facts: Facts,
    pieces: Receiver<Result<Bytes, StreamError>>,
    thread: Option<JoinHandle<(String, u64)>>,
    expected: Expected,
    front: Bytes,
    given: u64,
}

impl Hashed {
    /// Takes a download over.
    ///
    /// # Errors
    /// [`StreamError::ThreadEnded`] if no thread can be started.
    pub fn start(mut download: Download, expected: Expected) -> Result<Self, StreamError> {
        let facts = download.facts.clone();
        let (sender, pieces) = sync_channel(WAITING);
        let mut hasher = Hasher::new(expected.kind);
        let thread = std::thread::Builder::new()
            .name("digest".into())
            .spawn(move || {
                let mut bytes = 0;
                loop {
                    let piece = match download.next_piece() {
                        Ok(Some(piece)) => piece,
                        Ok(None) => break,
                        Err(error) => {
                            let _ = sender.send(Err(error));
                            break;
                        }
                    };
                    bytes += piece.len() as u64;
                    // First on, then digested: the reader works meanwhile.
                    if sender.send(Ok(piece.clone())).is_err() {
                        break;
                    }
                    hasher.update(&piece);
                }
                (hasher.hex(), bytes)
            })
            .map_err(|_| StreamError::ThreadEnded("digest"))?;
        Ok(Self { facts, pieces, thread: Some(thread), expected, front: Bytes::new(), given: 0 })
    }

    /// The next bytes; None at the end.
    ///
    /// # Errors
    /// Those of the download.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, StreamError> {
        let piece = match self.front.is_empty() {
            false => Some(std::mem::take(&mut self.front)),
            true => self.pull()?,
        };
        self.given += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Ok(piece)
    }

    fn pull(&mut self) -> Result<Option<Bytes>, StreamError> {
        self.pieces.recv().ok().transpose()
    }

    /// Bytes handed out so far.
    pub fn given(&self) -> u64 {
        self.given
    }

    /// The next bytes, at least `wanted` of them unless the file ends, without taking them.
    ///
    /// # Errors
    /// Those of the download.
    pub fn peek(&mut self, wanted: usize) -> Result<&[u8], StreamError> {
        while self.front.len() < wanted {
            let Some(piece) = self.pull()? else { break };
            self.front = match self.front.is_empty() {
                true => piece,
                false => [&self.front[..], &piece].concat().into(),
            };
        }
        Ok(&self.front)
    }

    /// Reads what is left, whatever it is, and compares the digest of everything with the expected one.
    ///
    /// # Errors
    /// [`ChecksumError::Mismatch`], or those of the download.
    pub fn verify(&mut self) -> Result<(), StreamError> {
        while self.next_piece()?.is_some() {}
        let thread = self.thread.take().ok_or(StreamError::ThreadEnded("digest"))?;
        let (found, bytes) = thread.join().map_err(|_| StreamError::ThreadEnded("digest"))?;
        if found == self.expected.hex {
            tracing::info!(digest = %found, algorithm = self.expected.kind.name(), bytes, "the image matches its checksum");
            return Ok(());
        }
        Err(ChecksumError::Mismatch { expected: self.expected.clone(), found, bytes }.into())
    }
}

impl Read for Hashed {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Hashed {
    /// For decoders: the pieces as they are. A [`StreamError`] travels inside the `io::Error`; [`unwrap_error`] takes it
    /// out again.
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.front.is_empty() {
            self.front = self.pull().map_err(std::io::Error::other)?.unwrap_or_default();
        }
        Ok(&self.front)
    }

    fn consume(&mut self, count: usize) {
        let _ = self.front.split_to(count);
        self.given += count as u64;
    }
}

/// The [`StreamError`] inside an `io::Error` of a decoder, or what `otherwise` makes of a genuine one.
pub fn unwrap_error(error: std::io::Error, otherwise: impl FnOnce(std::io::Error) -> StreamError) -> StreamError {
    match error.downcast::<StreamError>() {
        Ok(inner) => inner,
        Err(genuine) => otherwise(genuine),
    }
}
