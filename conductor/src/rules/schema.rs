//! Which documents are rules: the checks of `POST` and `PATCH`, with the reference's texts.

use super::RuleError;
use super::actions::Action;
use super::operators::Operator;
use super::rule::{MAIN, Operation, Rule};
use super::value::{Text, type_name};
use serde_json::{Map, Value};

/// Highest priority of a rule that people make.
const PRIORITY_MAX: i64 = 9999;

/// Why a document is no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its shape is wrong: the API puts `Schema error` before the text.
    Schema(String),
    /// What it says is wrong.
    Invalid(String),
}

impl Refused {
    /// Without the API's words.
    pub fn text(&self) -> &str {
        match self {
            Refused::Schema(text) | Refused::Invalid(text) => text,
        }
    }
}

fn shape<T>(text: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Schema(text.into()))
}

/// A value as the reference prints it in its refusals, cut.
fn shown(value: &Value) -> String {
    let mut text = Text::new(200);
    match text.literal(value, true) {
        Ok(()) => text.text,
        Err(_) => format!("A {} of more than 200 bytes", type_name(value)),
    }
}

const FIELDS: &[&str] = &["actions", "conditions", "description", "phase", "priority", "sensitive", "uuid"];

/// Reads a rule. `built_in`: from the operator's file, with any priority and any text as its identity.
///
/// # Errors
/// The first thing wrong with its shape, or all that is wrong with what it says.
pub fn read(document: &Value, built_in: bool) -> Result<Rule, Refused> {
    let Value::Object(map) = document else { return shape(format!("{} is not of type 'object'", shown(document))) };
    if let Some(name) = map.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let name = shown(&Value::String(name.clone()));
        return shape(format!("Additional properties are not allowed ({name} was unexpected)"));
    }
    let actions = operations(map, "actions", &words(false))?;
    let Some(actions) = actions else { return shape("'actions' is a required property") };
    if actions.is_empty() {
        return shape("[] should be non-empty");
    }
    let conditions = operations(map, "conditions", &words(true))?.unwrap_or_default();
    let rule = Rule {
        uuid: text(map, "uuid", 255)?.unwrap_or_default(),
        description: text(map, "description", 255)?,
        priority: priority(map, built_in)?,
        sensitive: flag(map, "sensitive")?,
        phase: match map.get("phase") {
            None => MAIN.into(),
            Some(_) => text(map, "phase", 16)?.unwrap_or_else(|| "None".into()),
        },
        conditions,
        actions,
    };
    meaning(&rule, built_in)?;
    Ok(rule)
}

fn words(conditions: bool) -> Vec<String> {
    if !conditions {
        return Action::ALL.iter().map(|action| action.name().to_owned()).collect();
    }
    let names = Operator::ALL.iter().map(|operator| operator.name().to_owned());
    names.clone().chain(names.map(|name| format!("!{name}"))).collect()
}

fn operations(map: &Map<String, Value>, field: &str, words: &[String]) -> Result<Option<Vec<Operation>>, Refused> {
    let Some(value) = map.get(field) else { return Ok(None) };
    let Value::Array(items) = value else { return shape(format!("{} is not of type 'array'", shown(value))) };
    items.iter().map(|item| operation(item, words, field == "conditions")).collect::<Result<_, _>>().map(Some)
}

fn operation(item: &Value, words: &[String], condition: bool) -> Result<Operation, Refused> {
    let Value::Object(map) = item else { return shape(format!("{} is not of type 'object'", shown(item))) };
    for name in ["op", "args"] {
        if !map.contains_key(name) {
            return shape(format!("'{name}' is a required property"));
        }
    }
    let op = map["op"].as_str().filter(|op| words.iter().any(|word| word == op));
    let Some(op) = op else { return shape(one_of(&map["op"], words)) };
    for name in ["args", "loop"] {
        if let Some(value) = map.get(name)
            && !(value.is_array() || value.is_object())
        {
            return shape(format!("{} is not of type 'array', 'object'", shown(value)));
        }
    }
    let ways = ["any", "all", "first", "last"].map(str::to_owned);
    let multiple = match map.get("multiple").filter(|_| condition) {
        None => None,
        Some(Value::String(way)) if ways.contains(way) => Some(way.clone()),
        Some(other) => return shape(one_of(other, &ways)),
    };
    let mut operation =
        Operation { op: op.into(), args: map["args"].clone(), items: map.get("loop").cloned(), multiple };
    // Shown as the reference shows them: no empty loop, and how answers are joined beside every loop of a condition.
    if operation.turns().is_none() {
        operation.items = None;
        operation.multiple = None;
    } else if condition && operation.multiple.is_none() {
        operation.multiple = Some("any".into());
    }
    forget_plugin_data(&mut operation);
    Ok(operation)
}

/// Rules read back from the reference carry an argument that nobody gave; it is not kept.
fn forget_plugin_data(operation: &mut Operation) {
    if let Value::Object(args) = &mut operation.args
        && operation.op.ends_with("plugin-data")
    {
        args.shift_remove("plugin_data");
    }
}

fn one_of(value: &Value, words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    format!("{} is not one of [{}]", shown(value), words.join(", "))
}

