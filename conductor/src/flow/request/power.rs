//! `PUT states/power` (rest-api section 7.1).

use super::{Caller, Conductor, RequestError, find, sign};
use crate::claim::Claim;
use crate::flow::machine;
use crate::flow::power::carry_out;
use crate::model::fsm::State;
use crate::model::power::{PowerChange, PowerTarget};
use std::sync::Arc;
use std::time::Duration;

/// Takes the node, records the target, answers; the BMC is told behind.
///
/// # Errors
/// As rest-api 7.1 lists them.
pub async fn power(
    conductor: &Arc<Conductor>,
    ident: &str,
    target: PowerTarget,
    timeout: Option<Duration>,
    caller: &Caller,
) -> Result<(), RequestError> {
    let node = find(conductor, ident).await?;
    if matches!(node.provision_state, State::Cleaning | State::CleanWait) {
        return Err(super::refused(target.name(), &node));
    }
    if node.disable_power_off && matches!(target, PowerTarget::Off | PowerTarget::SoftOff) {
        return Err(RequestError::Conflict(format!("Failed to set node power state to {target}.")));
    }
    let driver = machine::open(conductor, &node)?;
    if !driver.power.supported().contains(&target) {
        return Err(RequestError::Invalid(format!(
            "The driver {} does not support the power state, {target}",
            node.driver
        )));
    }
    super::worker(conductor)?;
    let mut claim = Claim::take_patiently(&conductor.holder, node.uuid, target.name()).await?;
    sign(&mut claim.node, caller);
    // Also when the machine is there already: a client that has its 202 looks for the change.
    let _ = machine::begin_power(&mut claim.node, PowerChange::Own(target));
    claim.node.target_power_state = Some(PowerChange::Own(target));
    claim.node.last_error = None;
    claim.save().await?;
    let work = carry_out(Arc::clone(conductor), claim, target, timeout);
    conductor.spawn(work);
    Ok(())
}
