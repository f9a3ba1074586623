//! `POST /v1/events`: what a network service says about ports (rest-api section 13). Checked and logged: nothing waits for it.

use super::args::cut;
use super::call::{Answer, Call};
use super::error::ApiError;
use super::ident;
use super::node_create::only_a_body;
use common::mac::Mac;
use serde_json::{Map, Value};

const EVENTS: &[&str] = &["network.bind_port", "network.unbind_port", "network.delete_port"];

/// Members in the order in which they are missed, and whether they must be there.
const MEMBERS: &[(&str, bool)] = &[
    ("event", true),
    ("port_id", true),
    ("mac_address", true),
    ("status", true),
    ("device_id", false),
    ("binding:host_id", false),
    ("binding:vnic_type", false),
];

/// The handler.
pub async fn post(call: &Call) -> Result<Answer, ApiError> {
    only_a_body(call)?;
    let body = match call.json()? {
        None => Map::new(),
        Some(Value::Object(map)) => map,
        Some(other) => return Err(refuse(format!("{} is not of type 'object'", cut(&other.to_string())))),
    };
    let events = match body.get("events") {
        None => return Err(refuse("'events' is a required property".into())),
        Some(Value::Array(events)) if events.is_empty() => return Err(refuse("[] should be non-empty".into())),
        Some(Value::Array(events)) => events,
        Some(other) => return Err(refuse(format!("{} is not of type 'array'", cut(&other.to_string())))),
    };
    if let Some(name) = body.keys().find(|name| *name != "events") {
        return Err(unexpected(name));
    }
    for event in events {
        check(event)?;
    }
    tracing::info!(count = events.len(), request_id = call.caller.request_id, "events of a network service");
    Ok(Answer::no_content())
}

fn check(event: &Value) -> Result<(), ApiError> {
    let Value::Object(event) = event else {
        return Err(refuse(format!("{} is not of type 'object'", cut(&event.to_string()))));
    };
    if let Some((name, _)) = MEMBERS.iter().find(|(name, required)| *required && !event.contains_key(*name)) {
        return Err(refuse(format!("'{name}' is a required property")));
    }
    for (name, value) in event {
        if !MEMBERS.iter().any(|member| member.0 == name) {
            return Err(unexpected(name));
        }
        if value.is_null() && MEMBERS.contains(&(name.as_str(), false)) {
            continue;
        }
        let Value::String(text) = value else {
            return Err(refuse(format!("{} is not of type 'string'", cut(&value.to_string()))));
        };
        let shown = cut(text);
        match name.as_str() {
            "event" if !EVENTS.contains(&text.as_str()) => {
                let known: Vec<String> = EVENTS.iter().map(|event| format!("'{event}'")).collect();
                return Err(refuse(format!("'{shown}' is not one of [{}]", known.join(", "))));
            }
            "port_id" | "device_id" | "binding:host_id" if ident::uuid(text).is_none() => {
                return Err(refuse(format!("'{shown}' is not a 'uuid'")));
            }
            "mac_address" if text.parse::<Mac>().is_err() => {
                return Err(refuse(format!("'{shown}' is not a 'mac-address'")));
            }
            _ => {}
        }
    }
    Ok(())
}

fn refuse(text: String) -> ApiError {
    ApiError::invalid(format!("Schema error: {text}"))
}

fn unexpected(name: &str) -> ApiError {
    refuse(format!("Additional properties are not allowed ('{}' was unexpected)", cut(name)))
}
