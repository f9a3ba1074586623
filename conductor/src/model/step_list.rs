//! Lists of steps that people keep under a name: of deploy templates and of runbooks (rest-api section 12).

use super::secret_map::SecretMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt;

/// Interfaces that have steps, in the order in which refusals name them.
const INTERFACES: &[&str] = &["vendor", "power", "management", "firmware", "deploy", "bios", "raid"];

/// Most steps of a list.
const STEPS_MAX: usize = 256;

/// Which list it is: what its steps are ordered by, and whether arguments must be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// `priority`, highest first; `args` must be there.
    Template,
    /// `order`, lowest first.
    Runbook,
}

impl ListKind {
    /// The member that orders the steps.
    pub fn rank(self) -> &'static str {
        match self {
            ListKind::Template => "priority",
            ListKind::Runbook => "order",
        }
    }
}

/// The list. Arguments may hold secrets: `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepList(Vec<Value>);

impl fmt::Debug for StepList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(name)).finish()
    }
}

/// `bios.apply_configuration`.
pub fn name(step: &Value) -> String {
    let word = |key: &str| step.get(key).and_then(Value::as_str).unwrap_or_default();
    format!("{}.{}", word("interface"), word("step"))
}

impl StepList {
    /// Reads a list; the texts are those of the contract's schema.
    ///
    /// # Errors
    /// What is wrong with it; a text that begins with a capital is a whole sentence.
    pub fn parse(kind: ListKind, value: Value) -> Result<Self, String> {
        let items = match value {
            Value::Array(items) => items,
            Value::Null => return Err("None is not of type 'array'".into()),
            _ => return Err("steps is not of type 'array'".into()),
        };
        if items.is_empty() {
            return Err("[] should be non-empty".into());
        }
        if items.len() > STEPS_MAX {
            return Err(format!("steps is too long: at most {STEPS_MAX}"));
        }
        let steps: Vec<Value> = items.into_iter().map(|item| step(kind, item)).collect::<Result<_, _>>()?;
        let list = StepList(steps);
        let twice = list.twice();
        if twice.is_empty() {
            return Ok(list);
        }
        let twice: Vec<String> = twice
            .iter()
            .filter_map(|name| name.split_once('.'))
            .map(|(interface, step)| format!("interface: {interface}, step: {step}"))
            .collect();
        Err(format!(
            "Deploy template invalid: Duplicate deploy steps. A template cannot have multiple deploy steps with the \
             same interface and step. Duplicates: {}.",
            twice.join("; ")
        ))
    }

    fn twice(&self) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        self.0.iter().map(name).filter(|name| !seen.insert(name.clone())).collect()
    }

    /// The steps as they are kept, secrets included.
    pub fn steps(&self) -> &[Value] {
        &self.0
    }

    /// For people: secrets among the arguments are masked.
    pub fn masked(&self) -> Value {
        let masked = self.0.iter().map(|step| {
            let mut step = step.clone();
            if let Some(Value::Object(args)) = step.get_mut("args") {
                *args = SecretMap::from(std::mem::take(args)).masked();
            }
            step
        });
        Value::Array(masked.collect())
    }

    /// For people: all of it. For the patch that puts back what the mask hides.
    pub fn whole(&self) -> Value {
        Value::Array(self.0.clone())
    }

    /// The steps of a runbook as a person would ask for them, in their order.
    pub fn in_order(&self) -> Vec<Value> {
        let mut steps = self.0.clone();
        steps.sort_by_key(|step| step.get("order").and_then(Value::as_i64).unwrap_or(0));
        steps
    }
}

fn step(kind: ListKind, item: Value) -> Result<Value, String> {
    let Value::Object(mut map) = item else { return Err("a step is not of type 'object'".into()) };
    let required: &[&str] = match kind {
        ListKind::Template => &["interface", "step", "args", "priority"],
        ListKind::Runbook => &["interface", "step", "order"],
    };
    if let Some(missing) = required.iter().find(|key| !map.contains_key(**key)) {
        return Err(format!("'{missing}' is a required property"));
    }
    let mut take = |key: &str| map.shift_remove(key).unwrap_or(Value::Null);
    let (interface, step, args, rank) = (take("interface"), take("step"), take("args"), take(kind.rank()));
    if let Some(unknown) = map.keys().next() {
        return Err(format!("Additional properties are not allowed ('{}' was unexpected)", cut(unknown)));
    }
    let interface = match interface {
        Value::String(word) if INTERFACES.contains(&word.as_str()) => word,
        other => return Err(format!("{} is not one of [{}]", shown(&other), interfaces())),
    };
    let step = match step {
        Value::String(word) if word.is_empty() => return Err("'' should be non-empty".into()),
        Value::String(word) if word.len() <= 255 => word,
        other => return Err(format!("{} is not of type 'string'", shown(&other))),
    };
    let args = match args {
        Value::Object(args) => args,
        Value::Null if kind == ListKind::Runbook => Map::new(),
        _ => return Err("args is not of type 'object'".into()),
    };
    Ok(json!({"interface": interface, "step": step, "args": args, kind.rank(): rank_of(&rank)?}))
}

