//! Capabilities: what `properties` and `instance_info` say of a machine in one value.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Capabilities as an object, as JSON text or as `key:value,key:value` (agent-protocol section 8.4).
pub fn capabilities(value: Option<&Value>) -> BTreeMap<String, String> {
    let from_map = |map: &Map<String, Value>| {
        map.iter()
            .map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect()
    };
    match value {
        Some(Value::Object(map)) => from_map(map),
        Some(Value::String(text)) => match serde_json::from_str::<Map<String, Value>>(text) {
            Ok(map) => from_map(&map),
            Err(_) => text
                .split(',')
                .filter_map(|pair| pair.split_once(':'))
                .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
                .collect(),
        },
        _ => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn capabilities_are_read_in_all_three_forms() {
        for form in [json!({"boot_mode": "uefi"}), json!("{\"boot_mode\":\"uefi\"}"), json!("boot_mode:uefi, a:b")] {
            assert_eq!(capabilities(Some(&form))["boot_mode"], "uefi");
        }
    }
}
