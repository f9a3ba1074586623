//! How far a step reaches, and so who lets it through where `/` is no ramdisk: then the machine is somebody's, with everything
//! that it has.

use super::{StepContext, StepError};
use crate::sys::ramdisk::root_is_ramdisk;
use common::step::StepKind;

/// What a step may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Devices, folders and variables, each of which it asks the gate for (`disk::guard`, `sys::efivars`).
    Asked,
    /// No list names what: it runs programs of others, writes firmware, takes processors, memory and network for itself, or
    /// writes a report where the node's record says.
    Anything,
}

impl Reach {
    /// May `step` be run here? From a ramdisk it may; elsewhere one that reaches anything must be named (`--allow-step`).
    ///
    /// # Errors
    /// No; says what to do.
    pub fn permit(self, kind: StepKind, step: &str, context: &StepContext) -> Result<(), StepError> {
        if self == Reach::Asked || context.rules.allow_steps.iter().any(|allowed| allowed == step) || root_is_ramdisk()
        {
            return Ok(());
        }
        let why = format!(
            "this agent does not run from a ramdisk, and this step may change any part of the machine. Boot the machine from the deploy ramdisk, or start the agent with --allow-step {step}"
        );
        Err(StepError::unexpected(kind, step, "PermissionError", &why))
    }
}

#[cfg(test)]
mod tests {
    use super::Reach;
    use crate::step::tests::context;
    use crate::step::{OFFERS, execute};
    use crate::sys::ramdisk::root_is_ramdisk;
    use common::step::{Step, StepKind};
    use serde_json::json;

    #[test]
    fn without_a_ramdisk_only_the_steps_that_were_named_are_run() {
        let mut context = context(vec![], json!({"driver_info": {"agent_burnin_cpu_timeout": "soon"}}));
        let run = |name: &str, context: &_| {
            let step: Step = serde_json::from_value(json!({"step": name, "interface": "deploy"})).unwrap();
            execute(StepKind::Service, &step, context).unwrap_err().details
        };
        if !root_is_ramdisk() {
            let refused = run("burnin_cpu", &context);
            assert!(refused.contains("PermissionError") && refused.contains("--allow-step burnin_cpu"), "{refused}");
        }
        context.rules.allow_steps = vec!["burnin_cpu".into()];
        assert!(
            run("burnin_cpu", &context).contains("agent_burnin_cpu_timeout"),
            "it is run, and looks at its settings"
        );
        if !root_is_ramdisk() {
            assert!(run("burnin_memory", &context).contains("--allow-step burnin_memory"), "only what was named");
        }
    }

    #[test]
    fn whatever_is_not_known_to_ask_reaches_anything() {
        for offer in OFFERS {
            let named = offer.name.starts_with("burnin_") || offer.name == "execute_bootc_install";
            assert_eq!(offer.reach, if named { Reach::Anything } else { Reach::Asked }, "{}", offer.name);
        }
    }
}
