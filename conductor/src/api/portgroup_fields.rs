//! The fields of a port group, in the order of the answer (rest-api section 9.2).

use super::args::cut;
use super::field::{Access, Field, flag, object, row, text, unset, uuid};
use super::resource::Resource;
use crate::model::port_group::{DEFAULT_MODE, PortGroup};

macro_rules! text_row {
    ($name:literal $since:literal, $field:ident, $max:literal) => {
        row!($name $since Both true, |group, _, out| out.put(&group.$field), |group, _, value| {
            group.$field = text(value, $max)?;
            Ok(())
        })
    };
}

macro_rules! object_row {
    ($name:literal $since:literal, $field:ident) => {
        row!($name $since Both false, |group, _, out| out.put(&group.$field), |group, name, value| {
            group.$field = object(name, value)?;
            Ok(())
        })
    };
}

/// Every field. Whether the node exists is for the request to find out.
#[rustfmt::skip]
const TABLE: &[Field<PortGroup>] = &[
    row!("uuid" 23 Create true, |group, _, out| out.put(&group.meta.uuid), |group, name, value| {
        if let Some(uuid) = uuid(name, value)? { group.meta.uuid = uuid; }
        Ok(())
    }),
    row!("created_at" 23 Read true, |group, _, out| out.time(group.meta.created_at), unset),
    row!("updated_at" 23 Read true, |group, _, out| out.time(group.meta.updated_at), unset),
    row!("address" 23 Both true, |group, _, out| out.put(&group.address), |group, name, value| {
        let bad = |text: &str| format!("Expected valid MAC address for {name}: {}", cut(text));
        group.address = text(value, 255)?.map(|text| text.parse().map_err(|_| bad(&text))).transpose()?;
        Ok(())
    }),
    object_row!("extra" 23, extra),
    row!("internal_info" 23 Read false, |group, _, out| out.put(&group.internal_info), unset),
    row!("mode" 26 Both true, |group, _, out| out.put(&group.mode), |group, _, value| {
        group.mode = text(value, 255)?.unwrap_or_else(|| DEFAULT_MODE.into());
        Ok(())
    }),
    text_row!("name" 23, name, 255),
    row!("node_uuid" 23 Both true, |group, _, out| out.put(&group.node_uuid), |group, name, value| {
        // Without a value it stays where it is.
        let shown = cut(value.as_str().unwrap_or_default());
        match uuid(name, value) {
            Err(_) if group.meta.id != 0 => {
                return Err(format!("Unable to apply the requested node_uuid '{shown}'. Requested value was invalid."));
            }
            node => group.node_uuid = node?.unwrap_or(group.node_uuid),
        }
        Ok(())
    }),
    object_row!("properties" 26, properties),
    row!("standalone_ports_supported" 23 Both true, |group, _, out| out.put(&group.standalone_ports_supported),
        |group, name, value| {
            group.standalone_ports_supported = flag(name, value)?.unwrap_or(true);
            Ok(())
        }
    ),
    text_row!("physical_network" 102, physical_network, 64),
    text_row!("category" 103, category, 80),
    row!("dynamic_portgroup" 111 Read true, |group, _, out| out.put(&group.dynamic_portgroup), unset),
    row!("links" 23 Read false, |group, view, out| out.links(view, format_args!("portgroups/{}", group.meta.uuid)), unset),
    row!("ports" 23 Read false, |group, view, out| out.links(view, format_args!("portgroups/{}/ports", group.meta.uuid)), unset),
];

impl Resource for PortGroup {
    fn table() -> &'static [Field<Self>] {
        TABLE
    }
    const SHORT: &'static [&'static str] = &["uuid", "address", "name"];
    const LIST: &'static str = "portgroups";
    const PATH: &'static str = "portgroups";
    const NOUN: &'static str = "portgroup";
}
