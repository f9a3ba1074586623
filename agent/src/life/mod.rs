//! The agent's life: wait for a network, tell what the machine has, ask which node it is, then beat until told to stop.
//!
//! This room decides when to try again and when to give up; `home` makes the calls, `command` holds what is learned.
//! Order of things: ipa-features section 1. Serving comes between [`introduce`] and [`beat::run`]; `main` joins them.

pub mod address;
pub mod beat;
mod clock;
pub mod discover;
mod events;
mod inspect;
mod lookup;
mod this_machine;
mod wait;

pub use address::Advertised;
pub use this_machine::ThisMachine;

use crate::command::{Commands, TokenNews};
use crate::config::Config;
use crate::home::{Home, HomeError};
use common::heartbeat::{InspectionData, LookupReply};
use common::inventory::Interface;
use events::Events;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// Seconds between heartbeats requested on demand, unless the conductor names another number (agent-protocol 2.4).
const MIN_GAP: Duration = Duration::from_secs(5);

/// What life asks of the hardware. May block.
pub trait Machine: Send + Sync + 'static {
    /// The interfaces that count, with their addresses.
    fn interfaces(&self) -> Vec<Interface>;
    /// The body of the inspection callback.
    fn inspection_data(&self, collectors: &[String]) -> InspectionData;
    /// There is a disk that an image could go to.
    fn has_disk(&self) -> bool;
    /// Assembles the software RAID that is on the disks, in a ramdisk: an array is a disk, its members are none. Before that it
    /// waits for what was begun at the start (drivers, multipath maps): each path to a disk would count as one.
    fn assemble_arrays(&self) {}
    /// The node's root device hints fit a disk that is there, or there is no use in waiting for one.
    fn has_root_disk(&self, _node: &Map<String, Value>) -> bool {
        true
    }
}

/// Why the agent cannot live.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    /// No look-up succeeded in time.
    #[error("no look-up succeeded within {} s; the last failure follows. Is the node enrolled with a port of this machine, and deploying, cleaning, inspecting or rescuing?", .after.as_secs())]
    Lookup {
        /// The configured patience.
        after: Duration,
        /// The last failure.
        source: HomeError,
    },
    /// The token went to somebody else.
    #[error(
        "the API has given this node's token away before, and this agent does not have it: it was restarted, or another program asked first. \
         It must not serve. Abort the operation on the node, or power it off, and start again"
    )]
    TokenRefused,
    /// No address to tell the conductor.
    #[error(
        "this machine has no address from which the API can be reached; set `ipa-advertise-host`, or look at cables, DHCP and routes"
    )]
    NoAddress,
    /// The advertised address is none.
    #[error("`advertise_host`: `{0}` is not an IP address")]
    BadAddress(String),
    /// The clock could not be set, and the configuration says that this matters.
    #[error("the clock could not be set by {server}: {cause}; `fail_if_clock_not_set` ends the agent then")]
    Clock {
        /// The time server.
        server: String,
        /// Why.
        cause: String,
    },
    /// Nobody answered by mDNS.
    #[error("{0}")]
    Mdns(String),
    /// A look-up without the one compulsory number.
    #[error("the API's look-up answer has no heartbeat_timeout")]
    NoHeartbeatTimeout,
}

/// What the look-up told.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// The node.
    pub node_uuid: String,
    /// Base of the heartbeat interval.
    pub heartbeat_timeout: Duration,
    /// Least time between heartbeats on demand.
    pub min_gap: Duration,
}

/// From a cold start to knowing the node; `None` when no API is configured (inspection only).
///
/// # Errors
/// [`LifeError`]: the process should end, whoever started it starts it again.
pub async fn introduce<M: Machine>(
    config: &Config,
    home: &Arc<Home>,
    machine: &Arc<M>,
    commands: &Commands,
) -> Result<Option<Introduction>, LifeError> {
    tokio::time::sleep(config.hardware_initialization_delay).await;
    let mut events = Events::of_network();
    wait::for_interface(&mut events, machine.as_ref()).await;
    clock::set(config, &mut events).await?;
    let mut node_uuid = None;
    if config.wants_inspection() {
        wait::for_disk(config, machine.as_ref()).await;
        machine.assemble_arrays();
        wait::for_dhcp(config, &mut events, machine.as_ref()).await;
        node_uuid = inspect::run(config, home, machine, &mut events).await;
    }
    if config.api_urls.is_empty() {
        tracing::warn!("no `ipa-api-url`: this agent does not look its node up and sends no heartbeats");
        return Ok(None);
    }
    let reply = lookup::run(config, home, machine.as_ref(), &mut events, node_uuid.as_deref()).await?;
    tracing::info!(node = %reply.node.uuid, "found the node");
    match commands.facts().learn(&reply) {
        TokenNews::Refused => return Err(LifeError::TokenRefused),
        TokenNews::None => {
            tracing::warn!(node = %reply.node.uuid, "the API gave no token: every command will be refused")
        }
        TokenNews::Known => {}
    }
    if !config.wants_inspection() {
        wait::for_disk(config, machine.as_ref()).await;
        machine.assemble_arrays();
    }
    wait::for_root_disk(config, machine.as_ref(), &commands.facts().node()).await;
    introduction(&reply).map(Some)
}

fn introduction(reply: &LookupReply) -> Result<Introduction, LifeError> {
    let config = reply.config.as_ref();
    let seconds = config.map(|config| config.heartbeat_timeout).or(reply.heartbeat_timeout);
    let seconds = seconds.filter(|seconds| *seconds > 0).ok_or(LifeError::NoHeartbeatTimeout)?;
    let gap = config.and_then(|config| config.agent_heartbeat_min_gap).filter(|gap| (0.1..=60.0).contains(gap));
    Ok(Introduction {
        node_uuid: reply.node.uuid.clone(),
        // A day is far beyond any sense; more would only overflow sums.
        heartbeat_timeout: Duration::from_secs(seconds.min(86_400)),
        min_gap: gap.map_or(MIN_GAP, Duration::from_secs_f64),
    })
}

#[cfg(test)]
mod tests;
