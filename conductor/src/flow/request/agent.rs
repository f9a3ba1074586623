//! What agents ask for: look-up, heartbeat, continue-inspection (rest-api section 14, agent-protocol sections 2 and 3).

use super::{Caller, Conductor, RequestError, discovery};
use crate::claim::{Claim, Tries};
use crate::flow::{failure, fast_track, let_go, machine};
use crate::model::flow_note::Pause;
use crate::model::fsm::State;
use crate::model::node::{InterfaceKind, Node};
use crate::model::plan;
use crate::policy::Visible;
use crate::store::{NodeFilter, Page, PortFilter, StoreError};
use common::heartbeat::{Heartbeat, InspectionData, LookupConfig, LookupNode, LookupReply};
use common::mac::Mac;
use common::token::{MASK, Token};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// One text for "unknown" and "not waiting for an agent": a guess learns nothing.
pub(super) fn unknown() -> RequestError {
    RequestError::NotFound("Resource could not be found.".into())
}

/// `GET /v1/lookup`: `with_token` from API 1.62 on.
///
/// # Errors
/// 400 without a usable criterion, 404 for everything that is not exactly one waiting node, 409 while it is held.
pub async fn lookup(
    conductor: &Arc<Conductor>,
    addresses: Vec<Mac>,
    node_uuid: Option<Uuid>,
    with_token: bool,
) -> Result<LookupReply, RequestError> {
    let node = match node_uuid {
        Some(uuid) => conductor.store.node(&uuid.to_string()).await.map_err(|_| unknown())?,
        None if addresses.is_empty() => {
            return Err(RequestError::Invalid(
                "At least one of 'addresses' and 'node_uuid' parameters is required".into(),
            ));
        }
        None => {
            let owners = owners(conductor, &addresses).await?;
            let [only] = owners.iter().copied().collect::<Vec<_>>()[..] else { return Err(unknown()) };
            conductor.store.node(&only.to_string()).await.map_err(|_| unknown())?
        }
    };
    let allowed = node.provision_state.allows_lookup() || fast_track::allows_lookup(conductor, &node);
    if conductor.config.api.restrict_lookup && !allowed {
        return Err(unknown());
    }
    let token = if with_token { Some(hand_out_token(conductor, &node).await?) } else { None };
    Ok(reply(conductor, &node, token))
}

/// The nodes that have ports with these addresses.
pub(super) async fn owners(conductor: &Conductor, addresses: &[Mac]) -> Result<BTreeSet<Uuid>, StoreError> {
    let mut owners = BTreeSet::new();
    // A machine with more NICs than this does not exist; a longer list is an attack.
    for address in addresses.iter().take(256) {
        let filter = PortFilter { address: Some(*address), ..PortFilter::default() };
        owners.extend(
            conductor
                .store
                .ports(&Visible::Everything, &filter, &Page::default())
                .await?
                .iter()
                .map(|port| port.node_uuid),
        );
    }
    Ok(owners)
}

/// First look-up wins: later ones see the mask. One exception: a process that was killed may have saved a token and never
/// sent it. As long as no agent has shown that it has it, the process after it may give away a new one, once.
async fn hand_out_token(conductor: &Arc<Conductor>, node: &Node) -> Result<Token, RequestError> {
    const KEY: &str = "agent_secret_token";
    let process = conductor.process.to_string();
    let given = |node: &Node| {
        let info = &node.driver_internal_info;
        let lost =
            info.text(machine::TOKEN_MAKER).is_some_and(|maker| maker != process) && !info.contains_key("agent_url");
        info.contains_key(KEY) && !lost
    };
    if given(node) {
        return Ok(Token::new(MASK));
    }
    let mut claim = Claim::take_patiently(&conductor.holder, node.uuid, "agent token").await?;
    // Whoever asked before the machine was switched is gone: the token belongs to who asks now.
    if machine::boot_mark(&claim.node) != machine::boot_mark(node) {
        let busy = super::locked(&claim.node, &conductor.host);
        let_go(conductor, claim).await;
        return Err(busy);
    }
    let token = if given(&claim.node) {
        Token::new(MASK)
    } else {
        let token = Token::from_random(rand::random());
        let info = &mut claim.node.driver_internal_info;
        info.insert(KEY.into(), json!(token.expose()));
        info.insert(machine::TOKEN_MAKER.into(), json!(process));
        token
    };
    let saved = claim.save().await;
    let_go(conductor, claim).await;
    saved?;
    Ok(token)
}

