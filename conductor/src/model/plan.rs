//! Which piece of work comes next: decided from the record alone, so that a restart decides the same.
//!
//! `stage` says which part of a flow is behind us. A piece may be run twice: it ends with one save that also moves the
//! stage, the step or the state, and until that save nothing counts.

use super::flow_note::Pause;
use super::fsm::State;
use super::node::Node;
use super::steps;
use common::step::StepKind;
use jiff::Timestamp;

/// Nothing of the flow is done.
pub const START: &str = "";
/// The ramdisk is booting; its steps are not known yet.
pub const RAMDISK: &str = "ramdisk";
/// The ramdisk that ran already is to go on; it has not said yet which steps it has.
pub const FAST: &str = "fast";
/// The list of steps is being worked off.
pub const STEPS: &str = "steps";
/// A step asked for a reboot of the ramdisk.
pub const REBOOT: &str = "reboot";
/// All steps are done.
pub const END: &str = "end";
/// The inspection data are here.
pub const ARRIVED: &str = "arrived";
/// What the inspection found and what its rules changed is kept; the machine is still on.
pub const KEPT: &str = "kept";
/// The rescue ramdisk is being given its password; once it has it, it never calls again.
pub const FINALIZE: &str = "finalize";
/// The machine runs something else than its instance, which must be started again.
pub const RESTORE: &str = "restore";

/// A piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Stop, as a person asked.
    Abort,
    /// Check power credentials, read the power state.
    Verify,
    /// Take over a running instance.
    Adopt,
    /// Boot the ramdisk for inspection.
    StartInspection,
    /// The data are here: back to inspecting.
    TakeInspection,
    /// Read the data, make ports, run the rules; all of it is kept with one save.
    FinishInspection,
    /// Switch off, become manageable.
    EndInspection,
    /// Boot the ramdisk for cleaning, or end at once when cleaning is off.
    PrepareClean,
    /// The agent called: back to the busy state.
    Resume,
    /// Ask the agent which steps it has and make the list.
    LoadSteps(StepKind),
    /// Make the next step the current one, or reach the end.
    EnterStep(StepKind),
    /// Run the current step here, or hand it to the agent.
    RunStep(StepKind),
    /// Ask the agent how its step goes.
    PollStep(StepKind),
    /// Boot the ramdisk again, as the last step asked.
    Reboot(StepKind),
    /// Switch off, leave cleaning.
    EndClean,
    /// Check image and config drive, make the first list.
    PrepareDeploy,
    /// Become active.
    EndDeploy,
    /// Switch off, forget the instance.
    TearDown,
    /// Check the steps of a service; boot the ramdisk when one needs it.
    PrepareService,
    /// Start the instance again, become active.
    EndService,
    /// Start the instance again after an abort.
    RestoreInstance,
    /// A hold was released, a pause is over: the step that paused is done.
    EndPause(StepKind),
    /// Boot the rescue ramdisk.
    StartRescue,
    /// The rescue ramdisk called: back to rescuing.
    ResumeRescue,
    /// Give it the password.
    FinalizeRescue,
    /// Back to the instance.
    Unrescue,
}

/// What the store knows beside the record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Inspection data have arrived and are not processed.
    pub arrival: bool,
    /// The time: pauses end by it.
    pub now: Timestamp,
}

/// The next piece; `None`: rest until somebody asks or knocks.
pub fn next(node: &Node, facts: Facts) -> Option<Piece> {
    let stage = node.flow.stage.as_str();
    let called = node.driver_internal_info.contains_key("agent_url");
    if node.flow.abort.is_some() {
        return Some(Piece::Abort);
    }
    Some(match node.provision_state {
        State::Verifying => Piece::Verify,
        State::Adopting => Piece::Adopt,
        // A machine that was discovered: what it sent is looked at where it stands.
        State::Enroll | State::Inspecting if stage == ARRIVED => Piece::FinishInspection,
        State::Inspecting if stage == KEPT => Piece::EndInspection,
        State::Inspecting => Piece::StartInspection,
        State::InspectWait if facts.arrival => Piece::TakeInspection,
        State::Cleaning => match stage {
            START => Piece::PrepareClean,
            END => Piece::EndClean,
            _ => stepping(node, StepKind::Clean),
        },
        State::Deploying => match stage {
            START => Piece::PrepareDeploy,
            END => Piece::EndDeploy,
            _ => stepping(node, StepKind::Deploy),
        },
        State::Servicing => match stage {
            START => Piece::PrepareService,
            END => Piece::EndService,
            _ => stepping(node, StepKind::Service),
        },
        State::Rescuing if stage == START => Piece::StartRescue,
        State::Rescuing => Piece::FinalizeRescue,
        State::Unrescuing => Piece::Unrescue,
        State::CleanWait => return waiting(node, facts, StepKind::Clean),
        State::DeployWait => return waiting(node, facts, StepKind::Deploy),
        State::ServiceWait => return waiting(node, facts, StepKind::Service),
        State::RescueWait if rests(node, facts) => return None,
        State::RescueWait if called || stage == FINALIZE => Piece::ResumeRescue,
        State::Active if stage == RESTORE => Piece::RestoreInstance,
        State::Deleting => Piece::TearDown,
        _ => return None,
    })
}

/// It pauses, and the pause is not over.
fn rests(node: &Node, facts: Facts) -> bool {
    match &node.flow.pause {
        Some(Pause::Until(time)) => *time > facts.now,
        Some(Pause::NextBeat | Pause::Outside) => true,
        None => false,
    }
}

