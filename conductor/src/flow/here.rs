//! Steps that run in the conductor: those of the node's interfaces, its own (`reserved`), and those on child nodes.

use crate::claim::Claim;
use crate::driver::steps::StepFlow;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{children, deploy, machine, reserved, step_loop};
use crate::model::flow_note::Pause;
use crate::model::fsm::Event;
use crate::model::node::{InterfaceKind, Node};
use crate::model::step_check::{self, Rules, shown};
use crate::model::steps;
use common::step::{Step, StepKind};
use serde_json::{Value, json};
use std::sync::Arc;

/// How a step of a driver ended.
pub enum Ended {
    /// It is done.
    Done,
    /// Something outside the conductor ends it.
    Waits,
}

/// The steps that the node's interfaces have for a flow, with the priorities that options give them.
pub fn offered(conductor: &Conductor, node: &Node, kind: StepKind) -> Vec<Step> {
    let mut offered = if kind == StepKind::Deploy { deploy::core_steps(node) } else { Vec::new() };
    offered.extend(of_drivers(conductor, node, kind));
    if kind == StepKind::Clean {
        let deploy = &conductor.config.deploy;
        for step in &mut offered {
            step.priority = match steps::label(step).as_str() {
                "raid.delete_configuration" => deploy.delete_configuration_priority,
                "raid.create_configuration" => deploy.create_configuration_priority,
                _ => None,
            }
            .or(step.priority);
        }
        steps::override_priorities(&mut offered, &conductor.config.conductor.clean_step_priority_override);
    }
    offered
}

/// Those of the drivers alone. The fake interfaces' clean steps can be asked for in a service, too: there the reference runs
/// whatever it is asked for by name.
fn of_drivers(conductor: &Conductor, node: &Node, kind: StepKind) -> Vec<Step> {
    let of = |flow| conductor.drivers.offered(&node.interfaces, flow);
    let mut offered = match kind {
        StepKind::Clean => of(StepFlow::Clean),
        StepKind::Service => of(StepFlow::Service),
        // The deploy interface's own steps are `deploy`'s.
        StepKind::Deploy => of(StepFlow::Deploy).into_iter().filter(|step| step.interface != "deploy").collect(),
    };
    if kind == StepKind::Service {
        let is_fake =
            |step: &Step| InterfaceKind::from_name(&step.interface).is_some_and(|kind| node.interface(kind) == "fake");
        let more = of(StepFlow::Clean).into_iter().filter(is_fake).collect();
        offered = with_agent(offered, more);
    }
    offered
}

/// Steps that may not run, whoever asks ("interface.step").
pub fn disallowed(conductor: &Conductor, kind: StepKind) -> &[String] {
    let api = &conductor.config.api;
    match kind {
        StepKind::Clean => &api.disallow_clean_steps,
        StepKind::Deploy => &api.disallow_deploy_steps,
        StepKind::Service => &api.disallow_service_steps,
    }
}

/// Matches asked steps with what the node's interfaces and the agent offer.
///
/// # Errors
/// A text that names every step that is wrong.
pub fn match_asked(
    conductor: &Conductor,
    node: &Node,
    kind: StepKind,
    asked: &[Value],
    agent: Vec<Step>,
) -> Result<Vec<Step>, String> {
    let known = with_agent(offered(conductor, node, kind), agent);
    let rules = Rules { kind, offered: &known, agent_unknown: false, no_ramdisk: false, silent: false };
    step_check::check(asked, rules).map(|checked| checked.steps)
}

/// What the conductor offers wins over what the agent offers by the same name.
pub fn with_agent(mut here: Vec<Step>, agent: Vec<Step>) -> Vec<Step> {
    let new: Vec<Step> = agent
        .into_iter()
        .filter(|step| !here.iter().any(|own| own.step == step.step && own.interface == step.interface))
        .collect();
    here.extend(new);
    here
}

/// The conductor runs the step, not the agent.
pub fn is_here(conductor: &Conductor, node: &Node, kind: StepKind, step: &Step) -> bool {
    steps::is_reserved(step)
        || steps::is_for_children(step)
        || (kind == StepKind::Deploy && deploy::is_core(node, step) && deploy::is_here(node, step))
        || of_drivers(conductor, node, kind).iter().any(|own| own.step == step.step && own.interface == step.interface)
}

/// Runs a step for which [`is_here`] holds.
pub async fn run(conductor: &Arc<Conductor>, claim: &mut Claim, kind: StepKind, step: &Step) -> Result<Moved, Trouble> {
    let outcome = if steps::is_for_children(step) {
        children::run(conductor, claim, kind, step).await.map(|()| Ended::Done)
    } else if steps::is_reserved(step) {
        return reserved::run(conductor, claim, kind, step).await.map_err(|trouble| worded(claim, kind, step, trouble));
    } else if kind == StepKind::Deploy && deploy::is_core(&claim.node, step) {
        return deploy::run_here(conductor, claim, step).await;
    } else {
        driver_step(conductor, claim, step).await.map_err(Trouble::Fail)
    };
    match outcome.map_err(|trouble| worded(claim, kind, step, trouble))? {
        Ended::Done => {
            step_loop::finish(claim, kind)?;
            claim.save().await?;
        }
        Ended::Waits => {
            claim.node.flow.pause = Some(Pause::Outside);
            claim.node.flow.waiting_for = Some(format!("{} to be ended from outside", steps::label(step)));
            claim.step(Event::Wait)?;
            claim.save().await?;
        }
    }
    Ok(Moved::On)
}

/// The failure in the contract's words (rest-api 17.4, 17.5).
fn worded(claim: &Claim, kind: StepKind, step: &Step, trouble: Trouble) -> Trouble {
    let Trouble::Fail(text) = trouble else { return trouble };
    let label = steps::label(step);
    Trouble::Fail(match kind {
        StepKind::Deploy => format!("Deploy step {label} failed: {text}"),
        _ => format!("Node {} failed step {}: {text}", claim.node.uuid, shown(&json!(step))),
    })
}

/// Runs a step of one of the node's interfaces and keeps what it changed; the caller saves the node. Settings and components
/// are kept before that: a step that is run again leaves the same.
///
/// # Errors
/// The driver's text, or the store's.
pub async fn driver_step(conductor: &Conductor, claim: &mut Claim, step: &Step) -> Result<Ended, String> {
    let node = &mut claim.node;
    let unknown = || format!("there is no interface `{}`", step.interface);
    let kind = InterfaceKind::from_name(&step.interface).ok_or_else(unknown)?;
    let target = machine::target(conductor, node);
    let runner = conductor
        .drivers
        .step_runner(&node.driver, kind, node.interface(kind), &target)
        .map_err(|error| error.of(&node.driver).to_string())?;
    let args = step.args.clone().unwrap_or_default();
    // Simulated hardware takes its time without keeping a worker.
    let done = conductor.aside(runner.run(&step.step, &args)).await.map_err(|error| error.to_string())?;
    if done.waits {
        return Ok(Ended::Waits);
    }
    let node = &mut claim.node;
    if let Some(config) = done.raid_config {
        node.raid_config = config;
    }
    if let Some(mut settings) = done.bios {
        settings.iter_mut().for_each(|setting| setting.node = node.uuid);
        conductor.store.replace_all_of_node(node.uuid, &settings).await.map_err(|error| error.to_string())?;
    }
    if let Some(mut components) = done.firmware {
        components.iter_mut().for_each(|component| component.node = node.uuid);
        conductor.store.replace_all_of_node(node.uuid, &components).await.map_err(|error| error.to_string())?;
    }
    Ok(Ended::Done)
}