fn reply(conductor: &Conductor, node: &Node, token: Option<Token>) -> LookupReply {
    let config = &conductor.config;
    let metrics = &config.metrics;
    let base = crate::flow::ramdisk::api_url(conductor).map(String::from).unwrap_or_default();
    let href = |prefix: &str| format!("{}{prefix}nodes/{}", base, node.uuid);
    let redfish = matches!(node.interface(InterfaceKind::Management), "redfish" | "idrac-redfish");
    LookupReply {
        node: LookupNode {
            uuid: node.uuid.to_string(),
            properties: node.properties.masked(),
            instance_info: node.instance_info.masked(),
            driver_internal_info: node.driver_internal_info.masked(),
            links: vec![json!({"href": href("v1/"), "rel": "self"}), json!({"href": href(""), "rel": "bookmark"})],
        },
        config: Some(LookupConfig {
            metrics: json!({"backend": metrics.agent_backend, "prepend_host": metrics.agent_prepend_host,
                "prepend_uuid": metrics.agent_prepend_uuid, "prepend_host_reverse": metrics.agent_prepend_host_reverse,
                "global_prefix": metrics.agent_global_prefix}),
            metrics_statsd: json!({"statsd_host": config.metrics_statsd.agent_statsd_host,
                "statsd_port": config.metrics_statsd.agent_statsd_port}),
            heartbeat_timeout: config.api.ramdisk_heartbeat_timeout,
            agent_containers: json!(config.agent_containers),
            agent_token: token,
            agent_token_required: true,
            agent_md5_checksum_enable: Some(config.agent.allow_md5_checksum),
            disable_deep_image_inspection: Some(config.conductor.disable_deep_image_inspection),
            permitted_image_formats: Some(config.conductor.permitted_image_formats.clone()),
            agent_skip_bmc_detect: Some(redfish),
            enable_bios_bootloader_install: Some(false),
            tls_min_version: Some(config.agent.tls_minimum_version.clone()),
            tls_cipher_suites: None,
            agent_heartbeat_min_gap: Some(config.agent.heartbeat_min_gap.0),
        }),
        heartbeat_timeout: None,
    }
}

