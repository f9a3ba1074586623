//! Which moves a node may make, and nothing else. A move without a row in [`TABLE`] is refused.
//!
//! Nothing here waits, saves or calls out: `claim` asks, this room answers. Rest-api section 16: 30 states, 93 rows.

use super::named::named;

named! {
    /// A provision state, by Ironic's name.
    #[derive(Default)]
    State {
        /// Created; credentials not checked yet.
        #[default]
        Enroll = "enroll",
        /// Credentials are being checked.
        Verifying = "verifying",
        /// Checked; may be inspected, cleaned, adopted, edited.
        Manageable = "manageable",
        /// Inspection works on the conductor's side.
        Inspecting = "inspecting",
        /// The ramdisk collects.
        InspectWait = "inspect wait",
        /// Inspection failed or was aborted.
        InspectFailed = "inspect failed",
        /// A clean step runs on the conductor's side.
        Cleaning = "cleaning",
        /// The ramdisk has the clean step, or is booting.
        CleanWait = "clean wait",
        /// Stopped by a hold step.
        CleanHold = "clean hold",
        /// Cleaning failed.
        CleanFailed = "clean failed",
        /// Free to be deployed.
        Available = "available",
        /// A deploy step runs on the conductor's side.
        Deploying = "deploying",
        /// The ramdisk has the deploy step, or is booting.
        DeployWait = "wait call-back",
        /// Stopped by a hold step.
        DeployHold = "deploy hold",
        /// Deployment failed.
        DeployFailed = "deploy failed",
        /// An instance is deployed.
        Active = "active",
        /// The instance is being torn down.
        Deleting = "deleting",
        /// Tear-down failed.
        Error = "error",
        /// A running instance is being taken over.
        Adopting = "adopting",
        /// Adoption failed.
        AdoptFailed = "adopt failed",
        /// Rescue works on the conductor's side.
        Rescuing = "rescuing",
        /// The rescue ramdisk is booting.
        RescueWait = "rescue wait",
        /// The rescue ramdisk runs.
        Rescue = "rescue",
        /// Rescue failed.
        RescueFailed = "rescue failed",
        /// The instance is being booted again.
        Unrescuing = "unrescuing",
        /// Return from rescue failed.
        UnrescueFailed = "unrescue failed",
        /// A service step runs on the conductor's side.
        Servicing = "servicing",
        /// The ramdisk has the service step, or is booting.
        ServiceWait = "service wait",
        /// Stopped by a hold step.
        ServiceHold = "service hold",
        /// Service failed; the instance is still there.
        ServiceFailed = "service failed",
    }
}

named! {
    /// What makes a node move.
    Event {
        /// Verb.
        Manage = "manage",
        /// The flow reached its end.
        Done = "done",
        /// The flow failed.
        Fail = "fail",
        /// Verb.
        Provide = "provide",
        /// Verb `clean`; also the internal end of a tear-down.
        Clean = "clean",
        /// Verb.
        Inspect = "inspect",
        /// Verb.
        Adopt = "adopt",
        /// Verbs `active` and `deploy`.
        Deploy = "deploy",
        /// The ramdisk has the work.
        Wait = "wait",
        /// The ramdisk called back.
        Resume = "resume",
        /// Verb.
        Abort = "abort",
        /// A hold step was reached.
        Hold = "hold",
        /// Verb.
        Unhold = "unhold",
        /// Verbs `deleted` and `undeploy`.
        Delete = "delete",
        /// Verb.
        Rebuild = "rebuild",
        /// Verb.
        Rescue = "rescue",
        /// Verb.
        Service = "service",
        /// Verb.
        Unrescue = "unrescue",
    }
}

use Event as E;
use State as S;

