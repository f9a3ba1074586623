//! The fields of a port, in the order of the answer (rest-api section 9.1).

use super::args::cut;
use super::field::{Access, Field, flag, object, row, text, unset, uuid};
use super::python;
use super::version::Version;
use crate::model::port::Port;
use common::mac::Mac;
use serde_json::{Map, Value, json};

/// What a list shows when it is not asked for more.
pub const SHORT: &[&str] = &["uuid", "address"];

macro_rules! text_row {
    ($name:literal $since:literal, $field:ident, $max:expr) => {
        row!($name $since Both true, |port, _, out| out.put(&port.$field), |port, _, value| {
            port.$field = text(value, $max)?;
            Ok(())
        })
    };
}

macro_rules! flag_row {
    ($name:literal $since:literal, $field:ident, $default:literal) => {
        row!($name $since Both true, |port, _, out| out.put(&port.$field), |port, name, value| {
            port.$field = flag(name, value)?.unwrap_or($default);
            Ok(())
        })
    };
}

/// Every field. `node_uuid` is resolved by the handlers: it may be a name from 1.94 on.
#[rustfmt::skip]
pub const TABLE: &[Field<Port>] = &[
    row!("uuid" 1 Create true, |port, _, out| out.put(&port.uuid), |port, name, value| {
        if let Some(uuid) = uuid(name, value)? { port.uuid = uuid; }
        Ok(())
    }),
    row!("created_at" 1 Read true, |port, _, out| out.time(port.created_at), unset),
    row!("updated_at" 1 Read true, |port, _, out| out.time(port.updated_at), unset),
    row!("address" 1 Both true, |port, _, out| out.put(&port.address), |port, name, value| match value {
        Value::String(text) => {
            port.address = text.parse().map_err(|_| format!("Expected valid MAC address for {name}: {}", cut(&text)))?;
            Ok(())
        }
        other => Err(format!("{} is not of type 'string'", python::repr(&other))),
    }),
    row!("extra" 1 Both false, |port, _, out| out.put(&port.extra), |port, name, value| {
        port.extra = object(name, value)?;
        Ok(())
    }),
    row!("internal_info" 18 Read false, |port, _, out| out.put(&port.internal_info), unset),
    flag_row!("is_smartnic" 53, is_smartnic, false),
    row!("local_link_connection" 19 Both false, |port, _, out| out.put(&port.local_link_connection), |port, name, value| {
        port.local_link_connection = local_link(object(name, value)?)?;
        Ok(())
    }),
    text_row!("physical_network" 34, physical_network, 64),
    flag_row!("pxe_enabled" 19, pxe_enabled, true),
    row!("node_uuid" 1 Both false, |port, _, out| out.put(&port.node_uuid), |port, name, value| {
        port.node_uuid = uuid(name, value)?.ok_or("'node_uuid' is a required property")?;
        Ok(())
    }),
    text_row!("name" 88, name, 255),
    text_row!("description" 97, description, 255),
    text_row!("vendor" 100, vendor, 32),
    text_row!("category" 101, category, 80),
    row!("available_for_dynamic_portgroup" 111 Both true, |port, _, out| out.put(&port.available_for_dynamic_portgroup),
        |port, _, value| match value {
            Value::Bool(flag) => { port.available_for_dynamic_portgroup = flag; Ok(()) }
            // A PATCH that removes it.
            Value::Null => { port.available_for_dynamic_portgroup = true; Ok(()) }
            other => Err(format!("{} is not of type 'boolean'", python::repr(&other))),
        }),
    row!("links" 1 Read false, |port, view, out| out.links(view, format_args!("ports/{}", port.uuid)), unset),
    row!("portgroup_uuid" 24 Both false, |port, _, out| out.put(&port.portgroup_uuid), |port, name, value| {
        let shown = cut(value.as_str().unwrap_or_default());
        port.portgroup_uuid = match uuid(name, value) {
            Err(_) if port.id != 0 => return Err(format!("Portgroup {shown} could not be found.")),
            group => group?,
        };
        Ok(())
    }),
];

/// By name.
pub fn field(name: &str) -> Option<&'static Field<Port>> {
    TABLE.iter().find(|field| field.name == name)
}

/// The version of a request has `network_type` inside local_link_connection.
pub fn link_is_known(value: &Value, version: Version) -> bool {
    version.has(64) || value.get("network_type").is_none()
}

/// Where a cable ends: nothing, `network_type` alone, or switch and port.
fn local_link(mut map: Map<String, Value>) -> Result<Map<String, Value>, String> {
    const KEYS: &[&str] = &["switch_id", "port_id", "switch_info", "hostname", "network_type"];
    let shown = python::repr(&Value::Object(map.clone()));
    let refuse = |cause: String| {
        let what = "is not valid under any of the given schemas. Possible root cause";
        Err(format!("Schema error for local_link_connection: {shown} {what}: {cause}"))
    };
    if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return refuse(format!("Additional properties are not allowed ('{}' was unexpected)", cut(key)));
    }
    if let Some((key, _)) = map.iter().find(|(_, value)| !value.is_string()) {
        return refuse(format!("{} is not of type 'string'", python::repr(&map[key])));
    }
    match map.get("network_type").and_then(Value::as_str) {
        Some("managed" | "unmanaged") | None => {}
        Some(other) => return refuse(format!("'{}' is not one of ['managed', 'unmanaged']", cut(other))),
    }
    if let Some(text) = map.get("switch_id").and_then(Value::as_str) {
        let id = switch_id(text)
            .ok_or_else(|| format!("Expected a MAC address or OpenFlow datapath ID but received {}.", cut(text)))?;
        map.insert("switch_id".into(), json!(id));
    }
    if map.is_empty() || map.get("network_type").and_then(Value::as_str) == Some("unmanaged") {
        return Ok(map);
    }
    // A smart NIC names its host instead of a switch.
    let start = if map.contains_key("hostname") { "hostname" } else { "switch_id" };
    match [start, "port_id"].into_iter().find(|key| !map.contains_key(*key)) {
        Some(key) => refuse(format!("'{key}' is a required property")),
        None => Ok(map),
    }
}

/// A MAC, or the 16 digits of an OpenFlow switch, in lower case.
fn switch_id(text: &str) -> Option<String> {
    if let Ok(mac) = text.parse::<Mac>() {
        return Some(mac.to_string());
    }
    let fits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| text.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_switch_and_port_or_nothing() {
        let map = |value: Value| value.as_object().unwrap().clone();
        assert!(local_link(map(json!({}))).is_ok());
        assert!(local_link(map(json!({"switch_id": "0A:1b:2c:3d:4e:5f", "port_id": "b", "switch_info": "c"}))).is_ok());
        assert!(local_link(map(json!({"network_type": "unmanaged"}))).is_ok());
        let switch = json!({"switch_id": "00000000DEADBEEF"});
        assert!(local_link(map(switch)).unwrap_err().contains("'port_id' is a required"));
        assert!(local_link(map(json!({"switch_id": "a", "port_id": "b"}))).unwrap_err().starts_with("Expected a MAC"));
        assert!(local_link(map(json!({"foo": "a"}))).unwrap_err().contains("('foo' was unexpected)"));
        assert!(local_link(map(json!({"network_type": "x"}))).is_err());
    }
}
