//! The fields of a node, in the order of the answer (rest-api section 6.1).

use super::field::{Access, Field, View, flag, object, row, text, unset, uuid};
use super::redact::redacted;
use super::{network_data, python};
use crate::model::fsm::State;
use crate::model::node::{InterfaceKind, Node};
use serde_json::Value;

/// Longest text of fields without a limit of their own.
const TEXT: usize = 255;

/// Keys of instance_info that are masked although their names sound harmless.
const MASKED_INSTANCE_KEYS: &[&str] = &["configdrive", "image_url"];

/// What a list shows when it is not asked for more.
pub const SHORT: &[&str] = &["uuid", "instance_uuid", "maintenance", "power_state", "provision_state", "name"];

/// A plain text field: `text_row!("owner" 50 Both, owner)`.
macro_rules! text_row {
    ($name:literal $since:literal $access:ident, $field:ident, $max:expr) => {
        row!($name $since $access true, |node, _, out| out.put(&node.$field), |node, _, value| {
            node.$field = text(value, $max)?;
            Ok(())
        })
    };
}

/// A field that is shown as it is kept and that nobody sets: `kept_row!("fault" 42 true, fault)`.
macro_rules! kept_row {
    ($name:literal $since:literal $sortable:literal, $field:ident) => {
        row!($name $since Read $sortable, |node, _, out| out.put(&node.$field), unset)
    };
}

/// A time that nobody sets.
macro_rules! time_row {
    ($name:literal $since:literal, $field:ident) => {
        row!($name $since Read true, |node, _, out| out.time(node.$field), unset)
    };
}

/// A boolean that is never null.
macro_rules! flag_row {
    ($name:literal $since:literal $access:ident, $field:ident) => {
        row!($name $since $access true, |node, _, out| out.put(&node.$field), |node, name, value| {
            node.$field = flag(name, value)?.unwrap_or_default();
            Ok(())
        })
    };
}

/// An interface field.
macro_rules! interface_row {
    ($name:literal $since:literal, $kind:ident) => {
        row!($name $since Both true, |node, _, out| out.put(&node.interfaces.get(&InterfaceKind::$kind)), |node, _, value| {
            match text(value, TEXT)? {
                Some(name) => node.interfaces.insert(InterfaceKind::$kind, name),
                None => node.interfaces.remove(&InterfaceKind::$kind),
            };
            Ok(())
        })
    };
}

/// Links to the node and to what is below it.
macro_rules! links_row {
    ($name:literal $since:literal, $tail:literal) => {
        row!($name $since Read false, |node, view, out| out.links(view, format_args!("nodes/{}{}", node.uuid, $tail)), unset)
    };
}

