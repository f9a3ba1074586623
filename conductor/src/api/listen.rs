//! Which addresses are listened on, and connections until they end: slow ones are cut, running ones finish at a stop.

use super::auth::guesses::Peer;
use super::cors::Cors;
use super::door::{Scope, Site, Way, answer};
use super::proxies::{Line, Proxies};
use super::tls::{Tls, TlsError};
use super::unix::{self, Socket};
use crate::boot::http::stall::StallGuard;
use crate::config::Config;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
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
    /// The rights of a socket.
    #[error("[api] unix_socket_mode `{0}` is no octal number up to 777, as \"660\"")]
    Mode(String),
    /// A proxy.
    #[error("[api] trusted_proxies: `{0}` is no address, no network (192.0.2.0/24) and not \"unix\"")]
    Proxy(String),
    /// The socket.
    #[error("cannot listen on [api] unix_socket {path}: {source}")]
    Socket {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
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

/// One address.
enum Listener {
    Tcp(TcpListener),
    Unix(Socket),
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Listener {
    /// The next connection: its first bytes, and its ends.
    async fn accept(&self, scheme: &str) -> io::Result<(Box<dyn Stream>, Line)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                let host = stream.local_addr().map(|address| address.to_string()).unwrap_or_default();
                let line = Line { peer: Some(Peer(peer.ip())), base: format!("{scheme}://{host}") };
                Ok((Box::new(stream), line))
            }
            Listener::Unix(socket) => {
                let stream = socket.accept().await?;
                Ok((Box::new(stream), Line { peer: None, base: format!("{scheme}://localhost") }))
            }
        }
    }
}

/// Addresses that are bound but not served yet.
pub struct Listeners {
    bound: Vec<(Listener, Arc<Way>)>,
    tls: Option<Arc<Tls>>,
    socket: Option<PathBuf>,
}

/// Which addresses of the network the configuration asks for, and what each of them serves; without a Unix socket the first
/// one is the API's own.
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
    let alone = config.api.unix_socket.is_none();
    if !declared && alone && !main.ip().is_loopback() {
        return Err(ListenError::NotLoopback(main));
    }
    let mut list = Vec::new();
    if alone {
        list.push((main, Scope::Everything));
    }
    if let Some(text) = &config.boot.provisioning_address {
        let ip = parse("[boot] provisioning_address", text)?;
        if !alone || ip != main.ip() && !main.ip().is_unspecified() {
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
        let proxies = Arc::new(Proxies::new(config).map_err(ListenError::Proxy)?);
        let cors = Arc::new(Cors::new(&config.cors));
        let way = |scope| Arc::new(Way { scope, proxies: Arc::clone(&proxies), cors: Arc::clone(&cors) });
        let mut bound: Vec<(Listener, Arc<Way>)> = Vec::new();
        let mut chosen = None;
        for (mut address, scope) in addresses(config)? {
            // Port 0 is chosen once and then the same everywhere.
            if let Some(port) = chosen.filter(|_| address.port() == 0) {
                address.set_port(port);
            }
            let listener = TcpListener::bind(address).await.map_err(|source| ListenError::Bind { address, source })?;
            chosen = chosen.or(listener.local_addr().ok().map(|address| address.port()));
            bound.push((Listener::Tcp(listener), way(scope)));
        }
        if let Some(path) = &config.api.unix_socket {
            let mode = unix::mode(config.api.unix_socket_mode.as_deref()).map_err(ListenError::Mode)?;
            let failed = |source| ListenError::Socket { path: path.clone(), source };
            let socket = unix::bind(path, mode).map_err(failed)?;
            bound.push((Listener::Unix(socket), way(Scope::Everything)));
        }
        Ok(Listeners { bound, tls, socket: config.api.unix_socket.clone() })
    }

    /// The Unix socket, if the API is on one.
    pub fn socket(&self) -> Option<PathBuf> {
        self.socket.clone()
    }

    /// The real addresses.
    pub fn local(&self) -> Vec<SocketAddr> {
        let address = |listener: &Listener| match listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(_) => None,
        };
        self.bound.iter().filter_map(|(listener, _)| address(listener)).collect()
    }

    /// Serves until `stop`; returns when the last answer has been given.
    pub async fn run(self, site: Arc<Site>, stop: CancellationToken) {
        let (tracker, room) =
            (TaskTracker::new(), Arc::new(Semaphore::new(site.conductor.config.api.max_connections.max(1))));
        let mut accepting = tokio::task::JoinSet::new();
        for (listener, way) in self.bound {
            let (site, stop, tracker, room) = (site.clone(), stop.clone(), tracker.clone(), room.clone());
            let tls = self.tls.clone();
            accepting.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = accept(&listener, tls, way, site, stop.clone(), tracker, room) => {}
                }
            });
        }
        while accepting.join_next().await.is_some() {}
        tracker.close();
        tracker.wait().await;
    }
}

async fn accept(
    listener: &Listener,
    tls: Option<Arc<Tls>>,
    way: Arc<Way>,
    site: Arc<Site>,
    stop: CancellationToken,
    tracker: TaskTracker,
    room: Arc<Semaphore>,
) {
    let scheme = if tls.is_some() { "https" } else { "http" };
    loop {
        match listener.accept(scheme).await {
            Ok((mut stream, line)) => {
                let Ok(permit) = room.clone().try_acquire_owned() else {
                    // One that speaks TLS could not read it.
                    if tls.is_none() {
                        let _ = tokio::time::timeout(Duration::from_millis(50), stream.write_all(FULL)).await;
                        let _ = stream.shutdown().await;
                    }
                    continue;
                };
                let (site, way, stop) = (site.clone(), way.clone(), stop.clone());
                let acceptor = tls.as_ref().map(|tls| tls.acceptor());
                tracker.spawn(async move {
                    match acceptor {
                        None => connection(stream, line, way, site, stop).await,
                        Some(acceptor) => match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                            Ok(Ok(stream)) => connection(stream, line, way, site, stop).await,
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

async fn connection<S>(stream: S, line: Line, way: Arc<Way>, site: Arc<Site>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // A client that does not read costs a bounded time: an endless answer no more than others.
    let stream = StallGuard::new(stream, site.conductor.config.api.slow_client_timeout.duration());
    let service = service_fn(|request: Request<Incoming>| {
        let (site, way, line, stop) = (site.clone(), way.clone(), line.clone(), stop.clone());
        // Apart: what a request needs is many times what a connection needs on which nothing is asked.
        async move { Ok::<_, Infallible>(Box::pin(answer(site, way, line, stop, request)).await) }
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
