//! `POST /v1/heartbeat/{ident}`: an agent lives, and says where (rest-api section 14.2, agent-protocol section 3).

use super::{Conductor, RequestError};
use crate::claim::{Claim, Tries};
use crate::flow::{failure, fast_track, let_go, machine};
use crate::model::flow_note::Pause;
use crate::model::fsm::State;
use crate::model::node::Node;
use crate::model::plan;
use crate::store::StoreError;
use common::heartbeat::Heartbeat;
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

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
    // Only who has the token spends what the node's agent may send.
    if let Err(wait) = conductor.beats.take(node.uuid) {
        let (node, seconds) = (node.uuid, wait.as_secs() + 1);
        return Err(RequestError::TooOften(format!(
            "The agent of node {node} sends more heartbeats than [api] agent_beats_per_minute allows. Wait {seconds} s."
        )));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_that_listen_are_those_with_an_agent_at_work() {
        let deaf = [State::Available, State::Active, State::InspectWait, State::Verifying, State::DeployFailed];
        assert!(deaf.iter().all(|state| !listens(*state)));
    }
}
