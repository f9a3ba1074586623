//! What a patch of a node may not do: fields that nobody sets, states in which they are fixed, values that do not go together
//! (rest-api section 5). `node_patch` asks; nothing is changed here.

use super::args::cut;
use super::error::ApiError;
use super::node_fields::{TABLE, field, interface_kind};
use super::nodes;
use super::patch::{Change, Op};
use super::version::Version;
use crate::flow::request::RequestError;
use crate::model::fsm::State;
use crate::model::node::Node;
use serde_json::Value;

/// Interfaces and resource class may change only while nothing runs on them.
const EDITABLE: &[State] = &[State::Enroll, State::Inspecting, State::InspectWait, State::Manageable, State::Available];

/// What can be said without the node.
///
/// # Errors
/// 400 for fields that cannot be patched and values that are too long, 406 for those the version does not have.
pub fn check_fields(changes: &[Change], version: Version) -> Result<(), ApiError> {
    for change in changes {
        match field(change.root()) {
            Some(field) if field.on_patch() => {
                if !version.has(field.since) {
                    return Err(ApiError::too_new());
                }
            }
            _ => {
                let mut names: Vec<&str> =
                    TABLE.iter().filter(|field| field.on_patch()).map(|field| field.name).collect();
                // The contract's order: by name, the two youngest last.
                names.sort_by_key(|name| (*name == "firmware_interface", *name == "parent_node", *name));
                return Err(ApiError::invalid(format!(
                    "Cannot patch /{}. Only the following can be updated: {}",
                    cut(change.root()),
                    names.join(", ")
                )));
            }
        }
        if change.root() == "driver" && change.op == Op::Remove {
            return Err(ApiError::invalid("Schema error for patch: 'driver' is a required property"));
        }
        let too_long = |text: &str| change.root() == "description" && text.chars().count() > 4096;
        if change.whole().and_then(Value::as_str).is_some_and(too_long) {
            return Err(ApiError::invalid("Cannot update node with description exceeding 4096 characters"));
        }
    }
    Ok(())
}

/// A node in the middle of a move is left alone.
///
/// # Errors
/// 409.
pub fn check_state(ident: &str, node: &Node, changes: &[Change], version: Version) -> Result<(), RequestError> {
    let only_frees_the_instance =
        matches!(changes, [change] if change.op == Op::Remove && change.path == ["instance_uuid"]);
    if !(node.maintenance && only_frees_the_instance) {
        if node.target_provision_state.is_some() && !node.provision_state.allows_update() {
            let text = format!("Node {ident} can not be updated while a state transition is in progress.");
            return Err(RequestError::Conflict(text));
        }
        if node.provision_state == State::Inspecting && version.has(39) {
            let text = format!("Cannot update node \"{}\" while it is in state \"inspecting\".", node.uuid);
            return Err(RequestError::Conflict(text));
        }
    }
    Ok(())
}

/// Interfaces of a node in use stay what they are; naming the present one changes nothing.
///
/// # Errors
/// 409.
pub fn check_interfaces(before: &Node, node: &Node, changes: &[Change]) -> Result<(), RequestError> {
    if before.maintenance || EDITABLE.contains(&before.provision_state) {
        return Ok(());
    }
    let differs = |change: &&Change| {
        interface_kind(change.root())
            .is_some_and(|kind| change.op == Op::Remove || before.interfaces.get(&kind) != node.interfaces.get(&kind))
    };
    match changes.iter().find(differs) {
        Some(change) => Err(RequestError::Conflict(format!(
            "Node {} can not have {} updated unless it is in one of allowed ({}) states or in maintenance mode. \
             Current state is '{}'.",
            node.uuid,
            change.root(),
            editable(),
            node.provision_state
        ))),
        None => Ok(()),
    }
}

fn editable() -> String {
    EDITABLE.iter().map(|state| state.name()).collect::<Vec<_>>().join(", ")
}

/// The node as the patch would leave it, beside what it was.
///
/// # Errors
/// 400 and 409, in the words of the contract.
pub fn check_result(
    ident: &str,
    before: &Node,
    node: &Node,
    changes: &[Change],
    version: Version,
) -> Result<(), RequestError> {
    let (invalid, conflict) = (RequestError::Invalid, RequestError::Conflict);
    let touched = |name: &str| changes.iter().any(|change| change.root() == name);
    if touched("name")
        && let Some(name) = node.name.as_deref()
    {
        nodes::check_name(name, version).map_err(|text| {
            let reserved = text.starts_with("The word");
            let text = if reserved {
                text
            } else {
                format!("Node {ident}: Cannot change name to invalid name '{}'", cut(name))
            };
            invalid(text)
        })?;
    }
    if touched("protected") && node.protected && !matches!(node.provision_state, State::Active | State::Rescue) {
        return Err(conflict(format!(
            "Node {} can only be made protected in provision states 'active' or 'rescue', the current state is '{}'",
            node.uuid, node.provision_state
        )));
    }
    if touched("protected_reason") && node.protected_reason.is_some() && !node.protected {
        return Err(invalid("The protected_reason field can only be set when protected is True".into()));
    }
    if touched("retired") && node.retired && !before.retired && node.provision_state == State::Available {
        let text = format!("Node {} can not be retired while it is available; move it to manageable first", node.uuid);
        return Err(conflict(text));
    }
    if touched("retired_reason") && node.retired_reason.is_some() && !node.retired {
        return Err(invalid("The retired_reason field can only be set when retired is True".into()));
    }
    if let (Some(old), Some(new)) = (&before.instance_uuid, &node.instance_uuid)
        && old != new
    {
        return Err(conflict(format!("Node {} is associated with instance {old}.", node.uuid)));
    }
    let fixed = !node.maintenance && !EDITABLE.contains(&node.provision_state);
    if node.allocation_uuid.is_some() && before.instance_uuid.is_some() && node.instance_uuid.is_none() && fixed {
        return Err(conflict(format!(
            "Node {} with an allocation can not have instance_uuid removed unless it is in one of allowed ({}) states or in \
             maintenance mode. Current state is '{}'.",
            node.uuid,
            editable(),
            node.provision_state
        )));
    }
    if before.resource_class.is_some() && before.resource_class != node.resource_class && fixed {
        return Err(conflict(format!(
            "Node {} can not have resource_class updated unless it is in one of allowed ({}) states. Current state is '{}'.",
            node.uuid,
            editable(),
            node.provision_state
        )));
    }
    if before.driver != node.driver && before.console_enabled {
        return Err(conflict(format!(
            "Node {ident} can not update the driver while the console is enabled. Please stop the console first."
        )));
    }
    if node.parent_node.as_deref() == Some(node.uuid.to_string().as_str()) {
        return Err(invalid(format!("Node {} cannot be its own parent", node.uuid)));
    }
    Ok(())
}
