//! Downloads images and checksum files: bounded in bytes and time, hashed while they arrive, never off to strange places.
//!
//! Which addresses and redirects are allowed is decided in `hosts`.

use super::ImageError;
use super::checksum::Expected;
use super::hosts::{NoLinkLocal, follow, refuse_host};
use axum::body::Bytes;
use common::digest::Hasher;
use common::url_text::shown;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, StatusCode};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use url::Url;

/// Longest checksum file.
const MAX_CHECKSUM_FILE: usize = 1024 * 1024;
/// Attempts at one download.
const ATTEMPTS: u32 = 3;
/// Where Debian keeps the bundle of well-known authorities.
pub const SYSTEM_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Whom to believe that an https server is the one it says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The system's bundle.
    #[default]
    System,
    /// A PEM file of authorities.
    Bundle(PathBuf),
    /// Anybody (`webserver_verify_ca = false`).
    Anybody,
}

impl Trust {
    /// `[DEFAULT] webserver_verify_ca`: true, false, or the path of a bundle.
    pub fn from_option(text: &str) -> Self {
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "t" | "y" => Trust::System,
            "false" | "0" | "no" | "off" | "f" | "n" => Trust::Anybody,
            _ => Trust::Bundle(text.trim().into()),
        }
    }
}

/// Bounds of a download.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// Largest image, bytes.
    pub max_bytes: u64,
    /// Longest download.
    pub deadline: Duration,
    /// Longest silence.
    pub stall: Duration,
    /// Between two attempts.
    pub pause: Duration,
}

impl Default for FetchLimits {
    fn default() -> Self {
        let (hour, minute) = (Duration::from_secs(3600), Duration::from_secs(60));
        Self { max_bytes: 256 << 30, deadline: hour, stall: minute, pause: Duration::from_secs(5) }
    }
}

/// The download client.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: Client,
    limits: FetchLimits,
}

impl Fetcher {
    /// Reads the authorities.
    pub fn new(trust: &Trust, limits: FetchLimits) -> Result<Self, ImageError> {
        let builder = Client::builder()
            .redirect(Policy::custom(follow))
            .dns_resolver(Arc::new(NoLinkLocal))
            .connect_timeout(limits.stall)
            .read_timeout(limits.stall)
            // Per-node proxies are the agent's; a proxy in this process's environment is for other things.
            .no_proxy();
        let builder = match trust {
            Trust::Anybody => builder.tls_danger_accept_invalid_certs(true),
            Trust::System => builder.tls_certs_only(system_authorities()),
            Trust::Bundle(path) => builder.tls_certs_only(bundle(path)?),
        };
        let client =
            builder.build().map_err(|error| ImageError::failed(format!("no download client: {}", chain(&error))))?;
        Ok(Self { client, limits })
    }

    /// Its bounds.
    pub fn limits(&self) -> FetchLimits {
        self.limits
    }

