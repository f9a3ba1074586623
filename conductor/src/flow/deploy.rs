//! Deployment: its beginning, its end, and the steps that run here (rest-api section 17.5).

use crate::agent_client::AgentError;
use crate::claim::Claim;
use crate::driver::interface::is_built;
use crate::driver::traits::DriverError;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{
    agent_talk, autodetect, fast_track, here, image, machine, memory_instance, raid_config, ramdisk, step_loop,
    templates,
};
use crate::model::fsm::Event;
use crate::model::history::Severity;
use crate::model::node::{InterfaceKind, Node};
use crate::model::plan::{RAMDISK, STEPS};
use crate::model::power::{BootDevice, PowerState, PowerTarget};
use crate::model::step_check::{self, Rules};
use crate::model::steps;
use common::command::CommandStatus;
use common::step::{Step, StepKind};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where the steps that a person added are kept as they were asked for.
pub const ASKED: &str = "user_deploy_steps";
/// Shortest pause between two looks at something that usually takes a second.
const QUICK: Duration = Duration::from_millis(250);

/// The core steps of `direct`: name, priority, run here.
const DIRECT: &[(&str, i64, bool)] = &[
    ("deploy", 100, true),
    ("write_image", 80, false),
    ("prepare_instance_boot", 60, true),
    ("tear_down_agent", 40, true),
    ("switch_to_tenant_network", 30, true),
    ("boot_instance", 20, true),
];
/// Those of `custom-agent`: who writes the disk is a step that a person asks for.
const CUSTOM: &[(&str, i64, bool)] = &[DIRECT[0], DIRECT[2], DIRECT[3], DIRECT[4], DIRECT[5]];
/// Those of `bootc`: the container image installs itself.
const BOOTC: &[(&str, i64, bool)] = &[
    DIRECT[0],
    ("execute_bootc_install", 80, false),
    DIRECT[2],
    ("set_boot_to_disk", 60, true),
    DIRECT[3],
    DIRECT[4],
    DIRECT[5],
];
/// `fake`: one step that does nothing. `ramdisk`: one that starts the instance.
const FAKE: &[(&str, i64, bool)] = &[("deploy", 100, true)];

fn core(node: &Node) -> &'static [(&'static str, i64, bool)] {
    match node.interface(InterfaceKind::Deploy) {
        "direct" => DIRECT,
        "custom-agent" => CUSTOM,
        "bootc" => BOOTC,
        _ => FAKE,
    }
}

/// An agent runs in deployments of this node. (An instance in memory is booted without one.)
fn has_agent(node: &Node) -> bool {
    ramdisk::is_possible(node) && !memory_instance::is_one(node)
}

/// What the deploy interface needs of the node.
///
/// # Errors
/// A text in Ironic's words.
pub fn check(conductor: &Conductor, node: &Node) -> Result<(), String> {
    let name = autodetect::resolved(conductor, node);
    if !is_built(InterfaceKind::Deploy, name) {
        return Err(DriverError::unsupported(&node.driver, "deploy").to_string());
    }
    match name {
        "direct" => image::check(conductor, node).map(drop),
        "bootc" => image::container(node).map(drop),
        "ramdisk" => memory_instance::check(conductor, node),
        _ => Ok(()),
    }
}

/// The step runs in the conductor.
pub fn is_here(node: &Node, step: &Step) -> bool {
    step.interface == "deploy" && core(node).iter().any(|(name, _, here)| *here && *name == step.step)
}

/// A core step of the node's deploy interface, wherever it runs.
pub fn is_core(node: &Node, step: &Step) -> bool {
    step.interface == "deploy" && core(node).iter().any(|(name, ..)| *name == step.step)
}

/// The core steps, as they are offered.
pub fn core_steps(node: &Node) -> Vec<Step> {
    let offer = |&(name, priority, _): &(&str, i64, bool)| Step {
        abortable: (name == "deploy").then_some(true),
        ..steps::plain("deploy", name, priority)
    };
    core(node).iter().map(offer).collect()
}

