//! Steps `create_configuration`, `delete_configuration`, `apply_configuration` (ipa-features 16 and 18).

use super::{StepContext, StepError};
use crate::disk::error::DiskError;
use crate::disk::guard::Gate;
use crate::disk::raid::create::{self, Request};
use crate::disk::raid::delete;
use common::step::{Step, StepKind};
use serde_json::{Map, Value};

/// The arguments of `apply_configuration`, in the words operators know.
pub const APPLY: &[(&str, &str, bool)] = &[
    ("raid_config", "The RAID configuration to apply.", true),
    (
        "delete_existing",
        "Setting this to 'True' indicates to delete existing RAID configuration prior to creating the new configuration. Default value is 'True'.",
        false,
    ),
];

/// Makes the arrays of the node's `target_raid_config`; the result is the configuration, `{}` when there is none.
pub fn create(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    run(kind, step, context, |request| match context.node.get("target_raid_config").and_then(Value::as_object) {
        Some(config) if !config.is_empty() => create::create(request, config),
        _ => Ok(Value::Object(Map::new())),
    })
}

/// Deletes every array that is not to be kept; the result is null.
pub fn delete(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    run(kind, step, context, |request| delete::delete(request).map(|()| Value::Null))
}

/// Makes the arrays of the argument `raid_config`, after deleting what is there unless told not to.
pub fn apply(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    let args = step.args.clone().unwrap_or_default();
    run(kind, step, context, |request| {
        let wrong = |text: &str| DiskError::Request(text.to_owned());
        let config = args.get("raid_config").and_then(Value::as_object);
        let config = config.ok_or_else(|| wrong("raid_config is not an object"))?;
        let first = match args.get("delete_existing") {
            None | Some(Value::Null) => true,
            Some(Value::Bool(first)) => *first,
            // Deploy templates are edited by hand.
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => true,
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => false,
            Some(_) => return Err(wrong("delete_existing is neither true nor false")),
        };
        create::validate(request, config)?;
        if first {
            delete::delete(request)?;
        }
        create::create(request, config)
    })
}

fn run(
    kind: StepKind,
    step: &Step,
    context: &StepContext,
    work: impl FnOnce(&Request<'_>) -> Result<Value, DiskError>,
) -> Result<Value, StepError> {
    let done = Gate::of_this_machine(&context.rules.allow_erase).and_then(|gate| {
        work(&Request {
            node: &context.node,
            gate: &gate,
            guarded: context.rules.guard_special_filesystems,
            progress: &context.progress,
        })
    });
    done.map_err(|error| StepError::disk(kind, &step.step, false, &error))
}

#[cfg(test)]
mod tests {
    use crate::step::{execute, offered, tests::context};
    use common::step::{Step, StepKind};
    use serde_json::{Value, json};

    fn step(name: &str, args: Value) -> Step {
        serde_json::from_value(json!({"step": name, "interface": "raid", "args": args})).unwrap()
    }

    #[test]
    fn they_are_offered_as_the_reference_does() {
        let of = |kind: StepKind, name: &str| {
            let all = offered(kind).to_value(kind);
            let steps = all[format!("{}_steps", kind.word())]["GenericHardwareManager"].as_array().unwrap().clone();
            steps.into_iter().find(|step| step["step"] == name).unwrap_or(Value::Null)
        };
        for name in ["create_configuration", "delete_configuration"] {
            let expected =
                json!({"step": name, "interface": "raid", "priority": 0, "reboot_requested": false, "abortable": true});
            assert_eq!(of(StepKind::Clean, name), expected);
            assert_eq!(of(StepKind::Service, name), expected);
            assert_eq!(of(StepKind::Deploy, name), Value::Null);
        }
        let apply = of(StepKind::Deploy, "apply_configuration");
        assert_eq!(
            (&apply["interface"], &apply["priority"], apply.get("abortable")),
            (&json!("raid"), &json!(0), None)
        );
        assert_eq!(apply["argsinfo"]["raid_config"]["required"], true);
        assert_eq!(apply["argsinfo"]["delete_existing"]["required"], false);
        assert_eq!(of(StepKind::Service, "apply_configuration"), apply);
        assert_eq!(of(StepKind::Clean, "apply_configuration"), Value::Null);
    }

    #[test]
    fn nothing_wanted_is_an_empty_answer_and_nonsense_an_error_of_the_right_type() {
        let node = json!({"uuid": "u", "target_raid_config": {}});
        assert_eq!(
            execute(StepKind::Clean, &step("create_configuration", json!(null)), &context(vec![], node)).unwrap(),
            json!({})
        );
        let hardware =
            json!({"uuid": "u", "target_raid_config": {"logical_disks": [{"raid_level": "1", "size_gb": 1}]}});
        let done = execute(StepKind::Clean, &step("create_configuration", json!({})), &context(vec![], hardware));
        assert_eq!(done.unwrap(), json!({}));
        let order =
            step("apply_configuration", json!({"raid_config": {"logical_disks": [{"raid_level": "1", "size_gb": 1}]}}));
        let error = execute(StepKind::Deploy, &order, &context(vec![], json!({"uuid": "u"}))).unwrap_err();
        assert_eq!(
            (error.kind, error.code, error.message),
            ("SoftwareRAIDError", 500, "Software RAID caused unknown error")
        );
        assert!(error.details.contains("node u") && error.details.contains("controller"), "{error}");
        for args in [json!({"raid_config": 5}), json!({"raid_config": {}, "delete_existing": 5})] {
            let error =
                execute(StepKind::Deploy, &step("apply_configuration", args), &context(vec![], json!({}))).unwrap_err();
            assert_eq!(error.kind, "DeploymentError");
        }
        let error = execute(StepKind::Deploy, &step("apply_configuration", json!({})), &context(vec![], json!({})))
            .unwrap_err();
        assert!(error.details.contains("raid_config"), "{error}");
    }

    #[test]
    fn a_disk_that_was_not_named_is_no_member() {
        let node = json!({"uuid": "u", "target_raid_config": {"logical_disks": [
            {"controller": "software", "raid_level": "1", "size_gb": "MAX"}]}});
        let error =
            execute(StepKind::Clean, &step("create_configuration", json!(null)), &context(vec![], node)).unwrap_err();
        assert_eq!(error.kind, "SoftwareRAIDError");
        assert!(error.details.contains("needs 2 disks"), "{error}");
    }
}
