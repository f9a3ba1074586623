//! Fast track: a ramdisk that runs already (left by an inspection or a cleaning, or booted by somebody else) serves the next
//! cleaning or deployment without another boot (rest-api sections 14.1 and 17, agent-protocol 10.8).
//!
//! That it runs is believed when its agent was heard lately and the BMC says that the machine is on; then it is asked for its
//! steps. One that does not answer well is booted anew: a guess that was wrong costs time, not the flow.

use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{machine, ramdisk, step_loop};
use crate::model::flow_note::Pause;
use crate::model::fsm::State;
use crate::model::history::Severity;
use crate::model::node::{InterfaceKind, Node};
use crate::model::plan::FAST;
use crate::model::power::PowerState;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// Overrides the option for one node.
const KEY: &str = "fast_track";

/// The operator wants it for this node. A word of the node that is no boolean is a no.
pub fn is_wanted(conductor: &Conductor, node: &Node) -> bool {
    match node.driver_info.get(KEY) {
        None | Some(serde_json::Value::Null) => conductor.config.deploy.fast_track,
        Some(_) => node.driver_info.flag(KEY) == Some(true),
    }
}

/// An agent may look the node up although nothing waits for one. A machine that is off has none: whoever asks for it then
/// is somebody else, and must not get the token of its next boot.
pub fn allows_lookup(conductor: &Conductor, node: &Node) -> bool {
    node.provision_state.allows_fast_lookup() && is_wanted(conductor, node) && !rests_off(node)
}

/// Heartbeats are recorded although nothing waits for one.
pub fn listens(conductor: &Conductor, node: &Node) -> bool {
    let state = node.provision_state;
    let here = rests(state) || matches!(state, State::Inspecting | State::InspectWait);
    here && is_wanted(conductor, node) && !rests_off(node)
}

/// Where a ramdisk may be left running.
fn rests(state: State) -> bool {
    matches!(state, State::Enroll | State::Manageable | State::Available)
}

fn rests_off(node: &Node) -> bool {
    rests(node.provision_state) && node.power_state == Some(PowerState::Off)
}

/// The ramdisk of an inspection that has succeeded stays on.
pub fn keeps_inspected(conductor: &Conductor, node: &Node) -> bool {
    is_wanted(conductor, node) && node.power_state == Some(PowerState::On)
}

/// By the record alone a ramdisk runs that can go on.
pub fn may_run(conductor: &Conductor, node: &Node) -> bool {
    let options = &conductor.config.deploy;
    is_wanted(conductor, node) && is_alive(node, options.fast_track_timeout.duration().as_secs_f64(), Timestamp::now())
}

/// As [`may_run`], and the BMC says that the machine is on.
pub async fn runs(conductor: &Conductor, claim: &mut Claim) -> bool {
    may_run(conductor, &claim.node)
        && matches!(machine::read_power(conductor, &mut claim.node).await, Ok(Some(PowerState::On)))
}

/// Its agent was heard within so many seconds, and nothing went wrong since. A service belongs to an instance: it boots.
fn is_alive(node: &Node, seconds: f64, now: Timestamp) -> bool {
    let serves = !matches!(node.provision_state, State::Servicing | State::ServiceWait | State::ServiceHold);
    serves
        && node.power_state == Some(PowerState::On)
        && node.last_error.is_none()
        && last_heard(node).is_some_and(|time| (now - time).total(jiff::Unit::Second).is_ok_and(|age| age < seconds))
}

/// The last heartbeat of the boot; before the first one the inspection that the same boot ended.
fn last_heard(node: &Node) -> Option<Timestamp> {
    match node.driver_internal_info.contains_key("agent_url") {
        true => machine::noted_time(node, "agent_last_heartbeat"),
        false => node.inspection_finished_at.filter(|_| node.flow.kept),
    }
}

/// Goes on with the ramdisk that [`runs`]. From here on it is the flow's own: whoever ends the flow ends it, and should the
/// machine start again, it finds the ramdisk.
///
/// # Errors
/// [`Trouble::Fail`] says what a boot would lack.
pub async fn take(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    if claim.node.interface(InterfaceKind::Boot) == "ipxe" {
        ramdisk::offer(conductor, &claim.node, ramdisk::Purpose::Steps).await.map_err(Trouble::Fail)?;
    }
    claim.node.flow.ramdisk = true;
    claim.node.flow.stage = FAST.into();
    claim.note(Severity::Info, "boot", "the ramdisk that runs goes on: the machine is not booted");
    claim.save().await?;
    Ok(Moved::On)
}

/// The ramdisk that was taken has not told its steps. When it has not called at all yet it is given the time in which it
/// should; else the machine is booted.
pub async fn unusable(conductor: &Arc<Conductor>, claim: &mut Claim, why: &str) -> Result<Moved, Trouble> {
    let node = &mut claim.node;
    if !node.driver_internal_info.contains_key("agent_url")
        && node.flow.pause.is_none()
        && let Some(heard) = last_heard(node)
    {
        let patience = conductor.config.deploy.fast_track_timeout.duration();
        let end = heard + SignedDuration::try_from(patience).unwrap_or_default();
        node.flow.pause = Some(Pause::Until(end));
        step_loop::wait(claim, "the ramdisk of the inspection to call").await?;
        return Ok(Moved::On);
    }
    node.flow.pause = None;
    let text = format!("the ramdisk that ran cannot go on, it is booted again: {why}");
    claim.note(Severity::Info, "boot", text);
    step_loop::boot(conductor, claim).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Heard at second 1000.
    fn heard() -> Node {
        let mut node = Node { provision_state: State::Cleaning, power_state: Some(PowerState::On), ..Node::default() };
        node.driver_internal_info.insert("agent_url".into(), json!("https://192.0.2.1:9999"));
        node.driver_internal_info.insert("agent_last_heartbeat".into(), json!("1970-01-01T00:16:40.000000"));
        node
    }

    #[test]
    fn an_agent_is_alive_while_its_last_beat_is_fresh_its_machine_on_and_nothing_went_wrong() {
        let alive = |node: &Node| is_alive(node, 300.0, time(1200));
        assert!(alive(&heard()));
        assert!(!is_alive(&heard(), 300.0, time(1301)) && !is_alive(&heard(), 0.0, time(1000)));
        assert!(!alive(&Node { power_state: Some(PowerState::Off), ..heard() }));
        assert!(!alive(&Node { power_state: None, ..heard() }));
        assert!(!alive(&Node { last_error: Some("a step failed".into()), ..heard() }));
        assert!(!alive(&Node { provision_state: State::Servicing, ..heard() }), "there is an instance");
        let mut ended = heard();
        machine::forget_boot(&mut ended);
        assert!(!alive(&ended), "the last beat is of a boot that is over");
    }

    #[test]
    fn before_its_first_beat_a_ramdisk_counts_from_the_inspection_that_left_it_running() {
        let mut node = Node { inspection_finished_at: Some(time(1000)), ..heard() };
        machine::forget_boot(&mut node);
        assert!(!is_alive(&node, 300.0, time(1001)), "that one was switched off");
        node.flow.kept = true;
        assert!(is_alive(&node, 300.0, time(1001)) && !is_alive(&node, 300.0, time(1301)));
        machine::forget_boot(&mut node);
        assert!(!is_alive(&node, 300.0, time(1001)), "somebody has switched it");
    }
}
