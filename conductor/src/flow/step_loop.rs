//! The steps of cleaning, deployment and service, one after another: make the list, enter, run, go on.

use crate::claim::Claim;
use crate::figures;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{agent_steps, clean, deploy, fast_track, here, machine, ramdisk, service};
use crate::model::fsm::Event;
use crate::model::history::Severity;
use crate::model::plan::{END, FAST, RAMDISK, STEPS};
use crate::model::step_check::{self, Rules};
use crate::model::steps;
use common::step::{Step, StepKind};
use jiff::{Timestamp, Unit};
use serde_json::Value;
use std::sync::Arc;

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
pub async fn load(conductor: &Arc<Conductor>, claim: &mut Claim, kind: StepKind) -> Result<Moved, Trouble> {
    let fast = claim.node.flow.stage == FAST;
    let offer = match agent_steps::offered(conductor, claim, kind).await {
        Ok(Some(offer)) => offer,
        Err(Trouble::Fail(text)) if fast => return fast_track::unusable(conductor, claim, &text).await,
        Ok(None) if fast => return fast_track::unusable(conductor, claim, "it does not answer, or is busy").await,
        Ok(None) => return wait(claim, "the agent to say which steps it has").await,
        Err(trouble) => return Err(trouble),
    };
    if fast {
        claim.node.flow.pause = None;
    }
    steps::cache_offer(&mut claim.node, kind, &offer, &machine::plain_time());
    let offered = steps::cached_offer(&claim.node, kind);
    let uuid = claim.node.uuid;
    let list = match kind {
        StepKind::Clean => clean::build_list(conductor, &claim.node, offered)
            .map_err(|text| Trouble::Fail(format!("Node failed to start the first cleaning step: {text}")))?,
        StepKind::Service => service::build_list(conductor, &claim.node, offered)
            .map_err(|text| Trouble::Fail(format!("Node failed to start the first service step: {text}")))?,
        StepKind::Deploy => deploy::build_list(conductor, &claim.node, Some(offered)).map_err(|text| {
            Trouble::Fail(format!("Failed to validate the final deploy steps list for node {uuid}: {text}"))
        })?,
    };
    if kind == StepKind::Deploy {
        // Steps of the agent may stand before the one that booted its ramdisk: they come too late.
        let booted = list.iter().position(|step| steps::label(step) == "deploy.deploy");
        steps::restart(&mut claim.node, kind, booted.map_or(0, |at| at + 1));
    }
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
pub async fn run(conductor: &Arc<Conductor>, claim: &mut Claim, kind: StepKind) -> Result<Moved, Trouble> {
    let Some(step) = steps::current(&claim.node, kind) else { return enter(claim, kind).await };
    if here::is_here(conductor, &claim.node, kind, &step) {
        return here::run(conductor, claim, kind, &step).await;
    }
    agent_steps::start(conductor, claim, kind, &step).await
}

/// Notes that the current step is done. The caller saves.
///
/// # Errors
/// [`Trouble::Aborted`]: a person asked to stop after it.
pub fn finish(claim: &mut Claim, kind: StepKind) -> Result<(), Trouble> {
    let Some(step) = steps::current(&claim.node, kind) else { return Ok(()) };
    let now = Timestamp::now();
    let seconds =
        claim.node.flow.step_started_at.and_then(|since| (now - since).total(Unit::Second).ok()).unwrap_or_default();
    let text = format!("{} step {} done in {seconds:.1} s", kind.word(), steps::label(&step));
    claim.note_with(Severity::Info, "step", text, Some(seconds));
    figures::step_done(kind.word(), &step.interface, &step.step, seconds);
    steps::set_current(&mut claim.node, kind, None);
    claim.node.flow.command = None;
    if steps::ends_here(&step) { Err(Trouble::Aborted(aborted_text(kind, Some(&step)))) } else { Ok(()) }
}

/// What `last_error` says after an abort (rest-api 17.4).
pub fn aborted_text(kind: StepKind, step: Option<&Step>) -> String {
    let begin = format!("By request, the {} operation was aborted", kind.word());
    match step {
        Some(step) => format!("{begin} during or after the completion of step \"{}\"", steps::label(step)),
        None => begin,
    }
}

/// A pause or a hold is over: the step that paused is done.
pub async fn end_pause(claim: &mut Claim, kind: StepKind) -> Result<Moved, Trouble> {
    claim.node.flow.pause = None;
    finish(claim, kind)?;
    claim.step(Event::Resume)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// Begins the steps that a person asked for, of a manual cleaning or a service: at once when all are known here and none
/// needs a ramdisk, else with a ramdisk.
pub async fn begin_asked(
    conductor: &Arc<Conductor>,
    claim: &mut Claim,
    kind: StepKind,
    asked: &[Value],
    no_ramdisk: bool,
) -> Result<Moved, Trouble> {
    let uuid = claim.node.uuid;
    let failed = |text: String| Trouble::Fail(format!("Cannot {} node {uuid}: {text}", kind.word()));
    let known = here::offered(conductor, &claim.node, kind);
    let can_boot = ramdisk::is_possible(&claim.node) && !no_ramdisk;
    let rules = Rules { kind, offered: &known, agent_unknown: can_boot, no_ramdisk, silent: !can_boot };
    let mut checked = step_check::check(asked, rules).map_err(failed)?;
    if can_boot && (checked.has_unknown || checked.wants_ramdisk) {
        if kind == StepKind::Clean {
            clean::erase_parameters(conductor, &mut claim.node);
        }
        steps::clear(&mut claim.node, kind);
        return ramdisk(conductor, claim).await;
    }
    if can_boot {
        // None will run after all: a pause that only its heartbeat ends would never end.
        checked = step_check::check(asked, Rules { silent: true, ..rules }).map_err(failed)?;
    }
    begin_list(claim, kind, &checked.steps).await
}

/// Works a list off without a ramdisk.
pub async fn begin_list(claim: &mut Claim, kind: StepKind, list: &[Step]) -> Result<Moved, Trouble> {
    steps::clear(&mut claim.node, kind);
    steps::set_list(&mut claim.node, kind, list);
    claim.node.flow.stage = STEPS.into();
    let names: Vec<_> = list.iter().map(steps::label).collect();
    claim.note(Severity::Info, "step", format!("{} steps, without a ramdisk: {}", kind.word(), names.join(", ")));
    claim.save().await?;
    Ok(Moved::On)
}

/// Goes on with the ramdisk that runs, else boots it.
pub async fn ramdisk(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    match fast_track::runs(conductor, claim).await {
        true => fast_track::take(conductor, claim).await,
        false => boot(conductor, claim).await,
    }
}

/// Boots the ramdisk and waits for its call.
pub async fn boot(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    ramdisk::boot(conductor, claim, ramdisk::Purpose::Steps).await?;
    claim.node.flow.stage = RAMDISK.into();
    claim.node.flow.waiting_for = Some("the ramdisk to call back".into());
    claim.step(Event::Wait)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// Boots the ramdisk again because the step that ended asked for it.
pub async fn reboot(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    ramdisk::boot(conductor, claim, ramdisk::Purpose::Steps).await?;
    // The list stays; only the agent's versions are asked again with the next step.
    claim.node.flow.stage = STEPS.into();
    claim.node.flow.waiting_for = Some("the ramdisk to call back after its reboot".into());
    claim.step(Event::Wait)?;
    claim.save().await?;
    Ok(Moved::On)
}
