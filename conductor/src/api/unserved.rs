//! Node sub-resources of functions that no driver here has yet: each answers what the contract has for a machine without it.

use super::args::Args;
use super::call::{Answer, Call};
use super::error::ApiError;
use super::link;
use super::nodes::node_of;
use serde_json::json;

/// `GET .../vifs`: the noop network attaches nothing.
pub async fn vifs(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    node_of(call).await?;
    Ok(Answer::ok(json!({"vifs": []})))
}

/// `POST .../vifs`: the noop network accepts every one and does nothing.
pub async fn attach_vif(call: &Call) -> Result<Answer, ApiError> {
    let body = call.object("vif")?;
    if (body.contains_key("port_uuid") || body.contains_key("portgroup_uuid")) && !call.version.has(67) {
        return Err(ApiError::too_new());
    }
    if !body.get("id").is_some_and(serde_json::Value::is_string) {
        return Err(ApiError::invalid("Schema error for vif: 'id' is a required property"));
    }
    node_of(call).await?;
    Ok(Answer::no_content())
}

/// `DELETE .../vifs/{}`.
pub async fn detach_vif(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    node_of(call).await?;
    Ok(Answer::no_content())
}

/// `GET` and `DELETE .../allocation`.
pub async fn allocation(call: &Call) -> Result<Answer, ApiError> {
    let node = node_of(call).await?;
    Err(ApiError::not_found(format!("Allocation for node {} was not found", node.uuid)))
}

/// `GET .../portgroups`.
pub async fn portgroups(call: &Call) -> Result<Answer, ApiError> {
    node_of(call).await?;
    Ok(Answer::ok(json!({"portgroups": []})))
}

/// `GET .../volume`.
pub async fn volume(call: &Call) -> Result<Answer, ApiError> {
    let path = format!("nodes/{}/volume", node_of(call).await?.uuid);
    Ok(Answer::ok(json!({
        "links": link::pair(&call.base, &format!("{path}/")),
        "connectors": link::pair(&call.base, &format!("{path}/connectors")),
        "targets": link::pair(&call.base, &format!("{path}/targets")),
    })))
}

/// `GET .../volume/connectors`.
pub async fn connectors(call: &Call) -> Result<Answer, ApiError> {
    node_of(call).await?;
    Ok(Answer::ok(json!({"connectors": []})))
}

/// `GET .../volume/targets`.
pub async fn targets(call: &Call) -> Result<Answer, ApiError> {
    node_of(call).await?;
    Ok(Answer::ok(json!({"targets": []})))
}
