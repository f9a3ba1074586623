//! Commands after which the agent serves no longer: `system.lockdown`, the end of a rescue, and the end of the machine.

use super::call::{Call, Failure};
use super::power::End;
use serde_json::Value;

/// Why the agent is to stop serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The ramdisk belongs to its rescue user now.
    Rescued,
    /// The machine cannot be switched off: it is to do nothing more and to be reachable by nobody.
    LockedDown,
    /// The machine is switched off or restarted once this program holds nothing any more.
    Machine(End),
}

/// `system.lockdown`: the answer first, then no server, no heartbeat and no network (ipa-features 1, step 16).
pub fn lockdown(call: &Call) -> Result<Value, Failure> {
    call.agent.0.power.check()?;
    tracing::info!("told to lock down: the server ends, then every interface is set down");
    call.agent.end(Ending::LockedDown);
    Ok(Value::Null)
}
