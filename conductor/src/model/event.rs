//! What happened: one line of the event log, and which lines a change of a record is worth. Pure.
//!
//! The log is written with the change itself (`store`), so an event is never told of what did not happen, and never
//! missing for what did. Whoever reads it (streams, webhooks, the message bus) is behind the log, never in the way.

use super::fsm::{self, State};
use super::node::Node;
use super::power::{POWER_FAILED, PowerState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Grows by one with every event; the place to resume at. 0 until it is stored.
    #[serde(skip)]
    pub id: i64,
    /// When it was written.
    pub at: Timestamp,
    /// `node.provision_state`, `port.create` ...: resource, dot, what happened to it.
    #[serde(rename = "type")]
    pub kind: String,
    /// Identity of the resource.
    pub uuid: String,
    /// Its name.
    pub name: Option<String>,
    /// The node that it is or belongs to.
    pub node: Option<Uuid>,
    /// Project that owns the resource or its node.
    pub owner: Option<String>,
    /// Project that has the node on lease.
    pub lessee: Option<String>,
    /// Who asked, if a person did.
    pub user: Option<String>,
    /// The request that set it going.
    pub request_id: Option<String>,
    /// The facts, by type.
    pub data: Map<String, Value>,
    /// The record as it was then, secrets masked, in the shape of the message bus; only when a bus is configured.
    #[serde(skip)]
    pub snapshot: Option<Value>,
}

/// Who set a change going, when it came by a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    /// `req-<uuid>`.
    pub request_id: Option<String>,
    /// User name.
    pub user: Option<String>,
}

/// A move of the state machine, as the timeline carries it to the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// State before.
    pub from: State,
    /// Target before.
    pub from_target: Option<State>,
    /// State after.
    pub to: State,
    /// Target after.
    pub to_target: Option<State>,
    /// What made it move.
    pub event: fsm::Event,
}

impl Event {
    /// About a node; who asked is what the node's flow says, unless a request says more.
    pub fn of_node(node: &Node, kind: &str, data: Value, origin: &Origin) -> Self {
        Event {
            id: 0,
            at: Timestamp::now(),
            kind: kind.into(),
            uuid: node.uuid.to_string(),
            name: node.name.clone(),
            node: Some(node.uuid),
            owner: node.owner.clone(),
            lessee: node.lessee.clone(),
            user: origin.user.clone().or_else(|| node.flow.user.clone()),
            request_id: origin.request_id.clone().or_else(|| node.flow.request_id.clone()),
            data: object(data),
            snapshot: None,
        }
    }

    /// As people and receivers get it.
    pub fn shown(&self) -> Value {
        let mut shown = json!({"id": self.id});
        if let (Value::Object(all), Ok(Value::Object(rest))) = (&mut shown, serde_json::to_value(self)) {
            all.extend(rest);
        }
        shown
    }
}

