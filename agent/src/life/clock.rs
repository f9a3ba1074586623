//! The clock, set by a time server before anything that looks at dates (certificates, logs); only if one is configured.

use super::LifeError;
use super::events::Events;
use crate::config::Config;
use crate::home::{chain, sntp};
use crate::sys::clock;
use std::io::ErrorKind;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Patience for the network and the server together: DHCP may still be at work.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two attempts, unless the network changes before.
const PAUSE: Duration = Duration::from_secs(5);

/// Asks and sets; tried again while the patience lasts.
///
/// # Errors
/// [`LifeError::Clock`], only if the configuration wants the agent to end then (`fail_if_clock_not_set`).
pub async fn set(config: &Config, events: &mut Events) -> Result<(), LifeError> {
    let Some(server) = &config.ntp_server else { return Ok(()) };
    let end = Instant::now() + PATIENCE;
    let cause = loop {
        let name = server.clone();
        let cause = match tokio::task::spawn_blocking(move || sntp::ask(&name)).await {
            Ok(Ok(time)) => match apply(time, server) {
                Ok(()) => return Ok(()),
                Err(cause) => break cause,
            },
            Ok(Err(cause)) => chain(&cause),
            Err(cause) => break cause.to_string(),
        };
        if Instant::now() + PAUSE >= end {
            break cause;
        }
        tracing::info!(%server, %cause, "the clock is not set yet; trying again");
        events.pause(PAUSE).await;
    };
    if config.fail_if_clock_not_set {
        return Err(LifeError::Clock { server: server.clone(), cause });
    }
    tracing::warn!(%server, %cause, "the clock was not set; going on with what it says");
    Ok(())
}

/// A machine that is no ramdisk keeps its clock: said, but no failure.
fn apply(time: SystemTime, server: &str) -> Result<(), String> {
    let now = SystemTime::now();
    let off = time.duration_since(now).unwrap_or_else(|ahead| ahead.duration());
    match clock::set(time) {
        Ok(()) => tracing::info!(%server, seconds_off = off.as_secs_f64(), "the clock is set"),
        Err(cause) if cause.kind() == ErrorKind::PermissionDenied => {
            tracing::warn!(%server, seconds_off = off.as_secs_f64(), %cause, "the clock is not set");
        }
        Err(cause) => return Err(format!("the kernel refuses the time: {cause}")),
    }
    Ok(())
}
