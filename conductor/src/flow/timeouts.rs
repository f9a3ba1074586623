//! Waits that are over: every wait has a deadline and says what was waited for (rest-api sections 17.4, 17.5, 17.7).

use crate::claim::Claim;
use crate::config::Seconds;
use crate::flow::conductor::Conductor;
use crate::flow::{failure, let_go, wake};
use crate::model::flow_note::Pause;
use crate::model::fsm::State;
use crate::model::node::Node;
use crate::model::step_check::shown;
use crate::policy::Visible;
use crate::store::{NodeFilter, Page, StoreError};
use jiff::{Timestamp, Unit};
use serde_json::Value;
use std::sync::Arc;

/// Fails every node whose wait is over.
///
/// # Errors
/// The store cannot be read.
pub async fn check(conductor: &Arc<Conductor>) -> Result<(), StoreError> {
    let filter = NodeFilter {
        provision_states: State::ALL.iter().copied().filter(|state| state.is_wait()).collect(),
        include_children: true,
        ..NodeFilter::default()
    };
    for node in conductor.store.nodes(&Visible::Everything, &filter, &Page::default()).await? {
        if node.reservation.is_some() {
            continue;
        }
        if pause_is_over(&node) {
            wake(conductor, node.uuid, "a pause is over").await?;
            continue;
        }
        if overdue(conductor, &node).is_none() {
            continue;
        }
        let Ok(mut claim) = Claim::take(&conductor.holder, node.uuid, "time-out").await else { continue };
        // The record may have changed between the list and the claim.
        if let Some(text) = overdue(conductor, &claim.node) {
            failure::fail(conductor, &mut claim, text).await?;
        }
        let_go(conductor, claim).await;
    }
    Ok(())
}

/// Whoever was to knock is gone (`flow::knock_at`).
fn pause_is_over(node: &Node) -> bool {
    matches!(&node.flow.pause, Some(Pause::Until(time)) if *time <= Timestamp::now())
}

/// The text of the failure, when the node's wait is over.
fn overdue(conductor: &Conductor, node: &Node) -> Option<String> {
    let options = &conductor.config.conductor;
    if node.maintenance && options.allow_provisioning_in_maintenance {
        return None;
    }
    let waited = |limit: Seconds, since: Option<Timestamp>| {
        let seconds = (Timestamp::now() - since?).total(Unit::Second).ok()?;
        (!limit.is_off() && seconds > limit.0).then_some(seconds)
    };
    let detail = node.flow.waiting_for.as_deref().map_or(String::new(), |what| format!(" It waited for {what}."));
    match node.provision_state {
        State::DeployWait => {
            let seconds = waited(options.deploy_callback_timeout, node.flow.waiting_since)?;
            Some(format!(
                "Timeout reached while waiting for callback for node {} ({seconds:.0} s).{detail} Look at the machine's console, then deploy again.",
                node.uuid
            ))
        }
        State::CleanWait => {
            let seconds = waited(options.clean_callback_timeout, node.flow.waiting_since)?;
            let step = shown(&Value::Object(node.clean_step.clone()));
            Some(format!(
                "Timeout reached while cleaning the node ({seconds:.0} s). Please check if the ramdisk responsible for the cleaning is running on the node. Failed on step {step}.{detail}"
            ))
        }
        State::ServiceWait => {
            let seconds = waited(options.service_callback_timeout, node.flow.waiting_since)?;
            let step = shown(&Value::Object(node.service_step.clone()));
            Some(format!(
                "Timeout reached while servicing the node ({seconds:.0} s). Please check if the ramdisk responsible for the servicing is running on the node. Failed on step {step}.{detail} Abort the service to start the instance again."
            ))
        }
        State::RescueWait => {
            let seconds = waited(options.rescue_callback_timeout, node.flow.waiting_since)?;
            Some(format!(
                "Timeout reached while waiting for rescue ramdisk callback for node {} ({seconds:.0} s).{detail} Look at the machine's console, then rescue it again or unrescue it.",
                node.uuid
            ))
        }
        State::InspectWait => {
            let seconds = waited(options.inspect_wait_timeout, node.inspection_started_at)?;
            Some(format!(
                "Timeout reached while inspecting the node ({seconds:.0} s). Please check if the ramdisk responsible for the inspection is running on the node.{detail}"
            ))
        }
        _ => None,
    }
}
