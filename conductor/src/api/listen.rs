//! Which addresses are listened on, and connections until they end: slow ones are cut, running ones finish at a stop.

use super::auth::guesses::Peer;
use super::door::{Scope, Site, answer};
use super::tls::{Tls, TlsError};
use crate::boot::http::stall::StallGuard;
use crate::config::Config;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A client must have sent the head of its request after this time; also how long an idle connection is kept.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// A client must have finished the handshake of TLS after this time.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What a connection too many is told.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\nRetry-After: 1\r\n\
    Content-Length: 103\r\n\r\n{\"faultcode\": \"Server\", \"faultstring\": \"Too many connections; close idle ones ([api] max_connections)\"}";

/// Bytes of one request head.
const HEAD_BYTES: usize = 64 * 1024;

/// Why the API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Everybody on the network could command every machine.
    #[error(
        "auth_strategy is not set, so the API listens on loopback only, and {0} is not loopback. \
         Set auth_strategy = \"http_basic\" (or \"noauth\" where the network itself is trusted) at the top level of the configuration"
    )]
    NotLoopback(SocketAddr),
    /// Not an address.
    #[error("{option} `{text}` is not an IP address")]
    Address {
        /// Which option.
        option: &'static str,
        /// Its value.
        text: String,
    },
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system refuses.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Addresses that are bound but not served yet.
pub struct Listeners(Vec<(TcpListener, Scope)>, Option<Arc<Tls>>);

/// Which addresses the configuration asks for, and what each of them serves.
///
/// # Errors
/// [`ListenError`] for what is no address, and for what would open the API to everybody.
pub fn addresses(config: &Config) -> Result<Vec<(SocketAddr, Scope)>, ListenError> {
    let parse = |option: &'static str, text: &str| {
        let text = text.trim_start_matches('[').trim_end_matches(']');
        text.parse::<IpAddr>().map_err(|_| ListenError::Address { option, text: text.into() })
    };
    let main = SocketAddr::new(parse("[api] host_ip", &config.api.host_ip)?, config.api.port);
    let declared = config.top.auth_strategy.is_some();
    if !declared && !main.ip().is_loopback() {
        return Err(ListenError::NotLoopback(main));
    }
    let mut list = vec![(main, Scope::Everything)];
    if let Some(text) = &config.boot.provisioning_address {
        let ip = parse("[boot] provisioning_address", text)?;
        if ip != main.ip() && !main.ip().is_unspecified() {
            let scope = if declared { Scope::Everything } else { Scope::Agents };
            list.push((SocketAddr::new(ip, main.port()), scope));
        }
    }
    Ok(list)
}

