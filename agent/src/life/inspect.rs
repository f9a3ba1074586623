//! Inspection: gather, post, try again. It may fail; the agent goes on (ipa-features sections 1 and 14, issue: a retry never ends the process).

use super::Machine;
use super::events::Events;
use crate::config::Config;
use crate::home::{Home, HomeError, chain};
use crate::sys::mask::mask_secrets;
use common::heartbeat::InspectionData;
use rand::RngExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Attempts before the agent goes on with its start; later ones are made beside it.
const ATTEMPTS: u32 = 5;

/// Bounds of the pause between attempts, seconds.
const PAUSE: (u64, u64) = (5, 30);

/// Collectors when none are named.
const DEFAULT_COLLECTORS: [&str; 2] = ["default", "logs"];

/// Collects and posts; the node's UUID if the conductor told it.
pub async fn run<M: Machine>(
    config: &Config,
    home: &Arc<Home>,
    machine: &Arc<M>,
    events: &mut Events,
) -> Option<String> {
    let collectors =
        config.inspection_collectors.clone().unwrap_or_else(|| DEFAULT_COLLECTORS.map(String::from).to_vec());
    let eyes = Arc::clone(machine);
    let gathered = tokio::task::spawn_blocking(move || eyes.inspection_data(&collectors)).await;
    let data = match gathered {
        Ok(data) => Arc::new(data),
        Err(cause) => {
            tracing::error!(error = %cause, "inspection failed; going on without");
            return None;
        }
    };
    let urls = match config.inspection_callback_urls.is_empty() {
        true => home.inspection_urls(),
        false => config.inspection_callback_urls.clone(),
    };
    let end = Instant::now() + Duration::from_secs(PAUSE.1) * ATTEMPTS;
    let mut attempt = 1;
    while attempt <= ATTEMPTS && Instant::now() < end {
        match post(home, &urls, &data).await {
            Ok(uuid) => return uuid,
            Err(Ended) => return None,
            // Tried again as soon as the network changes: DHCP may still be at work. Such a try costs no attempt.
            Err(Later) if events.pause(pause(attempt)).await => {}
            Err(Later) => attempt += 1,
        }
    }
    tracing::error!("inspection data were not taken; going on, and trying again beside it");
    tokio::spawn(keep_trying(Arc::clone(home), urls, data));
    None
}

/// The conductor may be back any time within its own patience (half an hour), so this does not stop by itself.
async fn keep_trying(home: Arc<Home>, urls: Vec<String>, data: Arc<InspectionData>) {
    loop {
        tokio::time::sleep(pause(ATTEMPTS)).await;
        if !matches!(post(&home, &urls, &data).await, Err(Later)) {
            return;
        }
    }
}

enum Failed {
    /// Worth another try.
    Later,
    /// The answer will not change.
    Ended,
}
use Failed::{Ended, Later};

/// One attempt: each URL in turn until one takes the data.
async fn post(home: &Home, urls: &[String], data: &InspectionData) -> Result<Option<String>, Failed> {
    let mut outcome = Err(Ended);
    for url in urls {
        match home.inspected(url, data).await {
            Ok(uuid) => {
                tracing::info!(node = uuid.as_deref().unwrap_or("not told"), "inspection data were taken");
                return Ok(uuid);
            }
            Err(cause) => {
                report(url, &cause);
                outcome = Err(if cause.is_passing() { Later } else { Ended });
            }
        }
    }
    outcome
}

fn report(url: &str, cause: &HomeError) {
    let url = mask_secrets(url);
    match cause.is_passing() {
        true => tracing::warn!(%url, error = %chain(cause), "inspection data were not taken; trying again"),
        false => tracing::error!(%url, error = %chain(cause), "the API refuses the inspection data; going on without"),
    }
}

fn pause(attempt: u32) -> Duration {
    let upper = (1u64 << attempt.min(6)).clamp(PAUSE.0, PAUSE.1);
    Duration::from_secs_f64(rand::rng().random_range(PAUSE.0 as f64..=upper as f64))
}
