//! Takes connections for the boot server: so many in all, so many per address, headers in a bounded time.

use super::stall::StallGuard;
use axum::Router;
use axum::extract::ConnectInfo;
use common::seats::Seats;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What one listener allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at the same time; more wait in the kernel's queue.
    pub connections: usize,
    /// Connections at the same time from one address; more are closed.
    pub per_address: usize,
    /// Longest wait for the header of a request, on a kept-alive connection too.
    pub header_time: Duration,
    /// Longest time a client may not read what it asked for.
    pub stall_time: Duration,
    /// How long running downloads may go on after the order to stop.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            per_address: 64,
            header_time: Duration::from_secs(20),
            stall_time: Duration::from_secs(60),
            drain_time: Duration::from_secs(2),
        }
    }
}

/// Serves until `stop`; then ends idle connections at once and running answers after `drain_time` at the latest.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let seats = Seats::new(usize::MAX, limits.per_address);
    let mut running = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = running.join_next(), if !running.is_empty() => continue,
            accepted = async {
                // The place is taken before the connection: a full house leaves newcomers in the kernel's queue.
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            } => accepted,
        };
        match accepted {
            (Ok(place), Ok((stream, peer))) => {
                let Some(seat) = seats.take(peer.ip()) else {
                    tracing::warn!(%peer, limit = limits.per_address, "too many boot connections from one address");
                    continue;
                };
                let (router, stop) = (router.clone(), stop.clone());
                running.spawn(async move {
                    connection(stream, peer, router, limits, stop).await;
                    drop((place, seat));
                });
            }
            (Ok(_), Err(error)) => {
                // Out of file descriptors or the like: it passes, but not by asking again at once.
                tracing::warn!(%error, "a boot connection could not be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            (Err(_), _) => break,
        }
    }
    drop(listener);
    let drain = async { while running.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain_time, drain).await.is_err() {
        running.abort_all();
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, limits: Limits, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router.layer(axum::Extension(ConnectInfo(peer))));
    let io = TokioIo::new(StallGuard::new(stream, limits.stall_time));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_time).max_buf_size(16 * 1024);
    let connection = http.serve_connection(io, service);
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "a boot connection ended early");
    }
}
