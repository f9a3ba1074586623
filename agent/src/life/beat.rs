//! Heartbeats: regularly, soon after a command has ended, and again and again when one fails (agent-protocol 2.4).

use super::Introduction;
use crate::command::Commands;
use crate::home::{Home, HomeError, chain};
use common::heartbeat::Heartbeat;
use rand::RngExt;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Part of heartbeat_timeout after which the next one is due.
const INTERVAL: (f64, f64) = (0.3, 0.6);

/// Pause after a failure, seconds.
const RETRY: (f64, f64) = (5.0, 10.0);

/// Beats for ever. The body never changes: the conductor refuses another address or certificate.
pub async fn run(home: &Home, commands: &Commands, who: &Introduction, body: &Heartbeat) {
    loop {
        let sent = Instant::now();
        let pause = match home.beat(&who.node_uuid, body).await {
            Ok(()) => {
                tracing::debug!(node = %who.node_uuid, "heartbeat taken");
                who.heartbeat_timeout.mul_f64(rand::rng().random_range(INTERVAL.0..INTERVAL.1))
            }
            Err(cause) => {
                report(&who.node_uuid, &cause);
                Duration::from_secs_f64(rand::rng().random_range(RETRY.0..RETRY.1))
            }
        };
        tokio::select! {
            () = sleep_until(Instant::now() + pause) => {}
            // A command has ended: the conductor should hear of it, but not sooner than so long after the last time.
            () = commands.bell() => sleep_until(sent + who.min_gap).await,
        }
    }
}

fn report(node: &str, cause: &HomeError) {
    match cause.status() {
        Some(409) => tracing::warn!(node, error = %chain(cause), "heartbeat: the node is locked; trying again"),
        _ => tracing::error!(node, error = %chain(cause), "heartbeat failed; trying again"),
    }
}