/// The list of a deployment: core steps, what interfaces and agent offer with a priority, what a person added or changed.
/// The person's priority wins; 0 removes a step. Before the ramdisk runs (`agent` is `None`), in-band steps are unknown and
/// stay out.
///
/// # Errors
/// A text that names what is wrong with the steps that were asked for.
pub fn build_list(conductor: &Conductor, node: &Node, agent: Option<Vec<Step>>) -> Result<Vec<Step>, String> {
    let agent_unknown = agent.is_none();
    let known = here::with_agent(here::offered(conductor, node, StepKind::Deploy), agent.unwrap_or_default());
    let silent = !has_agent(node);
    let rules = Rules { kind: StepKind::Deploy, offered: &known, agent_unknown, no_ramdisk: false, silent };
    let by_person = |text: String| format!("Validation of deploy steps from \"deploy steps\" argument failed.{text}");
    let by_templates = |text: String| templates::refusal(node, &text);
    step_check::check(&templates::kept(node), rules).map_err(by_templates)?;
    let asked = step_check::check(&asked_steps(node), rules).map_err(by_person)?.steps;
    let is_asked = |step: &Step| asked.iter().any(|own| own.step == step.step && own.interface == step.interface);
    let mut list: Vec<Step> = known.iter().filter(|step| !is_asked(step)).cloned().collect();
    list.extend(asked.iter().cloned());
    let disallowed = here::disallowed(conductor, StepKind::Deploy);
    list.retain(|step| step.priority.unwrap_or(0) > 0 && !disallowed.contains(&steps::label(step)));
    steps::sort(&mut list);
    Ok(list)
}

/// The steps that a person and the templates asked for.
pub fn asked_steps(node: &Node) -> Vec<Value> {
    let own = node.driver_internal_info.get(ASKED).and_then(Value::as_array).cloned().unwrap_or_default();
    templates::under(templates::kept(node), own)
}

/// Checks the image, makes the first list, switches the machine off unless its ramdisk is to go on.
pub async fn prepare(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    let failed = |text: String| Trouble::Fail(format!("Failed to prepare to deploy: {text}"));
    machine::fake_delay(conductor, &claim.node, InterfaceKind::Deploy).await;
    let node = &mut claim.node;
    for key in ["root_uuid_or_disk_id", "is_whole_disk_image", "steps_validated"] {
        node.driver_internal_info.remove(key);
    }
    if let Some(whole) = image::is_whole_disk(node) {
        node.driver_internal_info.insert("is_whole_disk_image".into(), json!(whole));
    }
    check(conductor, node).map_err(failed)?;
    let goes_on = has_agent(node) && fast_track::runs(conductor, claim).await;
    if machine::deploy_switches(&claim.node) && !goes_on {
        machine::forget_agent(&mut claim.node);
        if !claim.node.disable_power_off {
            machine::set_power(conductor, claim, PowerTarget::Off).await?;
        }
    }
    steps::clear(&mut claim.node, StepKind::Deploy);
    let list = build_list(conductor, &claim.node, None).map_err(failed)?;
    if list.is_empty() {
        return Err(Trouble::Fail(
            "No deploy steps returned by the driver: every step was left out by its priority; leave at least one in"
                .into(),
        ));
    }
    left_out(claim, &list);
    steps::set_list(&mut claim.node, StepKind::Deploy, &list);
    claim.node.flow.stage = STEPS.into();
    claim.save().await?;
    Ok(Moved::On)
}

/// Without a ramdisk nobody can bring the steps that are unknown: the reference drops them and says nothing.
fn left_out(claim: &mut Claim, list: &[Step]) {
    if has_agent(&claim.node) {
        return;
    }
    for asked in asked_steps(&claim.node) {
        let word = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (interface, name) = (word("interface"), word("step"));
        let runs = list.iter().any(|step| step.interface == interface && step.step == name);
        if !runs && !is_core(&claim.node, &steps::plain(&interface, &name, 0)) {
            let text = format!("deploy step {interface}.{name} is left out: no interface of this node offers it");
            claim.note(Severity::Error, "step", text);
        }
    }
}