impl Listeners {
    /// Takes the addresses.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn bind(config: &Config) -> Result<Self, ListenError> {
        let tls = Tls::open(config)?;
        let mut bound: Vec<(TcpListener, Scope)> = Vec::new();
        for (mut address, scope) in addresses(config)? {
            // Port 0 is chosen once and then the same everywhere.
            if let Some(first) =
                bound.first().and_then(|(first, _)| first.local_addr().ok()).filter(|_| address.port() == 0)
            {
                address.set_port(first.port());
            }
            let listener = TcpListener::bind(address).await.map_err(|source| ListenError::Bind { address, source })?;
            bound.push((listener, scope));
        }
        Ok(Listeners(bound, tls))
    }

    /// The real addresses.
    pub fn local(&self) -> Vec<SocketAddr> {
        self.0.iter().filter_map(|(listener, _)| listener.local_addr().ok()).collect()
    }

    /// Serves until `stop`; returns when the last answer has been given.
    pub async fn run(self, site: Arc<Site>, stop: CancellationToken) {
        let (tracker, room) =
            (TaskTracker::new(), Arc::new(Semaphore::new(site.conductor.config.api.max_connections.max(1))));
        let mut accepting = tokio::task::JoinSet::new();
        for (listener, scope) in self.0 {
            let (site, stop, tracker, room) = (site.clone(), stop.clone(), tracker.clone(), room.clone());
            let tls = self.1.clone();
            accepting.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = accept(listener, tls, scope, site, stop.clone(), tracker, room) => {}
                }
            });
        }
        while accepting.join_next().await.is_some() {}
        tracker.close();
        tracker.wait().await;
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    scope: Scope,
    site: Arc<Site>,
    stop: CancellationToken,
    tracker: TaskTracker,
    room: Arc<Semaphore>,
) {
    loop {
        match listener.accept().await {
            Ok((mut stream, _)) => {
                let Ok(permit) = room.clone().try_acquire_owned() else {
                    // One that speaks TLS could not read it.
                    if tls.is_none() {
                        let _ = stream.try_write(FULL);
                        let _ = stream.shutdown().await;
                    }
                    continue;
                };
                let (site, stop) = (site.clone(), stop.clone());
                let acceptor = tls.as_ref().map(|tls| tls.acceptor());
                tracker.spawn(async move {
                    let _ = stream.set_nodelay(true);
                    let ends = Ends::of(&stream, if acceptor.is_some() { "https" } else { "http" });
                    match acceptor {
                        None => connection(stream, ends, scope, site, stop).await,
                        Some(acceptor) => match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                            Ok(Ok(stream)) => connection(stream, ends, scope, site, stop).await,
                            Ok(Err(error)) => tracing::debug!(%error, "a handshake of TLS failed"),
                            Err(_) => tracing::debug!("a handshake of TLS took too long"),
                        },
                    }
                    drop(permit);
                });
            }
            // Out of descriptors, or a client that left already: others must still be served a moment later.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// The two ends of a connection.
struct Ends {
    /// Who is there.
    peer: Option<Peer>,
    /// The base of links for clients that do not say what they call us.
    host: String,
}

impl Ends {
    fn of(stream: &TcpStream, scheme: &str) -> Self {
        let host = stream.local_addr().map(|address| address.to_string()).unwrap_or_default();
        let peer = stream.peer_addr().ok().map(|address| Peer(address.ip()));
        Ends { peer, host: format!("{scheme}://{host}") }
    }
}

async fn connection<S>(stream: S, ends: Ends, scope: Scope, site: Arc<Site>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ends { peer, host } = ends;
    // A client that does not read costs a bounded time: an endless answer no more than others.
    let stream = StallGuard::new(stream, site.conductor.config.api.slow_client_timeout.duration());
    let service = service_fn(|mut request: Request<Incoming>| {
        let (site, host, stop) = (site.clone(), host.clone(), stop.clone());
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        async move { Ok::<_, Infallible>(answer(site, scope, host, stop, request).await) }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config::default();
        change(&mut config);
        config
    }

    #[test]
    fn without_a_strategy_only_loopback_and_the_error_says_what_to_set() {
        assert_eq!(addresses(&Config::default()).unwrap(), [("127.0.0.1:6385".parse().unwrap(), Scope::Everything)]);
        let error = addresses(&config(|config| config.api.host_ip = "0.0.0.0".into())).unwrap_err().to_string();
        assert!(error.contains("0.0.0.0:6385") && error.contains("auth_strategy = \"http_basic\""), "{error}");
        let open = config(|config| {
            config.api.host_ip = "::".into();
            config.top.auth_strategy = Some("noauth".into());
        });
        assert!(addresses(&open).is_ok());
    }

    #[test]
    fn agents_get_an_address_of_their_own_and_people_only_with_a_strategy() {
        let mut config = config(|config| config.boot.provisioning_address = Some("192.0.2.1".into()));
        assert_eq!(addresses(&config).unwrap()[1], ("192.0.2.1:6385".parse().unwrap(), Scope::Agents));
        config.top.auth_strategy = Some("http_basic".into());
        assert_eq!(addresses(&config).unwrap()[1].1, Scope::Everything);
        config.api.host_ip = "0.0.0.0".into();
        assert_eq!(addresses(&config).unwrap().len(), 1);
    }
}
