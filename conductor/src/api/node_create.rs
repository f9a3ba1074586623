//! `POST /v1/nodes` (rest-api section 6.2).

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::fill;
use super::node_fields::TABLE;
use super::nodes;
use crate::flow::request;
use crate::model::fsm::State;
use crate::model::node::Node;
use crate::policy::Target;
use uuid::Uuid;

/// The handler.
pub async fn create(call: &Call) -> Result<Answer, ApiError> {
    only_a_body(call)?;
    let body = call.object("node")?;
    if body.get("driver").is_none_or(serde_json::Value::is_null) {
        return Err(ApiError::invalid("Schema error for node: 'driver' is a required property"));
    }
    let mut node = Node::new(Uuid::new_v4(), "");
    // Before 1.11 nobody asked for verification: nodes were free at once.
    node.provision_state = if call.version.has(11) { State::Enroll } else { State::Available };
    let self_owned = authorized(call)?;
    fill(TABLE, "node", &mut node, body, call.version)?;
    if self_owned {
        let project = call.caller.project().map(str::to_owned);
        if node.owner.is_some() && node.owner != project {
            let text = "Cannot create a node as a project scoped admin with an owner other than your own project.";
            return Err(ApiError::invalid(text));
        }
        node.owner = project;
    }
    if let Some(name) = node.name.as_deref() {
        nodes::check_name(name, call.version).map_err(|text| {
            let reserved = text.starts_with("The word");
            ApiError::invalid(if reserved {
                text
            } else {
                format!("Cannot create node with invalid name '{}'", cut(name))
            })
        })?;
    }
    if let Some(mode) = node.boot_mode.as_deref().filter(|mode| !["uefi", "bios"].contains(mode)) {
        return Err(ApiError::invalid(format!("Invalid boot mode {} for node. It is uefi or bios", cut(mode))));
    }
    node.conductor_group = node.conductor_group.to_lowercase();
    let group = &call.conductor.config.conductor.conductor_group;
    nodes::check_served(&node, &nodes::drivers(call), group).map_err(ApiError::invalid)?;
    if let Some(parent) = node.parent_node.take() {
        let parent = call.linked(node.owner.as_deref(), &parent, "parent_node").await?;
        node.parent_node = Some(parent.uuid.to_string());
    }
    if let Some(chassis) = &node.chassis_uuid {
        request::check_chassis(&call.conductor, chassis).await?;
    }
    let node = request::create_node(&call.conductor, node, Vec::new(), &call.caller).await?;
    let location = format!("{}/v1/nodes/{}", call.base, node.uuid);
    Ok(Answer::created(nodes::full(call, &node), location))
}

/// A POST takes everything from its body.
///
/// # Errors
/// 400 for any argument in the query.
pub fn only_a_body(call: &Call) -> Result<(), ApiError> {
    Args::query(call, &[]).map(|_| ())
}

/// May the caller create nodes? `true`: only for his own project.
fn authorized(call: &Call) -> Result<bool, ApiError> {
    let own = call.conductor.config.api.project_admin_can_manage_own_nodes;
    if own && call.may("baremetal:node:create:self_owned_node", &Target::NONE) {
        return Ok(call.caller.project().is_some());
    }
    call.permit("baremetal:node:create", &Target::NONE)?;
    Ok(false)
}
