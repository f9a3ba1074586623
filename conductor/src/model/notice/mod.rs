//! Events in the words and shapes of Ironic's versioned notifications. Pure; what carries them is elsewhere.
//!
//! Names, versions and fields are those of the reference (its `objects`); one captured message of each payload is in
//! `tests/fixtures/ironic/notifications.jsonl`, and a test holds this room to it.

mod snapshot;

pub use snapshot::{of_node, of_record};

use super::event::Event;
use super::fsm::State;
use serde_json::{Map, Value, json};
use snapshot::SHAPES;

/// How grave a message is; the option `notification_level` is the least that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything.
    Debug,
    /// What happens.
    Info,
    /// What is odd.
    Warning,
    /// What failed.
    Error,
    /// What is broken.
    Critical,
}

impl Level {
    /// By the option's word.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "debug" => Level::Debug,
            "info" => Level::Info,
            "warning" => Level::Warning,
            "error" => Level::Error,
            "critical" => Level::Critical,
            _ => return None,
        })
    }

    /// The word of the queue and, in capitals, of the message.
    pub fn name(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
            Level::Critical => "critical",
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// `baremetal.node.power_set.end`
    pub event_type: String,
    /// How grave.
    pub level: Level,
    /// `ironic-api` or `ironic-conductor`.
    pub service: &'static str,
    /// The versioned object.
    pub payload: Value,
}

/// Fields of a node that only some payloads have.
const NOT_IN_ALL: &[&str] = &["driver_info", "instance_info", "driver_internal_info", "chassis_uuid"];

/// The messages that an event is worth; none for what the reference does not tell, or when no snapshot was kept.
pub fn messages(event: &Event) -> Vec<Notice> {
    let Some(Value::Object(snapshot)) = &event.snapshot else { return Vec::new() };
    let Some((resource, verb)) = event.kind.split_once('.') else { return Vec::new() };
    if resource == "node" {
        return of_node_event(event, verb, snapshot);
    }
    let Some(&(_, object, class, version, _)) = SHAPES.iter().find(|shape| shape.0 == resource) else {
        return Vec::new();
    };
    let payload = wrap(class, version, snapshot.clone());
    both(object, verb, "ironic-api", &payload)
}

fn of_node_event(event: &Event, verb: &str, snapshot: &Map<String, Value>) -> Vec<Notice> {
    let with = |class: &str, version: &str, keep: &[&str], more: Value| {
        let mut data = snapshot.clone();
        data.retain(|name, _| !NOT_IN_ALL.contains(&name.as_str()) || keep.contains(&name.as_str()));
        data.extend(more.as_object().cloned().unwrap_or_default());
        wrap(class, version, data)
    };
    let word = |name: &str| event.data.get(name).and_then(Value::as_str);
    match verb {
        "create" | "update" | "delete" => {
            let keep = ["driver_info", "instance_info", "chassis_uuid"];
            both("node", verb, "ironic-api", &with("NodeCRUDPayload", "1.15", &keep, json!({})))
        }
        // Maintenance that the conductor sets is told by nobody in the reference.
        "maintenance" if event.data.get("by_person") == Some(&json!(true)) => {
            both("node", "maintenance_set", "ironic-api", &with("NodePayload", "1.17", &[], json!({})))
        }
        "console" => {
            let mut told =
                both("node", "console_set", "ironic-conductor", &with("NodePayload", "1.17", &[], json!({})));
            // The beginning shows the console as it was.
            if let (Some(start), Some(enabled)) = (told.first_mut(), event.data.get("enabled").and_then(Value::as_bool))
            {
                start.payload["ironic_object.data"]["console_enabled"] = json!(!enabled);
            }
            told
        }
        "power_state" => {
            let payload = with("NodeSetPowerStatePayload", "1.17", &[], json!({"to_power": word("target")}));
            match word("phase") {
                Some("done") => both("node", "power_set", "ironic-conductor", &payload),
                Some("start") => vec![one("node", "power_set", "start", Level::Info, "ironic-conductor", payload)],
                Some("end") => vec![one("node", "power_set", "end", Level::Info, "ironic-conductor", payload)],
                Some("error") => vec![one("node", "power_set", "error", Level::Error, "ironic-conductor", payload)],
                Some("corrected") => {
                    let from = json!({"from_power": word("from")});
                    let payload = with("NodeCorrectedPowerStatePayload", "1.17", &[], from);
                    vec![one("node", "power_state_corrected", "success", Level::Info, "ironic-conductor", payload)]
                }
                _ => Vec::new(),
            }
        }
        "provision_state" => {
            let unstable = |name| word(name).and_then(State::from_name).is_some_and(State::is_unstable);
            let (status, level) = match (word("event"), unstable("from"), unstable("to")) {
                (Some("fail" | "error"), ..) => ("error", Level::Error),
                (_, false, true) => ("start", Level::Info),
                (_, true, false) => ("end", Level::Info),
                _ => ("success", Level::Info),
            };
            // Several moves may have been saved at once: each is told with the state it led to.
            let more = json!({"event": word("event"), "previous_provision_state": word("from"),
                "previous_target_provision_state": word("previous_target"), "provision_state": word("to"),
                "target_provision_state": word("target")});
            let keep = ["instance_info", "driver_internal_info"];
            let payload = with("NodeSetProvisionStatePayload", "1.18", &keep, more);
            vec![one("node", "provision_set", status, level, "ironic-conductor", payload)]
        }
        _ => Vec::new(),
    }
}

