//! Port groups and which ports may be in them (rest-api section 9). Their node is held while they change.

use super::{Caller, Conductor, RequestError, held};
use crate::model::fsm::State;
use crate::model::port::Port;
use crate::model::port_group::PortGroup;
use crate::policy::Visible;
use crate::store::{Page, PortFilter, StoreError};
use std::sync::Arc;
use uuid::Uuid;

/// Cabling may change only while nothing runs on it.
const CABLING_STATES: &[State] = &[State::Enroll, State::Inspecting, State::InspectWait, State::Manageable];

/// Stores a new port group.
///
/// # Errors
/// An unknown node, 409 for values that are taken.
pub async fn create_port_group(
    conductor: &Arc<Conductor>,
    group: &PortGroup,
    caller: &Caller,
) -> Result<PortGroup, RequestError> {
    let group = conductor.store.create(group).await?;
    let request_id = &caller.request_id;
    tracing::info!(node = %group.node_uuid, portgroup = %group.meta.uuid, request_id, "port group created");
    Ok(group)
}

/// Changes a port group; `network`: its physical network was named, so its ports get it too. `since_1_39`: the caller
/// knows that an inspecting node stands still.
///
/// # Errors
/// 409 while the node does not stand still, 400 while it has ports.
pub async fn update_port_group(
    conductor: &Arc<Conductor>,
    before: &PortGroup,
    after: &PortGroup,
    network: bool,
    since_1_39: bool,
) -> Result<PortGroup, RequestError> {
    let uuid = before.meta.uuid;
    held(conductor, before.node_uuid, "update portgroup", async |node| {
        if node.provision_state == State::Inspecting && since_1_39 {
            return Err(RequestError::Conflict(format!(
                "Cannot update portgroup \"{uuid}\" on node \"{}\" while it is in state \"inspecting\".",
                node.uuid
            )));
        }
        let ports = ports_of(conductor, uuid).await?;
        if before.node_uuid != after.node_uuid {
            if !CABLING_STATES.contains(&node.provision_state) && !node.maintenance {
                let states: Vec<&str> = CABLING_STATES.iter().map(|state| state.name()).collect();
                return Err(RequestError::Conflict(format!(
                    "Portgroup {uuid} can not be associated to node {} unless the node is in a {} state or in \
                     maintenance mode. Current state is '{}'.",
                    node.uuid,
                    states.join(", "),
                    node.provision_state
                )));
            }
            if !ports.is_empty() {
                return Err(RequestError::Invalid(format!(
                    "Portgroup {uuid} can not be associated with node {} because there are ports associated with this \
                     portgroup.",
                    after.node_uuid
                )));
            }
        }
        for mut port in ports.into_iter().filter(|port| network && port.physical_network != after.physical_network) {
            port.physical_network.clone_from(&after.physical_network);
            conductor.store.save_port(&port).await?;
        }
        Ok(conductor.store.put_unchanged(after).await?)
    })
    .await
}

/// Removes a port group without ports.
///
/// # Errors
/// 400 when it has some, 409 when the node is held.
pub async fn delete_port_group(
    conductor: &Arc<Conductor>,
    group: &PortGroup,
    caller: &Caller,
) -> Result<(), RequestError> {
    let uuid = group.meta.uuid;
    held(conductor, group.node_uuid, "portgroup deletion", async |_| {
        if !ports_of(conductor, uuid).await?.is_empty() {
            return Err(RequestError::Invalid(format!(
                "Cannot complete the requested action because portgroup {uuid} contains ports."
            )));
        }
        Ok(conductor.store.remove(group).await?)
    })
    .await?;
    let request_id = &caller.request_id;
    tracing::info!(node = %group.node_uuid, portgroup = %uuid, request_id, "port group deleted");
    Ok(())
}

/// The ports of a group.
///
/// # Errors
/// What the store says.
async fn ports_of(conductor: &Conductor, group: Uuid) -> Result<Vec<Port>, StoreError> {
    let filter = PortFilter { portgroup: Some(group), ..PortFilter::default() };
    conductor.store.ports(&Visible::Everything, &filter, &Page::default()).await
}

/// A port may be in the group that it names, as it is to be: same node, same physical network; a group without either
/// ports or network takes the network of its first port. `pxe_named`: the caller asks for network boot by name.
///
/// # Errors
/// 400 for an unknown group or one of another node, 409 for what does not fit.
pub async fn join_port_group(
    conductor: &Arc<Conductor>,
    before: Option<&Port>,
    port: &Port,
    pxe_named: bool,
) -> Result<(), RequestError> {
    let Some(uuid) = port.portgroup_uuid else { return Ok(()) };
    let mut group = match conductor.store.find::<PortGroup>(&uuid.to_string()).await {
        Err(StoreError::NotFound(_)) => {
            return Err(RequestError::Invalid(format!("Portgroup {uuid} could not be found.")));
        }
        other => other?,
    };
    if group.node_uuid != port.node_uuid {
        let text = "Port can not be added to a portgroup belonging to a different node.";
        return Err(RequestError::Invalid(text.into()));
    }
    if pxe_named && port.pxe_enabled && !group.standalone_ports_supported {
        return Err(RequestError::Conflict(format!(
            "Port group {uuid} doesn't support standalone ports. This port cannot be created as a member of that \
             portgroup as the port's 'pxe_enabled' field was set to True."
        )));
    }
    let cabling = |port: &Port| (port.portgroup_uuid, port.physical_network.clone());
    if before.is_some_and(|before| cabling(before) == cabling(port)) {
        return Ok(());
    }
    let others = ports_of(conductor, uuid).await?.into_iter().filter(|other| other.uuid != port.uuid);
    let network = match others.map(|other| other.physical_network).next() {
        Some(network) => network,
        None => match (&group.physical_network, &port.physical_network) {
            (Some(network), _) => Some(network.clone()),
            (None, Some(network)) => {
                group.physical_network = Some(network.clone());
                conductor.store.put_unchanged(&group).await?;
                return Ok(());
            }
            (None, None) => return Ok(()),
        },
    };
    if network == port.physical_network {
        return Ok(());
    }
    let name = |network: &Option<String>| network.clone().unwrap_or_else(|| "None".into());
    Err(RequestError::Conflict(format!(
        "Port with physical network {} cannot become a member of port group {uuid} which has ports in physical network {}.",
        name(&port.physical_network),
        name(&network)
    )))
}