fn rank_of(value: &Value) -> Result<i64, String> {
    let number = match value {
        Value::Number(number) if number.as_i64().is_none() => {
            return Err(format!("{number} is not valid under any of the given schemas"));
        }
        Value::Number(number) => number.as_i64(),
        Value::String(text) if text.is_empty() => return Err("'' should be non-empty".into()),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        Value::String(text) => return Err(format!("'{}' does not match '^[0-9]+$'", cut(text))),
        _ => None,
    };
    match number {
        Some(number) if number < 0 => Err(format!("{number} is less than the minimum of 0")),
        Some(number) => Ok(number),
        None => Err(format!("{} is not valid under any of the given schemas", shown(value))),
    }
}

fn interfaces() -> String {
    INTERFACES.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

fn cut(text: &str) -> String {
    text.chars().take(256).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{}'", cut(text)),
        Value::Null => "None".into(),
        other => cut(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(kind: ListKind, value: Value) -> String {
        StepList::parse(kind, value).unwrap_err()
    }

    #[test]
    fn lists_are_kept_in_one_shape_and_secrets_are_not_shown() {
        let list = StepList::parse(
            ListKind::Template,
            json!([{"step": "a", "priority": "42", "interface": "bios", "args": {"password": "hunter2", "n": 1}}]),
        )
        .unwrap();
        assert_eq!(
            list.steps()[0].to_string(),
            r#"{"interface":"bios","step":"a","args":{"password":"hunter2","n":1},"priority":42}"#
        );
        assert_eq!(list.masked()[0]["args"], json!({"password": "******", "n": 1}));
        assert_eq!(format!("{list:?}"), r#"["bios.a"]"#);
    }

    #[test]
    fn runbooks_run_in_their_order_and_need_no_arguments() {
        let list = StepList::parse(
            ListKind::Runbook,
            json!([{"interface": "bios", "step": "b", "order": 2}, {"interface": "raid", "step": "a", "order": 1}]),
        )
        .unwrap();
        let names: Vec<String> = list.in_order().iter().map(name).collect();
        assert_eq!(names, ["raid.a", "bios.b"]);
        assert_eq!(list.steps()[0]["args"], json!({}));
    }

    #[test]
    fn refusals_are_the_contract_s() {
        let one = |change: Value| {
            let mut step = json!({"interface": "bios", "step": "a", "args": {}, "priority": 1});
            for (key, value) in change.as_object().unwrap() {
                step[key] = value.clone();
            }
            refusal(ListKind::Template, json!([step]))
        };
        assert_eq!(refusal(ListKind::Template, json!([])), "[] should be non-empty");
        assert_eq!(
            one(json!({"interface": "foo"})),
            "'foo' is not one of ['vendor', 'power', 'management', 'firmware', 'deploy', 'bios', 'raid']"
        );
        assert_eq!(one(json!({"step": ""})), "'' should be non-empty");
        assert_eq!(one(json!({"priority": -1})), "-1 is less than the minimum of 0");
        assert_eq!(one(json!({"priority": "x"})), "'x' does not match '^[0-9]+$'");
        assert!(one(json!({"x": 1})).contains("('x' was unexpected)"));
        assert!(one(json!({"priority": null})).contains("not valid under any"));
        let step = json!({"interface": "bios", "step": "a", "args": {}, "priority": 1});
        assert!(refusal(ListKind::Template, json!([step, step])).ends_with("Duplicates: interface: bios, step: a."));
        assert_eq!(
            refusal(ListKind::Runbook, json!([{"interface": "bios", "step": "a"}])),
            "'order' is a required property"
        );
    }
}
