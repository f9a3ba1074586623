//! Power sync: what the BMCs report against what the records say (rest-api section 17.10).
//!
//! BMCs are asked side by side, each within its own time: a dead one costs the others nothing.

use crate::claim::Claim;
use crate::driver::traits::DriverError;
use crate::flow::conductor::Conductor;
use crate::flow::machine;
use crate::flow::readings::Readings;
use crate::model::fsm::State;
use crate::model::history::Severity;
use crate::model::node::Node;
use crate::model::power::{POWER_FAILED, PowerChange, PowerState, PowerTarget};
use crate::policy::Visible;
use crate::store::{NodeFilter, Page, StoreError};
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::json;
use std::sync::Arc;

/// How often a difference was seen in a row.
const TRIES: &str = "power_sync_tries";
/// The fault of a node whose BMC stopped to answer.
const FAULT: &str = "power failure";

/// One round over all nodes that are due.
///
/// # Errors
/// The store cannot be read.
pub async fn round(conductor: &Arc<Conductor>) -> Result<(), StoreError> {
    let filter = NodeFilter { maintenance: Some(false), include_children: true, ..NodeFilter::default() };
    let nodes = conductor.store.nodes(&Visible::Everything, &filter, &Page::default()).await?;
    let due = nodes.into_iter().filter(is_due);
    let workers = conductor.config.conductor.sync_power_state_workers.max(1);
    stream::iter(due).for_each_concurrent(workers, |node| sync_one(conductor, node)).await;
    Ok(())
}

fn is_due(node: &Node) -> bool {
    let skipped =
        matches!(node.provision_state, State::DeployWait | State::CleanWait | State::Enroll | State::AdoptFailed);
    !skipped && node.target_power_state.is_none() && node.reservation.is_none()
}

async fn sync_one(conductor: &Arc<Conductor>, node: Node) {
    let mut readings = Readings::default();
    let read = match machine::open(conductor, &node) {
        Ok(driver) if driver.power.is_simulated() => return,
        Ok(driver) => {
            let read = driver.power.state().await;
            // A BMC that does not tell the power would only take its time with the rest.
            if let (Ok(_), Some(management)) = (&read, &driver.management) {
                let with_health = conductor.config.conductor.enable_health_monitoring;
                readings = Readings::take(&node, &**management, with_health).await;
            }
            read
        }
        Err(error) => Err(error),
    };
    let tries = node.driver_internal_info.get(TRIES).and_then(serde_json::Value::as_u64).unwrap_or(0);
    if let Ok(state) = read
        && Some(state) == node.power_state
        && tries == 0
        && !readings.are_news(&node)
    {
        return;
    }
    let Ok(mut claim) = Claim::take(&conductor.holder, node.uuid, "power sync").await else { return };
    // A flow or a person may have been here since the list was read.
    if claim.node.power_state == node.power_state && is_due(&Node { reservation: None, ..claim.node.clone() }) {
        readings.put(&mut claim.node);
        let settled = settle(conductor, &mut claim, read, tries).await;
        if let Err(error) = settled.and(claim.save().await) {
            tracing::warn!(node = %node.uuid, %error, "power sync was not saved");
        }
    }
    crate::flow::run(Arc::clone(conductor), claim).await;
}

