//! Waits that are over: every wait has a deadline and says what was waited for (rest-api sections 17.4, 17.5, 17.7).

use crate::claim::Claim;
use crate::config::Seconds;
use crate::flow::conductor::Conductor;
use crate::flow::{failure, let_go};
use crate::model::fsm::{Event, State};
use crate::model::node::Node;
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
        provision_states: vec![State::DeployWait, State::CleanWait, State::InspectWait],
        include_children: true,
        ..NodeFilter::default()
    };
    for node in conductor.store.nodes(&Visible::Everything, &filter, &Page::default()).await? {
        if overdue(conductor, &node).is_none() || node.reservation.is_some() {
            continue;
        }
        let Ok(mut claim) = Claim::take(&conductor.holder, node.uuid, "time-out").await else { continue };
        // The record may have changed between the list and the claim.
        if let Some(text) = overdue(conductor, &claim.node) {
            failure::fail(conductor, &mut claim, text, Event::Fail).await?;
        }
        let_go(conductor, claim).await;
    }
    Ok(())
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
            let step = Value::Object(node.clean_step.clone());
            Some(format!(
                "Timeout reached while cleaning the node ({seconds:.0} s). Please check if the ramdisk responsible for the cleaning is running on the node. Failed on step {step}.{detail}"
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
