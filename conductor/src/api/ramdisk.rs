//! The three calls of the deploy ramdisk (rest-api section 14). No credentials.

use super::args::Args;
use super::call::{Answer, Call};
use super::error::ApiError;
use super::version::Version;
use super::{ident, link, python};
use crate::flow::request;
use crate::model::secret_map::SecretMap;
use common::heartbeat::{Heartbeat, InspectionData, LookupReply};
use common::mac::Mac;
use common::token::Token;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Most MACs that one look-up may name.
const MOST_MACS: usize = 256;

fn enabled(call: &Call) -> Result<(), ApiError> {
    if call.conductor.config.api.enable_ramdisk_endpoints {
        return Ok(());
    }
    Err(ApiError::forbidden("The ramdisk endpoints are switched off ([api] enable_ramdisk_endpoints)"))
}

/// `GET /v1/lookup`.
pub async fn lookup(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::query(call, &["addresses", "node_uuid"])?;
    enabled(call)?;
    // What is no MAC is dropped: agents send what their NICs say.
    let addresses: Vec<Mac> =
        args.list("addresses")?.iter().filter_map(|text| text.parse().ok()).take(MOST_MACS).collect();
    let node_uuid = uuid_of(&args)?;
    if addresses.is_empty() && node_uuid.is_none() {
        let text = "At least one of 'addresses' and 'node_uuid' parameters is required";
        return Err(ApiError::invalid(text));
    }
    let reply = request::lookup(&call.conductor, addresses, node_uuid, call.version.has(62)).await?;
    Ok(Answer::ok(shown(call, reply)?))
}

fn uuid_of(args: &Args) -> Result<Option<Uuid>, ApiError> {
    match args.text("node_uuid")? {
        None => Ok(None),
        Some(text) => match ident::uuid(text) {
            Some(uuid) => Ok(Some(uuid)),
            None => Err(ApiError::invalid(format!("Expected UUID for node_uuid: {}", super::args::cut(text)))),
        },
    }
}

/// Links are ours to make; secrets of the node are not for a caller who proved nothing.
fn shown(call: &Call, mut reply: LookupReply) -> Result<Value, ApiError> {
    let masked = SecretMap::from(std::mem::take(&mut reply.node.driver_internal_info)).masked();
    reply.node.driver_internal_info = masked;
    if let Value::Array(links) = link::pair(&call.base, &format!("nodes/{}", reply.node.uuid)) {
        reply.node.links = links;
    }
    let without_token = reply.config.as_ref().is_some_and(|config| config.agent_token.is_none());
    let mut answer = serde_json::to_value(reply).map_err(|_| ApiError::internal())?;
    if without_token && let Some(config) = answer["config"].as_object_mut() {
        config.shift_remove("agent_token");
    }
    Ok(answer)
}

/// Since when a heartbeat may carry what, and the refusal before.
const BEAT: &[(&[&str], u16, &str)] = &[
    (&["agent_version"], 36, "Field \"agent_version\" not recognised"),
    (
        &["agent_status", "agent_status_message"],
        72,
        "Fields \"agent_status\" and \"agent_status_message\" not recognised.",
    ),
    (&["agent_verify_ca"], 68, "Field \"agent_verify_ca\" not recognised in this version"),
];

/// `POST /v1/heartbeat/{}`.
pub async fn heartbeat(call: &Call) -> Result<Answer, ApiError> {
    let known =
        ["callback_url", "agent_version", "agent_token", "agent_verify_ca", "agent_status", "agent_status_message"];
    let args = Args::read(call, &known)?;
    enabled(call)?;
    let too_new = |(names, since, _): &&(&[&str], u16, &str)| {
        !call.version.has(*since) && names.iter().any(|name| args.value(name).is_some())
    };
    if let Some((_, _, text)) = BEAT.iter().find(too_new) {
        return Err(ApiError::invalid(*text));
    }
    let ident = ident::of_path(call.param(0), "node")?;
    let text = |name: &str| args.text(name).map(|text| text.map(str::to_owned));
    let beat = Heartbeat {
        callback_url: args.required("callback_url")?.to_owned(),
        agent_token: text("agent_token")?.map(Token::new),
        agent_version: text("agent_version")?,
        agent_verify_ca: text("agent_verify_ca")?,
        agent_status: text("agent_status")?,
        agent_status_message: text("agent_status_message")?,
    };
    request::heartbeat(&call.conductor, &ident, beat).await?;
    Ok(Answer::accepted())
}

/// The least that an inventory must hold, in the words of the contract's schema.
fn inventory_fits(body: &Map<String, Value>) -> Result<(), String> {
    let is_not = |value: &Value, kind: &str| Err(format!("{} is not of type '{kind}'", python::repr(value)));
    let inventory = match body.get("inventory") {
        None => return Err("'inventory' is a required property".into()),
        Some(Value::Object(inventory)) => inventory,
        Some(other) => return is_not(other, "object"),
    };
    let interfaces = match inventory.get("interfaces") {
        None => return Err("'interfaces' is a required property".into()),
        Some(Value::Array(interfaces)) if interfaces.is_empty() => return Err("[] should be non-empty".into()),
        Some(Value::Array(interfaces)) => interfaces,
        Some(other) => return is_not(other, "array"),
    };
    for interface in interfaces {
        match interface.as_object().map(|interface| interface.get("mac_address")) {
            Some(Some(Value::String(_))) => {}
            Some(Some(other)) => return is_not(other, "string"),
            Some(None) => return Err("'mac_address' is a required property".into()),
            None => return is_not(interface, "object"),
        }
    }
    Ok(())
}

/// `POST /v1/continue_inspection`: agents that name no version get the old short answer.
pub async fn continue_inspection(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::query(call, &["node_uuid"])?;
    enabled(call)?;
    let old = call.version == Version(1);
    let body = call.object("data")?;
    inventory_fits(&body).map_err(|text| ApiError::invalid(format!("Schema error for data: {text}")))?;
    let node_uuid = uuid_of(&args)?;
    if !old && !call.version.has(84) || old && node_uuid.is_some() {
        return Err(ApiError::not_found("API version 1.84 or newer is required"));
    }
    let data: InspectionData = serde_json::from_value(Value::Object(body))
        .map_err(|error| ApiError::invalid(format!("Schema error for data: {error}")))?;
    let arrived = request::continue_inspection(&call.conductor, data, node_uuid, &call.caller, !old).await?;
    Ok(Answer::accepted_with(match arrived.reply {
        Some(reply) => shown(call, reply)?,
        None => json!({"uuid": arrived.node}),
    }))
}