fn wrap(class: &str, version: &str, data: Map<String, Value>) -> Value {
    json!({"ironic_object.name": class, "ironic_object.namespace": "ironic", "ironic_object.version": version,
        "ironic_object.data": data})
}

fn one(object: &str, action: &str, status: &str, level: Level, service: &'static str, payload: Value) -> Notice {
    Notice { event_type: format!("baremetal.{object}.{action}.{status}"), level, service, payload }
}

/// The log tells what was done, so the beginning and the end of a change are told together.
fn both(object: &str, action: &str, service: &'static str, payload: &Value) -> Vec<Notice> {
    let mut told: Vec<Notice> =
        ["start", "end"].map(|status| one(object, action, status, Level::Info, service, payload.clone())).into();
    // What is about to be made was not made yet.
    if let ("create", Some(start)) = (action, told.first_mut()) {
        start.payload["ironic_object.data"]["created_at"] = Value::Null;
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Origin;
    use crate::model::node::Node;
    use std::collections::BTreeSet;
    use uuid::Uuid;

    const CAPTURED: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/ironic/notifications.jsonl"));

    fn event(kind: &str, data: Value, snapshot: Value) -> Event {
        let node = Node::new(Uuid::new_v4(), "fake-hardware");
        Event { snapshot: Some(snapshot), ..Event::of_node(&node, kind, data, &Origin::default()) }
    }

    /// An event of ours that must become the captured message.
    fn ours(event_type: &str) -> Event {
        let mut node = Node::new(Uuid::new_v4(), "fake-hardware");
        node.driver_info.insert("ipmi_password".into(), json!("hunter2"));
        let parts: Vec<&str> = event_type.split('.').collect();
        let (object, action, status) = (parts[1], parts[2], parts[3]);
        let (kind, data) = match (object, action) {
            ("node", "power_set") => ("node.power_state".into(), json!({"phase": status, "target": "power on"})),
            ("node", "power_state_corrected") => {
                ("node.power_state".into(), json!({"phase": "corrected", "from": "power off", "to": "power on"}))
            }
            ("node", "provision_set") => {
                let (from, to, event) = match status {
                    "end" => ("verifying", "manageable", "done"),
                    "error" => ("deploying", "deploy failed", "fail"),
                    "success" => ("deploying", "wait call-back", "wait"),
                    _ => ("enroll", "verifying", "manage"),
                };
                ("node.provision_state".into(), json!({"from": from, "to": to, "event": event}))
            }
            ("node", "maintenance_set") => ("node.maintenance".into(), json!({"by_person": true})),
            ("node", "console_set") => ("node.console".into(), json!({})),
            (object, action) => {
                let word = SHAPES.iter().find(|shape| shape.1 == object).map_or(object, |shape| shape.0);
                (format!("{word}.{action}"), json!({}))
            }
        };
        let snapshot = match object {
            "node" => of_node(&node),
            other => {
                let word = SHAPES.iter().find(|shape| shape.1 == other).unwrap().0;
                of_record(word, json!({"properties": {"auth_password": "x"}}), Some(node.uuid)).unwrap()
            }
        };
        event(&kind, data, snapshot)
    }

    #[test]
    fn every_captured_message_has_one_of_ours_with_the_same_name_version_and_fields() {
        let mut seen = 0;
        for line in CAPTURED.lines() {
            let theirs: Value = serde_json::from_str(line).unwrap();
            let event_type = theirs["event_type"].as_str().unwrap();
            let told = messages(&ours(event_type));
            let mine =
                told.iter().find(|notice| notice.event_type == event_type).unwrap_or_else(|| panic!("{event_type}"));
            for key in ["ironic_object.name", "ironic_object.version", "ironic_object.namespace"] {
                assert_eq!(mine.payload[key], theirs["payload"][key], "{event_type}");
            }
            let fields = |payload: &Value| -> BTreeSet<String> {
                payload["ironic_object.data"].as_object().unwrap().keys().cloned().collect()
            };
            assert_eq!(fields(&mine.payload), fields(&theirs["payload"]), "{event_type}");
            assert!(theirs["publisher_id"].as_str().unwrap().starts_with(mine.service), "{event_type}");
            assert_eq!(theirs["priority"], mine.level.name().to_uppercase());
            assert!(!mine.payload.to_string().contains("hunter2"));
            seen += 1;
        }
        assert_eq!(seen, 20);
    }

    #[test]
    fn moves_are_told_as_start_end_error_or_success() {
        for (from, to, event_word, status) in [
            ("enroll", "verifying", "manage", "start"),
            ("verifying", "manageable", "done", "end"),
            ("available", "manageable", "manage", "success"),
            ("deploying", "deploy failed", "fail", "error"),
            ("deploying", "wait call-back", "wait", "success"),
        ] {
            let data = json!({"from": from, "to": to, "event": event_word});
            let told = messages(&event("node.provision_state", data, of_node(&Node::default())));
            assert_eq!(told[0].event_type, format!("baremetal.node.provision_set.{status}"));
            assert_eq!(told[0].payload["ironic_object.data"]["provision_state"], to);
        }
    }

    #[test]
    fn every_verb_that_sets_something_going_is_told_as_a_start() {
        use crate::model::fsm::{Event as Verb, TABLE};
        let going = [
            Verb::Manage,
            Verb::Provide,
            Verb::Inspect,
            Verb::Clean,
            Verb::Adopt,
            Verb::Deploy,
            Verb::Rebuild,
            Verb::Delete,
            Verb::Rescue,
            Verb::Unrescue,
            Verb::Service,
        ];
        let mut seen = BTreeSet::new();
        for (from, verb, to) in TABLE.iter().filter(|row| going.contains(&row.1) && !row.0.is_unstable()) {
            // Where nothing is to be done (an available node becomes manageable), nothing starts.
            if !to.is_unstable() {
                continue;
            }
            let data = json!({"from": from, "to": to, "event": verb.name(), "target": to.target()});
            let told = messages(&event("node.provision_state", data, of_node(&Node::default())));
            let names: Vec<_> = told.iter().map(|notice| notice.event_type.as_str()).collect();
            assert_eq!(names, ["baremetal.node.provision_set.start"], "{from} {} {to}", verb.name());
            seen.insert(verb.name());
        }
        assert_eq!(seen.len(), going.len(), "{seen:?}");
    }
}