/// Every allowed move: from, on, to.
#[rustfmt::skip]
pub const TABLE: &[(State, Event, State)] = &[
    (S::Enroll, E::Manage, S::Verifying),
    (S::Verifying, E::Done, S::Manageable),
    (S::Verifying, E::Fail, S::Enroll), // last_error set
    (S::Manageable, E::Provide, S::Cleaning),
    (S::Manageable, E::Clean, S::Cleaning), // manual, target manageable
    (S::Manageable, E::Inspect, S::Inspecting),
    (S::Manageable, E::Adopt, S::Adopting),
    (S::Available, E::Deploy, S::Deploying),
    (S::Available, E::Manage, S::Manageable), // immediate
    (S::Inspecting, E::Done, S::Manageable),
    (S::Inspecting, E::Wait, S::InspectWait),
    (S::Inspecting, E::Fail, S::InspectFailed),
    (S::InspectWait, E::Done, S::Manageable),
    (S::InspectWait, E::Resume, S::Inspecting), // inventory arrived
    (S::InspectWait, E::Fail, S::InspectFailed), // time-out
    (S::InspectWait, E::Abort, S::InspectFailed),
    (S::InspectFailed, E::Inspect, S::Inspecting),
    (S::InspectFailed, E::Manage, S::Manageable), // immediate
    (S::Cleaning, E::Wait, S::CleanWait),
    (S::Cleaning, E::Hold, S::CleanHold),
    (S::Cleaning, E::Done, S::Available), // automated end
    (S::Cleaning, E::Manage, S::Manageable), // manual end, or retired node
    (S::Cleaning, E::Fail, S::CleanFailed),
    (S::CleanWait, E::Resume, S::Cleaning),
    (S::CleanWait, E::Hold, S::CleanHold),
    (S::CleanWait, E::Fail, S::CleanFailed),
    (S::CleanWait, E::Abort, S::CleanFailed),
    (S::CleanHold, E::Unhold, S::CleanWait),
    (S::CleanHold, E::Abort, S::CleanFailed),
    (S::CleanFailed, E::Manage, S::Manageable), // keeps last_error
    (S::Deploying, E::Wait, S::DeployWait),
    (S::Deploying, E::Hold, S::DeployHold),
    (S::Deploying, E::Done, S::Active),
    (S::Deploying, E::Fail, S::DeployFailed),
    (S::DeployWait, E::Resume, S::Deploying),
    (S::DeployWait, E::Hold, S::DeployHold),
    (S::DeployWait, E::Fail, S::DeployFailed),
    (S::DeployWait, E::Abort, S::DeployFailed), // API 1.110
    (S::DeployWait, E::Delete, S::Deleting),
    (S::DeployHold, E::Unhold, S::DeployWait),
    (S::DeployHold, E::Abort, S::DeployFailed),
    (S::DeployFailed, E::Deploy, S::Deploying),
    (S::DeployFailed, E::Rebuild, S::Deploying),
    (S::DeployFailed, E::Delete, S::Deleting),
    (S::Active, E::Rebuild, S::Deploying),
    (S::Active, E::Delete, S::Deleting),
    (S::Active, E::Rescue, S::Rescuing),
    (S::Active, E::Service, S::Servicing),
    (S::Error, E::Rebuild, S::Deploying),
    (S::Error, E::Delete, S::Deleting),
    (S::Deleting, E::Clean, S::Cleaning), // tear-down finished
    (S::Deleting, E::Fail, S::Error),
    (S::Adopting, E::Done, S::Active),
    (S::Adopting, E::Fail, S::AdoptFailed),
    (S::AdoptFailed, E::Adopt, S::Adopting),
    (S::AdoptFailed, E::Manage, S::Manageable),
    (S::Rescuing, E::Wait, S::RescueWait),
    (S::Rescuing, E::Done, S::Rescue),
    (S::Rescuing, E::Fail, S::RescueFailed),
    (S::RescueWait, E::Resume, S::Rescuing),
    (S::RescueWait, E::Fail, S::RescueFailed),
    (S::RescueWait, E::Abort, S::RescueFailed),
    (S::RescueWait, E::Delete, S::Deleting),
    (S::Rescue, E::Rescue, S::Rescuing),
    (S::Rescue, E::Unrescue, S::Unrescuing),
    (S::Rescue, E::Delete, S::Deleting),
    (S::RescueFailed, E::Rescue, S::Rescuing),
    (S::RescueFailed, E::Unrescue, S::Unrescuing),
    (S::RescueFailed, E::Delete, S::Deleting),
    (S::Unrescuing, E::Done, S::Active),
    (S::Unrescuing, E::Fail, S::UnrescueFailed),
    (S::UnrescueFailed, E::Rescue, S::Rescuing),
    (S::UnrescueFailed, E::Unrescue, S::Unrescuing),
    (S::UnrescueFailed, E::Delete, S::Deleting),
    (S::Servicing, E::Wait, S::ServiceWait),
    (S::Servicing, E::Hold, S::ServiceHold),
    (S::Servicing, E::Done, S::Active),
    (S::Servicing, E::Fail, S::ServiceFailed),
    (S::ServiceWait, E::Resume, S::Servicing),
    (S::ServiceWait, E::Hold, S::ServiceHold),
    (S::ServiceWait, E::Fail, S::ServiceFailed),
    (S::ServiceWait, E::Abort, S::ServiceFailed),
    (S::ServiceWait, E::Delete, S::Deleting),
    (S::ServiceHold, E::Unhold, S::ServiceWait),
    (S::ServiceHold, E::Service, S::Servicing),
    (S::ServiceHold, E::Fail, S::ServiceFailed),
    (S::ServiceHold, E::Abort, S::ServiceFailed),
    (S::ServiceFailed, E::Service, S::Servicing),
    (S::ServiceFailed, E::Rescue, S::Rescuing),
    (S::ServiceFailed, E::Wait, S::ServiceWait), // internal
    (S::ServiceFailed, E::Hold, S::ServiceHold), // internal
    (S::ServiceFailed, E::Abort, S::Active), // refused in maintenance
    (S::ServiceFailed, E::Delete, S::Deleting),
];

