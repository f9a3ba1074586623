//! The agent's client for the API: version, look-up, heartbeat, inspection (agent-protocol section 2).
//!
//! Several base URLs may serve one API. A connection that fails moves on to the next one; the URL that answered is tried first
//! from then on. This room makes one attempt; when to try again is `life`'s business.

pub mod answer;
pub mod mdns;
pub mod sntp;
mod trust;

pub use answer::HomeError;

use crate::sys::mask::mask_secrets;
use crate::tls::ClientFiles;
use answer::{bounded_body, fault_text};
use common::endpoint::{Beat, ContinueInspection, Discover, Endpoint, Lookup, path_with};
use common::heartbeat::{ApiRoot, Heartbeat, InspectionData, InspectionReply, LookupReply};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Header that names the API version of a request.
const VERSION_HEADER: &str = "X-OpenStack-Ironic-API-Version";

/// What is assumed about an API that does not say (agent-protocol 2.2).
const ASSUMED: ApiVersion = ApiVersion(1, 31);

/// An API version; ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion(pub u16, pub u16);

impl ApiVersion {
    /// From here on a heartbeat carries `agent_version`.
    pub const AGENT_VERSION: Self = Self(1, 36);
    /// From here on there are tokens.
    pub const AGENT_TOKEN: Self = Self(1, 62);
    /// From here on a heartbeat carries the certificate.
    pub const VERIFY_CA: Self = Self(1, 68);

    /// `1.68`.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl std::fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// How to reach the API.
#[derive(Clone, Debug)]
pub struct HomeOptions {
    /// Base URLs, checked, without trailing slash.
    pub urls: Vec<String>,
    /// Sent as `X-OpenStack-Request-ID`.
    pub request_id: Option<String>,
    /// For each call.
    pub timeout: Duration,
    /// Do not verify HTTPS servers.
    pub insecure: bool,
    /// PEM file with CA certificates; none: the system's bundle.
    pub ca_file: Option<PathBuf>,
    /// Shown to servers that ask for a certificate.
    pub client: Option<ClientFiles>,
    /// `1.2` or `1.3`.
    pub tls_min_version: String,
    /// Do not ask for the version, use this one.
    pub version: Option<ApiVersion>,
}

/// The client.
#[derive(Debug)]
pub struct Home {
    client: Client,
    urls: Mutex<Vec<String>>,
    version: Mutex<Option<ApiVersion>>,
}

impl Home {
    /// A client for `options`; `extra_urls` are further servers it will be asked to call (inspection), for the choice of trust.
    ///
    /// # Errors
    /// Unreadable files with CA certificates or the agent's own.
    pub fn new(options: HomeOptions, extra_urls: &[String]) -> Result<Self, HomeError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(id) = options.request_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.insert("X-OpenStack-Request-ID", id);
        }
        let https = options.urls.iter().chain(extra_urls).any(|url| url.starts_with("https:"));
        let version = match options.tls_min_version.as_str() {
            "1.3" => reqwest::tls::Version::TLS_1_3,
            _ => reqwest::tls::Version::TLS_1_2,
        };
        let builder = Client::builder()
            .default_headers(headers)
            .timeout(options.timeout)
            .connect_timeout(options.timeout)
            // No connection is kept: calls are seconds apart, which is when servers close idle connections. A heartbeat that went
            // into one in that moment was lost, and the next one came only after a pause.
            .pool_max_idle_per_host(0)
            // The token travels in bodies: it must not follow a redirect to who knows where, nor pass a proxy from the environment.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_version_min(version)
            .user_agent(concat!("agent/", env!("CARGO_PKG_VERSION")));
        let builder = if options.insecure {
            builder.tls_certs_only([]).tls_danger_accept_invalid_certs(true)
        } else if https {
            builder.tls_certs_only(trust::certificates(options.ca_file.as_deref())?)
        } else {
            builder.tls_certs_only([])
        };
        let builder = match &options.client {
            // Without https nobody asks for it; a mistake in it is then no reason to stay silent.
            Some(files) if https => builder.identity(files.identity()?),
            _ => builder,
        };
        let client = builder.build().map_err(HomeError::Client)?;
        Ok(Self { client, urls: Mutex::new(options.urls), version: Mutex::new(options.version) })
    }

    /// Base URLs, the one that answered last first.
    pub fn urls(&self) -> Vec<String> {
        locked(&self.urls).clone()
    }

    /// What the API speaks. Asked until there is an answer, then remembered. A server that answers, but not as an API does,
    /// is taken for an old API for this time only.
    ///
    /// # Errors
    /// No connection or a server in trouble: assuming an old API then would cost the token.
    pub async fn version(&self) -> Result<ApiVersion, HomeError> {
        if let Some(known) = *locked(&self.version) {
            return Ok(known);
        }
        match self.discover().await {
            Err(cause) if !cause.is_passing() => {
                tracing::warn!(error = %chain(&cause), "the API does not tell its version; {ASSUMED} is assumed for now");
                Ok(ASSUMED)
            }
            outcome => outcome,
        }
    }

    async fn discover(&self) -> Result<ApiVersion, HomeError> {
        let response = self.call::<Discover>(Discover::PATH, |request| request).await?;
        let root: ApiRoot = read(response, &[200]).await?;
        let text = root.default_version.version;
        let version = ApiVersion::parse(&text)
            .ok_or_else(|| HomeError::Unusable(format!("version `{}`", text.chars().take(20).collect::<String>())))?;
        tracing::info!(%version, "found the API");
        *locked(&self.version) = Some(version);
        Ok(version)
    }

    /// Asks which node has these addresses (agent-protocol 2.3).
    ///
    /// # Errors
    /// Any answer but a usable 200.
    pub async fn lookup(&self, macs: &[String], node_uuid: Option<&str>) -> Result<LookupReply, HomeError> {
        let version = self.version().await?.min(ApiVersion::AGENT_TOKEN);
        let response = self
            .call::<Lookup>(Lookup::PATH, |request| {
                let request =
                    request.header(VERSION_HEADER, version.to_string()).query(&[("addresses", macs.join(","))]);
                match node_uuid {
                    Some(uuid) => request.query(&[("node_uuid", uuid)]),
                    None => request,
                }
            })
            .await?;
        let reply: LookupReply = read(response, &[200]).await?;
        if reply.node.uuid.is_empty() {
            return Err(HomeError::Unusable("a node without uuid".into()));
        }
        Ok(reply)
    }

    /// Sends a heartbeat, less what the API's version does not know (agent-protocol 2.4).
    ///
    /// # Errors
    /// Any answer but 202.
    pub async fn beat(&self, node_uuid: &str, beat: &Heartbeat) -> Result<(), HomeError> {
        let version = self.version().await?;
        let mut beat = beat.clone();
        if version < ApiVersion::AGENT_VERSION {
            beat.agent_version = None;
        }
        if version < ApiVersion::AGENT_TOKEN {
            beat.agent_token = None;
        }
        if version < ApiVersion::VERIFY_CA {
            beat.agent_verify_ca = None;
        }
        let header = version.min(ApiVersion::VERIFY_CA).to_string();
        let response = self
            .call::<Beat>(&path_with(Beat::PATH, node_uuid), |request| {
                request.header(VERSION_HEADER, &header).json(&beat)
            })
            .await?;
        match response.status().as_u16() {
            202 => Ok(()),
            status => {
                Err(HomeError::Status { status, text: fault_text(&bounded_body(response).await.unwrap_or_default()) })
            }
        }
    }

    /// Sends inspection data to one URL; the node's UUID if the answer has it (agent-protocol 2.5).
    ///
    /// # Errors
    /// Any status of 300 and more, no connection.
    pub async fn inspected(&self, url: &str, data: &InspectionData) -> Result<Option<String>, HomeError> {
        let request = self.client.request(ContinueInspection::METHOD, url).json(data);
        let response = request
            .send()
            .await
            .map_err(|cause| HomeError::Connection { url: mask_secrets(url), source: cause.without_url() })?;
        let status = response.status().as_u16();
        let body = bounded_body(response).await?;
        if !(200..300).contains(&status) {
            return Err(HomeError::Status { status, text: fault_text(&body) });
        }
        let uuid = serde_json::from_slice::<InspectionReply>(&body).map(|reply| reply.uuid).ok();
        Ok(uuid.filter(|uuid| !uuid.is_empty()))
    }

    /// Where inspection data go when only collectors were named.
    pub fn inspection_urls(&self) -> Vec<String> {
        self.urls().iter().map(|url| format!("{url}{}", ContinueInspection::PATH)).collect()
    }

    /// Tries each base URL; the first that answers anything moves to the front.
    async fn call<E: Endpoint>(
        &self,
        path: &str,
        finish: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, HomeError> {
        let mut last = HomeError::NoUrl;
        for base in self.urls() {
            let method = Method::from_bytes(E::METHOD.as_str().as_bytes()).unwrap_or(Method::GET);
            match finish(self.client.request(method, format!("{base}{path}"))).send().await {
                Ok(response) => {
                    self.prefer(&base);
                    return Ok(response);
                }
                // The URL of a request may hold addresses, never the token; still, the error names the base only.
                Err(cause) => last = HomeError::Connection { url: mask_secrets(&base), source: cause.without_url() },
            }
        }
        Err(last)
    }

    fn prefer(&self, base: &str) {
        let mut urls = locked(&self.urls);
        if let Some(at) = urls.iter().position(|url| url == base).filter(|at| *at > 0) {
            let url = urls.remove(at);
            urls.insert(0, url);
        }
    }
}