fn text(map: &Map<String, Value>, name: &str, most: usize) -> Result<Option<String>, Refused> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= most => Ok(Some(text.clone())),
        Some(long @ Value::String(_)) => shape(format!("{} is too long", shown(long))),
        Some(other) => shape(format!("{} is not of type 'string', 'null'", shown(other))),
    }
}

fn flag(map: &Map<String, Value>, name: &str) -> Result<bool, Refused> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => shape(format!("{} is not of type 'boolean', 'null'", shown(other))),
    }
}

fn priority(map: &Map<String, Value>, built_in: bool) -> Result<i64, Refused> {
    let Some(value) = map.get("priority") else { return Ok(0) };
    let whole =
        value.as_i64().or_else(|| value.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 1e15).map(|n| n as i64));
    match whole {
        Some(number) if number >= 0 || built_in => Ok(number),
        Some(number) => shape(format!("{number} is less than the minimum of 0")),
        None => shape(format!("{} is not of type 'integer'", shown(value))),
    }
}

fn meaning(rule: &Rule, built_in: bool) -> Result<(), Refused> {
    let mut errors = Vec::new();
    if rule.phase != MAIN {
        errors.push(format!("Invalid phase: {}. Valid phases are: {MAIN}", rule.phase));
    }
    if rule.priority > PRIORITY_MAX && !built_in {
        errors.push(format!("Priority must be between 0 and {PRIORITY_MAX} for user-defined rules."));
    }
    let conditions = rule.conditions.iter().filter_map(|one| Some((one, Operator::parse(&one.op)?.0.signature())));
    let actions = rule.actions.iter().filter_map(|one| Some((one, Action::from_name(&one.op)?.signature())));
    for (operation, signature) in conditions.chain(actions) {
        if let Err(RuleError::Arguments(text)) = signature.by_name(&operation.args) {
            errors.push(text);
        }
    }
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(Refused::Invalid(one.clone())),
        many => Err(Refused::Invalid(format!("Multiple validation errors occurred: {}", many.join("; ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(document: Value) -> String {
        match read(&document, false).unwrap_err() {
            Refused::Schema(text) => format!("Schema error: {text}"),
            Refused::Invalid(text) => text,
        }
    }

    #[test]
    fn refusals_are_the_reference_s() {
        let fail = json!([{"op": "fail", "args": {"msg": "x"}}]);
        for (document, text) in [
            (json!([]), "Schema error: [] is not of type 'object'"),
            (json!({}), "Schema error: 'actions' is a required property"),
            (json!({"actions": []}), "Schema error: [] should be non-empty"),
            (json!({"actions": [{"op": "fail"}]}), "Schema error: 'args' is a required property"),
            (json!({"actions": [{"op": "fail", "args": 7}]}), "Schema error: 7 is not of type 'array', 'object'"),
            (json!({"actions": [{"op": "fail", "args": {}}]}), "missing required argument(s): msg"),
            (json!({"actions": [{"op": "fail", "args": {"msg": 1, "y": 1}}]}), "unexpected argument(s): y"),
            (json!({"actions": fail, "priority": -1}), "Schema error: -1 is less than the minimum of 0"),
            (json!({"actions": fail, "priority": "5"}), "Schema error: '5' is not of type 'integer'"),
            (json!({"actions": fail, "priority": null}), "Schema error: None is not of type 'integer'"),
            (json!({"actions": fail, "phase": "early"}), "Invalid phase: early. Valid phases are: main"),
            (json!({"actions": fail, "phase": null}), "Invalid phase: None. Valid phases are: main"),
            (json!({"actions": fail, "conditions": null}), "Schema error: None is not of type 'array'"),
            (
                json!({"actions": fail, "scope": "zzz"}),
                "Schema error: Additional properties are not allowed ('scope' was unexpected)",
            ),
            (
                json!({"actions": fail, "phase": "early", "priority": 20000}),
                "Multiple validation errors occurred: Invalid phase: early. Valid phases are: main; \
                 Priority must be between 0 and 9999 for user-defined rules.",
            ),
        ] {
            assert_eq!(refusal(document), text);
        }
        let operator = refusal(json!({"actions": fail, "conditions": [{"op": "! eq", "args": {}}]}));
        assert!(
            operator.starts_with("Schema error: '! eq' is not one of ['eq', 'lt', 'gt', 'is-empty',"),
            "{operator}"
        );
    }

    #[test]
    fn rules_are_kept_as_they_are_shown() {
        let rule = read(
            &json!({"actions": [{"op": "set-plugin-data", "args": {"path": "a", "value": 1, "plugin_data": {}}, "loop": []}],
                "conditions": [{"op": "!eq", "args": [[1, 2]], "loop": [1], "bogus": 1}], "sensitive": null}),
            false,
        )
        .unwrap();
        assert_eq!(
            serde_json::to_value(&rule).unwrap(),
            json!({"uuid": "", "description": null, "priority": 0, "sensitive": false, "phase": "main",
                "conditions": [{"op": "!eq", "args": [[1, 2]], "loop": [1], "multiple": "any"}],
                "actions": [{"op": "set-plugin-data", "args": {"path": "a", "value": 1}}]})
        );
        assert!(read(&json!({"actions": [{"op": "fail", "args": ["x"]}], "priority": -5}), true).is_ok());
    }
}