async fn settle(
    conductor: &Conductor,
    claim: &mut Claim,
    read: Result<PowerState, DriverError>,
    tries: u64,
) -> Result<(), StoreError> {
    let options = &conductor.config.conductor;
    let uuid = claim.node.uuid;
    let (actual, error) = match read {
        Ok(state) => (Some(state), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let wanted = claim.node.power_state;
    if actual == Some(PowerState::Off) && claim.node.provision_state.is_stable() {
        // Whatever ran there is gone, a ramdisk that was left running as well.
        machine::forget_boot(&mut claim.node);
    }
    if actual.is_some() && (wanted.is_none() || wanted == actual) {
        claim.node.power_state = actual;
        claim.node.driver_internal_info.remove(TRIES);
        return Ok(());
    }
    if tries < u64::from(options.power_state_sync_max_retries) {
        claim.node.driver_internal_info.insert(TRIES.into(), json!(tries + 1));
        let (Some(actual), Some(wanted)) = (actual, wanted) else { return Ok(()) };
        if !options.force_power_state_during_sync {
            claim.note(
                Severity::Info,
                "power",
                format!("the BMC reports '{actual}', not '{wanted}': the record follows"),
            );
            machine::note_power(&mut claim.node, actual);
            claim.node.driver_internal_info.remove(TRIES);
            return Ok(());
        }
        let target = if wanted == PowerState::On { PowerTarget::On } else { PowerTarget::Off };
        let timeout = options.power_state_change_timeout.duration();
        // The record says that it is there already; what is to be seen is that it is brought there.
        let _ = machine::begin_power(&mut claim.node, PowerChange::Own(target));
        claim.node.target_power_state = Some(PowerChange::Own(target));
        claim.save().await?;
        let outcome = match machine::open(conductor, &claim.node) {
            Ok(driver) => driver.power.set(target, timeout).await,
            Err(error) => Err(error),
        };
        machine::end_power(&mut claim.node, target, outcome.is_ok());
        let text = match outcome {
            Ok(()) => {
                claim.node.last_error.take_if(|text| text.starts_with(POWER_FAILED));
                format!("the BMC reported '{actual}', not '{wanted}': corrected")
            }
            Err(error) => {
                claim.node.last_error = Some(format!("{POWER_FAILED} {}: {error}", target.shown()));
                format!("the BMC reports '{actual}', not '{wanted}', and could not be corrected: {error}")
            }
        };
        claim.note(Severity::Info, "power", text);
        return Ok(());
    }
    let shown = actual.map_or("None".to_owned(), |state| state.to_string());
    let expected = wanted.map_or("None".to_owned(), |state| state.to_string());
    let detail = error.map_or(String::new(), |error| format!(" Error: {error}"));
    let text = format!(
        "During sync_power_state, max retries exceeded for node {uuid}, node state {shown} does not match expected state '{expected}'. Updating DB state to '{shown}' Switching node to maintenance mode.{detail}"
    );
    let node = &mut claim.node;
    node.power_state = actual;
    node.driver_internal_info.remove(TRIES);
    node.last_error = Some(text.clone());
    node.maintenance = true;
    node.maintenance_reason = Some(text.clone());
    node.fault = Some(FAULT.into());
    claim.note(Severity::Error, "power", text);
    Ok(())
}

/// Looks at nodes in maintenance whose BMC had stopped to answer; those that answer again leave maintenance.
///
/// # Errors
/// The store cannot be read.
pub async fn recovery(conductor: &Arc<Conductor>) -> Result<(), StoreError> {
    let filter = NodeFilter {
        maintenance: Some(true),
        fault: Some(FAULT.into()),
        include_children: true,
        ..NodeFilter::default()
    };
    let nodes = conductor.store.nodes(&Visible::Everything, &filter, &Page::default()).await?;
    let workers = conductor.config.conductor.sync_power_state_workers.max(1);
    stream::iter(nodes)
        .for_each_concurrent(workers, |node| async move {
            let Ok(driver) = machine::open(conductor, &node) else { return };
            let Ok(state) = driver.power.state().await else { return };
            let Ok(mut claim) = Claim::take(&conductor.holder, node.uuid, "power recovery").await else { return };
            if claim.node.fault.as_deref() == Some(FAULT) {
                machine::note_power(&mut claim.node, state);
                claim.node.maintenance = false;
                claim.node.maintenance_reason = None;
                claim.node.fault = None;
                claim.note(Severity::Info, "power", "the BMC answers again: maintenance is over");
                if let Err(error) = claim.save().await {
                    tracing::warn!(node = %node.uuid, %error, "the recovery was not saved");
                }
            }
            crate::flow::run(Arc::clone(conductor), claim).await;
        })
        .await;
    Ok(())
}
