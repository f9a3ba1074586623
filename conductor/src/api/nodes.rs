//! One node: show, delete, validate, inventory, children.

use super::args::{Args, cut};
use super::body::Content;
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::{Selection, View, document, selection};
use super::ident;
use super::node_fields::TABLE;
use super::seen::target as target_of;
use crate::flow::request;
use crate::model::node::Node;
use crate::store::{NodeFilter, Page};
use serde_json::{Map, Value, json};

/// The identifier in the path: a UUID in its canonical spelling, or a name.
///
/// # Errors
/// 400 in the shape of routing.
pub fn ident_of(call: &Call) -> Result<String, ApiError> {
    let ident = ident::of_path(call.param(0), "node")?;
    // Nodes have names since 1.5.
    if !call.version.has(5) && ident::uuid(&ident).is_none() {
        return Err(ApiError::not_found(format!("Node {} could not be found.", cut(&ident))));
    }
    Ok(ident)
}

/// The node that the path names.
///
/// # Errors
/// 400, 404.
pub async fn node_of(call: &Call) -> Result<Node, ApiError> {
    let node = call.conductor.store.node(&ident_of(call)?).await?;
    call.shows(node.id, node.revision);
    Ok(node)
}

/// A full node as its answers show it.
pub fn full(call: &Call, node: &Node) -> Content {
    call.shows(node.id, node.revision);
    document(TABLE, node, &Selection::All, &View::of(call))
}

/// `GET /v1/nodes/{}`.
pub async fn show(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::query(call, &["fields"])?;
    let selection = selection(TABLE, args.words("fields")?.as_deref(), !args.has("fields"), &[], call.version)?;
    let node = node_of(call).await?;
    Ok(Answer::ok(document(TABLE, &node, &selection, &View::of(call))))
}

/// `DELETE /v1/nodes/{}`.
pub async fn delete(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    let ident = ident_of(call)?;
    let target = call.conductor.store.node(&ident).await?;
    let target = target_of(&target);
    let own = call.conductor.config.api.project_admin_can_manage_own_nodes;
    if !(own && call.may("baremetal:node:delete:self_owned_node", &target)) {
        call.permit("baremetal:node:delete", &target)?;
    }
    request::delete_node(&call.conductor, &ident, &call.caller).await?;
    Ok(Answer::no_content())
}

/// `GET /v1/nodes/{}/validate`.
pub async fn validate(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    validated(call, &ident_of(call)?).await
}

/// `GET /v1/nodes/validate?node=`: the old form.
pub async fn validate_old(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::query(call, &["node", "node_uuid"])?;
    let Some(text) = args.text("node")?.or(args.text("node_uuid")?) else {
        return Err(ApiError::invalid("Expected a logical name or UUID but received None."));
    };
    let node = call.node_seen(&ident::of_path(text, "node")?).await?;
    call.permit("baremetal:node:validate", &target_of(&node))?;
    validated(call, &node.uuid.to_string()).await
}

async fn validated(call: &Call, ident: &str) -> Result<Answer, ApiError> {
    let mut answer = Map::new();
    for (kind, outcome) in request::validate(&call.conductor, ident).await? {
        let value = match outcome {
            Ok(()) => json!({"result": true}),
            Err(reason) => json!({"result": false, "reason": reason}),
        };
        answer.insert(kind.name().into(), value);
    }
    Ok(Answer::ok(Value::Object(answer)))
}

/// `GET /v1/nodes/{}/inventory`.
pub async fn inventory(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let node = node_of(call).await?;
    match call.conductor.store.inventory(node.uuid).await? {
        Some((inventory, plugin_data)) => Ok(Answer::ok(json!({"inventory": inventory, "plugin_data": plugin_data}))),
        None => Err(ApiError::not_found(format!("Node inventory record for node {} could not be found.", node.uuid))),
    }
}

/// `GET /v1/nodes/{}/children`.
pub async fn children(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let node = node_of(call).await?;
    let filter =
        NodeFilter { parent_node: Some(node.uuid.to_string()), include_children: true, ..NodeFilter::default() };
    let children = call.conductor.store.nodes(&call.visible("node"), &filter, &Page::default()).await?;
    Ok(Answer::ok(json!({
        "children": children.iter().map(|child| child.uuid).collect::<Vec<_>>(),
        "links": {"href": format!("{}/v1/nodes?parent_node={}", call.base, node.uuid), "rel": "children"},
    })))
}

/// Names of the hardware types that are enabled.
pub fn drivers(call: &Call) -> Vec<&'static str> {
    call.conductor.drivers.hardware_types().map(|hardware| hardware.name).collect()
}

/// Some conductor serves a node with this driver and this group. There is one, with its `group`.
///
/// # Errors
/// 400 text.
pub fn check_served(node: &Node, drivers: &[&str], group: &str) -> Result<(), String> {
    if node.conductor_group == group && drivers.contains(&node.driver.as_str()) {
        return Ok(());
    }
    Err(format!(
        "No valid host was found. Reason: No conductor service registered which supports driver {} for conductor group \"{}\". \
         Ensure the driver is valid and enabled.",
        cut(&node.driver),
        cut(&node.conductor_group)
    ))
}

/// A name that a node may have, or the refusal.
///
/// # Errors
/// 400 texts.
pub fn check_name(name: &str, version: super::version::Version) -> Result<(), String> {
    if ident::RESERVED.contains(&name) {
        return Err(format!(
            "The word \"{name}\" is reserved and can not be used as a node name. Reserved words are: {}.",
            ident::RESERVED.join(", ")
        ));
    }
    if ident::is_node_name(name, version) { Ok(()) } else { Err(format!("Invalid node name '{}'", cut(name))) }
}