/// Every field.
#[rustfmt::skip]
pub const TABLE: &[Field<Node>] = &[
    row!("uuid" 1 Create true, |node, _, out| out.put(&node.uuid), |node, name, value| {
        if let Some(uuid) = uuid(name, value)? { node.uuid = uuid; }
        Ok(())
    }),
    row!("created_at" 1 Read true, |node, _, out| out.time(node.created_at), unset),
    time_row!("updated_at" 1, updated_at),
    row!("automated_clean" 47 Both true, |node, _, out| out.put(&node.automated_clean), |node, name, value| {
        node.automated_clean = flag(name, value)?;
        Ok(())
    }),
    interface_row!("bios_interface" 40, Bios),
    interface_row!("boot_interface" 31, Boot),
    text_row!("boot_mode" 75 Create, boot_mode, 16),
    kept_row!("clean_step" 7 false, clean_step),
    row!("conductor_group" 46 Both true, |node, _, out| out.put(&node.conductor_group), |node, _, value| {
        node.conductor_group = text(value, TEXT)?.unwrap_or_default();
        Ok(())
    }),
    flag_row!("console_enabled" 1 Create, console_enabled),
    interface_row!("console_interface" 31, Console),
    flag_row!("disable_power_off" 95 Both, disable_power_off),
    interface_row!("deploy_interface" 31, Deploy),
    kept_row!("deploy_step" 44 false, deploy_step),
    text_row!("description" 51 Both, description, 4096),
    row!("driver" 1 Both true, |node, _, out| out.put(&node.driver), |node, _, value| match value {
        Value::String(driver) if driver.len() <= TEXT => { node.driver = driver; Ok(()) }
        other => Err(format!("{} is not of type 'string'", python::repr(&other))),
    }),
    row!("driver_info" 1 Both false, |node, view, out| {
        redacted(view, node, "driver_info", &node.driver_info.shown(&[]), out);
    }, |node, name, value| {
        node.driver_info = object(name, value)?.into();
        Ok(())
    }),
    row!("driver_internal_info" 3 Read false, |node, view, out| {
        redacted(view, node, "driver_internal_info", &node.driver_internal_info.shown(&[]), out);
    }, unset),
    row!("extra" 1 Both false, |node, _, out| out.put(&node.extra), |node, name, value| {
        node.extra = object(name, value)?;
        Ok(())
    }),
    kept_row!("fault" 42 true, fault),
    interface_row!("firmware_interface" 86, Firmware),
    kept_row!("health" 109 true, health),
    time_row!("inspection_finished_at" 6, inspection_finished_at),
    time_row!("inspection_started_at" 6, inspection_started_at),
    interface_row!("inspect_interface" 31, Inspect),
    row!("instance_info" 1 Both false, |node, _, out| {
        out.put(&node.instance_info.shown(MASKED_INSTANCE_KEYS));
    }, |node, name, value| {
        node.instance_info = object(name, value)?.into();
        Ok(())
    }),
    row!("instance_name" 104 Both true, |node, _, out| out.put(&node.instance_name), |node, _, value| {
        let text = text(value, 255)?;
        if text.as_deref() == Some("") { return Err("'' should be non-empty".into()); }
        node.instance_name = text;
        Ok(())
    }),
    row!("instance_uuid" 1 Both true, |node, _, out| out.put(&node.instance_uuid), |node, name, value| {
        node.instance_uuid = uuid(name, value)?.map(|uuid| uuid.to_string());
        Ok(())
    }),
    row!("last_error" 1 Read true, |node, view, out| redacted(view, node, "last_error", &node.last_error, out), unset),
    text_row!("lessee" 65 Both, lessee, TEXT),
    flag_row!("maintenance" 1 Both, maintenance),
    kept_row!("maintenance_reason" 1 true, maintenance_reason),
    interface_row!("management_interface" 31, Management),
    text_row!("name" 5 Both, name, TEXT),
    row!("network_data" 66 Both false, |node, _, out| out.put(&node.network_data), |node, name, value| {
        let map = object(name, value)?;
        network_data::check(&map)?;
        node.network_data = map;
        Ok(())
    }),
    interface_row!("network_interface" 20, Network),
    text_row!("owner" 50 Both, owner, TEXT),
    text_row!("parent_node" 83 Both, parent_node, TEXT),
    interface_row!("power_interface" 31, Power),
    kept_row!("power_state" 1 true, power_state),
    row!("properties" 1 Both false, |node, _, out| out.put(&node.properties), |node, name, value| {
        node.properties = object(name, value)?.into();
        Ok(())
    }),
    flag_row!("protected" 48 Patch, protected),
    text_row!("protected_reason" 48 Patch, protected_reason, 4096),
    row!("provision_state" 1 Read true, |node, view, out| out.put(&provision_state(node, view)), unset),
    time_row!("provision_updated_at" 1, provision_updated_at),
    kept_row!("raid_config" 12 false, raid_config),
    interface_row!("raid_interface" 31, Raid),
    interface_row!("rescue_interface" 38, Rescue),
    row!("reservation" 1 Read true, |node, view, out| {
        redacted(view, node, "reservation", &node.reservation.as_ref().map(|held| &held.owner), out);
    }, unset),
    text_row!("resource_class" 21 Both, resource_class, 80),
    flag_row!("retired" 61 Both, retired),
    text_row!("retired_reason" 61 Both, retired_reason, 4096),
    row!("secure_boot" 75 Create true, |node, _, out| out.put(&node.secure_boot), |node, name, value| {
        node.secure_boot = flag(name, value)?;
        Ok(())
    }),
    kept_row!("service_step" 87 false, service_step),
    text_row!("shard" 82 Both, shard, TEXT),
    interface_row!("storage_interface" 33, Storage),
    row!("target_power_state" 1 Read true, |node, _, out| out.put(&node.power_to_come()), unset),
    kept_row!("target_provision_state" 1 true, target_provision_state),
    kept_row!("target_raid_config" 12 false, target_raid_config),
    kept_row!("traits" 37 false, traits),
    interface_row!("vendor_interface" 31, Vendor),
    links_row!("links" 1, ""),
    row!("conductor" 49 Read false, |_, view, out| out.put(view.host), unset),
    kept_row!("allocation_uuid" 52 false, allocation_uuid),
    // Whether it exists is for the request to find out.
    row!("chassis_uuid" 1 Both false, |node, _, out| out.put(&node.chassis_uuid), |node, name, value| {
        node.chassis_uuid = uuid(name, value)?.map(|uuid| uuid.to_string());
        Ok(())
    }),
    links_row!("ports" 1, "/ports"),
    links_row!("states" 14, "/states"),
    links_row!("portgroups" 24, "/portgroups"),
    links_row!("volume" 32, "/volume"),
];

