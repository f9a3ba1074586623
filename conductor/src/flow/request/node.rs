//! Nodes as records: create, change, delete, maintenance (rest-api sections 5, 6 and 7.4).

use super::{Caller, Conductor, RequestError, find, sign};
use crate::claim::{Claim, Tries};
use crate::flow::let_go;
use crate::model::fsm::State;
use crate::model::history::{MAINTENANCE, Severity};
use crate::model::node::{InterfaceKind, Node};
use crate::store::records::RecordChange;
use std::sync::Arc;

/// What a PATCH does to the record, decided from the record as it is under the lease.
pub type Change = Box<dyn FnOnce(&mut Node) -> Result<(), RequestError> + Send>;

/// Fills interfaces that are not set with defaults and checks those that are.
///
/// # Errors
/// Unknown driver or interface.
fn settle_interfaces(conductor: &Conductor, node: &mut Node) -> Result<(), RequestError> {
    conductor.drivers.hardware_type(&node.driver)?;
    for &kind in InterfaceKind::ALL {
        match node.interfaces.get(&kind).map(String::as_str) {
            Some(name) if !name.is_empty() => conductor.drivers.check_interface(&node.driver, kind, name)?,
            _ => {
                let name = conductor.drivers.default_interface(&node.driver, kind)?;
                node.interfaces.insert(kind, name.into());
            }
        }
    }
    Ok(())
}

/// Checks driver and interfaces, fills what is missing with defaults, stores the node and what comes along, all of it or
/// nothing (rest-api 6.2). Every node is made here, whoever asks for it.
///
/// # Errors
/// Unknown driver or interface, duplicate name or UUID.
pub async fn create_node(
    conductor: &Arc<Conductor>,
    mut node: Node,
    along: Vec<RecordChange>,
    caller: &Caller,
) -> Result<Node, RequestError> {
    settle_interfaces(conductor, &mut node)?;
    if node.resource_class.is_none() {
        node.resource_class.clone_from(&conductor.config.top.default_resource_class);
    }
    sign(&mut node, caller);
    let node = conductor.store.create_node_with(node, along).await?;
    tracing::info!(node = %node.uuid, name = node.name, driver = node.driver, request_id = caller.request_id, "enrolled");
    Ok(node)
}

/// Takes the node that was read, lets `change` alter it (it sees the present record), saves. `change` decides everything that
/// PATCH decides from the record; driver and interface names are checked here.
///
/// # Errors
/// What `change` says; a held node; unknown driver or interface; duplicates.
pub async fn update_node(
    conductor: &Arc<Conductor>,
    read: Node,
    caller: &Caller,
    change: Change,
) -> Result<Node, RequestError> {
    let (shared, uuid) = (Arc::clone(conductor), read.uuid);
    let change = move |node: &mut Node| apply(&shared, node, change);
    let changed = conductor.holder.edit(uuid, Some(read), Tries::Patiently, change).await??;
    let request_id = &caller.request_id;
    tracing::info!(node = %changed.uuid, request_id, user = caller.user, "updated");
    Ok(changed)
}

fn apply(conductor: &Conductor, node: &mut Node, change: Change) -> Result<(), RequestError> {
    let (driver, interfaces) = (node.driver.clone(), node.interfaces.clone());
    change(node)?;
    if node.driver != driver || node.interfaces != interfaces {
        settle_interfaces(conductor, node)?;
    }
    Ok(())
}

/// `DELETE /v1/nodes/{ident}` with the refusals of rest-api 6.4, in its order.
///
/// # Errors
/// As listed there.
pub async fn delete_node(conductor: &Arc<Conductor>, ident: &str, caller: &Caller) -> Result<(), RequestError> {
    let node = find(conductor, ident).await?;
    deletable(conductor, &node)?;
    let claim = Claim::take_patiently(&conductor.holder, node.uuid, "delete").await?;
    if let Err(error) = deletable(conductor, &claim.node) {
        let_go(conductor, claim).await;
        return Err(error);
    }
    conductor.boot.remove(node.uuid);
    claim.delete().await?;
    tracing::info!(node = %node.uuid, request_id = caller.request_id, user = caller.user, "deleted");
    Ok(())
}

fn deletable(conductor: &Conductor, node: &Node) -> Result<(), RequestError> {
    if let Some(instance) = &node.instance_uuid
        && !node.maintenance
    {
        return Err(RequestError::Conflict(format!("Node {} is associated with instance {instance}.", node.uuid)));
    }
    if node.protected {
        return Err(RequestError::Forbidden(format!(
            "Node {} is protected and cannot be undeployed, rebuilt or deleted",
            node.uuid
        )));
    }
    let mut allowed = vec![State::AdoptFailed, State::Enroll, State::Manageable];
    if conductor.config.conductor.allow_deleting_available_nodes {
        allowed.insert(1, State::Available);
    }
    if allowed.contains(&node.provision_state) || node.maintenance {
        return Ok(());
    }
    let names: Vec<_> = allowed.iter().map(|state| format!("'{state}'")).collect();
    Err(RequestError::Conflict(format!(
        "Can not delete node \"{}\" while it is in provision state \"{}\". Valid provision states to perform deletion are: \"({})\", or set the node into maintenance mode",
        node.uuid,
        node.provision_state,
        names.join(", ")
    )))
}

/// `PUT maintenance` (with a reason or none) and `DELETE maintenance`.
///
/// # Errors
/// Unknown or held node.
pub async fn set_maintenance(
    conductor: &Arc<Conductor>,
    ident: &str,
    on: bool,
    reason: Option<String>,
    caller: &Caller,
) -> Result<(), RequestError> {
    let node = find(conductor, ident).await?;
    let mut claim = Claim::take_patiently(&conductor.holder, node.uuid, "maintenance").await?;
    claim.node.maintenance = on;
    claim.node.maintenance_reason = reason.filter(|_| on);
    if !on {
        claim.node.fault = None;
    }
    sign(&mut claim.node, caller);
    let text = if on { "maintenance set" } else { "maintenance cleared" };
    claim.note(Severity::Info, MAINTENANCE, text);
    let saved = claim.save().await;
    let_go(conductor, claim).await;
    Ok(saved?)
}
