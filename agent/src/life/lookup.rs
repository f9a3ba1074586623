//! Look-up: which node is this machine? Asked until there is an answer or the time is over (agent-protocol 2.3).

use super::events::Events;
use super::{LifeError, Machine, wait};
use crate::config::Config;
use crate::home::{Home, HomeError, chain};
use common::heartbeat::LookupReply;
use rand::RngExt;
use std::time::Duration;
use tokio::time::Instant;

/// Longest pause between attempts.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Extra pauses after each 409, the last one for all further ones: the node is locked, by inspection for example.
const LOCKED_PAUSES: [u64; 3] = [5, 10, 30];

/// Asks until it is known.
///
/// # Errors
/// [`LifeError::Lookup`] when `lookup_timeout` is over.
pub async fn run(
    config: &Config,
    home: &Home,
    machine: &impl Machine,
    events: &mut Events,
    node_uuid: Option<&str>,
) -> Result<LookupReply, LifeError> {
    let begun = Instant::now();
    let mut locked = 0;
    for attempt in 0u32.. {
        // Asked for each time: interfaces may still be appearing.
        let macs = wait::macs(machine);
        let cause = match home.lookup(&macs, node_uuid).await {
            Ok(reply) => return Ok(reply),
            Err(cause) => cause,
        };
        let mut pause = backoff(attempt, config.lookup_interval, rand::rng().random_range(0.0..1.0));
        if cause.status() == Some(409) {
            pause += Duration::from_secs(LOCKED_PAUSES[locked.min(LOCKED_PAUSES.len() - 1)]);
            locked += 1;
        }
        if begun.elapsed() + pause >= config.lookup_timeout {
            return Err(LifeError::Lookup { after: config.lookup_timeout, source: cause });
        }
        tracing::warn!(error = %chain(&cause), ?macs, pause = pause.as_secs_f64(), "look-up failed; trying again");
        rest(pause, &cause, events).await;
    }
    unreachable!("attempts are not bounded by their number")
}

/// The pause; a machine that could not connect tries again as soon as its network changes.
async fn rest(pause: Duration, cause: &HomeError, events: &mut Events) {
    match cause {
        HomeError::Connection { .. } => drop(events.pause(pause).await),
        _ => tokio::time::sleep(pause).await,
    }
}

/// What doubles when the interval is zero: else the API would be asked without a pause for minutes.
const LEAST_BOUND: Duration = Duration::from_millis(10);

/// A random pause between `interval` and a bound that doubles; `chance` is in 0..1.
fn backoff(attempt: u32, interval: Duration, chance: f64) -> Duration {
    let bound =
        interval.max(LEAST_BOUND).saturating_mul(1u32 << attempt.min(16)).clamp(interval, MAX_PAUSE.max(interval));
    interval + (bound - interval).mul_f64(chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_the_interval_to_a_minute() {
        let second = Duration::from_secs(1);
        assert_eq!(backoff(0, second, 0.99), second);
        assert_eq!(backoff(3, second, 0.0), second);
        assert!(backoff(3, second, 0.99) > Duration::from_secs(7));
        for attempt in 0..100 {
            let pause = backoff(attempt, second, 0.999);
            assert!(pause >= second && pause <= MAX_PAUSE);
        }
        assert!(backoff(12, Duration::ZERO, 0.5) > second * 10 && backoff(0, Duration::ZERO, 0.5) > Duration::ZERO);
        assert_eq!(backoff(9, Duration::from_secs(100), 0.5), Duration::from_secs(100));
    }
}
