//! A download on a thread of its own: resumed after a broken connection, from the next URL if there are several,
//! retried by one bounded policy, handed on in pieces through a bounded channel.

use super::client;
use super::error::{FetchError, StreamError};
use super::get::{self, Opened, Part};
use super::request::{DownloadRules, Request};
use super::retry::Budget;
use crate::sys::aligned::{BufferPool, PooledBuffer};
use crate::sys::progress::Progress;
use bytes::Bytes;
use common::url_text::shown;
use http::HeaderValue;
use reqwest::Client;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

/// Size of the pieces handed on, bytes. Their memory is aligned: a disk can take them as they are.
pub const PIECE: usize = 2 << 20;
/// Pieces that may wait; with [`PIECE`] this bounds the memory.
const WAITING: usize = 3;
/// Pieces that wait to be used again: as many as can be under way from here to the disk.
pub const SPARE: usize = 14;
/// Fewer bytes than this in one read time-out is a stall with a pulse.
const TRICKLE: u64 = 1024;

enum Message {
    Opened(Facts),
    Piece(Bytes),
    End,
    Failed(FetchError),
    Stopped,
}

/// What is known of a download once the first response is there.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Size of the file, if the server said so.
    pub total: Option<u64>,
    /// Which URL of the request answered.
    pub url_index: usize,
    /// Proves, in a later request, that the file is still the same.
    pub validator: Option<HeaderValue>,
}

/// A running download. Dropping it ends the thread.
pub struct Download {
    /// From the first response.
    pub facts: Facts,
    pieces: Receiver<Message>,
    ended: bool,
}

