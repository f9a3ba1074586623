//! Are the steps that a person asked for possible on this node? (rest-api 17.4 and 17.5; texts as the reference writes them.)
//!
//! Pure: the caller says what is offered. All errors of a list are told at once.

use super::steps::{self, is_for_children, is_reserved, label};
use common::step::{Step, StepKind};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What is known when a list is checked.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Of which flow.
    pub kind: StepKind,
    /// What node and agent offer.
    pub offered: &'a [Step],
    /// The agent's steps are not known yet: a step that nobody has may be one of them.
    pub agent_unknown: bool,
    /// A person asked that no ramdisk be booted.
    pub no_ramdisk: bool,
    /// No agent will beat, whatever the reason.
    pub silent: bool,
}

/// A list that may be run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// In the order they were asked for, with what is known of each.
    pub steps: Vec<Step>,
    /// Some are known to nobody yet.
    pub has_unknown: bool,
    /// Some want a running ramdisk.
    pub wants_ramdisk: bool,
}

/// Checks a list.
///
/// # Errors
/// Everything that is wrong with it, and what is offered.
pub fn check(asked: &[Value], rules: Rules<'_>) -> Result<Checked, String> {
    let mut checked = Checked::default();
    let mut errors = Vec::new();
    let mut missing = false;
    for want in asked {
        let Value::Object(map) = want else { continue };
        let mut plain = map.clone();
        if let Some(priority) = priority(map) {
            plain.insert("priority".into(), json!(priority));
        }
        let step = match serde_json::from_value::<Step>(Value::Object(plain)) {
            Ok(step) => step,
            Err(error) => {
                errors.push(format!("{} step {} cannot be read: {error}", rules.kind.word(), shown(want)));
                continue;
            }
        };
        if is_reserved(&step) || is_for_children(&step) {
            match conductor_step(&step, rules) {
                Ok(()) => checked.steps.push(own(step, rules.kind)),
                Err(text) => errors.push(text),
            }
            continue;
        }
        let Some(found) = rules.offered.iter().find(|offer| same(offer, &step)) else {
            checked.has_unknown = true;
            if !rules.agent_unknown {
                missing = true;
                errors.push(format!("node does not support this {} step: {}", rules.kind.word(), shown(want)));
            }
            continue;
        };
        errors.extend(against(found, want, map, &step, rules));
        checked.wants_ramdisk |= steps::needs_ramdisk(found);
        checked.steps.push(merged(found, step, rules.kind));
    }
    if rules.kind == StepKind::Deploy {
        errors.extend(duplicates(&checked.steps));
    }
    if errors.is_empty() {
        return Ok(checked);
    }
    let mut text = errors.join("; ");
    if missing {
        let known: Vec<_> = rules.offered.iter().map(label).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        text.push_str(&format!(". Steps that this node offers: {known}"));
    }
    Err(text)
}

fn same(one: &Step, other: &Step) -> bool {
    one.step == other.step && one.interface == other.interface
}

/// Clients write it as a number or as digits.
fn priority(map: &Map<String, Value>) -> Option<i64> {
    let value = map.get("priority")?;
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// Steps of the conductor: what their arguments must be.
fn conductor_step(step: &Step, rules: Rules<'_>) -> Result<(), String> {
    let name = label(step);
    if is_for_children(step) && ["hold", "wait"].contains(&step.step.as_str()) {
        return Err(format!(
            "{} step {name} cannot run on child nodes: only the node itself can pause",
            rules.kind.word()
        ));
    }
    if step.step != "wait" || is_for_children(step) {
        return Ok(());
    }
    match step.args.as_ref().and_then(|args| args.get("seconds")) {
        None if rules.silent => Err(format!(
            "{} step {name} without the argument `seconds` waits for a heartbeat of the ramdisk, but none will run",
            rules.kind.word()
        )),
        Some(value) if seconds(value).is_none() => {
            Err(format!("{} step {name}: `seconds` must be a whole number of at least 0", rules.kind.word()))
        }
        _ => Ok(()),
    }
}

/// The argument `seconds` of a `wait` step.
pub fn seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// The node can be taken out of a conductor's step at any time.
fn own(mut step: Step, kind: StepKind) -> Step {
    step.abortable = Some(true);
    if kind != StepKind::Deploy {
        step.priority = Some(0);
    }
    step
}

fn against(found: &Step, want: &Value, map: &Map<String, Value>, step: &Step, rules: Rules<'_>) -> Vec<String> {
    let word = rules.kind.word();
    let mut errors = Vec::new();
    let none = Map::new();
    let given = step.args.as_ref().unwrap_or(&none);
    let info = found.argsinfo.clone().unwrap_or_default();
    // The reference's first try completes the step before its second try prints it.
    let shown = if rules.kind == StepKind::Clean && !rules.no_ramdisk {
        let mut map = map.clone();
        map.insert("abortable".into(), json!(found.abortable.unwrap_or(false)));
        map.insert("priority".into(), json!(found.priority.unwrap_or(0)));
        shown(&Value::Object(map))
    } else {
        shown(want)
    };
    let unexpected: Vec<_> = given.keys().filter(|name| !info.contains_key(*name)).map(String::as_str).collect();
    if !unexpected.is_empty() {
        errors.push(format!("{word} step {shown} has these unexpected arguments: {}", unexpected.join(", ")));
    }
    let disabled = rules.kind == StepKind::Deploy && step.priority.unwrap_or(0) <= 0;
    if disabled {
        return errors;
    }
    let missing: Vec<_> = info
        .iter()
        .filter(|(name, info)| info.required && !given.contains_key(*name))
        .map(|(name, info)| match info.description.as_str() {
            "" => name.clone(),
            text => format!("{name} ({text})"),
        })
        .collect();
    if !missing.is_empty() {
        errors.push(format!("{word} step {shown} is missing these required arguments: {}", missing.join(", ")));
    }
    if rules.no_ramdisk && steps::needs_ramdisk(found) {
        errors.push(format!("{word} step {shown} requires booting a ramdisk"));
    }
    if rules.kind == StepKind::Deploy && label(found) == "deploy.deploy" {
        errors.push(
            "deploy step deploy on interface deploy is a core step and cannot be overridden by user steps. It may be \
             disabled by setting the priority to 0"
                .into(),
        );
    }
    errors
}

/// What is offered, with the person's arguments (and, for deployments, priority).
fn merged(found: &Step, asked: Step, kind: StepKind) -> Step {
    let mut step = found.clone();
    step.args = asked.args.filter(|args| !args.is_empty());
    if kind == StepKind::Deploy {
        step.priority = asked.priority;
    } else {
        // The list shows what was asked for, as the reference's does: what the check needed is not of interest any more.
        step.argsinfo = None;
        step.other.remove("requires_ramdisk");
    }
    step
}

fn duplicates(steps: &[Step]) -> Option<String> {
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<_> =
        steps.iter().filter(|step| !is_reserved(step)).map(label).filter(|label| !seen.insert(label.clone())).collect();
    let twice: Vec<_> = twice.into_iter().collect();
    (!twice.is_empty()).then(|| {
        format!(
            "deploy steps from all deploy templates matching this node's instance traits cannot have the same interface \
             and step. Duplicate deploy steps for {}",
            twice.join(", ")
        )
    })
}

/// A value as the reference's texts show it: Python's notation.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.contains('\'') && !text.contains('"') => format!("\"{text}\""),
        Value::String(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n")),
        Value::Array(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let pairs: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", shown(&Value::String(key.clone())), shown(value)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

#[cfg(test)]
#[path = "step_check_tests.rs"]
mod tests;
