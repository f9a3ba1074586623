//! Steps that the agent runs: hand over, look how it goes, take the outcome (agent-protocol sections 8 and 9).

use crate::agent_client::AgentError;
use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{agent_talk, deploy, erase_proof, raid_config, step_loop};
use crate::model::fsm::Event;
use crate::model::history::Severity;
use crate::model::plan::{RAMDISK, REBOOT};
use crate::model::steps;
use common::command::{AGENT_RESTARTED, CommandResult, CommandStatus};
use common::step::{OfferedSteps, Step, StepKind};
use serde_json::{Value, json};

/// How often a step is begun again after its agent was restarted under it.
const RESTARTS: u32 = 2;

/// What the agent offers; `None`: it is busy or does not answer, the next heartbeat tries again.
///
/// # Errors
/// It answers nonsense or refuses.
pub async fn offered(
    conductor: &Conductor,
    claim: &mut Claim,
    kind: StepKind,
) -> Result<Option<OfferedSteps>, Trouble> {
    let Some(agent) = agent_talk::address(&claim.node) else { return Ok(None) };
    let params = agent_talk::params(conductor, claim, false).await?;
    let failed = |text: String| Trouble::Fail(format!("Failed to load in-band {} steps: {text}", kind.word()));
    let result = match conductor.agents.run(&agent, &kind.get_command(), params, true).await {
        Ok(result) => result,
        Err(error @ (AgentError::Busy(_) | AgentError::Unreachable { .. })) => {
            tracing::warn!(node = %claim.node.uuid, %error, "the agent's steps will be asked for at its next heartbeat");
            return Ok(None);
        }
        Err(error) => return Err(failed(error.to_string())),
    };
    if let Some(error) = &result.command_error {
        return Err(failed(error.text().to_owned()));
    }
    let value = result.command_result.unwrap_or(Value::Null);
    OfferedSteps::from_value(kind, &value).map(Some).map_err(failed)
}

/// Hands the current step to the agent, unless it has it already (this process may have died in between).
pub async fn start(conductor: &Conductor, claim: &mut Claim, kind: StepKind, step: &Step) -> Result<Moved, Trouble> {
    let label = steps::label(step);
    let waiting = format!("the agent to finish {label}");
    let Some(agent) = agent_talk::address(&claim.node) else {
        return step_loop::wait(claim, "the agent to call").await;
    };
    let list = match conductor.agents.list(&agent).await {
        Ok(list) => list,
        Err(error) => {
            tracing::warn!(node = %claim.node.uuid, %error, "{label} will be handed over at the agent's next heartbeat");
            return step_loop::wait(claim, "the agent to answer").await;
        }
    };
    if let Some(own) = mine(claim, kind, &list) {
        claim.node.flow.command = Some(own.id.clone());
        return on(step_loop::wait(claim, &waiting).await);
    }
    raid_config::check(&claim.node, step).map_err(|text| Trouble::Fail(failure_text(claim, kind, step, &text)))?;
    let mut params = agent_talk::params(conductor, claim, kind == StepKind::Deploy).await?;
    let mut sent = step.clone();
    // What a custom agent writes, and how, is said by whoever asks for the step.
    if kind == StepKind::Deploy && deploy::is_core(&claim.node, step) {
        sent.args = Some(deploy::agent_args(conductor, claim).await?);
    }
    params.insert("step".into(), json!(sent));
    let versions = claim.node.driver_internal_info.get("hardware_manager_version").cloned().unwrap_or(Value::Null);
    params.insert(format!("{}_version", kind.word()), versions);
    match conductor.agents.run(&agent, &kind.execute_command(), params, false).await {
        Ok(result) => {
            claim.node.flow.command = Some(result.id);
            claim.note(Severity::Info, "step", format!("{} step {label} started", kind.word()));
            // A step that is over already is found by the look that follows the wait.
            on(step_loop::wait(claim, &waiting).await)
        }
        Err(error @ (AgentError::Busy(_) | AgentError::Unreachable { .. })) => {
            tracing::warn!(node = %claim.node.uuid, %error, "{label} will be handed over at the agent's next heartbeat");
            step_loop::wait(claim, "the agent to take the step").await
        }
        Err(error) => Err(Trouble::Fail(failure_text(claim, kind, step, &error.to_string()))),
    }
}

fn on(moved: Result<Moved, Trouble>) -> Result<Moved, Trouble> {
    moved.map(|_| Moved::On)
}

/// The entry of the agent's list that carries the current step: by its id, else by place and echo (agent-protocol 9.3).
fn mine<'a>(claim: &Claim, kind: StepKind, list: &'a [CommandResult]) -> Option<&'a CommandResult> {
    let flow = &claim.node.flow;
    if let Some(id) = &flow.command
        && let Some(own) = list.iter().find(|entry| &entry.id == id)
    {
        return Some(own);
    }
    let newest = list.last()?;
    let execute = format!("execute_{}_step", kind.word());
    if newest.short_name() != execute || flow.last_command.as_ref() == Some(&newest.id) {
        return None;
    }
    let step = steps::current(&claim.node, kind)?;
    let echoes = match echo(kind, newest) {
        Some(echo) => {
            echo.get("step").and_then(Value::as_str) == Some(&step.step)
                && echo.get("interface").and_then(Value::as_str) == Some(&step.interface)
        }
        // Running, or failed: there is no echo. It can only be the one step that was begun after the last recorded one.
        None => true,
    };
    echoes.then_some(newest)
}

