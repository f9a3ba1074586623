//! A port group: bonded NICs of one node (rest-api section 9.2).

use super::record::{Kind, Meta, Recorded, UniqueKey};
use common::mac::Mac;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// What `mode` is when nobody says.
pub const DEFAULT_MODE: &str = "active-backup";

/// The record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortGroup {
    /// Identity and times.
    #[serde(skip)]
    pub meta: Meta,
    /// Whose NICs these are.
    pub node_uuid: Uuid,
    /// Unique.
    pub name: Option<String>,
    /// The MAC of the bond, unique.
    pub address: Option<Mac>,
    /// Anything.
    pub extra: Map<String, Value>,
    /// The conductor's notes.
    pub internal_info: Map<String, Value>,
    /// 1.26: the bond's mode.
    pub mode: String,
    /// 1.26: the bond's options.
    pub properties: Map<String, Value>,
    /// Its ports may be used without the bond.
    pub standalone_ports_supported: bool,
    /// 1.102.
    pub physical_network: Option<String>,
    /// 1.103.
    pub category: Option<String>,
    /// 1.111: made by the conductor.
    pub dynamic_portgroup: bool,
}

impl Default for PortGroup {
    fn default() -> Self {
        PortGroup {
            meta: Meta::default(),
            node_uuid: Uuid::nil(),
            name: None,
            address: None,
            extra: Map::new(),
            internal_info: Map::new(),
            mode: DEFAULT_MODE.into(),
            properties: Map::new(),
            standalone_ports_supported: true,
            physical_network: None,
            category: None,
            dynamic_portgroup: false,
        }
    }
}

impl Recorded for PortGroup {
    const KIND: Kind = Kind::PortGroup;

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn node(&self) -> Option<Uuid> {
        Some(self.node_uuid)
    }

    fn unique(&self) -> Vec<UniqueKey> {
        let key = |address: &Mac| UniqueKey {
            key: "address",
            value: address.to_string(),
            taken: format!("A portgroup with MAC address {address} already exists."),
        };
        self.address.iter().map(key).collect()
    }
}