/// A move that has no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no move on `{on}` from `{from}`")]
pub struct Refused {
    /// Where the node is.
    pub from: State,
    /// What was asked.
    pub on: Event,
}

/// Where `on` leads from `from`.
///
/// # Errors
/// [`Refused`] when the table has no such row.
pub fn next(from: State, on: Event) -> Result<State, Refused> {
    TABLE.iter().find(|row| (row.0, row.1) == (from, on)).map(|row| row.2).ok_or(Refused { from, on })
}

impl State {
    /// Rests without a target: nothing is going on.
    pub fn is_stable(self) -> bool {
        matches!(self, S::Enroll | S::Manageable | S::Available | S::Active | S::Error | S::Rescue)
    }

    /// A conductor works on it now; after a crash the work goes on.
    pub fn is_busy(self) -> bool {
        matches!(
            self,
            S::Verifying
                | S::Inspecting
                | S::Cleaning
                | S::Deploying
                | S::Deleting
                | S::Adopting
                | S::Rescuing
                | S::Unrescuing
                | S::Servicing
        )
    }

    /// The ramdisk has the work, or is booting; a time-out watches it.
    pub fn is_wait(self) -> bool {
        matches!(self, S::InspectWait | S::CleanWait | S::DeployWait | S::RescueWait | S::ServiceWait)
    }

    /// Stopped by a hold step until a person says `unhold`.
    pub fn is_hold(self) -> bool {
        matches!(self, S::CleanHold | S::DeployHold | S::ServiceHold)
    }

    /// Ends in ` failed`: rests and keeps its target.
    pub fn is_failed(self) -> bool {
        self.name().ends_with(" failed")
    }

    /// Boot mode and secure boot must not be changed now.
    pub fn is_unstable(self) -> bool {
        self.is_busy() || self.is_wait()
    }