fn echo(kind: StepKind, entry: &CommandResult) -> Option<&Value> {
    entry.command_result.as_ref()?.get(format!("{}_step", kind.word()))
}

/// Looks how the current step goes.
pub async fn poll(conductor: &Conductor, claim: &mut Claim, kind: StepKind) -> Result<Moved, Trouble> {
    let Some(step) = steps::current(&claim.node, kind) else { return step_loop::resume(claim).await };
    let Some(agent) = agent_talk::address(&claim.node) else { return Ok(Moved::Rest) };
    let list = match conductor.agents.list(&agent).await {
        Ok(list) => list,
        Err(error) => {
            tracing::warn!(node = %claim.node.uuid, %error, "no look at the agent's commands now; its next heartbeat will do");
            return Ok(Moved::Rest);
        }
    };
    let Some(own) = mine(claim, kind, &list) else { return not_there(claim, &step, &list).await };
    match own.command_status {
        CommandStatus::Running => Ok(Moved::Rest),
        CommandStatus::Succeeded => succeeded(claim, kind, &step, own).await,
        CommandStatus::VersionMismatch => mismatched(conductor, claim, kind, &own.id).await,
        CommandStatus::Failed => {
            claim.node.flow.last_command = Some(own.id.clone());
            if own.command_error.as_ref().is_some_and(|error| error.kind == AGENT_RESTARTED) {
                return not_there(claim, &step, &[]).await;
            }
            let details = own.command_error.as_ref().map_or("no error text", |error| error.text()).to_owned();
            Err(Trouble::Fail(failure_text(claim, kind, &step, &details)))
        }
    }
}

/// The agent does not have our step: it was never handed over, or the agent was restarted under it.
async fn not_there(claim: &mut Claim, step: &Step, list: &[CommandResult]) -> Result<Moved, Trouble> {
    if claim.node.flow.command.is_none() {
        return step_loop::resume(claim).await;
    }
    if list.iter().any(|entry| entry.command_status == CommandStatus::Running) {
        return Ok(Moved::Rest);
    }
    let label = steps::label(step);
    if claim.node.flow.attempts >= RESTARTS {
        return Err(Trouble::Fail(format!(
            "the agent was restarted {} times while it ran {label}; look at the machine's console and memory",
            RESTARTS + 1
        )));
    }
    claim.node.flow.attempts += 1;
    claim.node.flow.command = None;
    claim.note(Severity::Error, "step", format!("the agent was restarted while it ran {label}; the step begins again"));
    step_loop::resume(claim).await
}

async fn succeeded(claim: &mut Claim, kind: StepKind, step: &Step, own: &CommandResult) -> Result<Moved, Trouble> {
    claim.node.flow.last_command = Some(own.id.clone());
    erase_proof::keep(claim, step, own)?;
    let recorded = raid_config::record(&mut claim.node, kind, step, own.command_result.as_ref());
    recorded.map_err(|text| Trouble::Fail(failure_text(claim, kind, step, &text)))?;
    if step.reboot_requested == Some(true) {
        claim.node.flow.stage = REBOOT.into();
    }
    step_loop::finish(claim, kind)?;
    step_loop::resume(claim).await
}

/// The agent's hardware managers changed: manual cleaning runs the step again, everything else starts its list again
/// (agent-protocol section 10.6).
async fn mismatched(conductor: &Conductor, claim: &mut Claim, kind: StepKind, id: &str) -> Result<Moved, Trouble> {
    let Some(offer) = offered(conductor, claim, kind).await? else { return Ok(Moved::Rest) };
    steps::cache_offer(&mut claim.node, kind, &offer, &crate::flow::machine::plain_time());
    claim.node.flow.last_command = Some(id.to_owned());
    claim.node.flow.command = None;
    // What a person asked for is not begun again: only the step that was refused.
    let asked = kind == StepKind::Service || (kind == StepKind::Clean && crate::flow::clean::is_manual(&claim.node));
    if !asked {
        steps::restart(&mut claim.node, kind, 0);
        claim.node.flow.stage = RAMDISK.into();
    }
    claim.note(Severity::Info, "step", "the agent's hardware managers changed; its steps were read again");
    claim.step(Event::Resume)?;
    claim.save().await?;
    Ok(Moved::On)
}

fn failure_text(claim: &Claim, kind: StepKind, step: &Step, details: &str) -> String {
    let label = steps::label(step);
    match kind {
        StepKind::Clean => format!("Clean step {label} failed on node {}. {details}", claim.node.uuid),
        StepKind::Deploy => format!("Deploy step {label} failed: {details}"),
        StepKind::Service => format!("Service step {label} failed on node {}. {details}", claim.node.uuid),
    }
}
