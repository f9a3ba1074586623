//! Cleaning: its beginning and its end; the steps between are `step_loop`'s (rest-api section 17.4).

use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{machine, ramdisk};
use crate::model::fsm::{Event, State};
use crate::model::history::Severity;
use crate::model::node::{InterfaceKind, Node};
use crate::model::plan::RAMDISK;
use crate::model::power::PowerTarget;
use crate::model::steps;
use common::step::{Step, StepKind};
use serde_json::{Value, json};

/// Where the steps of a manual cleaning are kept as they were asked for.
pub const ASKED: &str = "user_clean_steps";

/// A person asked for these steps.
pub fn is_manual(node: &Node) -> bool {
    node.target_provision_state == Some(State::Manageable)
}

/// Ends at once when there is nothing to do; else boots the ramdisk.
pub async fn prepare(conductor: &Conductor, claim: &mut Claim) -> Result<Moved, Trouble> {
    let wanted = claim.node.automated_clean.unwrap_or(conductor.config.conductor.automated_clean);
    if !is_manual(&claim.node) && !wanted {
        claim.note(Severity::Info, "step", "automated cleaning is switched off for this node: nothing was erased");
        return leave(claim).await;
    }
    if claim.node.interface(InterfaceKind::Deploy) == "fake" {
        if let Some(asked) = asked_steps(&claim.node).first() {
            let name = asked.get("step").and_then(Value::as_str).unwrap_or_default();
            return Err(Trouble::Fail(format!(
                "node does not support the clean step {name}: the fake deploy interface has none"
            )));
        }
        return leave(claim).await;
    }
    erase_parameters(conductor, &mut claim.node);
    steps::clear(&mut claim.node, StepKind::Clean);
    ramdisk::boot(conductor, claim, ramdisk::Purpose::Steps).await?;
    claim.node.flow.stage = RAMDISK.into();
    claim.node.flow.waiting_for = Some("the ramdisk to call back".into());
    claim.step(Event::Wait)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// Switches off and leaves cleaning.
pub async fn end(conductor: &Conductor, claim: &mut Claim) -> Result<Moved, Trouble> {
    if !claim.node.disable_power_off {
        machine::set_power(conductor, claim, PowerTarget::Off).await?;
    }
    conductor.boot.remove(claim.node.uuid);
    leave(claim).await
}

async fn leave(claim: &mut Claim) -> Result<Moved, Trouble> {
    let node = &mut claim.node;
    machine::forget_agent(node);
    steps::clear(node, StepKind::Clean);
    node.driver_internal_info.remove(ASKED);
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
        return steps::match_asked(&asked_steps(node), &offered);
    }
    let deploy = &conductor.config.deploy;
    for step in &mut offered {
        let label = steps::label(step);
        let own = match label.as_str() {
            "deploy.erase_devices" => deploy.erase_devices_priority,
            "deploy.erase_devices_metadata" => deploy.erase_devices_metadata_priority,
            _ => None,
        };
        let overridden = conductor.config.conductor.clean_step_priority_override.iter().find_map(|entry| {
            let (name, priority) = entry.rsplit_once(':')?;
            (name.trim() == label).then(|| priority.trim().parse().ok()).flatten()
        });
        step.priority = overridden.or(own).or(step.priority);
    }
    offered.retain(|step| step.priority.unwrap_or(0) > 0);
    steps::sort(&mut offered);
    Ok(offered)
}

/// What the erase steps read (agent-protocol section 18).
fn erase_parameters(conductor: &Conductor, node: &mut Node) {
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