fn stepping(node: &Node, kind: StepKind) -> Piece {
    if [RAMDISK, FAST].contains(&node.flow.stage.as_str()) {
        Piece::LoadSteps(kind)
    } else if node.flow.stage == REBOOT {
        Piece::Reboot(kind)
    } else if steps::current(node, kind).is_some() {
        Piece::RunStep(kind)
    } else {
        Piece::EnterStep(kind)
    }
}

fn waiting(node: &Node, facts: Facts, kind: StepKind) -> Option<Piece> {
    let called = node.driver_internal_info.contains_key("agent_url");
    if node.flow.stage == FAST {
        // Its call ends the wait before the time does.
        return (called || !rests(node, facts)).then_some(Piece::Resume);
    }
    if rests(node, facts) {
        return None;
    }
    // In a wait state such a step is over: whatever it waited for has come.
    if node.flow.pause.is_some() || steps::current(node, kind).is_some_and(|step| steps::is_reserved(&step)) {
        return Some(Piece::EndPause(kind));
    }
    if !called {
        return None;
    }
    Some(if node.flow.stage == RAMDISK { Piece::Resume } else { Piece::PollStep(kind) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    fn node(state: State, stage: &str) -> Node {
        let mut node = Node::new(Uuid::new_v4(), "x");
        node.provision_state = state;
        node.flow.stage = stage.into();
        node
    }

    #[test]
    fn every_busy_state_served_here_has_a_next_piece_at_every_stage() {
        for &state in State::ALL.iter().filter(|state| state.is_busy()) {
            for stage in [START, RAMDISK, FAST, STEPS, END, ARRIVED, KEPT, FINALIZE, "unknown"] {
                assert!(next(&node(state, stage), Facts::default()).is_some(), "{state} {stage}");
            }
        }
    }

    #[test]
    fn a_waiting_node_rests_until_its_agent_has_called() {
        let mut waiting = node(State::CleanWait, RAMDISK);
        assert_eq!(next(&waiting, Facts::default()), None);
        waiting.driver_internal_info.insert("agent_url".into(), json!("https://192.0.2.1:9999"));
        assert_eq!(next(&waiting, Facts::default()), Some(Piece::Resume));
        waiting.flow.stage = STEPS.into();
        assert_eq!(next(&waiting, Facts::default()), Some(Piece::PollStep(StepKind::Clean)));
    }

    #[test]
    fn a_ramdisk_that_ran_before_is_waited_for_until_it_calls_or_for_so_long() {
        let at = |second| Facts { now: Timestamp::from_second(second).unwrap(), ..Facts::default() };
        let mut waiting = node(State::DeployWait, FAST);
        waiting.flow.pause = Some(Pause::Until(Timestamp::from_second(100).unwrap()));
        assert_eq!(next(&waiting, at(99)), None);
        assert_eq!(next(&waiting, at(100)), Some(Piece::Resume));
        waiting.driver_internal_info.insert("agent_url".into(), json!("https://192.0.2.1:9999"));
        assert_eq!(next(&waiting, at(99)), Some(Piece::Resume));
        waiting.provision_state = State::Deploying;
        assert_eq!(next(&waiting, at(99)), Some(Piece::LoadSteps(StepKind::Deploy)));
    }

    #[test]
    fn a_pause_ends_by_the_clock_by_a_heartbeat_or_by_a_person() {
        let mut waiting = node(State::ServiceWait, STEPS);
        let step = serde_json::from_value(json!({"interface": "power", "step": "wait"})).unwrap();
        steps::set_current(&mut waiting, StepKind::Service, Some(&step));
        let at = |second| Facts { now: Timestamp::from_second(second).unwrap(), ..Facts::default() };
        waiting.flow.pause = Some(Pause::Until(Timestamp::from_second(100).unwrap()));
        assert_eq!(next(&waiting, at(99)), None);
        assert_eq!(next(&waiting, at(100)), Some(Piece::EndPause(StepKind::Service)));
        for pause in [Pause::NextBeat, Pause::Outside] {
            waiting.flow.pause = Some(pause);
            assert_eq!(next(&waiting, at(1000)), None);
        }
        waiting.flow.pause = None; // as a heartbeat and `unhold` leave it
        assert_eq!(next(&waiting, at(0)), Some(Piece::EndPause(StepKind::Service)));
        assert_eq!(next(&node(State::ServiceHold, STEPS), at(1000)), None, "a hold rests");
    }

    #[test]
    fn a_rescue_waits_for_the_call_and_an_abort_leaves_an_instance_to_restore() {
        let mut rescue = node(State::RescueWait, RAMDISK);
        assert_eq!(next(&rescue, Facts::default()), None);
        rescue.driver_internal_info.insert("agent_url".into(), json!("https://192.0.2.1:9999"));
        assert_eq!(next(&rescue, Facts::default()), Some(Piece::ResumeRescue));
        assert_eq!(next(&node(State::Active, RESTORE), Facts::default()), Some(Piece::RestoreInstance));
        assert_eq!(next(&node(State::Enroll, ARRIVED), Facts::default()), Some(Piece::FinishInspection), "discovered");
    }

    #[test]
    fn an_abort_that_was_promised_comes_before_everything_else() {
        for state in [State::CleanHold, State::DeployWait, State::InspectWait, State::ServiceFailed] {
            let mut asked = node(state, RAMDISK);
            asked.flow.abort = Some("By request".into());
            asked.driver_internal_info.insert("agent_url".into(), json!("https://192.0.2.1:9999"));
            assert_eq!(next(&asked, Facts { arrival: true, ..Facts::default() }), Some(Piece::Abort), "{state}");
        }
    }

    #[test]
    fn stable_and_failed_states_rest() {
        for &state in State::ALL {
            if state.is_stable() || state.is_failed() {
                let facts = Facts { arrival: true, ..Facts::default() };
                assert_eq!(next(&node(state, START), facts), None, "{state}");
            }
        }
    }
}
