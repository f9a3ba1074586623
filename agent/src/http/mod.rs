//! The agent's HTTP server: listens, bounds what a peer may do, hands each request to `route`.
//!
//! A peer gets so long for a handshake, for headers, for a body; and only so many peers are served at once. The token never
//! reaches the log: what is logged of a request is its path, without the query.

mod answer;
pub mod body;
mod departures;
mod route;

use crate::command::Commands;
use common::seats::Seats;
use departures::Departures;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Connections served at once; the conductor needs one or two.
const MAX_CONNECTIONS: usize = 64;

/// Of them, those of one address: whoever opens many and says nothing keeps nobody else out.
const MAX_OF_ONE: usize = 16;

/// For the TLS handshake, and for the headers of a request (an idle connection is closed after it, too).
const HEADER_TIME: Duration = Duration::from_secs(30);

/// For answers that are under way when the server is told to stop.
const STOP_TIME: Duration = Duration::from_secs(2);

/// Longest head of a request, bytes.
const MAX_HEAD: usize = 64 * 1024;

/// What every request may use.
pub struct Site {
    /// The commands.
    pub commands: Commands,
    /// Seconds since 1970 when the agent started.
    pub started_at: f64,
    /// `https` or `http`, for links.
    pub scheme: &'static str,
}

impl Site {
    /// Started now.
    pub fn new(commands: Commands, tls: bool) -> Self {
        let started_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Self { commands, started_at, scheme: if tls { "https" } else { "http" } }
    }
}

/// Opens the port: on `host`, else on all addresses of both families, else (no IPv6 here) on all of IPv4.
///
/// # Errors
/// The port is taken or the address is not ours.
pub async fn listen(host: Option<&str>, port: u16) -> io::Result<TcpListener> {
    if let Some(host) = host {
        return TcpListener::bind((host.trim_matches(['[', ']']), port)).await;
    }
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Err(cause) if cause.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        outcome => outcome,
    }
}

/// Serves until `stop` turns true, then lets answers under way leave.
pub async fn run(listener: TcpListener, tls: Option<Arc<ServerConfig>>, site: Site, mut stop: watch::Receiver<bool>) {
    let site = Arc::new(site);
    let acceptor = tls.map(TlsAcceptor::from);
    let seats = Seats::new(MAX_CONNECTIONS, MAX_OF_ONE);
    let mut peers = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(seat) = seats.take(peer.ip()) else {
                    tracing::debug!(%peer, "too many connections; this one is closed");
                    continue;
                };
                let (acceptor, site, stop) = (acceptor.clone(), Arc::clone(&site), stop.clone());
                peers.spawn(async move {
                    converse(stream, peer, acceptor, site, stop).await;
                    drop(seat);
                });
            }
            // Out of file descriptors or the like: accepting again at once would only burn the processor.
            Err(cause) => {
                tracing::warn!(error = %cause, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while peers.try_join_next().is_some() {}
    }
    drop(listener);
    let _ = tokio::time::timeout(STOP_TIME, async { while peers.join_next().await.is_some() {} }).await;
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    site: Arc<Site>,
    stop: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = tls else { return serve(stream, peer, site, stop).await };
    match tokio::time::timeout(HEADER_TIME, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, peer, site, stop).await,
        Ok(Err(cause)) => tracing::info!(%peer, error = %cause, "TLS handshake failed"),
        Err(_) => tracing::info!(%peer, "TLS handshake took too long"),
    }
}

async fn serve<S>(stream: S, peer: SocketAddr, site: Arc<Site>, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let departures = Departures::default();
    let stream = departures.watch(stream);
    let service = service_fn(move |request| {
        let (site, departures) = (Arc::clone(&site), departures.clone());
        async move {
            let mut answer = route::answer(request, peer, &site).await;
            answer.body_mut().leave_by(&departures);
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut told = false;
    loop {
        tokio::select! {
            outcome = connection.as_mut() => {
                if let Err(cause) = outcome {
                    tracing::debug!(%peer, error = %cause, "connection ended");
                }
                return;
            }
            _ = stop.wait_for(|stop| *stop), if !told => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

#[cfg(test)]
mod tests;
