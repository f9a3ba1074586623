//! `PATCH /v1/ports/{}`: what may change when, and who else may have changed it (rest-api section 9.1).

use super::args::cut;
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::{Selection, View, schema, shown};
use super::node_create::only_a_body;
use super::patch::{self, Change, Op};
use super::port_fields::{TABLE, field, link_is_known};
use super::ports::{NO_NETWORK, port_of};
use super::resource::again;
use super::seen::target;
use crate::flow::request;
use crate::model::fsm::State;
use crate::model::node::Node;
use crate::model::port::Port;
use crate::store::StoreError;
use serde_json::Map;

/// Cabling may change only while nothing runs on it.
const EDITABLE: &[State] = &[State::Enroll, State::Inspecting, State::InspectWait, State::Manageable];

/// Fields that describe the cabling, as refusals list them.
const CABLING: &[&str] = &["local_link_connection", "physical_network", "pxe_enabled", "portgroup_id"];

/// What refusals say can be changed.
const PATCHED: &[&str] = &[
    "address",
    "extra",
    "is_smartnic",
    "local_link_connection",
    "node_ident",
    "node_uuid",
    "physical_network",
    "portgroup_uuid",
    "pxe_enabled",
    "name",
    "description",
    "vendor",
    "category",
    "available_for_dynamic_portgroup",
];

/// `PATCH /v1/ports/{}`.
pub async fn patch(call: &Call) -> Result<Answer, ApiError> {
    only_a_body(call)?;
    let changes = patch::parse(call.json()?, call.version)?;
    check_fields(call, &changes)?;
    again(|| patch_once(call, &changes)).await
}

async fn patch_once(call: &Call, changes: &[Change]) -> Result<Answer, ApiError> {
    let before = port_of(call).await?;
    let node = request::unheld(&call.conductor, before.node_uuid).await?;
    let mut document = Map::new();
    let view = View::of(call);
    for field in TABLE.iter().filter(|field| field.on_patch()) {
        document.insert(field.name.into(), field.value(&before, &view));
    }
    for change in changes {
        patch::apply(&mut document, change).map_err(ApiError::invalid)?;
    }
    let mut port = before.clone();
    for change in changes {
        if let (Some(field), Some(value)) = (field(change.root()), document.remove(change.root())) {
            (field.set)(&mut port, field.name, value).map_err(|text| schema("patch", text))?;
        }
    }
    let node = if port.node_uuid == before.node_uuid { node } else { moved(call, &port).await? };
    check_state(call, &before, &port, &node)?;
    let network = changes.iter().any(|change| change.root() == "physical_network");
    if network && call.version.has(102) && port.portgroup_uuid.is_some() {
        let text = "physical_network cannot be changed while the port belongs to a portgroup.";
        return Err(ApiError::invalid(text));
    }
    request::join_port_group(&call.conductor, Some(&before), &port, false).await?;
    if port != before {
        port = call.conductor.store.save_port(&port).await?;
        call.shows(port.id, port.revision);
    }
    Ok(Answer::ok(shown(TABLE, &port, &Selection::All, &View::of(call))))
}

/// The node that a port shall belong to from now on. Whose nodes exist is not told to those who may not link to them.
async fn moved(call: &Call, port: &Port) -> Result<Node, ApiError> {
    let refuse = || {
        let uuid = port.node_uuid;
        ApiError::invalid(format!("Unable to apply the requested node_uuid '{uuid}'. Requested value was invalid."))
    };
    let node = call.conductor.store.node(&port.node_uuid.to_string()).await.map_err(|error| match error {
        StoreError::NotFound(_) => refuse(),
        other => other.into(),
    })?;
    call.permit("baremetal:port:update", &target(&node)).map_err(|_| refuse())?;
    Ok(request::unheld(&call.conductor, node.uuid).await?)
}

fn check_fields(call: &Call, changes: &[Change]) -> Result<(), ApiError> {
    for change in changes {
        match field(change.root()).filter(|field| field.on_patch()) {
            Some(field) if call.version.has(field.since) => {}
            Some(_) => return Err(ApiError::too_new()),
            None => {
                return Err(ApiError::invalid(format!(
                    "Cannot patch /{}. Only the following can be updated: {}",
                    cut(change.root()),
                    PATCHED.join(", ")
                )));
            }
        }
        if change.op == Op::Remove && ["address", "node_uuid"].contains(&change.root()) {
            let text = format!("Schema error for patch: '{}' is a required property", change.root());
            return Err(ApiError::invalid(text));
        }
        if change.root() == "local_link_connection"
            && change.whole().is_some_and(|link| !link_is_known(link, call.version))
        {
            return Err(ApiError::too_new());
        }
    }
    Ok(())
}

fn check_state(call: &Call, before: &Port, port: &Port, node: &Node) -> Result<(), ApiError> {
    if node.provision_state == State::Inspecting && call.version.has(39) {
        let text =
            format!("Cannot update port \"{}\" on \"{}\" while it is in state \"inspecting\".", port.uuid, node.uuid);
        return Err(ApiError::conflict(text));
    }
    if port.physical_network.as_deref() == Some("") {
        return Err(ApiError::invalid(NO_NETWORK));
    }
    if port.address != before.address
        && !node.maintenance
        && (node.provision_state == State::Active || node.instance_uuid.is_some())
    {
        let text = format!(
            "Cannot update hardware address for port {} as node {} is active or has instance UUID assigned",
            port.uuid, node.uuid
        );
        return Err(ApiError::conflict(text));
    }
    let cabling = |port: &Port| {
        (port.portgroup_uuid, port.pxe_enabled, port.local_link_connection.clone(), port.physical_network.clone())
    };
    if cabling(port) != cabling(before) && !node.maintenance && !EDITABLE.contains(&node.provision_state) {
        let states: Vec<&str> = EDITABLE.iter().map(|state| state.name()).collect();
        let text = format!(
            "Port {} can not have any connectivity attributes ({}) updated unless node {} is in a {} state or in maintenance mode. The current state is {}.",
            port.uuid,
            CABLING.join(", "),
            node.uuid,
            states.join(", "),
            node.provision_state
        );
        return Err(ApiError::conflict(text));
    }
    Ok(())
}
