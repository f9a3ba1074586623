//! Rescue: a ramdisk with a password instead of the instance, and the way back (rest-api 17.8, agent-protocol 10.5).
//!
//! The password is hashed by the request and never stored in clear. Only the agent's own word makes a rescue: one that is
//! silent after it was asked may have the password and have left, or may be dead, and nobody can tell. Its ramdisk is booted
//! again, and when that does not help either the rescue has failed.

use crate::agent_client::AgentError;
use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{agent_talk, instance, machine, ramdisk};
use crate::model::flow_note::Pause;
use crate::model::fsm::Event;
use crate::model::history::Severity;
use crate::model::node::{InterfaceKind, Node};
use crate::model::plan::{FINALIZE, RAMDISK, START};
use crate::store::StoreError;
use common::command::CommandStatus;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, json};
use std::sync::Arc;

/// How often a booted ramdisk is asked to take the password before it is booted again.
const ASKS: u32 = 2;
/// How often it is booted again. (A conductor that is killed while it asks costs a boot, too.)
const BOOTS: u32 = 3;

/// Key of the hash in instance_info, as Ironic names it.
pub const HASH: &str = "hashed_rescue_password";

/// The password is gone from the record.
pub fn forget_password(node: &mut Node) {
    node.instance_info.remove(HASH);
    node.instance_info.remove("rescue_password");
}

/// Boots the rescue ramdisk and waits. `fake` has none and is there at once.
pub async fn start(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    if claim.node.interface(InterfaceKind::Rescue) == "fake" {
        machine::fake_delay(conductor, &claim.node, InterfaceKind::Rescue).await;
        return done(claim).await;
    }
    ramdisk::boot(conductor, claim, ramdisk::Purpose::Rescue)
        .await
        .map_err(|trouble| trouble.within("Failed to rescue"))?;
    claim.node.flow.stage = RAMDISK.into();
    claim.node.flow.waiting_for = Some("the rescue ramdisk to call back".into());
    claim.step(Event::Wait)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// The agent called, or the time for its next beat is over.
pub async fn resume(claim: &mut Claim) -> Result<Moved, Trouble> {
    claim.node.flow.pause = None;
    claim.step(Event::Resume)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// Gives the agent the hash. First it is noted that it is being given: after a restart nobody could tell otherwise why the
/// agent is silent.
pub async fn finalize(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    if claim.node.flow.stage != FINALIZE {
        claim.node.flow.stage = FINALIZE.into();
        claim.save().await?;
    }
    let uuid = claim.node.uuid;
    let failed = |text: String| Trouble::Fail(format!("Node failed to perform rescue operation: {text}"));
    let Some(hash) = claim.node.instance_info.text(HASH).map(str::to_owned) else {
        return Err(failed(format!("node {uuid} has no rescue password; ask for the rescue again")));
    };
    let Some(agent) = agent_talk::address(&claim.node) else {
        return wait(conductor, claim, "the agent to call").await;
    };
    let mut params = Map::new();
    params.insert("rescue_password".into(), json!(hash));
    params.insert("hashed".into(), json!(true));
    match conductor.agents.run(&agent, "rescue.finalize_rescue", params, true).await {
        Ok(result) if result.command_status == CommandStatus::Succeeded => rescued(conductor, claim).await,
        Ok(result) => {
            let text = result.command_error.as_ref().map_or("no error text", |error| error.text()).to_owned();
            Err(failed(format!(
                "Failed to rescue instance {} for node {uuid}: Agent returned bad result for command finalize_rescue: {text}",
                claim.node.instance_uuid.as_deref().unwrap_or("None")
            )))
        }
        Err(error @ AgentError::Unreachable { .. }) => unanswered(conductor, claim, &error).await,
        Err(error @ AgentError::Busy(_)) => {
            tracing::warn!(node = %uuid, %error, "the agent is busy; finalize_rescue comes at its next heartbeat");
            wait(conductor, claim, "the rescue ramdisk to have time").await
        }
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Asks once more at the next heartbeat, or when it is overdue; then boots the ramdisk again; then gives up.
async fn unanswered(conductor: &Arc<Conductor>, claim: &mut Claim, error: &AgentError) -> Result<Moved, Trouble> {
    claim.node.flow.attempts += 1;
    let asked = claim.node.flow.attempts;
    if !asked.is_multiple_of(ASKS) {
        tracing::warn!(node = %claim.node.uuid, %error, "no answer to finalize_rescue; asking again");
        return wait(conductor, claim, "the rescue ramdisk to answer").await;
    }
    if asked / ASKS > BOOTS {
        return Err(Trouble::Fail(format!(
            "Node failed to perform rescue operation: Failed to rescue instance {} for node {}: no answer to \
             finalize_rescue, asked {asked} times in {} boots: {error}. Look at the machine's console, then rescue it again \
             or unrescue it",
            claim.node.instance_uuid.as_deref().unwrap_or("None"),
            claim.node.uuid,
            asked / ASKS
        )));
    }
    let text = "the rescue ramdisk does not say that it has its password; it is booted again";
    claim.note(Severity::Error, "rescue", format!("{text} ({error})"));
    claim.node.flow.stage = START.into();
    claim.save().await?;
    Ok(Moved::On)
}

/// Until the next heartbeat; one that does not come in time says as much.
async fn wait(conductor: &Arc<Conductor>, claim: &mut Claim, what: &str) -> Result<Moved, Trouble> {
    let seconds = i64::try_from(conductor.config.api.ramdisk_heartbeat_timeout).unwrap_or(300);
    claim.node.flow.pause = Some(Pause::Until(Timestamp::now() + SignedDuration::from_secs(seconds)));
    claim.node.flow.waiting_for = Some(what.into());
    claim.step(Event::Wait)?;
    claim.save().await?;
    Ok(Moved::On)
}

async fn rescued(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    conductor.boot.remove(claim.node.uuid);
    machine::forget_agent(&mut claim.node);
    done(claim).await
}

async fn done(claim: &mut Claim) -> Result<Moved, Trouble> {
    forget_password(&mut claim.node);
    let flow = &mut claim.node.flow;
    flow.stage.clear();
    flow.attempts = 0;
    claim.step(Event::Done)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// Nothing of the rescue stays in the record or in the boot directory.
pub fn clean_up(conductor: &Conductor, claim: &mut Claim) {
    forget_password(&mut claim.node);
    conductor.boot.remove(claim.node.uuid);
    machine::forget_agent(&mut claim.node);
}

/// By request: nothing failed, so `last_error` stays as it is and the machine keeps its power (rest-api 17.8).
///
/// # Errors
/// The store's.
pub async fn abort(conductor: &Conductor, claim: &mut Claim, text: String) -> Result<(), StoreError> {
    clean_up(conductor, claim);
    claim.note(Severity::Info, "rescue", text);
    let flow = &mut claim.node.flow;
    flow.stage.clear();
    flow.command = None;
    flow.pause = None;
    if let Err(refused) = claim.step(Event::Abort) {
        tracing::error!(node = %claim.node.uuid, %refused, "an aborted rescue could not leave its state");
    }
    claim.save().await
}

/// Boots the instance again.
pub async fn unrescue(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    if claim.node.interface(InterfaceKind::Rescue) == "fake" {
        machine::fake_delay(conductor, &claim.node, InterfaceKind::Rescue).await;
    } else {
        instance::start(conductor, claim).await.map_err(|trouble| trouble.within("Failed to unrescue"))?;
    }
    done(claim).await
}