    /// A checksum file's text.
    pub async fn text(&self, url: &Url) -> Result<String, ImageError> {
        let work = async {
            let mut response = self.open(url).await.map_err(Trouble::into_error)?;
            let mut text = Vec::new();
            while let Some(piece) =
                response.chunk().await.map_err(|error| Trouble::passing(url, &error).into_error())?
            {
                text.extend_from_slice(&piece);
                if text.len() > MAX_CHECKSUM_FILE {
                    return Err(ImageError::invalid(format!(
                        "{}: this is no checksum file, it is too long",
                        shown(url)
                    )));
                }
            }
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        tokio::time::timeout(self.limits.stall * 2, work)
            .await
            .unwrap_or_else(|_| Err(ImageError::failed(format!("{}: no checksum file in time", shown(url)))))
    }

    /// Downloads to `to`, which is only complete when this returns `Ok`: the digest was right and the bytes are on disk.
    /// `room` is told the length, if the server says it, before the first byte is written.
    pub async fn file(
        &self,
        url: &Url,
        to: &Path,
        expected: &Expected,
        room: impl Fn(u64) -> io::Result<()>,
    ) -> Result<u64, ImageError> {
        let end = Instant::now() + self.limits.deadline;
        let mut attempt = 1;
        loop {
            let outcome = tokio::time::timeout_at(end.into(), self.attempt(url, to, expected, &room)).await;
            match outcome {
                Ok(Ok(bytes)) => return Ok(bytes),
                Ok(Err(Trouble::Passing(text))) if attempt < ATTEMPTS => {
                    tracing::warn!(attempt, %text, "an image download failed; trying again");
                    attempt += 1;
                    tokio::time::sleep(self.limits.pause).await;
                }
                Ok(Err(trouble)) => return Err(trouble.into_error()),
                Err(_) => {
                    let seconds = self.limits.deadline.as_secs();
                    return Err(ImageError::failed(format!("{}: not downloaded within {seconds} s", shown(url))));
                }
            }
        }
    }

    async fn open(&self, url: &Url) -> Result<Response, Trouble> {
        refuse_host(url).map_err(|why| Trouble::Final(ImageError::invalid(format!("{}: {why}", shown(url)))))?;
        let response = self.client.get(url.clone()).send().await.map_err(|error| Trouble::passing(url, &error))?;
        match response.status() {
            StatusCode::OK => Ok(response),
            status if status.is_server_error() => {
                Err(Trouble::Passing(format!("{}: the image server answers {status}", shown(url))))
            }
            status if status.is_redirection() => Err(Trouble::Final(ImageError::failed(format!(
                "{}: the image server answers {status}, and leads to where this is not followed",
                shown(url)
            )))),
            status => {
                Err(Trouble::Final(ImageError::failed(format!("{}: the image server answers {status}", shown(url)))))
            }
        }
    }

    async fn attempt(
        &self,
        url: &Url,
        to: &Path,
        expected: &Expected,
        room: &impl Fn(u64) -> io::Result<()>,
    ) -> Result<u64, Trouble> {
        let too_large = || {
            let text = format!("{}: the image is larger than {} bytes", shown(url), self.limits.max_bytes);
            Trouble::Final(ImageError::failed(text))
        };
        let on_disk = |error: io::Error| {
            Trouble::Final(ImageError::failed(format!("the image cache cannot take {}: {error}", shown(url))))
        };
        let mut response = self.open(url).await?;
        let announced = response.content_length();
        if announced.is_some_and(|length| length > self.limits.max_bytes) {
            return Err(too_large());
        }
        room(announced.unwrap_or(0)).map_err(on_disk)?;
        let file = File::create(to).map_err(on_disk)?;
        let (pieces, taken) = mpsc::channel::<Bytes>(8);
        let kind = expected.kind;
        let writer = tokio::task::spawn_blocking(move || write_and_hash(file, taken, Hasher::new(kind)));
        let mut got = 0u64;
        while let Some(piece) = response.chunk().await.map_err(|error| Trouble::passing(url, &error))? {
            got += piece.len() as u64;
            if got > self.limits.max_bytes {
                return Err(too_large());
            }
            // The writer ended early: it says why below.
            if pieces.send(piece).await.is_err() {
                break;
            }
        }
        drop(pieces);
        let found = writer.await.map_err(|error| on_disk(io::Error::other(error)))?.map_err(on_disk)?;
        if announced.is_some_and(|length| length != got) {
            return Err(Trouble::Passing(format!("{}: the download was cut after {got} bytes", shown(url))));
        }
        if found != expected.hex {
            let name = expected.kind.name();
            // Not worth another try: servers do not mend their files within seconds.
            let text = format!("{}: the {name} checksum is {found}, but {} was expected", shown(url), expected.hex);
            return Err(Trouble::Final(ImageError::failed(text)));
        }
        Ok(got)
    }
}

fn write_and_hash(mut file: File, mut pieces: mpsc::Receiver<Bytes>, mut hasher: Hasher) -> io::Result<String> {
    while let Some(piece) = pieces.blocking_recv() {
        hasher.update(&piece);
        file.write_all(&piece)?;
    }
    file.sync_data()?;
    Ok(hasher.hex())
}

enum Trouble {
    /// Another attempt may help.
    Passing(String),
    Final(ImageError),
}

impl Trouble {
    fn passing(url: &Url, error: &reqwest::Error) -> Self {
        let text = format!("{}: {}", shown(url), chain(error));
        if error.is_redirect() { Self::Final(ImageError::Failed(text)) } else { Self::Passing(text) }
    }

    fn into_error(self) -> ImageError {
        match self {
            Self::Passing(text) => ImageError::Failed(text),
            Self::Final(error) => error,
        }
    }
}

/// The whole chain of causes, without the URL that reqwest repeats with its query.
fn chain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "timed out".to_owned() } else { "no answer".to_owned() };
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// The authorities that this system believes; none when it has no bundle.
pub fn system_authorities() -> Vec<Certificate> {
    bundle(Path::new(SYSTEM_BUNDLE)).unwrap_or_default()
}

/// The authorities of a file (PEM).
///
/// # Errors
/// It cannot be read, or holds none.
pub fn bundle(path: &Path) -> Result<Vec<Certificate>, ImageError> {
    let bad = |error: String| ImageError::failed(format!("the CA bundle {} cannot be used: {error}", path.display()));
    let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    Certificate::from_pem_bundle(&pem).map_err(|error| bad(chain(&error)))
}
