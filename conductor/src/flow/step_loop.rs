//! The steps of cleaning and deployment, one after another: make the list, enter, run, go on.

use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{agent_steps, clean, deploy, machine, ramdisk};
use crate::model::fsm::Event;
use crate::model::history::Severity;
use crate::model::plan::{END, STEPS};
use crate::model::steps;
use common::step::StepKind;
use jiff::{Timestamp, Unit};

/// The agent has called: the work goes on here.
pub async fn resume(claim: &mut Claim) -> Result<Moved, Trouble> {
    claim.step(Event::Resume)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// Nothing can be done until the agent calls (again).
pub async fn wait(claim: &mut Claim, what: &str) -> Result<Moved, Trouble> {
    claim.node.flow.waiting_for = Some(what.into());
    claim.step(Event::Wait)?;
    claim.save().await?;
    Ok(Moved::Rest)
}

/// Asks the agent which steps it has, and makes the list.
pub async fn load(conductor: &Conductor, claim: &mut Claim, kind: StepKind) -> Result<Moved, Trouble> {
    let Some(offer) = agent_steps::offered(conductor, claim, kind).await? else {
        return wait(claim, "the agent to say which steps it has").await;
    };
    steps::cache_offer(&mut claim.node, kind, &offer, &machine::plain_time());
    let offered = steps::cached_offer(&claim.node, kind);
    let uuid = claim.node.uuid;
    let list = match kind {
        StepKind::Clean => clean::build_list(conductor, &claim.node, offered)
            .map_err(|text| Trouble::Fail(format!("Failed to validate the clean steps of node {uuid}: {text}")))?,
        _ => deploy::build_list(&claim.node, Some(offered)).map_err(|text| {
            Trouble::Fail(format!("Failed to validate the final deploy steps list for node {uuid}: {text}"))
        })?,
    };
    let names: Vec<_> = list.iter().map(steps::label).collect();
    steps::set_list(&mut claim.node, kind, &list);
    claim.node.flow.stage = STEPS.into();
    claim.note(Severity::Info, "step", format!("{} steps: {}", kind.word(), names.join(", ")));
    claim.save().await?;
    Ok(Moved::On)
}

/// Makes the next step the current one, or reaches the end.
pub async fn enter(claim: &mut Claim, kind: StepKind) -> Result<Moved, Trouble> {
    let entered = steps::enter_next(&mut claim.node, kind);
    let flow = &mut claim.node.flow;
    flow.command = None;
    flow.attempts = 0;
    flow.step_started_at = Some(Timestamp::now());
    flow.stage = if entered.is_some() { STEPS.into() } else { END.into() };
    claim.save().await?;
    Ok(Moved::On)
}

/// Runs the current step here, or hands it to the agent.
pub async fn run(conductor: &Conductor, claim: &mut Claim, kind: StepKind) -> Result<Moved, Trouble> {
    let Some(step) = steps::current(&claim.node, kind) else { return enter(claim, kind).await };
    if kind == StepKind::Deploy && deploy::is_here(&claim.node, &step) {
        return deploy::run_here(conductor, claim, &step).await;
    }
    agent_steps::start(conductor, claim, kind, &step).await
}

/// Notes that the current step is done. The caller saves.
pub fn finish(claim: &mut Claim, kind: StepKind) {
    let Some(step) = steps::current(&claim.node, kind) else { return };
    let now = Timestamp::now();
    let seconds =
        claim.node.flow.step_started_at.and_then(|since| (now - since).total(Unit::Second).ok()).unwrap_or_default();
    steps::set_current(&mut claim.node, kind, None);
    claim.node.flow.command = None;
    let text = format!("{} step {} done in {seconds:.1} s", kind.word(), steps::label(&step));
    claim.note_with(Severity::Info, "step", text, Some(seconds));
}

/// Boots the ramdisk again because the step that ended asked for it.
pub async fn reboot(conductor: &Conductor, claim: &mut Claim) -> Result<Moved, Trouble> {
    ramdisk::boot(conductor, claim, ramdisk::Purpose::Steps).await?;
    // The list stays; only the agent's versions are asked again with the next step.
    claim.node.flow.stage = STEPS.into();
    claim.node.flow.waiting_for = Some("the ramdisk to call back after its reboot".into());
    claim.step(Event::Wait)?;
    claim.save().await?;
    Ok(Moved::On)
}
