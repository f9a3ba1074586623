//! Where a node's list of steps is kept, which one is current, and in which order steps run (rest-api 17.4, 17.5, 17.12).

use super::node::Node;
use common::step::{OfferedSteps, Step, StepKind, interface_rank};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

fn key(kind: StepKind, rest: &str) -> String {
    format!("{}_{rest}", kind.word())
}

/// The list of the flow in progress.
pub fn list(node: &Node, kind: StepKind) -> Vec<Step> {
    let stored = node.driver_internal_info.get(&key(kind, "steps"));
    stored.and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_default()
}

/// Replaces the list.
pub fn set_list(node: &mut Node, kind: StepKind, steps: &[Step]) {
    node.driver_internal_info.insert(key(kind, "steps"), json!(steps));
}

/// Index of the step that runs or ran last; `None` before the first.
pub fn index(node: &Node, kind: StepKind) -> Option<usize> {
    let stored = node.driver_internal_info.get(&key(kind, "step_index"))?.as_u64()?;
    usize::try_from(stored).ok()
}

/// The step that is running. Empty objects mean none.
pub fn current(node: &Node, kind: StepKind) -> Option<Step> {
    let map = match kind {
        StepKind::Clean => &node.clean_step,
        StepKind::Deploy => &node.deploy_step,
        StepKind::Service => &node.service_step,
    };
    if map.is_empty() { None } else { serde_json::from_value(Value::Object(map.clone())).ok() }
}

/// Makes a step the running one, or none.
pub fn set_current(node: &mut Node, kind: StepKind, step: Option<&Step>) {
    let map = match step.map(|step| json!(step)) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    match kind {
        StepKind::Clean => node.clean_step = map,
        StepKind::Deploy => node.deploy_step = map,
        StepKind::Service => node.service_step = map,
    }
}

/// Makes the next step of the list the running one and returns it; `None` at the end.
pub fn enter_next(node: &mut Node, kind: StepKind) -> Option<Step> {
    let next = index(node, kind).map_or(0, |index| index + 1);
    let step = list(node, kind).get(next).cloned();
    if step.is_some() {
        node.driver_internal_info.insert(key(kind, "step_index"), json!(next));
    }
    set_current(node, kind, step.as_ref());
    step
}

/// Goes back: `done` steps of the list stay done, the others run (again).
pub fn restart(node: &mut Node, kind: StepKind, done: usize) {
    set_current(node, kind, None);
    match done.checked_sub(1) {
        Some(last) => node.driver_internal_info.insert(key(kind, "step_index"), json!(last)),
        None => node.driver_internal_info.remove(&key(kind, "step_index")),
    };
}

/// Forgets list, index and current step.
pub fn clear(node: &mut Node, kind: StepKind) {
    set_current(node, kind, None);
    node.driver_internal_info.remove(&key(kind, "steps"));
    node.driver_internal_info.remove(&key(kind, "step_index"));
}

/// Keeps what the agent offers, as `agent_cached_<kind>_steps` = interface to steps, with the versions that every later call repeats.
pub fn cache_offer(node: &mut Node, kind: StepKind, offer: &OfferedSteps, now: &str) {
    let mut by_interface: BTreeMap<String, Vec<Step>> = BTreeMap::new();
    for step in offer.steps.values().flatten() {
        let mut step = step.clone();
        if kind == StepKind::Clean {
            step.other.insert("requires_ramdisk".into(), json!(true));
        }
        by_interface.entry(step.interface.clone()).or_default().push(step);
    }
    let info = &mut node.driver_internal_info;
    info.insert(format!("agent_cached_{}_steps", kind.word()), json!(by_interface));
    info.insert(format!("agent_cached_{}_steps_refreshed", kind.word()), json!(now));
    info.insert("hardware_manager_version".into(), json!(offer.hardware_manager_version));
}

/// What the agent offered last.
pub fn cached_offer(node: &Node, kind: StepKind) -> Vec<Step> {
    let stored = node.driver_internal_info.get(&format!("agent_cached_{}_steps", kind.word()));
    let by_interface: BTreeMap<String, Vec<Step>> =
        stored.and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_default();
    by_interface.into_values().flatten().collect()
}

/// Highest priority first; equal ones by the rank of their interface (agent-protocol 10.2).
pub fn sort(steps: &mut [Step]) {
    steps.sort_by_key(|step| {
        (std::cmp::Reverse(step.priority.unwrap_or(0)), std::cmp::Reverse(interface_rank(&step.interface)))
    });
}

/// `deploy.write_image`, as people write it.
pub fn label(step: &Step) -> String {
    format!("{}.{}", step.interface, step.step)
}

