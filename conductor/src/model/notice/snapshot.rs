//! Nodes and other things as notifications show them: the fields of the reference's payloads, and no secrets.

use super::super::node::{InterfaceKind, Node};
use super::super::secret_map::{MASK, SecretMap};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// A payload without what is particular to nodes: our word, Ironic's object, its class, its version, its fields.
pub(super) type Shape = (&'static str, &'static str, &'static str, &'static str, &'static str);

pub(super) const SHAPES: &[Shape] = &[
    (
        "port",
        "port",
        "PortCRUDPayload",
        "1.8",
        "address extra local_link_connection pxe_enabled node_uuid portgroup_uuid physical_network created_at updated_at uuid is_smartnic name description vendor category available_for_dynamic_portgroup",
    ),
    (
        "portgroup",
        "portgroup",
        "PortgroupCRUDPayload",
        "1.3",
        "address category extra mode name node_uuid physical_network properties standalone_ports_supported created_at updated_at uuid dynamic_portgroup",
    ),
    ("chassis", "chassis", "ChassisCRUDPayload", "1.0", "description extra created_at updated_at uuid"),
    (
        "allocation",
        "allocation",
        "AllocationCRUDPayload",
        "1.1",
        "uuid name node_uuid state last_error owner resource_class traits candidate_nodes extra created_at updated_at",
    ),
    (
        "deploy_template",
        "deploytemplate",
        "DeployTemplateCRUDPayload",
        "1.0",
        "created_at extra name steps updated_at uuid",
    ),
    (
        "runbook",
        "runbook",
        "RunbookCRUDPayload",
        "1.1",
        "created_at description disable_ramdisk extra name owner public steps traits updated_at uuid",
    ),
    (
        "inspection_rule",
        "inspectionrule",
        "InspectionRuleCRUDPayload",
        "1.0",
        "created_at description phase priority scope sensitive actions conditions updated_at uuid",
    ),
    (
        "volume_connector",
        "volumeconnector",
        "VolumeConnectorCRUDPayload",
        "1.0",
        "extra type connector_id node_uuid created_at updated_at uuid",
    ),
    (
        "volume_target",
        "volumetarget",
        "VolumeTargetCRUDPayload",
        "1.0",
        "boot_index extra node_uuid properties volume_id volume_type created_at updated_at uuid",
    ),
];

fn time(time: Timestamp) -> Value {
    json!(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn maybe_time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, time)
}

/// A node as notifications show it: every field that some payload has, secrets masked.
pub fn of_node(node: &Node) -> Value {
    let masked = |map: &SecretMap| {
        let mut map = map.masked();
        if let Some(url) = map.get_mut("image_url") {
            *url = json!(MASK);
        }
        map
    };
    let mut shown = json!({
        "instance_info": masked(&node.instance_info), "driver_info": masked(&node.driver_info),
        "driver_internal_info": masked(&node.driver_internal_info), "chassis_uuid": node.chassis_uuid,
        "clean_step": node.clean_step, "conductor_group": node.conductor_group,
        "console_enabled": node.console_enabled, "created_at": time(node.created_at),
        "deploy_step": node.deploy_step, "description": node.description,
        "disable_power_off": node.disable_power_off, "driver": node.driver, "extra": node.extra,
        "boot_mode": node.boot_mode, "secure_boot": node.secure_boot,
        "inspection_finished_at": maybe_time(node.inspection_finished_at),
        "inspection_started_at": maybe_time(node.inspection_started_at),
        "instance_uuid": node.instance_uuid, "last_error": node.last_error, "maintenance": node.maintenance,
        "maintenance_reason": node.maintenance_reason, "fault": node.fault, "name": node.name, "owner": node.owner,
        "lessee": node.lessee, "power_state": node.power_state, "properties": node.properties.masked(),
        "protected": node.protected, "protected_reason": node.protected_reason,
        "provision_state": node.provision_state, "provision_updated_at": maybe_time(node.provision_updated_at),
        "resource_class": node.resource_class, "retired": node.retired, "retired_reason": node.retired_reason,
        "target_power_state": node.power_to_come(), "target_provision_state": node.target_provision_state,
        "traits": node.traits, "updated_at": maybe_time(node.updated_at), "uuid": node.uuid,
    });
    for &kind in InterfaceKind::ALL.iter().filter(|kind| **kind != InterfaceKind::Firmware) {
        shown[format!("{kind}_interface")] = json!(node.interfaces.get(&kind));
    }
    shown
}

/// Anything else as notifications show it; `None`: the reference tells nothing of its kind.
pub fn of_record(word: &str, record: Value, node: Option<Uuid>) -> Option<Value> {
    let shape = SHAPES.iter().find(|shape| shape.0 == word)?;
    let mut shown = Map::new();
    for field in shape.4.split(' ') {
        let value = record.get(field).cloned().unwrap_or(Value::Null);
        let value = match (field, value) {
            ("node_uuid", _) => json!(node),
            ("created_at" | "updated_at", Value::String(text)) => text.parse().map_or(Value::Null, time),
            // Connection details with their passwords, and rules that somebody called sensitive.
            ("properties", value) if word == "volume_target" && !is_empty(&value) => withheld(),
            ("actions" | "conditions", _) if record["sensitive"] == json!(true) => json!([withheld()]),
            (_, value) => value,
        };
        shown.insert(field.into(), value);
    }
    Some(Value::Object(shown))
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_none_or(Map::is_empty)
}

fn withheld() -> Value {
    json!({"redacted_contents": "** Value redacted: not published on the notification bus. **"})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sensitive_is_withheld() {
        let rule = of_record("inspection_rule", json!({"sensitive": true, "actions": [{"op": "x"}]}), None).unwrap();
        assert_eq!(rule["actions"], json!([withheld()]));
        let target = of_record("volume_target", json!({"properties": {"auth_password": "x"}}), None).unwrap();
        assert_eq!(target["properties"], withheld());
        assert!(of_record("bios_setting", json!({}), None).is_none());
    }
}
