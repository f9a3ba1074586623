//! What to download and by which rules; no I/O.

use super::origin::Authorization;
use crate::sys::mask::mask_secrets;
use crate::tls::ClientFiles;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use url::Url;

/// How patient and how trusting a download is.
#[derive(Clone, Debug)]
pub struct DownloadRules {
    /// For connecting, and for each read.
    pub timeout: Duration,
    /// Attempts after the first, over all URLs together.
    pub retries: u32,
    /// Between two rounds of attempts.
    pub pause: Duration,
    /// For the whole, retries included.
    pub whole: Option<Duration>,
    /// When the whole ends, once it has begun ([`DownloadRules::begun`]).
    pub deadline: Option<Instant>,
    /// Do not verify HTTPS servers.
    pub insecure: bool,
    /// PEM file with CA certificates; none: the system's bundle.
    pub ca_file: Option<PathBuf>,
    /// Shown to servers that ask for a certificate.
    pub client: Option<ClientFiles>,
    /// Refuse TLS 1.2.
    pub tls13_only: bool,
}

impl DownloadRules {
    /// The same, for several downloads that together are one: checksum file, manifests, mirrors, the image. The clock starts now.
    pub fn begun(&self) -> Self {
        Self { deadline: self.ends(), ..self.clone() }
    }

    /// When everything must be over, for what begins now or has begun.
    pub fn ends(&self) -> Option<Instant> {
        self.deadline.or_else(|| Instant::now().checked_add(self.whole?))
    }
}

/// Proxies for image downloads, as `image_info` names them.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For http URLs.
    pub http: Option<String>,
    /// For https URLs.
    pub https: Option<String>,
    /// Hosts that are reached directly, comma list.
    pub no_proxy: Option<String>,
}

impl fmt::Debug for Proxies {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = |proxy: &Option<String>| proxy.as_deref().map(mask_secrets);
        let mut out = out.debug_struct("Proxies");
        out.field("http", &masked(&self.http)).field("https", &masked(&self.https));
        out.field("no_proxy", &self.no_proxy).finish()
    }
}

/// One thing to download.
#[derive(Clone)]
pub struct Request {
    /// Tried in turn; never empty.
    pub urls: Vec<Url>,
    /// Sent only to the origins it is bound to.
    pub authorization: Option<Authorization>,
    /// Proxies, if any.
    pub proxies: Proxies,
    /// Kinds of documents that are understood, if the server has a choice.
    pub accept: Option<&'static str>,
}

impl fmt::Debug for Request {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<String> = self.urls.iter().map(|url| mask_secrets(url.as_str())).collect();
        let mut out = out.debug_struct("Request");
        out.field("urls", &urls).field("authorization", &self.authorization);
        out.field("proxies", &self.proxies).field("accept", &self.accept).finish()
    }
}

impl Request {
    /// A plain request for one URL.
    pub fn plain(url: Url) -> Self {
        Self { urls: vec![url], authorization: None, proxies: Proxies::default(), accept: None }
    }

    /// The same request, beginning with another URL.
    pub fn rotated(&self, by: usize) -> Self {
        let mut other = self.clone();
        let count = other.urls.len().max(1);
        other.urls.rotate_left(by % count);
        other
    }
}

#[cfg(test)]
mod tests {
    use super::{Proxies, Request};

    #[test]
    fn passwords_of_servers_and_proxies_are_not_shown() {
        let proxy = || Some("http://me:hunter2@proxy:3128".to_owned());
        let url = "https://me:hunter2@images.example/i.raw?temp_url_sig=hunter2".parse().unwrap();
        let request =
            Request { proxies: Proxies { http: proxy(), https: proxy(), no_proxy: None }, ..Request::plain(url) };
        let shown = format!("{request:?}");
        assert!(
            !shown.contains("hunter2") && shown.contains("images.example/i.raw") && shown.contains("proxy:3128"),
            "{shown}"
        );
    }
}
