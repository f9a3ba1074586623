//! Which fields of a port rules may change, and how.

use super::node_field::{flag_of, word_of};
use crate::model::port::Port;
use serde_json::{Map, Value};

fn object<'p>(port: &'p mut Port, name: &str) -> Option<&'p mut Map<String, Value>> {
    Some(match name {
        "extra" => &mut port.extra,
        "local_link_connection" => &mut port.local_link_connection,
        _ => return None,
    })
}

fn words<'p>(port: &'p mut Port, name: &str) -> Option<&'p mut Option<String>> {
    Some(match name {
        "physical_network" => &mut port.physical_network,
        "name" => &mut port.name,
        "description" => &mut port.description,
        "vendor" => &mut port.vendor,
        "category" => &mut port.category,
        _ => return None,
    })
}

/// The value that actions change inside of.
///
/// # Errors
/// The field has no members.
pub fn take(port: &mut Port, name: &str) -> Result<Value, String> {
    let found = object(port, name).map(|map| Value::Object(map.clone()));
    found.ok_or_else(|| format!("'{name}' has no members that a rule may change; extra, local_link_connection have"))
}

/// Sets a field as a whole.
///
/// # Errors
/// Rules may not change it, or the value does not fit.
pub fn put(port: &mut Port, name: &str, value: Value) -> Result<(), String> {
    if let Some(map) = object(port, name) {
        match value {
            Value::Object(new) => *map = new,
            _ => return Err(format!("'{name}' must be an object")),
        }
        return Ok(());
    }
    if let Some(word) = words(port, name) {
        *word = word_of(name, value)?;
        return Ok(());
    }
    match name {
        "pxe_enabled" => port.pxe_enabled = flag_of(name, &value)?,
        "is_smartnic" => port.is_smartnic = flag_of(name, &value)?,
        "available_for_dynamic_portgroup" => port.available_for_dynamic_portgroup = flag_of(name, &value)?,
        _ => return Err(format!("the field '{name}' of a port is unknown, or not one that a rule may change")),
    }
    Ok(())
}

/// Sets a field back to what it was before anybody set it.
///
/// # Errors
/// Rules may not change it.
pub fn clear(port: &mut Port, name: &str) -> Result<(), String> {
    let empty = match name {
        "extra" | "local_link_connection" => Value::Object(Map::new()),
        "pxe_enabled" | "available_for_dynamic_portgroup" => Value::Bool(true),
        "is_smartnic" => Value::Bool(false),
        _ => Value::Null,
    };
    put(port, name, empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::mac::Mac;
    use serde_json::json;
    use uuid::Uuid;

    #[test]
    fn ports_change_where_operators_may_change_them() {
        let mut port = Port::new(Uuid::nil(), Mac([0; 6]));
        put(&mut port, "physical_network", json!("net1")).unwrap();
        put(&mut port, "pxe_enabled", json!("no")).unwrap();
        assert_eq!((port.physical_network.as_deref(), port.pxe_enabled), (Some("net1"), false));
        clear(&mut port, "pxe_enabled").unwrap();
        assert!(port.pxe_enabled);
        for name in ["uuid", "node_uuid", "address", "internal_info", "portgroup_uuid"] {
            assert!(put(&mut port, name, json!("x")).is_err() && take(&mut port, name).is_err(), "{name}");
        }
    }
}