/// The node is active.
pub async fn end(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    let node = &mut claim.node;
    steps::clear(node, StepKind::Deploy);
    machine::forget_agent(node);
    node.driver_internal_info.remove(ASKED);
    templates::forget(node);
    node.flow.stage.clear();
    node.flow.ramdisk = false;
    if !memory_instance::is_one(node) {
        conductor.boot.remove(node.uuid);
    }
    claim.step(Event::Done)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// Runs one of the core steps.
pub async fn run_here(conductor: &Arc<Conductor>, claim: &mut Claim, step: &Step) -> Result<Moved, Trouble> {
    let outcome = match step.step.as_str() {
        "deploy" if memory_instance::is_one(&claim.node) => return memory_instance::deploy(conductor, claim).await,
        "deploy" => return boot_ramdisk(conductor, claim).await,
        "prepare_instance_boot" => prepare_instance_boot(conductor, claim).await?,
        "set_boot_to_disk" => {
            machine::set_boot_device(conductor, claim, BootDevice::Disk, true).await?;
            Moved::On
        }
        "tear_down_agent" => tear_down_agent(conductor, claim).await?,
        "boot_instance" => {
            machine::set_power(conductor, claim, PowerTarget::On).await?;
            Moved::On
        }
        // The noop network has nothing to switch; a core step of that name stays in the list for those who read it.
        _ => Moved::On,
    };
    if outcome == Moved::On {
        step_loop::finish(claim, StepKind::Deploy)?;
        claim.save().await?;
    }
    Ok(outcome)
}

async fn boot_ramdisk(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    if !ramdisk::is_possible(&claim.node) {
        machine::fake_delay(conductor, &claim.node, InterfaceKind::Deploy).await;
        step_loop::finish(claim, StepKind::Deploy)?;
        claim.save().await?;
        return Ok(Moved::On);
    }
    if fast_track::runs(conductor, claim).await {
        step_loop::finish(claim, StepKind::Deploy)?;
        return fast_track::take(conductor, claim).await;
    }
    ramdisk::boot(conductor, claim, ramdisk::Purpose::Steps).await?;
    step_loop::finish(claim, StepKind::Deploy)?;
    claim.node.flow.stage = RAMDISK.into();
    claim.node.flow.waiting_for = Some("the ramdisk to call back".into());
    claim.step(Event::Wait)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// Arguments of the core step that the agent runs: what it writes, and the config drive.
///
/// # Errors
/// The image cannot be used.
pub async fn agent_args(conductor: &Conductor, claim: &Claim) -> Result<Map<String, Value>, Trouble> {
    let mut args = Map::new();
    if claim.node.interface(InterfaceKind::Deploy) == "bootc" {
        let source = image::container(&claim.node).map_err(Trouble::Fail)?;
        args.insert("image_source".into(), json!(source));
        args.insert("oci_pull_secret".into(), json!(image::pull_secret(&claim.node)));
        args.insert("configdrive".into(), Value::Null);
    } else {
        let info = image::resolve(conductor, &claim.node).await.map_err(Trouble::Fail)?;
        args.insert("image_info".into(), json!(info));
    }
    if let Some(drive) = claim.node.instance_info.text("configdrive").filter(|text| !text.is_empty()) {
        args.insert("configdrive".into(), json!(drive));
    }
    Ok(args)
}

/// Root UUID from the agent, boot entry where UEFI needs one, boot from disk from now on.
async fn prepare_instance_boot(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    let interface = claim.node.interface(InterfaceKind::Deploy);
    // Whoever wrote the disk has made it bootable.
    if interface == "bootc" {
        // The boot device is a step of its own there.
        ramdisk_leaves(conductor, claim).await?;
        return Ok(Moved::On);
    }
    if interface == "custom-agent" {
        ramdisk_leaves(conductor, claim).await?;
        machine::set_boot_device(conductor, claim, BootDevice::Disk, true).await?;
        return Ok(Moved::On);
    }
    let Some(agent) = agent_talk::address(&claim.node) else {
        return step_loop::wait(claim, "the agent to call").await;
    };
    let found = match conductor.agents.run(&agent, "standby.get_partition_uuids", Map::new(), true).await {
        Ok(result) => result.command_result.unwrap_or(Value::Null),
        Err(error) => return later_or_fail(claim, "get the disk's identifiers", error).await,
    };
    let root = found.get("root uuid").and_then(Value::as_str).map(str::to_owned);
    let esp = found.get("efi system partition uuid").cloned().unwrap_or(Value::Null);
    if let Some(root) = &root {
        claim.node.driver_internal_info.insert("root_uuid_or_disk_id".into(), json!(root));
    }
    let mode = claim.node.wanted_boot_mode().unwrap_or_else(|| conductor.config.deploy.default_boot_mode.clone());
    // A BIOS starts a disk below the array, not the array: that is the agent's work, too.
    if mode == "uefi" || raid_config::is_software(&claim.node) {
        let params = json!({"root_uuid": root, "efi_system_part_uuid": esp, "prep_boot_part_uuid": null, "target_boot_mode": mode});
        let Value::Object(params) = params else { unreachable!("json! made an object") };
        if let Err(error) = conductor.agents.run(&agent, "image.install_bootloader", params, false).await {
            return later_or_fail(claim, "have the boot loader installed", error).await;
        }
        if let Some(text) = ended(conductor, &agent, "install_bootloader").await {
            return Err(Trouble::Fail(format!(
                "Failed to install a bootloader when deploying node {}: {text}",
                claim.node.uuid
            )));
        }
    }
    ramdisk_leaves(conductor, claim).await?;
    machine::set_boot_device(conductor, claim, BootDevice::Disk, true).await?;
    Ok(Moved::On)
}

async fn ramdisk_leaves(conductor: &Arc<Conductor>, claim: &Claim) -> Result<(), Trouble> {
    if claim.node.interface(InterfaceKind::Boot) == "ipxe" {
        ramdisk::offer_local_disk(conductor, &claim.node).await.map_err(Trouble::Fail)?;
    }
    Ok(())
}

async fn later_or_fail(claim: &mut Claim, what: &str, error: AgentError) -> Result<Moved, Trouble> {
    match error {
        AgentError::Busy(_) | AgentError::Unreachable { .. } => {
            tracing::warn!(node = %claim.node.uuid, %error, "cannot {what} now; the agent's next heartbeat tries again");
            step_loop::wait(claim, "the agent to answer").await
        }
        other => Err(Trouble::Fail(format!("Failed to {what}: {other}"))),
    }
}

/// Looks at the agent's list until the newest command of that name has ended. `None`: it succeeded.
async fn ended(conductor: &Arc<Conductor>, agent: &crate::agent_client::AgentAddress, name: &str) -> Option<String> {
    let options = &conductor.config.agent;
    let patience = options.command_wait_interval.duration() * options.command_wait_attempts;
    let begun = Instant::now();
    let mut pause = QUICK;
    let mut last = String::from("it did not end in time");
    while begun.elapsed() < patience {
        match conductor.agents.list(agent).await {
            Ok(list) => match list.iter().rev().find(|entry| entry.short_name() == name) {
                Some(entry) if entry.command_status == CommandStatus::Succeeded => return None,
                Some(entry) if entry.command_status == CommandStatus::Running => {}
                Some(entry) => {
                    return Some(entry.command_error.as_ref().map_or("no error text", |error| error.text()).to_owned());
                }
                None => return Some("the agent was restarted meanwhile".into()),
            },
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(options.command_wait_interval.duration().max(QUICK));
    }
    Some(last)
}

/// Asks the agent to switch off, watches the BMC, switches off hard when it does not.
async fn tear_down_agent(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    let forced = claim.node.driver_info.flag("deploy_forces_oob_reboot") == Some(true) || claim.node.disable_power_off;
    if let Some(agent) = agent_talk::address(&claim.node) {
        let command = if forced { "standby.sync" } else { "standby.power_off" };
        if let Err(error) = conductor.agents.run(&agent, command, Map::new(), forced).await {
            // It may have gone before it could answer; the BMC tells.
            tracing::info!(node = %claim.node.uuid, %error, "no answer to {command}");
        }
    }
    if claim.node.disable_power_off {
        machine::set_power(conductor, claim, PowerTarget::Reboot).await?;
        return Ok(Moved::On);
    }
    if !forced && went_off(conductor, claim).await {
        machine::forget_boot(&mut claim.node);
        return Ok(Moved::On);
    }
    if !forced {
        claim.note(Severity::Info, "power", "the ramdisk did not switch the machine off; the BMC does it");
    }
    machine::set_power(conductor, claim, PowerTarget::Off).await?;
    Ok(Moved::On)
}

async fn went_off(conductor: &Arc<Conductor>, claim: &mut Claim) -> bool {
    let options = &conductor.config.agent;
    let interval = options.post_deploy_get_power_state_retry_interval.duration();
    let patience = interval * options.post_deploy_get_power_state_retries;
    let begun = Instant::now();
    loop {
        if let Ok(Some(PowerState::Off)) = machine::read_power(conductor, &mut claim.node).await {
            return true;
        }
        // A fake machine never goes off by itself.
        let simulated = machine::open(conductor, &claim.node).is_ok_and(|driver| driver.power.is_simulated());
        if simulated || begun.elapsed() >= patience {
            return false;
        }
        tokio::time::sleep(interval.min(QUICK * 2)).await;
    }
}
