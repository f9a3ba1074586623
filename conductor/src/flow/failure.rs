//! The one place where a flow fails a node: what is recorded, what is cleaned up, what is switched off.

use crate::claim::{Claim, clip};
use crate::figures;
use crate::flow::conductor::Conductor;
use crate::flow::{agent_logs, clean, deploy, machine, rescue, service, tear_down, templates};
use crate::model::fsm::{Event, State};
use crate::model::history::Severity;
use crate::model::plan::Piece;
use crate::model::power::PowerTarget;
use crate::model::steps;
use crate::store::StoreError;
use common::step::StepKind;
use std::time::Duration;

/// One try, not more: the flow has failed anyway.
const OFF_PATIENCE: Duration = Duration::from_secs(15);

/// Fails the flow with `text`; the piece that failed goes to the log.
///
/// # Errors
/// The failure itself cannot be saved.
pub async fn record(conductor: &Conductor, claim: &mut Claim, piece: Piece, text: String) -> Result<(), StoreError> {
    tracing::warn!(node = %claim.node.uuid, ?piece, "failed: {text}");
    // Not after a time-out or an abort: an agent that is silent, or is to be gone, would only hold the node longer.
    if matches!(
        claim.node.provision_state,
        State::Deploying | State::DeployWait | State::Servicing | State::ServiceWait
    ) {
        agent_logs::keep(conductor, &claim.node).await;
    }
    fail(conductor, claim, text).await
}

/// Ends the flow as a person asked: no maintenance, and a service goes back to active.
///
/// # Errors
/// The outcome cannot be saved.
pub async fn abort(conductor: &Conductor, claim: &mut Claim, text: String) -> Result<(), StoreError> {
    match claim.node.provision_state {
        State::Servicing | State::ServiceWait | State::ServiceHold | State::ServiceFailed => {
            service::abort(conductor, claim, clip(text)).await
        }
        State::RescueWait => rescue::abort(conductor, claim, text).await,
        // A busy state is aborted by failing it: the table has no other row.
        state if state.is_busy() => end(conductor, claim, text, Event::Fail, false).await,
        _ => end(conductor, claim, text, Event::Abort, false).await,
    }
}

/// Fails whatever flow the node is in.
///
/// # Errors
/// The failure itself cannot be saved.
pub async fn fail(conductor: &Conductor, claim: &mut Claim, text: String) -> Result<(), StoreError> {
    for kind in [StepKind::Clean, StepKind::Deploy, StepKind::Service] {
        if let Some(step) = steps::current(&claim.node, kind) {
            figures::step_failed(kind.word(), &step.interface, &step.step);
        }
    }
    end(conductor, claim, text, Event::Fail, true).await
}

async fn end(
    conductor: &Conductor,
    claim: &mut Claim,
    text: String,
    event: Event,
    blame: bool,
) -> Result<(), StoreError> {
    let text = clip(text);
    match claim.node.provision_state {
        State::Cleaning | State::CleanWait | State::CleanHold => clean_failed(conductor, claim, &text, blame).await,
        State::Deploying | State::DeployWait | State::DeployHold => deploy_failed(conductor, claim).await,
        State::Inspecting | State::InspectWait => inspection_failed(conductor, claim).await,
        State::Servicing | State::ServiceWait | State::ServiceHold => service_failed(conductor, claim, &text).await,
        State::Rescuing | State::RescueWait => rescue_failed(conductor, claim).await,
        State::Deleting => tear_down::forget_instance(&mut claim.node),
        State::Adopting => claim.node.power_state = None,
        _ => {}
    }
    claim.node.last_error = Some(text.clone());
    claim.note(Severity::Error, "provision", text);
    let flow = &mut claim.node.flow;
    flow.stage.clear();
    flow.command = None;
    flow.pause = None;
    flow.abort = None;
    // An active node whose instance could not be started again stays active: only the text says so.
    if claim.node.provision_state != State::Active
        && let Err(refused) = claim.step(event)
    {
        // Every state that a flow runs in has this row (a test of the table holds it); the text is in last_error all the same.
        tracing::error!(node = %claim.node.uuid, %refused, "a failed flow could not leave its state");
    }
    claim.save().await
}

fn put_in_maintenance(claim: &mut Claim, text: &str, fault: &str) {
    claim.node.maintenance = true;
    claim.node.fault = Some(fault.into());
    if claim.node.maintenance_reason.is_none() {
        claim.node.maintenance_reason = Some(text.to_owned());
    }
}

async fn clean_failed(conductor: &Conductor, claim: &mut Claim, text: &str, blame: bool) {
    let had_step = steps::current(&claim.node, StepKind::Clean).is_some();
    if blame && had_step {
        put_in_maintenance(claim, text, "clean failure");
    }
    if conductor.config.conductor.poweroff_in_cleanfail || (!blame && claim.node.flow.ramdisk) {
        switch_off(conductor, claim).await;
    }
    claim.node.flow.ramdisk = false;
    steps::clear(&mut claim.node, StepKind::Clean);
    claim.node.driver_internal_info.remove(clean::ASKED);
    claim.node.driver_internal_info.remove(clean::NO_RAMDISK);
    conductor.boot.remove(claim.node.uuid);
    machine::forget_agent(&mut claim.node);
}

async fn deploy_failed(conductor: &Conductor, claim: &mut Claim) {
    if conductor.config.deploy.power_off_after_deploy_failure && machine::deploy_switches(&claim.node) {
        switch_off(conductor, claim).await;
    }
    steps::clear(&mut claim.node, StepKind::Deploy);
    claim.node.driver_internal_info.remove(deploy::ASKED);
    templates::forget(&mut claim.node);
    conductor.boot.remove(claim.node.uuid);
    machine::forget_agent(&mut claim.node);
}

/// The ramdisk keeps running: people look at what happened. The abort that follows starts the instance again.
async fn service_failed(conductor: &Conductor, claim: &mut Claim, text: &str) {
    if steps::current(&claim.node, StepKind::Service).is_some() {
        put_in_maintenance(claim, text, "service failure");
    }
    if conductor.config.conductor.poweroff_in_servicefail {
        switch_off(conductor, claim).await;
    }
    service::forget(conductor, claim);
}

async fn rescue_failed(conductor: &Conductor, claim: &mut Claim) {
    switch_off(conductor, claim).await;
    rescue::clean_up(conductor, claim);
}

async fn inspection_failed(conductor: &Conductor, claim: &mut Claim) {
    if conductor.config.inspector.power_off {
        switch_off(conductor, claim).await;
    }
    conductor.boot.remove(claim.node.uuid);
    machine::forget_agent(&mut claim.node);
    let _ = conductor.store.drop_arrival(claim.node.uuid).await;
}

/// Best effort: a BMC that is dead now must not keep the failure from being recorded.
async fn switch_off(conductor: &Conductor, claim: &mut Claim) {
    if claim.node.disable_power_off {
        return;
    }
    let Ok(driver) = machine::open(conductor, &claim.node) else { return };
    match tokio::time::timeout(OFF_PATIENCE, driver.power.set(PowerTarget::Off, OFF_PATIENCE)).await {
        Ok(Ok(())) => {
            machine::note_power(&mut claim.node, PowerTarget::Off.end());
            machine::forget_boot(&mut claim.node);
        }
        Ok(Err(error)) => {
            claim.note(
                Severity::Error,
                "power",
                format!("the machine could not be switched off after the failure: {error}"),
            );
        }
        Err(_) => claim.note(
            Severity::Error,
            "power",
            "the machine could not be switched off after the failure: its BMC is silent",
        ),
    }
}
