//! Who else is told what happened: receivers at their own pace, each with its own place in the event log.
//!
//! A place is kept in the store and moves when the receiver has the event, so a restart loses nothing and repeats at most
//! what was under way. Receivers know nothing of each other: one that is dead costs the others nothing.

mod amqp;
pub mod brokers;
pub mod bus;
pub mod signature;
pub mod webhook;

use crate::config::Config;
use crate::store::Store;
use bus::Bus;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use webhook::Webhook;

/// Why a receiver cannot be served. Texts name the option.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {text}")]
pub struct RelayError {
    /// Which receiver or option.
    pub name: String,
    /// What is wrong.
    pub text: String,
}

/// Starts a task for every receiver; they end with `stop`, or when the set is dropped.
///
/// # Errors
/// An option that cannot be used; nothing runs then.
pub fn spawn(config: &Config, store: &Arc<dyn Store>, stop: &CancellationToken) -> Result<JoinSet<()>, RelayError> {
    let mut hooks: Vec<Webhook> = Vec::new();
    for options in &config.events.webhooks {
        if config.events.webhooks.iter().filter(|other| other.name == options.name).count() > 1 {
            return Err(RelayError { name: webhook::place(&options.name), text: "the name is there twice".into() });
        }
        hooks.push(Webhook::new(options, &config.events)?);
    }
    let bus = Bus::new(config)?;
    let mut tasks = JoinSet::new();
    if let Some(bus) = bus {
        tasks.spawn(bus.run(Arc::clone(store), stop.clone()));
    }
    for hook in hooks {
        tasks.spawn(hook.run(Arc::clone(store), stop.clone()));
    }
    Ok(tasks)
}

#[cfg(test)]
mod tests;
