//! `/v1/nodes/{}/vifs` on the noop network: nothing is attached, everything is accepted (rest-api section 8.2).

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::ident;
use super::nodes::node_of;
use crate::flow::request;
use serde_json::{Value, json};

/// Since this version a port may be named.
const PORTS: u16 = 67;

/// `GET .../vifs`.
pub async fn list(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    node_of(call).await?;
    Ok(Answer::ok(json!({"vifs": []})))
}

/// `POST .../vifs`.
pub async fn attach(call: &Call) -> Result<Answer, ApiError> {
    let body = call.object("vif")?;
    match body.get("id") {
        None => return Err(ApiError::invalid("Schema error for vif: 'id' is a required property")),
        Some(Value::String(id)) => named("id", id)?,
        Some(other) => {
            let text = format!("Schema error for vif: {} is not of type 'string'", cut(&other.to_string()));
            return Err(ApiError::invalid(text));
        }
    }
    let node = node_of(call).await?;
    if call.version.has(PORTS) && body.contains_key("port_uuid") && body.contains_key("portgroup_uuid") {
        return Err(ApiError::invalid("Cannot specify both port_uuid and portgroup_uuid"));
    }
    request::change_vif(&call.conductor, node.uuid, "attach vif").await?;
    Ok(Answer::no_content())
}

/// `DELETE .../vifs/{}`.
pub async fn detach(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    named("vif_id", call.param(1))?;
    let node = node_of(call).await?;
    request::change_vif(&call.conductor, node.uuid, "detach vif").await?;
    Ok(Answer::no_content())
}

fn named(what: &str, vif: &str) -> Result<(), ApiError> {
    if ident::uuid(vif).is_some() || ident::is_name(vif) {
        return Ok(());
    }
    Err(ApiError::invalid(format!("Expected UUID or name for {what}: {}", cut(vif))))
}