/// Steps that the conductor runs itself, whatever the interface says (rest-api 21, row 3).
pub const RESERVED: &[&str] = &["power_on", "power_off", "reboot", "hold", "wait"];

/// The conductor's own step. Its name alone decides; the interface is for the schema.
pub fn is_reserved(step: &Step) -> bool {
    RESERVED.contains(&step.step.as_str())
}

/// Runs on the children of the node, not on the node.
pub fn is_for_children(step: &Step) -> bool {
    step.other.get("execute_on_child_nodes").is_some_and(truth)
}

/// The children it is limited to; empty: all.
pub fn child_limit(step: &Step) -> Vec<String> {
    let list = step.other.get("limit_child_node_execution").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_ascii_lowercase).collect()
}

/// A flag of a step, as a boolean or as a word.
pub fn truth(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| {
        value
            .as_str()
            .is_some_and(|word| ["1", "t", "true", "on", "y", "yes"].contains(&word.to_ascii_lowercase().as_str()))
    })
}

/// A person asked to stop after this step.
pub fn ends_here(step: &Step) -> bool {
    step.other.get("abort_after").is_some_and(truth)
}

/// The step needs a running ramdisk. One that says nothing does.
pub fn needs_ramdisk(step: &Step) -> bool {
    step.other.get("requires_ramdisk").and_then(Value::as_bool).unwrap_or(true)
}

/// Marks a step as one that runs without a ramdisk.
pub fn without_ramdisk(mut step: Step) -> Step {
    step.other.insert("requires_ramdisk".into(), json!(false));
    step
}

/// A step with nothing but its name and priority.
pub fn plain(interface: &str, name: &str, priority: i64) -> Step {
    Step {
        step: name.into(),
        interface: interface.into(),
        priority: Some(priority),
        reboot_requested: None,
        abortable: None,
        argsinfo: None,
        args: None,
        other: Map::new(),
    }
}

/// Applies "interface.step:priority" entries.
pub fn override_priorities(steps: &mut [Step], overrides: &[String]) {
    for step in steps {
        let label = label(step);
        let found = overrides.iter().find_map(|entry| {
            let (name, priority) = entry.rsplit_once(':')?;
            (name.trim() == label).then(|| priority.trim().parse().ok()).flatten()
        });
        step.priority = found.or(step.priority);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn step(interface: &str, name: &str, priority: i64) -> Step {
        serde_json::from_value(json!({"interface": interface, "step": name, "priority": priority})).unwrap()
    }

    #[test]
    fn steps_run_by_priority_then_by_interface_rank() {
        let mut steps = [step("raid", "c", 10), step("deploy", "b", 10), step("bios", "a", 99), step("power", "d", 10)];
        sort(&mut steps);
        assert_eq!(steps.map(|step| step.step).join(""), "adbc");
    }

    #[test]
    fn a_list_is_walked_once_from_start_to_end() {
        let mut node = Node::new(Uuid::new_v4(), "x");
        set_list(&mut node, StepKind::Clean, &[step("deploy", "a", 2), step("deploy", "b", 1)]);
        assert_eq!(enter_next(&mut node, StepKind::Clean).unwrap().step, "a");
        assert_eq!(current(&node, StepKind::Clean).unwrap().step, "a");
        assert_eq!(enter_next(&mut node, StepKind::Clean).unwrap().step, "b");
        assert!(enter_next(&mut node, StepKind::Clean).is_none() && node.clean_step.is_empty());
        clear(&mut node, StepKind::Clean);
        assert!(list(&node, StepKind::Clean).is_empty() && index(&node, StepKind::Clean).is_none());
    }

    #[test]
    fn flags_of_steps_are_read_as_clients_write_them() {
        let mut step = step("power", "power_on", 0);
        assert!(is_reserved(&step) && !is_for_children(&step) && child_limit(&step).is_empty());
        step.other.insert("execute_on_child_nodes".into(), json!("True"));
        step.other.insert("limit_child_node_execution".into(), json!(["AB"]));
        assert!(is_for_children(&step) && child_limit(&step) == ["ab"]);
        assert!(needs_ramdisk(&step) && !needs_ramdisk(&without_ramdisk(step)));
    }

    #[test]
    fn overrides_name_interface_and_step() {
        let mut steps = [step("deploy", "a", 1), step("raid", "a", 1)];
        override_priorities(&mut steps, &["raid.a: 7".into(), "deploy.b:9".into(), "nonsense".into()]);
        assert_eq!(steps.map(|step| step.priority), [Some(1), Some(7)]);
    }
}