/// `POST /v1/heartbeat/{ident}`: checks from "Node exists" on, in the order of rest-api 14.2.
///
/// # Errors
/// As the table there lists them.
pub async fn heartbeat(conductor: &Arc<Conductor>, ident: &str, beat: Heartbeat) -> Result<(), RequestError> {
    let invalid = |text: &str| Err(RequestError::Invalid(text.into()));
    let node = conductor.store.node(ident).await?;
    let url = beat.callback_url.trim_end_matches('/').to_owned();
    if !(url.is_empty() || url.starts_with("http://") || url.starts_with("https://")) {
        return invalid("An issue with the supplied \"callback_url\" has been detected.");
    }
    let info = &node.driver_internal_info;
    let known = info.text("agent_url");
    if known.is_some_and(|known| known != url) {
        return invalid("Detected change in ramdisk provided \"callback_url\"");
    }
    let Some(token) = &beat.agent_token else {
        return invalid("Agent token is required for heartbeat processing.");
    };
    if let Some(status) = &beat.agent_status
        && !["start", "end", "error"].contains(&status.as_str())
    {
        return invalid("Agent status is invalid. Valid states are start,end,error.");
    }
    if beat.agent_version.is_none() && beat.agent_status.is_none() {
        return invalid(
            "Agent did not transmit a version, and a version is required. Please update the agent being used.",
        );
    }
    if !info.text("agent_secret_token").is_some_and(|stored| token.matches(stored)) {
        tracing::warn!(node = %node.uuid, "a heartbeat with a wrong token was refused");
        return invalid("Invalid or missing agent token received.");
    }
    if conductor.config.agent.require_tls && url.starts_with("http://") {
        return invalid("TLS is required by configuration");
    }
    if let (Some(stored), Some(sent)) = (info.text("agent_verify_ca"), &beat.agent_verify_ca)
        && stored != sent
    {
        return invalid("Detected change in ramdisk provided \"agent_verify_ca\"");
    }
    let at_work = listens(node.provision_state);
    if !(at_work || fast_track::listens(conductor, &node))
        || (at_work && node.maintenance && conductor.config.conductor.allow_provisioning_in_maintenance)
    {
        return Ok(());
    }
    let known = known.is_some();
    if known && conductor.holder.mark(node.uuid) {
        return Ok(());
    }
    if at_work && node.maintenance {
        return abort(conductor, node.uuid).await;
    }
    let accepted = beat.agent_token.clone();
    let shared = Arc::clone(conductor);
    let change = move |node: &mut Node| {
        let same = node
            .driver_internal_info
            .text("agent_secret_token")
            .is_some_and(|stored| accepted.as_ref().is_some_and(|token| token.matches(stored)));
        let at_work = listens(node.provision_state) && !node.maintenance;
        if !same || !(at_work || fast_track::listens(&shared, node)) {
            return Err(Overtaken);
        }
        note(node, &beat, url);
        Ok(())
    };
    let uuid = node.uuid;
    match conductor.holder.edit(uuid, Some(node), Tries::Once, change).await {
        // Most beats say only that the agent lives: one write, and nobody holds the node.
        Ok(Ok(node)) if plan::next(&node, plan::Facts::default()).is_none() => Ok(()),
        Ok(Ok(_)) => Ok(crate::flow::wake(conductor, uuid, "heartbeat").await?),
        // The node has moved on since it was read: what this agent says means nothing any more.
        Ok(Err(Overtaken)) => Ok(()),
        // Known and held elsewhere: dropped, the next one will do.
        Err(StoreError::Held { .. }) if known => {
            conductor.holder.mark(uuid);
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The node is not any more what it was when the heartbeat was checked.
struct Overtaken;

/// A node in maintenance whose flow must not go on: it fails where it is.
async fn abort(conductor: &Arc<Conductor>, node: Uuid) -> Result<(), RequestError> {
    let mut claim = match Claim::take(&conductor.holder, node, "heartbeat").await {
        Ok(claim) => claim,
        Err(StoreError::Held { .. }) => {
            conductor.holder.mark(node);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    if !claim.node.maintenance || !listens(claim.node.provision_state) {
        let_go(conductor, claim).await;
        return Ok(());
    }
    let word = match claim.node.provision_state {
        State::Cleaning | State::CleanWait | State::CleanHold => "Cleaning",
        State::Rescuing | State::RescueWait => "Rescue",
        State::Servicing | State::ServiceWait | State::ServiceHold => "Service",
        _ => "Deploy",
    };
    let text = format!("{word} aborted as node is in maintenance mode");
    let shared = Arc::clone(conductor);
    // The machine is switched off: the agent need not wait for its BMC.
    conductor.spawn(async move {
        if let Err(error) = failure::fail(&shared, &mut claim, text).await {
            tracing::error!(node = %claim.node.uuid, %error, "the abort was not saved");
        }
        let_go(&shared, claim).await;
    });
    Ok(())
}

/// Heartbeats mean something in this state whether fast track is on or not (rest-api section 17.9).
fn listens(state: State) -> bool {
    matches!(
        state,
        State::Deploying
            | State::DeployWait
            | State::DeployHold
            | State::Cleaning
            | State::CleanWait
            | State::CleanHold
            | State::Rescuing
            | State::RescueWait
            | State::Servicing
            | State::ServiceWait
            | State::ServiceHold
    )
}

fn note(node: &mut Node, beat: &Heartbeat, url: String) {
    let info = &mut node.driver_internal_info;
    if !url.is_empty() {
        info.insert("agent_url".into(), json!(url));
    }
    info.insert("agent_last_heartbeat".into(), json!(machine::plain_time()));
    for (key, value) in [
        ("agent_version", &beat.agent_version),
        ("agent_verify_ca", &beat.agent_verify_ca),
        ("agent_status", &beat.agent_status),
        ("agent_status_message", &beat.agent_status_message),
    ] {
        if let Some(value) = value {
            info.insert(key.into(), json!(value));
        }
    }
    if node.provision_state.is_wait() {
        node.flow.waiting_since = Some(Timestamp::now());
    }
    if node.flow.pause == Some(Pause::NextBeat) {
        node.flow.pause = None;
    }
    if node.provision_state == State::RescueWait {
        // It is there after all: ask it again.
        node.flow.pause = None;
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_that_listen_are_those_with_an_agent_at_work() {
        let deaf = [State::Available, State::Active, State::InspectWait, State::Verifying, State::DeployFailed];
        assert!(deaf.iter().all(|state| !listens(*state)));
    }
}
