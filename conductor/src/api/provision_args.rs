//! The lists of steps of a provision request (rest-api section 7.2).

use super::args::cut;
use super::error::ApiError;
use super::{ident, python};
use serde_json::{Map, Value};

/// Interfaces that have steps.
const INTERFACES: &[&str] = &["vendor", "power", "management", "firmware", "deploy", "bios", "raid"];

/// Most steps of one request.
const MOST_STEPS: usize = 256;

/// Steps of manual cleaning and of service.
///
/// # Errors
/// 400 `Invalid clean_steps: ...`.
pub fn manual_steps(name: &str, value: &Value) -> Result<Vec<Value>, ApiError> {
    let known = ["interface", "step", "args", "order", "execute_on_child_nodes", "limit_child_node_execution"];
    steps(name, value, &known, |step| {
        required(step, &["interface", "step"])?;
        if let Some(order) = step.get("order") {
            number("order", order)?;
        }
        if step.get("execute_on_child_nodes").is_some_and(|value| !value.is_boolean()) {
            return Err("execute_on_child_nodes is not of type 'boolean'".into());
        }
        let is_uuid = |value: &Value| value.as_str().is_some_and(|text| ident::uuid(text).is_some());
        match step.get("limit_child_node_execution") {
            None => Ok(()),
            Some(Value::Array(list)) if list.iter().all(is_uuid) => Ok(()),
            Some(_) => Err("limit_child_node_execution is not a list of UUIDs".into()),
        }
    })
}

/// Steps of a deployment.
///
/// # Errors
/// 400 `Invalid deploy_steps: ...`.
pub fn deploy_steps(value: &Value) -> Result<Vec<Value>, ApiError> {
    let known = ["interface", "step", "args", "priority"];
    steps("deploy_steps", value, &known, |step| {
        required(step, &known)?;
        step.get("priority").map_or(Ok(()), |priority| number("priority", priority))
    })
}

fn steps(
    name: &str,
    value: &Value,
    known: &[&str],
    check: impl Fn(&Map<String, Value>) -> Result<(), String>,
) -> Result<Vec<Value>, ApiError> {
    let invalid = |text: String| ApiError::invalid(format!("Invalid {name}: {text}"));
    let Value::Array(list) = value else {
        return Err(invalid(format!("{} is not of type 'array'", python::repr(value))));
    };
    if list.len() > MOST_STEPS {
        return Err(invalid(format!("more than {MOST_STEPS} steps")));
    }
    for step in list {
        let Value::Object(step) = step else {
            return Err(invalid(format!("{} is not of type 'object'", python::repr(step))));
        };
        if let Some(key) = step.keys().find(|key| !known.contains(&key.as_str())) {
            let text = format!("Additional properties are not allowed ('{}' was unexpected)", cut(key));
            return Err(invalid(text));
        }
        check(step).map_err(invalid)?;
        common(step).map_err(invalid)?;
    }
    Ok(list.clone())
}

/// What all kinds of steps share.
fn common(step: &Map<String, Value>) -> Result<(), String> {
    match step.get("interface").and_then(Value::as_str) {
        Some(interface) if INTERFACES.contains(&interface) => {}
        _ => {
            let given = step.get("interface").map(python::repr).unwrap_or_default();
            return Err(format!("{given} is not one of [{}]", python::words(INTERFACES)));
        }
    }
    match step.get("step").and_then(Value::as_str) {
        Some("") => return Err("'' should be non-empty".into()),
        Some(_) => {}
        None => {
            return Err(format!("{} is not of type 'string'", step.get("step").map(python::repr).unwrap_or_default()));
        }
    }
    match step.get("args") {
        None | Some(Value::Object(_)) => Ok(()),
        Some(other) => Err(format!("{} is not of type 'object'", python::repr(other))),
    }
}

fn required(step: &Map<String, Value>, keys: &[&str]) -> Result<(), String> {
    match keys.iter().find(|key| !step.contains_key(**key)) {
        Some(key) => Err(format!("'{key}' is a required property")),
        None => Ok(()),
    }
}

fn number(name: &str, value: &Value) -> Result<(), String> {
    let digits = |text: &str| !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = value.as_u64().is_some() || value.as_str().is_some_and(digits);
    if fits { Ok(()) } else { Err(format!("{name} is not a whole number of at least 0")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn steps_are_held_to_their_schema() {
        assert!(
            manual_steps("clean_steps", &json!([{"interface": "deploy", "step": "a", "args": {}, "order": "3"}]))
                .is_ok()
        );
        assert!(deploy_steps(&json!([{"interface": "deploy", "step": "a", "args": {}, "priority": 3}])).is_ok());
        for (bad, words) in [
            (json!({}), "type 'array'"),
            (json!([{"step": "a"}]), "'interface' is a required"),
            (json!([{"interface": "network", "step": "a"}]), "'network' is not one of"),
            (json!([{"interface": "deploy", "step": ""}]), "should be non-empty"),
            (json!([{"interface": "deploy", "step": "a", "args": []}]), "[] is not of type 'object'"),
            (json!([{"interface": "deploy", "step": "a", "priority": 1}]), "'priority' was unexpected"),
            (json!([{"interface": "deploy", "step": "a", "order": -1}]), "order is not"),
            (json!([{"interface": "deploy", "step": "a", "limit_child_node_execution": ["x"]}]), "list of UUIDs"),
        ] {
            let error = manual_steps("clean_steps", &bad).unwrap_err();
            assert!(error.text.starts_with("Invalid clean_steps: ") && error.text.contains(words), "{}", error.text);
        }
        assert!(deploy_steps(&json!([{"interface": "deploy", "step": "a", "priority": 1}])).is_err());
    }
}
