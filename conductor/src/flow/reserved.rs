//! The conductor's own steps: power_on, power_off, reboot, hold, wait (rest-api 21, row 3: done right here).

use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{machine, ramdisk, step_loop};
use crate::model::flow_note::Pause;
use crate::model::fsm::Event;
use crate::model::history::Severity;
use crate::model::node::InterfaceKind;
use crate::model::power::{BootDevice, PowerTarget};
use crate::model::{step_check, steps};
use common::step::{Step, StepKind};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// Longest pause that any configuration may allow, as in the reference.
const LONGEST: u64 = 1800;

/// What a power step wants; `None`: it is none.
pub fn power_target(step: &Step) -> Option<PowerTarget> {
    match step.step.as_str() {
        "power_on" => Some(PowerTarget::On),
        "power_off" => Some(PowerTarget::Off),
        "reboot" => Some(PowerTarget::Reboot),
        _ => None,
    }
}

/// Runs one of them on the node itself.
pub async fn run(conductor: &Arc<Conductor>, claim: &mut Claim, kind: StepKind, step: &Step) -> Result<Moved, Trouble> {
    match power_target(step) {
        Some(target) => {
            power(conductor, claim, target).await?;
            step_loop::finish(claim, kind)?;
            claim.save().await?;
            Ok(Moved::On)
        }
        None if step.step == "hold" => hold(claim, kind).await,
        None => wait(conductor, claim, kind, step).await,
    }
}

/// When a ramdisk belongs to the flow, the machine boots it again: steps after this one may need its agent.
async fn power(conductor: &Arc<Conductor>, claim: &mut Claim, target: PowerTarget) -> Result<(), Trouble> {
    let goes_on = target != PowerTarget::Off;
    if claim.node.flow.ramdisk && goes_on {
        if target == PowerTarget::Reboot {
            return ramdisk::boot(conductor, claim, ramdisk::Purpose::Steps).await;
        }
        if claim.node.interface(InterfaceKind::Boot) == "ipxe" {
            machine::set_boot_device(conductor, claim, BootDevice::Pxe, false).await?;
        }
    }
    machine::set_power(conductor, claim, target).await
}

/// Stops until a person says `unhold`. It has no deadline.
async fn hold(claim: &mut Claim, kind: StepKind) -> Result<Moved, Trouble> {
    claim.note(Severity::Info, "step", format!("held by a {} step until `unhold`", kind.word()));
    claim.step(Event::Hold)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// Pauses: for some seconds, or until the ramdisk's next heartbeat. The deadline is saved; nobody sleeps for it.
async fn wait(conductor: &Conductor, claim: &mut Claim, kind: StepKind, step: &Step) -> Result<Moved, Trouble> {
    let asked = step.args.as_ref().and_then(|args| args.get("seconds")).and_then(step_check::seconds);
    let flow = &mut claim.node.flow;
    let Some(asked) = asked else {
        flow.pause = Some(Pause::NextBeat);
        flow.waiting_for = Some("the ramdisk's next heartbeat".into());
        claim.step(Event::Wait)?;
        claim.save().await?;
        return Ok(Moved::On);
    };
    let most = u64::from(conductor.config.conductor.max_conductor_wait_step_seconds).min(LONGEST);
    let seconds = asked.min(most);
    flow.pause = Some(Pause::Until(Timestamp::now() + SignedDuration::from_secs(seconds.cast_signed())));
    flow.waiting_for = Some(format!("the end of a pause of {seconds} s"));
    if asked > most {
        claim.note(
            Severity::Error,
            kind.word(),
            format!(
                "A wait time exceeding the configured maximum has been requested. Holding for {most}, got {asked}. Raise \
                 [conductor]max_conductor_wait_step_seconds (at most {LONGEST}), or use a hold step"
            ),
        );
    }
    debug_assert!(steps::is_reserved(step));
    claim.step(Event::Wait)?;
    claim.save().await?;
    Ok(Moved::On)
}
