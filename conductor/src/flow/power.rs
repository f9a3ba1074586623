//! Power on request (rest-api sections 7.1 and 17.10).

use crate::claim::Claim;
use crate::driver::traits::DriverError;
use crate::flow::conductor::Conductor;
use crate::flow::{family, let_go, machine};
use crate::model::fsm::State;
use crate::model::history::Severity;
use crate::model::node::{InterfaceKind, Node};
use crate::model::power::{POWER_FAILED, PowerState, PowerTarget};
use std::sync::Arc;
use std::time::Duration;

/// Carries out what `target_power_state` says. The claim was taken and saved with the target by the request.
pub async fn carry_out(conductor: Arc<Conductor>, mut claim: Claim, target: PowerTarget, timeout: Option<Duration>) {
    let options = &conductor.config.conductor;
    let timeout = timeout.unwrap_or(match target {
        PowerTarget::SoftOff | PowerTarget::SoftReboot => options.soft_power_off_timeout.duration(),
        _ => options.power_state_change_timeout.duration(),
    });
    let is_active = claim.node.provision_state == State::Active;
    if is_active && target.end() == PowerState::On {
        machine::fake_delay(&conductor, &claim.node, InterfaceKind::Storage).await; // volumes are attached
    }
    let outcome = match family::before(&conductor, &claim.node, target).await {
        Err(text) => Err(DriverError::Failed(text)),
        Ok(()) => match machine::open(&conductor, &claim.node) {
            Ok(driver) => driver.power.set(target, timeout).await,
            Err(error) => Err(error),
        },
    };
    machine::end_power(&mut claim.node, target, outcome.is_ok());
    match outcome {
        Ok(()) => {
            if is_active && target.end() == PowerState::Off {
                machine::fake_delay(&conductor, &claim.node, InterfaceKind::Storage).await; // volumes are detached
            }
            claim.note(Severity::Info, "power", format!("power action done: {target}"));
        }
        Err(error) => {
            let text = format!("{POWER_FAILED} {}: {error}", target.shown());
            claim.node.last_error = Some(text.clone());
            claim.note(Severity::Error, "power", text);
        }
    }
    if let Err(error) = claim.save().await {
        tracing::error!(node = %claim.node.uuid, %error, "the outcome of a power action was not saved");
    }
    let_go(&conductor, claim).await;
}

/// After a restart: an action that was under way is carried out again (on, off and soft off are idempotent; a reboot
/// reboots again).
pub async fn resume(conductor: &Arc<Conductor>, node: &Node, target: PowerTarget) {
    if let Ok(claim) = Claim::take(&conductor.holder, node.uuid, "power action after restart").await {
        let work = carry_out(Arc::clone(conductor), claim, target, None);
        conductor.spawn(work);
    }
}