/// By name.
pub fn field(name: &str) -> Option<&'static Field<Node>> {
    TABLE.iter().find(|field| field.name == name)
}

/// What a field shows, as a value; null for what is no field.
pub fn value(name: &str, node: &Node, view: &View) -> Value {
    field(name).map_or(Value::Null, |field| field.value(node, view))
}

/// Which kind of interface a field is about.
pub fn interface_kind(field: &str) -> Option<InterfaceKind> {
    InterfaceKind::from_name(field.strip_suffix("_interface")?)
}

/// The state by the words of the request's version.
pub fn provision_state(node: &Node, view: &View) -> Option<State> {
    match node.provision_state {
        State::Available if !view.version.has(2) => None,
        State::InspectWait if !view.version.has(39) => Some(State::Inspecting),
        state => Some(state),
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::{Selection, shown};
    use super::super::version::Version;
    use super::*;
    use serde_json::json;

    fn at(minor: u16, node: &Node) -> Value {
        shown(
            TABLE,
            node,
            &Selection::All,
            &View { base: "http://h", version: Version(minor), host: "c", reader: None },
        )
    }

    #[test]
    fn every_field_appears_in_its_version_and_not_before() {
        let node = Node::new(uuid::Uuid::new_v4(), "fake-hardware");
        for field in TABLE {
            assert!(at(field.since, &node).get(field.name).is_some(), "{}", field.name);
            assert!(field.since == 1 || at(field.since - 1, &node).get(field.name).is_none(), "{}", field.name);
        }
        assert_eq!(TABLE.len(), 69);
    }

    #[test]
    fn fields_are_written_as_they_are_shown() {
        let mut node = Node::new(uuid::Uuid::new_v4(), "fake-hardware");
        node.name = Some("a \"name\"".into());
        node.interfaces.insert(InterfaceKind::Bios, "fake".into());
        node.properties.insert("cpus".into(), json!([1, {"a": null}]));
        node.extra.insert("é".into(), json!(0.5));
        (node.protected, node.owner, node.boot_mode) = (true, Some("o".into()), Some("uefi".into()));
        for version in [1, 50, 115] {
            let view = View { base: "http://h", version: Version(version), host: "c", reader: None };
            let mut text = Vec::new();
            let fields = super::super::field::wanted(TABLE, &Selection::All, view.version);
            super::super::field::write(&fields, &node, &view, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), at(version, &node).to_string());
        }
    }

    #[test]
    fn old_versions_know_other_state_names() {
        let mut node = Node { provision_state: State::Available, ..Node::default() };
        assert_eq!(
            (&at(1, &node)["provision_state"], &at(2, &node)["provision_state"]),
            (&Value::Null, &json!("available"))
        );
        node.provision_state = State::InspectWait;
        assert_eq!(
            (&at(38, &node)["provision_state"], &at(39, &node)["provision_state"]),
            (&json!("inspecting"), &json!("inspect wait"))
        );
    }

    #[test]
    fn secrets_are_masked_where_people_look() {
        let mut node = Node::default();
        node.driver_info.insert("ipmi_password".into(), json!("s3cret"));
        node.driver_internal_info.insert("agent_secret_token".into(), json!("s3cret"));
        node.instance_info.insert("image_url".into(), json!("http://s3cret"));
        node.instance_info.insert("configdrive".into(), json!({"user_data": "s3cret"}));
        let text = at(115, &node).to_string();
        assert!(!text.contains("s3cret"), "{text}");
    }

    #[test]
    fn network_data_needs_links_and_networks() {
        let field = field("network_data").unwrap();
        let mut node = Node::default();
        let error = (field.set)(&mut node, "network_data", json!({"a": 1})).unwrap_err();
        assert!(error.starts_with("Invalid network_data: 'links' is a required property"), "{error}");
        (field.set)(&mut node, "network_data", json!({"links": [], "networks": [], "services": []})).unwrap();
        (field.set)(&mut node, "network_data", Value::Null).unwrap();
        assert!(node.network_data.is_empty());
    }
}