fn object(data: Value) -> Map<String, Value> {
    match data {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

macro_rules! set_by_people {
    ($($field:ident)*) => {
        /// The fields of a node that people set, and whether they differ: a change of one is an update.
        const SET_BY_PEOPLE: &[(&str, fn(&Node, &Node) -> bool)] =
            &[$((stringify!($field), |before, after| before.$field != after.$field)),*];
    };
}

set_by_people! {
    automated_clean chassis_uuid conductor_group description disable_power_off driver driver_info extra instance_info
    instance_name instance_uuid interfaces lessee name network_data owner parent_node properties
    protected protected_reason resource_class retired retired_reason shard target_raid_config traits
}

/// What a saved node tells, in the order in which it is told. `maintenance_asked`: a person has set or ended maintenance by the
/// calls for that; which is told however it was before, as the reference does. A PATCH of it is an update.
pub fn of_save(before: &Node, after: &Node, moves: &[Move], maintenance_asked: bool, origin: &Origin) -> Vec<Event> {
    let mut told: Vec<(&str, Value)> = Vec::new();
    let changed = SET_BY_PEOPLE.iter().filter(|(_, differs)| differs(before, after));
    let mut changed: Vec<&str> = changed.map(|(name, _)| *name).collect();
    // The conductor sets it with a fault, and ends it where nobody has asked.
    let patched = before.maintenance != after.maintenance
        && (before.fault == after.fault || !after.maintenance && origin.request_id.is_some());
    if patched && !maintenance_asked {
        changed.push("maintenance");
    }
    if !changed.is_empty() {
        told.push(("node.update", json!({"fields": changed})));
    }
    if maintenance_asked || (before.maintenance, &before.fault) != (after.maintenance, &after.fault) {
        let data = json!({"maintenance": after.maintenance, "reason": after.maintenance_reason, "fault": after.fault,
            "by_person": maintenance_asked});
        told.push(("node.maintenance", data));
    }
    if before.console_enabled != after.console_enabled {
        told.push(("node.console", json!({"enabled": after.console_enabled})));
    }
    told.extend(power(before, after));
    for (what, before, after) in [
        ("clean", &before.clean_step, &after.clean_step),
        ("deploy", &before.deploy_step, &after.deploy_step),
        ("service", &before.service_step, &after.service_step),
    ] {
        if before != after {
            told.push(("node.step", step(what, after)));
        }
    }
    if before.flow.stage != after.flow.stage || before.flow.waiting_for != after.flow.waiting_for {
        told.push(("node.progress", json!({"stage": after.flow.stage, "waiting_for": after.flow.waiting_for})));
    }
    for step in moves {
        let data = json!({"from": step.from, "to": step.to, "event": step.event.name(), "target": step.to_target,
            "previous_target": step.from_target});
        told.push(("node.provision_state", data));
    }
    if after.last_error.is_some() && before.last_error != after.last_error {
        told.push(("node.error", json!({"last_error": after.last_error})));
    }
    told.into_iter().map(|(kind, data)| Event::of_node(after, kind, data, origin)).collect()
}

/// Which step runs now; an empty record is the end of the one before.
fn step(what: &str, step: &Map<String, Value>) -> Value {
    // Arguments stay out: they may carry what only the step may see.
    json!({"kind": what, "step": step.get("step"), "interface": step.get("interface"), "priority": step.get("priority")})
}

/// A power action that begins, ends or fails, or a state that was found to be another.
fn power(before: &Node, after: &Node) -> Option<(&'static str, Value)> {
    let target = |node: &Node| node.target_power_state.map(|change| change.target().name());
    let word = |state: Option<PowerState>| state.map(PowerState::name);
    let (from, to) = (word(before.power_state), word(after.power_state));
    let told = |phase: &str, target: Option<&str>| {
        Some(("node.power_state", json!({"phase": phase, "from": from, "to": to, "target": target})))
    };
    // Another piece of a flow may have failed since: only a text about power tells that a reset did.
    let failed = |end: Option<PowerState>| {
        let says = |text: &String| text.contains(POWER_FAILED);
        after.power_state != end || (before.last_error != after.last_error && after.last_error.iter().any(says))
    };
    match (target(before), target(after)) {
        (None, Some(target)) => told("start", Some(target)),
        (Some(target), None) if failed(before.power_to_come()) => told("error", Some(target)),
        (Some(target), None) => told("end", Some(target)),
        // The first reading of a new machine corrects nothing, but it is news.
        _ if from != to && from.is_none() => told("read", None),
        // A flow switched it: begun and done within one save.
        _ if from != to && after.provision_state.is_busy() => told("done", to),
        _ if from != to => told("corrected", None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::power::{PowerChange, PowerTarget};
    use super::*;

    fn pair(change: impl FnOnce(&mut Node)) -> Vec<(String, Map<String, Value>)> {
        let before = Node { power_state: Some(PowerState::Off), ..Node::new(Uuid::new_v4(), "fake-hardware") };
        let mut after = before.clone();
        change(&mut after);
        let events = of_save(&before, &after, &[], false, &Origin::default());
        events.into_iter().map(|event| (event.kind, event.data)).collect()
    }

    #[test]
    fn what_people_cannot_see_is_no_event() {
        let told = pair(|node| {
            node.updated_at = Some(Timestamp::now());
            node.flow.waiting_since = Some(Timestamp::now());
            node.driver_internal_info.insert("agent_url".into(), json!("https://192.0.2.1"));
        });
        assert_eq!(told, []);
    }

    #[test]
    fn an_update_names_fields_and_never_shows_values() {
        let told = pair(|node| {
            node.driver_info.insert("ipmi_password".into(), json!("hunter2"));
            node.traits = vec!["CUSTOM_A".into()];
        });
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].0.as_str(), &told[0].1["fields"]), ("node.update", &json!(["driver_info", "traits"])));
        assert!(!format!("{told:?}").contains("hunter2"));
    }

    #[test]
    fn maintenance_is_told_of_who_asks_for_it_and_a_patch_of_it_is_an_update() {
        let faulty = Node { maintenance: true, fault: Some("clean failure".into()), ..Node::new(Uuid::new_v4(), "x") };
        let sound = Node { maintenance: false, fault: None, ..faulty.clone() };
        let person = Origin { request_id: Some("req-1".into()), user: None };
        let told = |before: &Node, after: &Node, asked: bool, origin: &Origin| {
            let events = of_save(before, after, &[], asked, origin);
            let kind = |event: &Event| (event.kind.clone(), event.data.get("by_person") == Some(&json!(true)));
            events.iter().map(kind).collect::<Vec<_>>()
        };
        let (update, by_nobody) = (("node.update".to_owned(), false), ("node.maintenance".to_owned(), false));
        let by_person = [("node.maintenance".to_owned(), true)];
        assert_eq!(told(&faulty, &sound, true, &person), by_person, "the end of a fault, too");
        let reason = Node { maintenance_reason: Some("another".into()), ..faulty.clone() };
        assert_eq!(told(&faulty, &reason, true, &person), by_person);
        assert_eq!(
            told(&faulty, &sound, false, &person),
            [update.clone(), by_nobody.clone()],
            "a PATCH that ends a fault"
        );
        let set = Node { maintenance: true, ..sound.clone() };
        assert_eq!(told(&sound, &set, false, &person), [update, by_nobody.clone()]);
        let by_nobody = [by_nobody];
        assert_eq!(told(&sound, &faulty, false, &person), by_nobody, "a flow that fails");
        assert_eq!(told(&faulty, &sound, false, &Origin::default()), by_nobody, "power that is there again");
    }

    #[test]
    fn power_begins_ends_fails_and_is_corrected() {
        let phase = |change: fn(&mut Node)| pair(change)[0].1["phase"].clone();
        assert_eq!(phase(|node| node.target_power_state = Some(PowerChange::Own(PowerTarget::On))), "start");
        assert_eq!(phase(|node| node.power_state = Some(PowerState::On)), "corrected");
        let reboot = PowerChange::Own(PowerTarget::Reboot);
        let before = Node { target_power_state: Some(reboot), ..Node::new(Uuid::new_v4(), "x") };
        let mut after = Node { target_power_state: None, power_state: Some(PowerState::On), ..before.clone() };
        let told = |after: &Node| of_save(&before, after, &[], false, &Origin::default());
        assert_eq!(told(&after)[0].data["phase"], "end");
        after.last_error = Some("the image has no end".into());
        assert_eq!(told(&after)[0].data["phase"], "end", "something else failed");
        after.last_error = Some(format!("{POWER_FAILED} 'power on' by 'rebooting': no answer"));
        let both = told(&after);
        assert_eq!((both[0].data["phase"].as_str(), both[1].kind.as_str()), (Some("error"), "node.error"));
        assert_eq!(told(&Node { power_state: None, last_error: None, ..after })[0].data["phase"], "error");
    }

    #[test]
    fn moves_carry_both_ends_and_the_request_wins_over_the_flow() {
        let mut node = Node::new(Uuid::new_v4(), "x");
        node.flow.user = Some("flow".into());
        let step = Move {
            from: State::Enroll,
            from_target: None,
            to: State::Verifying,
            to_target: Some(State::Manageable),
            event: fsm::Event::Manage,
        };
        let origin = Origin { user: Some("asker".into()), request_id: None };
        let told = of_save(&node, &node, &[step], false, &origin);
        assert_eq!(told[0].user.as_deref(), Some("asker"));
        assert_eq!((&told[0].data["from"], &told[0].data["to"]), (&json!("enroll"), &json!("verifying")));
        assert_eq!(told[0].shown()["id"], 0);
    }
}
