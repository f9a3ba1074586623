//! The raid interface `agent`: what is checked before the agent makes or deletes arrays, and what is recorded after
//! (agent-protocol section 16; Ironic's hooks behind its clean and deploy steps).

use crate::driver::raid;
use crate::model::node::Node;
use crate::rules::actions::set_capability;
use common::step::{Step, StepKind};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Whether a system of this node lies on software RAID: then its boot loader is the agent's work under BIOS, too.
pub fn is_software(node: &Node) -> bool {
    let software = |config: &Map<String, Value>| {
        let disks = config.get("logical_disks").and_then(Value::as_array);
        disks.is_some_and(|disks| disks.iter().any(|disk| disk["controller"] == "software"))
    };
    software(&node.target_raid_config) || software(&node.raid_config)
}

/// Before the agent gets the step.
///
/// # Errors
/// What is missing or wrong, in a sentence.
pub fn check(node: &Node, step: &Step) -> Result<(), String> {
    match (step.interface.as_str(), step.step.as_str()) {
        ("raid", "create_configuration") if node.target_raid_config.is_empty() => {
            Err(format!("Node {} has no target RAID configuration.", node.uuid))
        }
        ("raid", "apply_configuration") => {
            let config = step.args.as_ref().and_then(|args| args.get("raid_config")).and_then(Value::as_object);
            config.map_or(Ok(()), raid::check)
        }
        _ => Ok(()),
    }
}

/// After the agent has done it; `result` is the command's. Other steps leave no trace here.
///
/// # Errors
/// The agent answered with no configuration.
pub fn record(node: &mut Node, kind: StepKind, step: &Step, result: Option<&Value>) -> Result<(), String> {
    match (step.interface.as_str(), step.step.as_str()) {
        ("raid", "create_configuration" | "apply_configuration") => {
            let config =
                result.and_then(|result| result.get(format!("{}_result", kind.word()))).and_then(Value::as_object);
            let config = config.filter(|config| !config.is_empty()).ok_or_else(|| {
                format!(
                    "the agent made no RAID on node {}: its answer holds no configuration. Is the `controller` of every logical disk `software`?",
                    node.uuid
                )
            })?;
            made(node, config)
        }
        ("raid", "delete_configuration") => {
            node.properties.shift_remove("root_device");
            node.raid_config = Map::new();
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The record, and the properties that schedulers and deployments read.
fn made(node: &mut Node, config: &Map<String, Value>) -> Result<(), String> {
    let none = Vec::new();
    let disks = config.get("logical_disks").and_then(Value::as_array).unwrap_or(&none);
    let roots: Vec<&Value> = disks.iter().filter(|disk| disk["is_root_volume"] == true).collect();
    if roots.len() > 1 {
        return Err(format!("the RAID configuration has {} root volumes; one is possible", roots.len()));
    }
    if let Some(root) = roots.first() {
        if let Some(size) = root["size_gb"].as_i64() {
            node.properties.insert("local_gb".into(), json!(size));
        }
        if let Some(hint) = root.get("root_device_hint") {
            node.properties.insert("root_device".into(), hint.clone());
        }
        if let Some(level) = root["raid_level"].as_str() {
            set_capability(node, "raid_level", level)?;
        }
    }
    node.raid_config = config.clone();
    let now = Timestamp::now().strftime("%Y-%m-%d %H:%M:%S.%6f").to_string();
    node.raid_config.insert("last_updated".into(), json!(now));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{check, is_software, record};
    use crate::model::node::Node;
    use common::step::{Step, StepKind};
    use serde_json::{Value, json};

    fn step(name: &str, args: Value) -> Step {
        serde_json::from_value(json!({"step": name, "interface": "raid", "args": args})).unwrap()
    }

    fn node() -> Node {
        let mut node = Node::new(uuid::Uuid::nil(), "ipmi");
        node.properties.insert("capabilities".into(), json!("boot_mode:uefi"));
        node
    }

    #[test]
    fn what_was_made_is_recorded_with_what_follows_from_the_root_volume() {
        let mut node = node();
        let disks = json!([{"controller": "software", "raid_level": "1", "size_gb": 100, "is_root_volume": true,
            "root_device_hint": {"wwn": "x"}}, {"controller": "software", "raid_level": "0", "size_gb": "MAX"}]);
        let result = json!({"clean_result": {"logical_disks": disks}, "clean_step": {}});
        let create = step("create_configuration", json!(null));
        record(&mut node, StepKind::Clean, &create, Some(&result)).unwrap();
        assert_eq!(node.raid_config["logical_disks"], disks);
        assert_eq!(node.raid_config["last_updated"].as_str().map(str::len), Some(26));
        assert_eq!(
            (&node.properties["local_gb"], &node.properties["root_device"]),
            (&json!(100), &json!({"wwn": "x"}))
        );
        assert_eq!(node.properties["capabilities"], "boot_mode:uefi,raid_level:1");
        assert!(is_software(&node));
        let deploy = json!({"deploy_result": {"logical_disks": [{"controller": "software", "raid_level": "1", "size_gb": "MAX", "is_root_volume": true}]}});
        record(&mut node, StepKind::Deploy, &step("apply_configuration", json!({})), Some(&deploy)).unwrap();
        assert_eq!(node.properties["local_gb"], 100, "MAX is no number");

        record(
            &mut node,
            StepKind::Clean,
            &step("delete_configuration", json!(null)),
            Some(&json!({"clean_result": null})),
        )
        .unwrap();
        assert!(node.raid_config.is_empty() && node.properties.get("root_device").is_none() && !is_software(&node));
    }

    #[test]
    fn an_empty_answer_is_an_error_and_other_steps_are_nobodys_business() {
        let create = step("create_configuration", json!(null));
        for result in [
            None,
            Some(json!({"clean_result": {}})),
            Some(json!({"clean_result": null})),
            Some(json!({"deploy_result": {"a": 1}})),
        ] {
            let error = record(&mut node(), StepKind::Clean, &create, result.as_ref()).unwrap_err();
            assert!(error.contains("no configuration"), "{error}");
        }
        let other: Step =
            serde_json::from_value(json!({"step": "delete_configuration", "interface": "deploy"})).unwrap();
        let mut node = node();
        node.properties.insert("root_device".into(), json!({"size": 5}));
        record(&mut node, StepKind::Clean, &other, None).unwrap();
        assert!(node.properties.contains_key("root_device"));
    }

    #[test]
    fn a_wish_is_needed_and_its_form_is_checked() {
        let mut node = node();
        let create = step("create_configuration", json!(null));
        assert_eq!(check(&node, &create).unwrap_err(), format!("Node {} has no target RAID configuration.", node.uuid));
        node.target_raid_config = json!({"logical_disks": []}).as_object().unwrap().clone();
        check(&node, &create).unwrap();
        let bad = step("apply_configuration", json!({"raid_config": {"logical_disks": [{"raid_level": "1"}]}}));
        assert!(check(&node, &bad).unwrap_err().contains("size_gb"));
        check(&node, &step("delete_configuration", json!(null))).unwrap();
    }
}
