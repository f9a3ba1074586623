//! Which piece of work comes next: decided from the record alone, so that a restart decides the same.
//!
//! `stage` says which part of a flow is behind us. A piece may be run twice: it ends with one save that also moves the
//! stage, the step or the state, and until that save nothing counts.

use super::fsm::State;
use super::node::Node;
use super::steps;
use common::step::StepKind;

/// Nothing of the flow is done.
pub const START: &str = "";
/// The ramdisk is booting; its steps are not known yet.
pub const RAMDISK: &str = "ramdisk";
/// The list of steps is being worked off.
pub const STEPS: &str = "steps";
/// A step asked for a reboot of the ramdisk.
pub const REBOOT: &str = "reboot";
/// All steps are done.
pub const END: &str = "end";
/// The inspection data are here.
pub const ARRIVED: &str = "arrived";

/// A piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Check power credentials, read the power state.
    Verify,
    /// Take over a running instance.
    Adopt,
    /// Boot the ramdisk for inspection.
    StartInspection,
    /// The data are here: back to inspecting.
    TakeInspection,
    /// Read the data, make ports, switch off.
    FinishInspection,
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
}

/// What the store knows beside the record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Inspection data have arrived and are not processed.
    pub arrival: bool,
}

/// The next piece; `None`: rest until somebody asks or knocks.
pub fn next(node: &Node, facts: Facts) -> Option<Piece> {
    let stage = node.flow.stage.as_str();
    let called = node.driver_internal_info.contains_key("agent_url");
    Some(match node.provision_state {
        State::Verifying => Piece::Verify,
        State::Adopting => Piece::Adopt,
        State::Inspecting if stage == ARRIVED => Piece::FinishInspection,
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
        State::CleanWait if called => waiting(stage, StepKind::Clean),
        State::DeployWait if called => waiting(stage, StepKind::Deploy),
        State::Deleting => Piece::TearDown,
        _ => return None,
    })
}

fn stepping(node: &Node, kind: StepKind) -> Piece {
    if node.flow.stage == RAMDISK {
        Piece::LoadSteps(kind)
    } else if node.flow.stage == REBOOT {
        Piece::Reboot(kind)
    } else if steps::current(node, kind).is_some() {
        Piece::RunStep(kind)
    } else {
        Piece::EnterStep(kind)
    }
}

fn waiting(stage: &str, kind: StepKind) -> Piece {
    if stage == RAMDISK { Piece::Resume } else { Piece::PollStep(kind) }
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
        for state in
            [State::Verifying, State::Adopting, State::Inspecting, State::Cleaning, State::Deploying, State::Deleting]
        {
            for stage in [START, RAMDISK, STEPS, END, ARRIVED, "unknown"] {
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
    fn stable_and_failed_states_rest() {
        for &state in State::ALL {
            if state.is_stable() || state.is_failed() {
                assert_eq!(next(&node(state, START), Facts { arrival: true }), None, "{state}");
            }
        }
    }
}
