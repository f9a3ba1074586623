//! Small parts of a file, by HTTP range requests, while the file itself streams over another connection.

use super::client;
use super::error::{FetchError, StreamError};
use super::fetch::Facts;
use super::get::{self, Part};
use super::request::{DownloadRules, Request};
use super::retry::Budget;
use bytes::{Bytes, BytesMut};
use common::url_text::shown;
use reqwest::Client;
use std::time::Instant;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// Reads parts of the file that a [`super::fetch::Download`] is streaming, and nothing but that file.
pub struct RangeReader {
    runtime: Runtime,
    client: Client,
    request: Request,
    rules: DownloadRules,
    facts: Facts,
    total: u64,
}

impl RangeReader {
    /// For the file behind `facts`, whose size is `total`.
    ///
    /// # Errors
    /// [`FetchError::Setup`].
    pub fn new(request: &Request, rules: &DownloadRules, facts: &Facts, total: u64) -> Result<Self, FetchError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|cause| FetchError::Setup(format!("cannot start a runtime: {cause}")))?;
        let client = client::build(rules, request)?;
        let (request, rules, facts) = (request.clone(), rules.clone(), facts.clone());
        Ok(Self { runtime, client, request, rules, facts, total })
    }

    /// Exactly `length` bytes from `start`, with the retries of the rules.
    ///
    /// # Errors
    /// [`FetchError::NoRanges`] from a server that does not serve parts.
    pub fn read(&self, start: u64, length: usize) -> Result<Bytes, StreamError> {
        let mut budget = Budget::new(&self.rules);
        loop {
            let deadline = budget.deadline();
            let result = self.runtime.block_on(async {
                let once = self.once(start, length as u64);
                match deadline {
                    None => once.await,
                    Some(deadline) => timeout(deadline.saturating_duration_since(Instant::now()), once)
                        .await
                        .unwrap_or_else(|_| Err(budget.out_of_time())),
                }
            });
            match result {
                Ok(bytes) => return Ok(bytes),
                Err(failure) if failure.is_final() => return Err(failure.into()),
                Err(failure) => std::thread::sleep(budget.spend(failure, 0)?),
            }
        }
    }

    async fn once(&self, start: u64, length: u64) -> Result<Bytes, FetchError> {
        let url = &self.request.urls[self.facts.url_index];
        let validator = self.facts.validator.as_ref();
        let part = Part::Slice(start, length);
        let opened = get::open(&self.client, &self.request, url, part, validator, self.rules.timeout).await?;
        if opened.total != Some(self.total) {
            return Err(FetchError::NoRanges { url: shown(url) });
        }
        let mut response = opened.response;
        let mut body = BytesMut::new();
        while (body.len() as u64) < length {
            match timeout(self.rules.timeout, response.chunk()).await {
                Err(_) => return Err(FetchError::Stalled { url: shown(url), seconds: self.rules.timeout.as_secs() }),
                Ok(Err(cause)) => return Err(get::broken(url, cause, self.rules.timeout)),
                Ok(Ok(None)) => {
                    return Err(FetchError::Short { url: shown(url), got: body.len() as u64, want: length });
                }
                Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
            }
        }
        body.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(body.freeze())
    }
}
