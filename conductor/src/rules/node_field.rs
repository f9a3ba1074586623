//! Which fields of a node rules may change, and how. The state machine's own fields are not among them: in the
//! reference a rule can write any field, and one that writes `provision_state` breaks the node.

use super::value::text;
use crate::model::node::{InterfaceKind, Node};
use serde_json::{Map, Value};

/// Fields whose value is a JSON object: the ones with members.
const OBJECTS: &[&str] = &["properties", "driver_info", "instance_info", "extra", "network_data", "target_raid_config"];

fn object<'n>(node: &'n mut Node, name: &str) -> Option<&'n mut Map<String, Value>> {
    Some(match name {
        "properties" => &mut node.properties,
        "driver_info" => &mut node.driver_info,
        "instance_info" => &mut node.instance_info,
        "extra" => &mut node.extra,
        "network_data" => &mut node.network_data,
        "target_raid_config" => &mut node.target_raid_config,
        _ => return None,
    })
}

fn words<'n>(node: &'n mut Node, name: &str) -> Option<&'n mut Option<String>> {
    Some(match name {
        "name" => &mut node.name,
        "description" => &mut node.description,
        "resource_class" => &mut node.resource_class,
        "owner" => &mut node.owner,
        "lessee" => &mut node.lessee,
        "shard" => &mut node.shard,
        "instance_name" => &mut node.instance_name,
        "maintenance_reason" => &mut node.maintenance_reason,
        "protected_reason" => &mut node.protected_reason,
        "retired_reason" => &mut node.retired_reason,
        _ => return None,
    })
}

fn flag<'n>(node: &'n mut Node, name: &str) -> Option<&'n mut bool> {
    Some(match name {
        "maintenance" => &mut node.maintenance,
        "protected" => &mut node.protected,
        "retired" => &mut node.retired,
        "disable_power_off" => &mut node.disable_power_off,
        _ => return None,
    })
}

/// The value that actions change inside of: objects as they are, secrets included.
///
/// # Errors
/// The field has no members.
pub fn take(node: &mut Node, name: &str) -> Result<Value, String> {
    let found = object(node, name).map(|map| Value::Object(map.clone()));
    found.ok_or_else(|| format!("'{name}' has no members that a rule may change; {} have", OBJECTS.join(", ")))
}

/// Sets a field as a whole.
///
/// # Errors
/// Rules may not change it, or the value does not fit.
pub fn put(node: &mut Node, name: &str, value: Value) -> Result<(), String> {
    if let Some(map) = object(node, name) {
        match value {
            Value::Object(new) => *map = new,
            _ => return Err(format!("'{name}' must be an object")),
        }
    } else if name == "name" {
        node.name = checked_name(value)?;
    } else if let Some(word) = words(node, name) {
        *word = word_of(name, value)?;
    } else if let Some(place) = flag(node, name) {
        *place = flag_of(name, &value)?;
    } else if name == "automated_clean" {
        node.automated_clean = if value.is_null() { None } else { Some(flag_of(name, &value)?) };
    } else if name == "conductor_group" {
        node.conductor_group = word_of(name, value)?.unwrap_or_default();
    } else if name == "driver" {
        // Whether this site has it is checked by whoever saves the node.
        node.driver = word_of(name, value)?.ok_or("'driver' must name a hardware type")?;
    } else if let Some(kind) = interface(name) {
        let word = word_of(name, value)?.ok_or_else(|| format!("'{name}' must name an interface"))?;
        node.interfaces.insert(kind, word);
    } else {
        return Err(format!("the field '{name}' of a node is unknown, or not one that a rule may change"));
    }
    Ok(())
}

/// Sets a field back to what it was before anybody set it.
///
/// # Errors
/// Rules may not change it.
pub fn clear(node: &mut Node, name: &str) -> Result<(), String> {
    if flag(node, name).is_some() {
        return put(node, name, Value::Bool(false));
    }
    let empty = if OBJECTS.contains(&name) { Value::Object(Map::new()) } else { Value::Null };
    put(node, name, empty)
}

fn interface(name: &str) -> Option<InterfaceKind> {
    InterfaceKind::from_name(name.strip_suffix("_interface")?)
}

pub(super) fn word_of(name: &str, value: Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Array(_) | Value::Object(_) => Err(format!("'{name}' must be a text")),
        other => {
            let word = text(&other).map_err(|error| error.to_string())?;
            if word.len() <= 4096 { Ok(Some(word)) } else { Err(format!("'{name}' is longer than 4096 bytes")) }
        }
    }
}

pub(super) fn flag_of(name: &str, value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(flag) => return Ok(*flag),
        Value::String(word) => match word.trim().to_ascii_lowercase().as_str() {
            "1" | "t" | "true" | "on" | "y" | "yes" => return Ok(true),
            "0" | "f" | "false" | "off" | "n" | "no" => return Ok(false),
            _ => {}
        },
        _ => {}
    }
    Err(format!("'{name}' must be true or false"))
}

fn checked_name(value: Value) -> Result<Option<String>, String> {
    let name = word_of("name", value)?.filter(|name| !name.is_empty());
    let fits = |name: &String| {
        name.len() <= 255
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
            && uuid::Uuid::try_parse(name).is_err()
    };
    match name {
        Some(name) if !fits(&name) => Err(format!("'{}' cannot be the name of a node", name.escape_debug())),
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operators_fields_can_be_set_and_cleared() {
        let mut node = Node::default();
        for (name, value) in [
            ("name", json!("n1")),
            ("resource_class", json!(8)),
            ("retired", json!("yes")),
            ("automated_clean", json!(false)),
            ("extra", json!({"a": 1})),
            ("boot_interface", json!("ipxe")),
        ] {
            put(&mut node, name, value).unwrap();
        }
        assert_eq!((node.name.as_deref(), node.resource_class.as_deref(), node.retired), (Some("n1"), Some("8"), true));
        assert_eq!((node.automated_clean, node.extra["a"].clone()), (Some(false), json!(1)));
        for name in ["name", "resource_class", "retired", "automated_clean", "extra"] {
            clear(&mut node, name).unwrap();
        }
        assert!(node.name.is_none() && !node.retired && node.extra.is_empty() && node.automated_clean.is_none());
    }

    #[test]
    fn the_state_machine_s_fields_and_odd_values_are_refused() {
        let mut node = Node::default();
        for name in
            ["provision_state", "uuid", "driver_internal_info", "traits", "reservation", "flow", "instance_uuid", "x"]
        {
            assert!(put(&mut node, name, json!("active")).is_err(), "{name}");
            assert!(take(&mut node, name).is_err(), "{name}");
        }
        assert!(put(&mut node, "extra", json!("x")).is_err() && put(&mut node, "retired", json!(7)).is_err());
        assert!(put(&mut node, "name", json!("a b")).is_err() && put(&mut node, "owner", json!({})).is_err());
        assert_eq!(node, Node::default());
    }
}