/// JSON of an answer with one of the statuses `good`.
async fn read<T: serde::de::DeserializeOwned>(response: Response, good: &[u16]) -> Result<T, HomeError> {
    let status = response.status().as_u16();
    let body = bounded_body(response).await?;
    if !good.contains(&status) {
        return Err(HomeError::Status { status, text: fault_text(&body) });
    }
    serde_json::from_slice(&body).map_err(|cause| HomeError::Unusable(cause.to_string()))
}

/// An error with its causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{ApiVersion, Home, HomeOptions};
    use common::heartbeat::Heartbeat;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    /// Answers the first request of every connection and never looks at another one.
    fn forgetful() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
                kept.push(stream);
            }
        });
        url
    }

    #[tokio::test]
    async fn a_heartbeat_does_not_go_into_a_connection_that_nobody_reads_any_more() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = HomeOptions {
            urls: vec![forgetful()],
            request_id: None,
            timeout: Duration::from_secs(2),
            insecure: false,
            ca_file: None,
            client: None,
            tls_min_version: "1.2".into(),
            version: Some(ApiVersion::VERIFY_CA),
        };
        let home = Home::new(options, &[]).unwrap();
        let beat = Heartbeat {
            callback_url: "http://192.0.2.1:9999".into(),
            agent_token: None,
            agent_version: None,
            agent_verify_ca: None,
            agent_status: None,
            agent_status_message: None,
        };
        for _ in 0..3 {
            home.beat("6c2c1f4e-0f77-4d33-9b3a-0d8f1a3e5b10", &beat).await.unwrap();
        }
    }
}
