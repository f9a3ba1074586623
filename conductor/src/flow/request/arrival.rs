//! `POST /v1/continue_inspection`: what an inspecting agent has found (rest-api section 14.3).

use super::lookup::{lookup, owners, reply, unknown};
use super::{Caller, Conductor, RequestError, discovery};
use crate::model::fsm::State;
use crate::model::node::Node;
use crate::model::plan;
use crate::policy::Visible;
use crate::store::{NodeFilter, Page};
use common::heartbeat::{InspectionData, LookupReply};
use common::mac::Mac;
use std::sync::Arc;
use uuid::Uuid;

/// Data have arrived.
#[derive(Debug)]
pub struct Arrived {
    /// Of this node.
    pub node: Uuid,
    /// What its agent is told; none when it did not ask, or the node is held.
    pub reply: Option<LookupReply>,
}

/// `POST /v1/continue_inspection`: finds the node among those that wait for it, keeps the data, knocks. An agent that `asks` (from
/// 1.84 on) is told what [`lookup`] tells; as in the reference that is before the data are looked at, for the end of the
/// inspection may end the look-ups, too. A machine that nobody knows is enrolled, where that is wanted; it gets no token: its
/// node waits for no agent.
///
/// # Errors
/// 400 without a usable criterion, 404 for everything that is not exactly one waiting node.
pub async fn continue_inspection(
    conductor: &Arc<Conductor>,
    data: InspectionData,
    node_uuid: Option<Uuid>,
    caller: &Caller,
    asks: bool,
) -> Result<Arrived, RequestError> {
    let inventory = &data.inventory;
    let macs: Vec<Mac> =
        inventory.interfaces.iter().filter_map(|nic| nic.mac_address.as_deref()?.parse().ok()).collect();
    let bmcs: Vec<&str> = [&inventory.bmc_address, &inventory.bmc_v6address]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .filter(|address| !["", "0.0.0.0", "::/0"].contains(address))
        .collect();
    if macs.is_empty() && bmcs.is_empty() && node_uuid.is_none() {
        return Err(RequestError::Invalid("No lookup information provided".into()));
    }
    // A fast machine is ahead of a conductor that still waits for its BMC's word: `inspecting` expects the data as well.
    let provision_states = vec![State::InspectWait, State::Inspecting];
    let filter = NodeFilter { provision_states, include_children: true, ..NodeFilter::default() };
    let mut waiting = conductor.store.nodes(&Visible::Everything, &filter, &Page::default()).await?;
    waiting.retain(|node| node.provision_state == State::InspectWait || node.flow.stage == plan::START);
    let owners = owners(conductor, &macs).await?;
    let mut found: Vec<&Node> = match node_uuid {
        Some(uuid) => waiting.iter().filter(|node| node.uuid == uuid).collect(),
        None => waiting.iter().filter(|node| owners.contains(&node.uuid)).collect(),
    };
    if found.is_empty() && node_uuid.is_none() {
        let same = |node: &&Node| node.driver_info.text("ipmi_address").is_some_and(|address| bmcs.contains(&address));
        found = waiting.iter().filter(same).collect();
    }
    let node = match found[..] {
        [node] => node,
        [] if node_uuid.is_none() && owners.is_empty() && conductor.config.auto_discovery.enabled => {
            let node = discovery::enroll(conductor, data, &macs, caller).await?;
            let known = conductor.store.node(&node.to_string()).await;
            return Ok(Arrived { node, reply: known.ok().filter(|_| asks).map(|node| reply(conductor, &node, None)) });
        }
        _ => return Err(unknown()),
    };
    let reply = if asks { lookup(conductor, Vec::new(), Some(node.uuid), true).await.map(Some) } else { Ok(None) };
    let reply = reply.unwrap_or_else(|error| {
        tracing::warn!(node = %node.uuid, %error, "inspection data arrive; their agent is told no more");
        None
    });
    let value = serde_json::to_value(&data).map_err(|error| RequestError::Invalid(error.to_string()))?;
    conductor.store.put_arrival(node.uuid, &value).await?;
    crate::flow::wake(conductor, node.uuid, "inspection data").await?;
    Ok(Arrived { node: node.uuid, reply })
}
