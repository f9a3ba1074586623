//! `/v1/nodes/{}/vifs` on the noop network: nothing is attached, everything is accepted (rest-api section 8.2).

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::ident;
use super::nodes::node_of;
use serde_json::{Value, json};

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
        Some(Value::String(id)) if ident::uuid(id).is_none() && !ident::is_name(id) => {
            return Err(ApiError::invalid(format!("Expected UUID or name for id: {}", cut(id))));
        }
        Some(Value::String(_)) => {}
        Some(other) => {
            let text = format!("Schema error for vif: {} is not of type 'string'", cut(&other.to_string()));
            return Err(ApiError::invalid(text));
        }
    }
    if body.contains_key("port_uuid") && body.contains_key("portgroup_uuid") {
        return Err(ApiError::invalid("Cannot specify both port_uuid and portgroup_uuid"));
    }
    node_of(call).await?;
    Ok(Answer::no_content())
}

/// `DELETE .../vifs/{}`.
pub async fn detach(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    node_of(call).await?;
    Ok(Answer::no_content())
}
