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

/// Matches the steps that a person asked for with those that exist; the order is kept (rest-api 17.4 step 5).
///
/// # Errors
/// A text that names the step, what is wrong with it, and what exists.
pub fn match_asked(asked: &[Value], offered: &[Step]) -> Result<Vec<Step>, String> {
    asked
        .iter()
        .map(|want| {
            let word = |name: &str| want.get(name).and_then(Value::as_str).unwrap_or_default();
            let found = offered.iter().find(|step| step.step == word("step") && step.interface == word("interface"));
            let Some(found) = found else {
                let known: Vec<_> = offered.iter().map(label).collect();
                return Err(format!(
                    "node does not support the step {}.{}; it offers {}",
                    word("interface"),
                    word("step"),
                    known.join(", ")
                ));
            };
            let args = want.get("args").and_then(Value::as_object).cloned().unwrap_or_default();
            check_args(found, &args)?;
            Ok(Step { args: Some(args), ..found.clone() })
        })
        .collect()
}

fn check_args(step: &Step, args: &Map<String, Value>) -> Result<(), String> {
    let Some(info) = &step.argsinfo else {
        return match args.keys().next() {
            Some(name) => Err(format!("step {} takes no arguments, but `{name}` was given", label(step))),
            None => Ok(()),
        };
    };
    if let Some(name) = args.keys().find(|name| !info.contains_key(*name)) {
        let known: Vec<_> = info.keys().map(String::as_str).collect();
        return Err(format!("step {} has no argument `{name}`; it takes {}", label(step), known.join(", ")));
    }
    if let Some((name, _)) = info.iter().find(|(name, info)| info.required && !args.contains_key(*name)) {
        return Err(format!("step {} needs the argument `{name}`", label(step)));
    }
    Ok(())
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
    fn asked_steps_must_exist_and_their_arguments_be_declared() {
        let mut known = step("raid", "create", 0);
        known.argsinfo = serde_json::from_value(json!({"size": {"description": "", "required": true}})).unwrap();
        let offered = [known, step("deploy", "erase", 10)];
        let ask = |value: Value| match_asked(&[value], &offered);
        assert!(ask(json!({"interface": "deploy", "step": "nope"})).unwrap_err().contains("deploy.erase"));
        assert!(ask(json!({"interface": "raid", "step": "create"})).unwrap_err().contains("needs the argument `size`"));
        assert!(ask(json!({"interface": "raid", "step": "create", "args": {"size": 1, "x": 2}})).is_err());
        assert!(ask(json!({"interface": "deploy", "step": "erase", "args": {"x": 2}})).is_err());
        assert_eq!(ask(json!({"interface": "raid", "step": "create", "args": {"size": 1}})).unwrap().len(), 1);
    }
}