impl Download {
    /// Starts, and returns when the first response is there. More than `limit` bytes are an error.
    ///
    /// Must not be called on a thread that drives an async runtime.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub fn start(request: Request, rules: DownloadRules, limit: u64, progress: &Progress) -> Result<Self, StreamError> {
        let (sender, mut pieces) = channel(WAITING);
        let progress = progress.clone();
        std::thread::Builder::new()
            .name("fetch".into())
            .spawn(move || run(&request, &rules, limit, &progress, &sender))
            .map_err(|_| StreamError::ThreadEnded("fetch"))?;
        match pieces.blocking_recv() {
            Some(Message::Opened(facts)) => Ok(Self { facts, pieces, ended: false }),
            Some(Message::Failed(error)) => Err(error.into()),
            Some(Message::Stopped) => Err(StreamError::Cancelled),
            _ => Err(StreamError::ThreadEnded("fetch")),
        }
    }

    /// The next bytes, in order; None at the end.
    ///
    /// # Errors
    /// See [`FetchError`]; after an error there is nothing more.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, StreamError> {
        if self.ended {
            return Ok(None);
        }
        match self.pieces.blocking_recv() {
            Some(Message::Piece(bytes)) => Ok(Some(bytes)),
            Some(Message::End) => {
                self.ended = true;
                Ok(None)
            }
            Some(Message::Failed(error)) => Err(error.into()),
            Some(Message::Stopped) => Err(StreamError::Cancelled),
            Some(Message::Opened(_)) | None => Err(StreamError::ThreadEnded("fetch")),
        }
    }

    /// The whole of a small file.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub fn small(
        request: Request,
        rules: DownloadRules,
        limit: u64,
        progress: &Progress,
    ) -> Result<Vec<u8>, StreamError> {
        let mut download = Self::start(request, rules, limit, progress)?;
        let mut body = Vec::new();
        while let Some(piece) = download.next_piece()? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

fn run(request: &Request, rules: &DownloadRules, limit: u64, progress: &Progress, sender: &Sender<Message>) {
    let work = async {
        let client = client::build(rules, request)?;
        let mut budget = Budget::new(rules);
        let deadline = budget.deadline();
        let mut session = Session {
            client,
            request,
            rules,
            limit,
            sender,
            offset: 0,
            facts: None,
            pool: BufferPool::new(PIECE, SPARE),
            waiting: None,
            filled: 0,
            dead: vec![false; request.urls.len()],
        };
        let whole = session.run(&mut budget);
        match deadline {
            None => whole.await,
            Some(deadline) => match timeout(deadline.saturating_duration_since(Instant::now()), whole).await {
                Ok(result) => result,
                Err(_) => Err(budget.out_of_time()),
            },
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => {
            let _ =
                sender.blocking_send(Message::Failed(FetchError::Setup(format!("cannot start a runtime: {cause}"))));
            return;
        }
    };
    runtime.block_on(async {
        let last = tokio::select! {
            () = sender.closed() => return,
            () = stopped(progress) => Message::Stopped,
            result = work => match result {
                Ok(()) => Message::End,
                Err(error) => Message::Failed(error),
            },
        };
        let _ = sender.send(last).await;
    });
    // A name lookup that hangs must not hold the thread.
    runtime.shutdown_background();
}

/// A server that says nothing must not keep somebody waiting who asked to stop.
async fn stopped(progress: &Progress) {
    while !progress.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

struct Session<'a> {
    client: Client,
    request: &'a Request,
    rules: &'a DownloadRules,
    limit: u64,
    sender: &'a Sender<Message>,
    /// Bytes taken so far, those in `waiting` included.
    offset: u64,
    facts: Option<Facts>,
    pool: BufferPool,
    waiting: Option<PooledBuffer>,
    filled: usize,
    dead: Vec<bool>,
}

impl Session<'_> {
    async fn run(&mut self, budget: &mut Budget) -> Result<(), FetchError> {
        let mut index = 0;
        loop {
            let before = self.offset;
            let Err(failure) = self.attempt(index).await else {
                self.hand_on().await;
                return Ok(());
            };
            if failure.is_hopeless() {
                return Err(failure);
            }
            let is_final = failure.is_final();
            self.dead[index] = is_final;
            let count = self.dead.len();
            let Some(next) = (1..=count).map(|step| (index + step) % count).find(|&other| !self.dead[other]) else {
                return Err(failure);
            };
            if is_final {
                tracing::warn!(failed = %failure, "this image URL is no use, trying the next");
            } else {
                let pause = budget.spend(failure, self.offset - before)?;
                // Only a whole round without luck is worth waiting for.
                if next <= index {
                    tokio::time::sleep(pause).await;
                }
            }
            index = next;
        }
    }

    async fn attempt(&mut self, index: usize) -> Result<(), FetchError> {
        let url = &self.request.urls[index];
        let same = self.facts.as_ref().filter(|facts| facts.url_index == index);
        let validator = same.and_then(|facts| facts.validator.clone());
        let part = if self.offset == 0 { Part::Whole } else { Part::From(self.offset) };
        let opened = get::open(&self.client, self.request, url, part, validator.as_ref(), self.rules.timeout).await?;
        let changed = || FetchError::Changed { url: shown(url) };
        if opened.total.is_some_and(|total| total > self.limit) {
            return Err(FetchError::TooLarge { url: shown(url), limit: self.limit });
        }
        match &self.facts {
            None => {
                let facts = Facts { total: opened.total, url_index: index, validator: opened.validator.clone() };
                self.facts = Some(facts.clone());
                let _ = self.sender.send(Message::Opened(facts)).await;
            }
            Some(facts) => {
                if facts.total.zip(opened.total).is_some_and(|(before, now)| before != now)
                    || (validator.is_some() && opened.validator != validator)
                {
                    return Err(changed());
                }
            }
        }
        self.read(opened, index).await
    }

    async fn read(&mut self, opened: Opened, index: usize) -> Result<(), FetchError> {
        let url = &self.request.urls[index];
        // A server without ranges starts again from the front: what we have is passed over. The digest covers the rest.
        let mut skip = self.offset - opened.start;
        let mut at = opened.start;
        let mut pulse = Pulse::new(self.rules.timeout);
        let mut response = opened.response;
        loop {
            let stalled = || FetchError::Stalled { url: shown(url), seconds: self.rules.timeout.as_secs() };
            let chunk = match timeout(self.rules.timeout, response.chunk()).await {
                Err(_) => return Err(stalled()),
                Ok(Err(cause)) => return Err(get::broken(url, cause, self.rules.timeout)),
                Ok(Ok(chunk)) => chunk,
            };
            let Some(chunk) = chunk else { break };
            at += chunk.len() as u64;
            if !pulse.beat(chunk.len() as u64) {
                return Err(stalled());
            }
            if at > self.limit {
                return Err(FetchError::TooLarge { url: shown(url), limit: self.limit });
            }
            let passed = skip.min(chunk.len() as u64);
            skip -= passed;
            let mut rest = &chunk[usize::try_from(passed).unwrap_or(chunk.len())..];
            while !rest.is_empty() {
                let piece = self.waiting.get_or_insert_with(|| self.pool.take());
                let (now, later) = rest.split_at(rest.len().min(PIECE - self.filled));
                piece.as_mut()[self.filled..self.filled + now.len()].copy_from_slice(now);
                self.filled += now.len();
                self.offset += now.len() as u64;
                rest = later;
                if self.filled == PIECE {
                    self.hand_on().await;
                    pulse = Pulse::new(self.rules.timeout);
                }
            }
        }
        let want = self.facts.as_ref().and_then(|facts| facts.total).or(opened.total);
        match want {
            Some(want) if at < want => Err(FetchError::Short { url: shown(url), got: at, want }),
            // The announced size was a lie, or the file grew.
            Some(want) if at > want => Err(FetchError::Changed { url: shown(url) }),
            _ if at < self.offset => Err(FetchError::Short { url: shown(url), got: at, want: self.offset }),
            _ => Ok(()),
        }
    }

    async fn hand_on(&mut self) {
        let length = std::mem::take(&mut self.filled);
        if let Some(piece) = self.waiting.take() {
            // A closed channel ends the whole task by the select above.
            let _ = self.sender.send(Message::Piece(piece.freeze(length))).await;
        }
    }
}

/// Tells a slow server from one that pretends to send.
struct Pulse {
    since: Instant,
    window: Duration,
    bytes: u64,
}

impl Pulse {
    fn new(window: Duration) -> Self {
        Self { since: Instant::now(), window, bytes: 0 }
    }

    fn beat(&mut self, bytes: u64) -> bool {
        self.bytes += bytes;
        if self.since.elapsed() < self.window {
            return true;
        }
        let alive = self.bytes >= TRICKLE;
        *self = Self::new(self.window);
        alive
    }
}

#[cfg(test)]
mod tests;
