//! Cleaning: its beginning and its end; the steps between are `step_loop`'s (rest-api section 17.4).

use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{fast_track, here, machine, ramdisk, readings, step_loop};
use crate::model::fsm::{Event, State};
use crate::model::history::Severity;
use crate::model::node::{InterfaceKind, Node};
use crate::model::power::PowerTarget;
use crate::model::steps;
use common::step::{Step, StepKind};
use serde_json::{Value, json};
use std::sync::Arc;

/// Where the steps of a manual cleaning are kept as they were asked for.
pub const ASKED: &str = "user_clean_steps";
/// A person asked that no ramdisk be booted.
pub const NO_RAMDISK: &str = "cleaning_disable_ramdisk";

/// A person asked for these steps.
pub fn is_manual(node: &Node) -> bool {
    node.target_provision_state == Some(State::Manageable)
}

/// Ends at once when there is nothing to do; else boots the ramdisk.
pub async fn prepare(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    readings::keep(conductor, claim).await;
    let wanted = claim.node.automated_clean.unwrap_or(conductor.config.conductor.automated_clean);
    if !is_manual(&claim.node) && !wanted {
        claim.note(Severity::Info, "step", "automated cleaning is switched off for this node: nothing was erased");
        let keeps = fast_track::may_run(conductor, &claim.node);
        return leave(claim, keeps).await;
    }
    may_begin(conductor, &claim.node)?;
    if is_manual(&claim.node) {
        let asked = asked_steps(&claim.node);
        let no_ramdisk = claim.node.driver_internal_info.flag(NO_RAMDISK) == Some(true);
        return step_loop::begin_asked(conductor, claim, StepKind::Clean, &asked, no_ramdisk).await;
    }
    if !ramdisk::is_possible(&claim.node) {
        let list = build_list(conductor, &claim.node, Vec::new()).map_err(Trouble::Fail)?;
        return step_loop::begin_list(claim, StepKind::Clean, &list).await;
    }
    erase_parameters(conductor, &mut claim.node);
    steps::clear(&mut claim.node, StepKind::Clean);
    step_loop::ramdisk(conductor, claim).await
}

/// The power interface's validation again, and that of maintenance: an automated cleaning was asked for by nobody who could
/// have been refused.
fn may_begin(conductor: &Conductor, node: &Node) -> Result<(), Trouble> {
    if node.maintenance && !is_manual(node) && !conductor.config.conductor.allow_provisioning_in_maintenance {
        return Err(Trouble::Fail("Cleaning a node in maintenance mode is not allowed".into()));
    }
    machine::check_power(conductor, node)
        .map_err(|error| Trouble::Fail(format!("Validation of node {} for cleaning failed: {error}", node.uuid)))
}

/// Switches off, unless the ramdisk stays for what comes next, and leaves cleaning.
pub async fn end(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    let ramdisk = claim.node.flow.ramdisk;
    let keeps = match ramdisk {
        true => fast_track::runs(conductor, claim).await,
        false => fast_track::may_run(conductor, &claim.node),
    };
    if ramdisk && !keeps && !claim.node.disable_power_off {
        machine::set_power(conductor, claim, PowerTarget::Off).await?;
    }
    claim.node.flow.ramdisk = false;
    conductor.boot.remove(claim.node.uuid);
    readings::keep(conductor, claim).await;
    leave(claim, keeps).await
}

async fn leave(claim: &mut Claim, keeps: bool) -> Result<Moved, Trouble> {
    let node = &mut claim.node;
    if !keeps {
        machine::forget_agent(node);
    }
    steps::clear(node, StepKind::Clean);
    node.driver_internal_info.remove(ASKED);
    node.driver_internal_info.remove(NO_RAMDISK);
    node.flow.stage.clear();
    let event = if is_manual(node) || node.retired { Event::Manage } else { Event::Done };
    claim.step(event)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// The steps of a manual cleaning, as asked.
pub fn asked_steps(node: &Node) -> Vec<Value> {
    node.driver_internal_info.get(ASKED).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The list for this cleaning, from what the agent offers.
///
/// # Errors
/// A text: a step that was asked for does not exist or its arguments are wrong.
pub fn build_list(conductor: &Conductor, node: &Node, mut offered: Vec<Step>) -> Result<Vec<Step>, String> {
    // For cleaning only these interfaces are asked in band (agent-protocol section 8.1).
    let with_raid = node.interface(InterfaceKind::Raid) == "agent";
    offered.retain(|step| step.interface == "deploy" || (with_raid && step.interface == "raid"));
    if is_manual(node) {
        return here::match_asked(conductor, node, StepKind::Clean, &asked_steps(node), offered);
    }
    let deploy = &conductor.config.deploy;
    for step in &mut offered {
        let own = match steps::label(step).as_str() {
            "deploy.erase_devices" => deploy.erase_devices_priority,
            "deploy.erase_devices_metadata" => deploy.erase_devices_metadata_priority,
            "raid.delete_configuration" => deploy.delete_configuration_priority,
            "raid.create_configuration" => deploy.create_configuration_priority,
            _ => None,
        };
        step.priority = own.or(step.priority);
    }
    steps::override_priorities(&mut offered, &conductor.config.conductor.clean_step_priority_override);
    let mut list = here::with_agent(here::offered(conductor, node, StepKind::Clean), offered);
    let disallowed = here::disallowed(conductor, StepKind::Clean);
    list.retain(|step| step.priority.unwrap_or(0) > 0 && !disallowed.contains(&steps::label(step)));
    steps::sort(&mut list);
    Ok(list)
}

/// What the erase steps read (agent-protocol section 18).
pub fn erase_parameters(conductor: &Conductor, node: &mut Node) {
    let deploy = &conductor.config.deploy;
    let info = &mut node.driver_internal_info;
    for (key, value) in [
        ("agent_erase_devices_iterations", json!(deploy.shred_random_overwrite_iterations)),
        ("agent_erase_devices_zeroize", json!(deploy.shred_final_overwrite_with_zeros)),
        ("agent_continue_if_secure_erase_failed", json!(deploy.continue_if_disk_secure_erase_fails)),
        ("agent_continue_if_ata_erase_failed", json!(deploy.continue_if_disk_secure_erase_fails)),
        ("agent_enable_nvme_secure_erase", json!(deploy.enable_nvme_secure_erase)),
        ("agent_enable_ata_secure_erase", json!(deploy.enable_ata_secure_erase)),
        ("disk_erasure_concurrency", json!(deploy.disk_erasure_concurrency)),
        ("agent_erase_skip_read_only", json!(deploy.erase_skip_read_only)),
    ] {
        info.insert(key.into(), value);
    }
}
