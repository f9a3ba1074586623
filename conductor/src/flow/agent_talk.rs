//! What is said to the node's agent: its address, the node and ports it is sent, the parameters of a step.

use crate::agent_client::AgentAddress;
use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::model::node::Node;
use crate::policy::Visible;
use crate::store::{Page, PortFilter, StoreError};
use common::token::Token;
use serde_json::{Map, Value, json};

/// Where the node's agent is; `None` until it has called in this boot.
pub fn address(node: &Node) -> Option<AgentAddress> {
    let info = &node.driver_internal_info;
    Some(AgentAddress {
        url: info.text("agent_url")?.trim_end_matches('/').to_owned(),
        certificate: info.text("agent_verify_ca").map(str::to_owned),
        token: Token::new(info.text("agent_secret_token")?),
    })
}

/// `node` and `ports` of a command (agent-protocol section 8.4). `with_config_drive`: deploy steps see it unmasked.
///
/// # Errors
/// What the store says.
pub async fn params(
    conductor: &Conductor,
    claim: &Claim,
    with_config_drive: bool,
) -> Result<Map<String, Value>, StoreError> {
    let filter = PortFilter { node: Some(claim.node.uuid), ..PortFilter::default() };
    let ports = conductor.store.ports(&Visible::Everything, &filter, &Page::default()).await?;
    let ports: Vec<Value> = ports
        .iter()
        .map(|port| {
            json!({
                "uuid": port.uuid, "id": port.id, "address": port.address, "pxe_enabled": port.pxe_enabled,
                "local_link_connection": port.local_link_connection, "extra": port.extra,
                "internal_info": port.internal_info, "physical_network": port.physical_network,
                "is_smartnic": port.is_smartnic, "name": port.name, "node_uuid": port.node_uuid,
            })
        })
        .collect();
    let mut params = Map::new();
    params.insert("node".into(), node_value(&claim.node, with_config_drive));
    params.insert("ports".into(), ports.into());
    Ok(params)
}

fn node_value(node: &Node, with_config_drive: bool) -> Value {
    let mut instance_info = node.instance_info.masked();
    if with_config_drive && let Some(drive) = node.instance_info.get("configdrive") {
        instance_info.insert("configdrive".into(), drive.clone());
    }
    let mut value = json!({
        "uuid": node.uuid, "id": node.id, "name": node.name, "driver": node.driver,
        "driver_info": node.driver_info.masked(), "driver_internal_info": node.driver_internal_info.masked(),
        "properties": node.properties.masked(), "instance_info": instance_info,
        "instance_uuid": node.instance_uuid, "extra": node.extra, "clean_step": node.clean_step,
        "deploy_step": node.deploy_step, "service_step": node.service_step, "raid_config": node.raid_config,
        "target_raid_config": node.target_raid_config, "provision_state": node.provision_state,
        "target_provision_state": node.target_provision_state, "power_state": node.power_state,
        "target_power_state": node.power_to_come(),
        "maintenance": node.maintenance, "fault": node.fault, "last_error": node.last_error,
        "resource_class": node.resource_class, "owner": node.owner, "lessee": node.lessee, "traits": node.traits,
        "network_data": node.network_data, "boot_mode": node.boot_mode, "secure_boot": node.secure_boot,
        "conductor_group": node.conductor_group, "description": node.description,
    });
    if let Value::Object(map) = &mut value {
        for (kind, implementation) in &node.interfaces {
            map.insert(format!("{kind}_interface"), json!(implementation));
        }
    }
    value
}
