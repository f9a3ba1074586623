//! Hardware types that nodes may use (rest-api section 10).

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::link;
use crate::flow::request::{self, DriverFacts};
use crate::model::node::InterfaceKind;
use serde_json::{Map, Value, json};

/// `GET /v1/drivers`.
pub async fn list(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::query(call, &["type", "detail", "fields"])?;
    let detail = args.boolean("detail")?.unwrap_or(false);
    let fields = args.list("fields")?;
    if detail && !fields.is_empty() {
        return Err(ApiError::invalid("Can not specify ?detail=True and fields in the same request."));
    }
    if (args.has("type") || args.has("detail")) && !call.version.has(30) {
        return Err(ApiError::too_new_before(30));
    }
    if args.has("fields") && !call.version.has(77) {
        return Err(ApiError::too_new());
    }
    let kind = args.text("type")?;
    if kind.is_some_and(|kind| !["classic", "dynamic"].contains(&kind)) {
        let text = "\"type\" filter must be one of \"classic\" or \"dynamic\", if specified.";
        return Err(ApiError::invalid(text));
    }
    check_fields(call, &fields)?;
    let mut drivers = Vec::new();
    let mut all = request::driver_facts(&call.conductor);
    all.sort_by(|left, right| left.name.cmp(&right.name));
    for facts in all {
        if kind == Some("classic") {
            break; // there are none any more
        }
        let full = shown(call, &facts, detail);
        drivers.push(select(full, &fields)?);
    }
    Ok(Answer::ok(json!({ "drivers": drivers })))
}

/// `GET /v1/drivers/{}`.
pub async fn show(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::query(call, &["fields"])?;
    if args.has("fields") && !call.version.has(77) {
        return Err(ApiError::too_new());
    }
    let fields = args.list("fields")?;
    check_fields(call, &fields)?;
    let facts = facts_of(call)?;
    Ok(Answer::ok(select(shown(call, &facts, true), &fields)?))
}

/// `GET /v1/drivers/{}/properties`.
pub async fn properties(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    Ok(Answer::ok(Value::Object(request::driver_properties(&call.conductor, call.param(0))?)))
}

/// `GET /v1/drivers/{}/raid/logical_disk_properties`.
pub async fn raid_properties(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    Ok(Answer::ok(Value::Object(request::raid_properties(&call.conductor, call.param(0))?)))
}

fn missing(call: &Call) -> ApiError {
    let name = cut(call.param(0));
    ApiError::not_found(format!("Could not find the following driver(s) or hardware type(s): {name}."))
}

fn facts_of(call: &Call) -> Result<DriverFacts, ApiError> {
    let facts = request::driver_facts(&call.conductor);
    facts.into_iter().find(|facts| facts.name == call.param(0)).ok_or_else(|| missing(call))
}

/// The kinds in the order in which refusals list their fields.
const LISTED: &[InterfaceKind] = &[
    InterfaceKind::Boot,
    InterfaceKind::Console,
    InterfaceKind::Deploy,
    InterfaceKind::Inspect,
    InterfaceKind::Management,
    InterfaceKind::Network,
    InterfaceKind::Power,
    InterfaceKind::Raid,
    InterfaceKind::Vendor,
    InterfaceKind::Storage,
    InterfaceKind::Rescue,
    InterfaceKind::Bios,
    InterfaceKind::Firmware,
];

/// Since when the API shows the interfaces of a kind.
fn since(kind: InterfaceKind) -> u16 {
    match kind {
        InterfaceKind::Bios => 40,
        InterfaceKind::Rescue => 38,
        InterfaceKind::Storage => 33,
        InterfaceKind::Firmware => 86,
        _ => 30,
    }
}

fn shown(call: &Call, facts: &DriverFacts, detail: bool) -> Map<String, Value> {
    let path = format!("drivers/{}", facts.name);
    let mut answer = Map::new();
    answer.insert("name".into(), json!(facts.name));
    answer.insert("hosts".into(), json!([call.conductor.host]));
    answer.insert("links".into(), link::pair(&call.base, &path));
    if call.version.has(14) {
        answer.insert("properties".into(), link::pair(&call.base, &format!("{path}/properties")));
    }
    if call.version.has(30) {
        answer.insert("type".into(), json!("dynamic"));
        for (kind, default, enabled) in
            facts.interfaces.iter().filter(|(kind, ..)| detail && call.version.has(since(*kind)))
        {
            answer.insert(format!("default_{kind}_interface"), json!(default));
            answer.insert(format!("enabled_{kind}_interfaces"), json!(enabled));
        }
    }
    answer
}

/// Names that no driver has in any answer of this version.
fn check_fields(call: &Call, fields: &[String]) -> Result<(), ApiError> {
    let mut known: Vec<String> = ["hosts", "links", "name"].map(String::from).to_vec();
    for kind in LISTED.iter().filter(|kind| call.version.has(since(**kind))) {
        known.extend([format!("default_{kind}_interface"), format!("enabled_{kind}_interfaces")]);
    }
    known.extend(["properties", "type"].map(String::from));
    let Some(unknown) = fields.iter().find(|name| !known.contains(name)) else { return Ok(()) };
    let known: Vec<String> = known.iter().map(|name| format!("'{name}'")).collect();
    let text = format!("Schema error: '{}' is not one of [{}]", cut(unknown), known.join(", "));
    Err(ApiError::invalid(text))
}

fn select(full: Map<String, Value>, fields: &[String]) -> Result<Value, ApiError> {
    if fields.is_empty() {
        return Ok(Value::Object(full));
    }
    let missing: Vec<&str> = fields.iter().filter(|name| !full.contains_key(*name)).map(String::as_str).collect();
    if !missing.is_empty() {
        return Err(ApiError::invalid(format!("Field(s) \"{}\" are not valid", missing.join(", "))));
    }
    let wanted = |name: &str| name == "links" || fields.iter().any(|field| field == name);
    Ok(Value::Object(full.into_iter().filter(|(name, _)| wanted(name)).collect()))
}
