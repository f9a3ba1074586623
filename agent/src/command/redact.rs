//! What a step's echo may show: all of the step but the values of its arguments (config drive, image credentials).
//!
//! Results stay readable for as long as the agent runs; the conductor compares `interface` and `step` only (agent-protocol 9.3).

use serde_json::{Map, Value};

/// Stands for a value that is not shown.
const HIDDEN: &str = "******";

/// The step with its argument values hidden; numbers and flags stay.
pub fn step(step: &Map<String, Value>) -> Value {
    let mut shown = step.clone();
    if let Some(Value::Object(args)) = shown.get_mut("args") {
        for value in args.values_mut() {
            if !matches!(value, Value::Null | Value::Bool(_) | Value::Number(_)) {
                *value = HIDDEN.into();
            }
        }
    }
    Value::Object(shown)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn the_step_stays_and_its_secrets_go() {
        let given = json!({"interface": "deploy", "step": "write_image", "priority": 80,
            "args": {"image_info": {"password": "geheim"}, "configdrive": "geheim", "passes": 3, "none": null}});
        let shown = super::step(given.as_object().unwrap());
        assert_eq!(
            (&shown["interface"], &shown["step"], &shown["priority"]),
            (&json!("deploy"), &json!("write_image"), &json!(80))
        );
        assert_eq!(shown["args"], json!({"image_info": "******", "configdrive": "******", "passes": 3, "none": null}));
    }
}
