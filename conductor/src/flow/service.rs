//! Service of an active node: its beginning, its end, its abort; the steps between are `step_loop`'s (rest-api 17.8).

use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{here, instance, machine, memory_instance, readings, step_loop};
use crate::model::fsm::{Event, State};
use crate::model::history::Severity;
use crate::model::node::Node;
use crate::model::plan::RESTORE;
use crate::model::steps;
use crate::store::StoreError;
use common::step::{Step, StepKind};
use serde_json::Value;
use std::sync::Arc;

/// Where the steps are kept as they were asked for.
pub const ASKED: &str = "user_service_steps";
/// A person asked that no ramdisk be booted.
pub const NO_RAMDISK: &str = "service_disable_ramdisk";

/// The steps, as asked.
pub fn asked_steps(node: &Node) -> Vec<Value> {
    node.driver_internal_info.get(ASKED).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Checks the steps; boots the ramdisk when one of them needs it.
pub async fn prepare(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    readings::keep(conductor, claim).await;
    let asked = asked_steps(&claim.node);
    let no_ramdisk = claim.node.driver_internal_info.flag(NO_RAMDISK) == Some(true);
    step_loop::begin_asked(conductor, claim, StepKind::Service, &asked, no_ramdisk).await
}

/// The list of this service, from what the agent offers.
///
/// # Errors
/// A text: a step that was asked for does not exist or its arguments are wrong.
pub fn build_list(conductor: &Conductor, node: &Node, offered: Vec<Step>) -> Result<Vec<Step>, String> {
    here::match_asked(conductor, node, StepKind::Service, &asked_steps(node), offered)
}

/// Starts the instance again, when the ramdisk ran, and is active.
pub async fn end(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    if claim.node.flow.ramdisk {
        instance::start(conductor, claim).await?;
    }
    forget(conductor, claim);
    readings::keep(conductor, claim).await;
    claim.node.flow.stage.clear();
    claim.step(Event::Done)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// Nothing of the service stays in the record or in the boot directory.
pub fn forget(conductor: &Conductor, claim: &mut Claim) {
    let node = &mut claim.node;
    steps::clear(node, StepKind::Service);
    for key in [ASKED, NO_RAMDISK, "agent_cached_service_steps", "agent_cached_service_steps_refreshed"] {
        node.driver_internal_info.remove(key);
    }
    machine::forget_agent(node);
    if !memory_instance::is_there(node) {
        conductor.boot.remove(node.uuid);
    }
}

/// By request: through service failed to active. The instance is started again behind, when the ramdisk ran.
///
/// # Errors
/// The store's.
pub async fn abort(conductor: &Conductor, claim: &mut Claim, text: String) -> Result<(), StoreError> {
    forget(conductor, claim);
    let flow = &mut claim.node.flow;
    flow.command = None;
    flow.pause = None;
    flow.stage = if flow.ramdisk { RESTORE.into() } else { String::new() };
    claim.node.last_error = Some(text.clone());
    claim.note(Severity::Error, "provision", text);
    let event = if claim.node.provision_state == State::Servicing { Event::Fail } else { Event::Abort };
    let moves = match claim.node.provision_state {
        State::ServiceFailed => vec![Event::Abort],
        _ => vec![event, Event::Abort],
    };
    for event in moves {
        if let Err(refused) = claim.step(event) {
            tracing::error!(node = %claim.node.uuid, %refused, "an aborted service could not leave its state");
        }
    }
    claim.save().await
}