    /// Where a node in this state is going; `None` for stable states (rest-api section 16, first table).
    /// Manual cleaning overrides it with `manageable`.
    pub fn target(self) -> Option<State> {
        Some(match self {
            S::Enroll | S::Manageable | S::Available | S::Active | S::Error | S::Rescue => return None,
            S::Verifying | S::Inspecting | S::InspectWait | S::InspectFailed => S::Manageable,
            S::Cleaning | S::CleanWait | S::CleanFailed | S::CleanHold | S::Deleting => S::Available,
            S::Deploying | S::DeployWait | S::DeployFailed | S::DeployHold => S::Active,
            S::Adopting | S::AdoptFailed | S::Unrescuing | S::UnrescueFailed => S::Active,
            S::Rescuing | S::RescueWait | S::RescueFailed => S::Rescue,
            S::Servicing | S::ServiceWait | S::ServiceFailed | S::ServiceHold => S::Active,
        })
    }

    /// An agent may look its node up (rest-api section 14.1).
    pub fn allows_lookup(self) -> bool {
        matches!(
            self,
            S::Deploying
                | S::DeployWait
                | S::Cleaning
                | S::CleanWait
                | S::Inspecting
                | S::InspectWait
                | S::Rescuing
                | S::RescueWait
                | S::ServiceWait
        )
    }

    /// With fast track an agent may look it up here, too.
    pub fn allows_fast_lookup(self) -> bool {
        self.allows_lookup() || matches!(self, S::Enroll | S::Manageable | S::Available | S::Servicing | S::ServiceHold)
    }

    /// PATCH is accepted although a target is set (rest-api section 5).
    pub fn allows_update(self) -> bool {
        self.is_stable()
            || matches!(
                self,
                S::DeployFailed
                    | S::Inspecting
                    | S::InspectFailed
                    | S::InspectWait
                    | S::CleanFailed
                    | S::Verifying
                    | S::AdoptFailed
                    | S::RescueFailed
                    | S::UnrescueFailed
                    | S::ServiceHold
                    | S::ServiceFailed
            )
    }
}

/// The verb of a provision request and the event it stands for. `None`: not a verb.
pub fn event_of_verb(verb: &str) -> Option<Event> {
    Some(match verb {
        "manage" => E::Manage,
        "provide" => E::Provide,
        "inspect" => E::Inspect,
        "clean" => E::Clean,
        "adopt" => E::Adopt,
        "active" | "deploy" => E::Deploy,
        "rebuild" => E::Rebuild,
        "deleted" | "undeploy" => E::Delete,
        "rescue" => E::Rescue,
        "unrescue" => E::Unrescue,
        "abort" => E::Abort,
        "unhold" => E::Unhold,
        "service" => E::Service,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn thirty_states_ninety_three_rows_and_no_state_and_event_twice() {
        assert_eq!((State::ALL.len(), TABLE.len()), (30, 93));
        let pairs: HashSet<_> = TABLE.iter().map(|row| (row.0, row.1)).collect();
        assert_eq!(pairs.len(), TABLE.len());
    }

    #[test]
    fn every_busy_state_can_fail_and_no_state_is_a_dead_end() {
        for &state in State::ALL {
            assert!(!state.is_busy() || next(state, E::Fail).is_ok(), "{state:?} cannot fail");
            assert!(!state.is_wait() || next(state, E::Fail).is_ok(), "{state:?} cannot time out");
            assert!(TABLE.iter().any(|row| row.0 == state), "{state:?} has no way out");
            assert!(state == S::Enroll || TABLE.iter().any(|row| row.2 == state), "nothing leads to {state:?}");
        }
    }

    #[test]
    fn stable_states_have_no_target_and_all_others_have_one() {
        for &state in State::ALL {
            assert_eq!(state.target().is_none(), state.is_stable(), "{state:?}");
        }
        assert_eq!(State::ALL.iter().filter(|state| state.is_busy()).count(), 9);
    }
}
