//! A port: one NIC of a node (rest-api section 9.1).

use common::mac::Mac;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// Creation order; the store's own key.
    #[serde(skip)]
    pub id: i64,
    /// Grows with every change; the store fills it.
    #[serde(skip)]
    pub revision: i64,
    /// Its identity.
    pub uuid: Uuid,
    /// Whose NIC it is.
    pub node_uuid: Uuid,
    /// Unique among ports.
    pub address: Mac,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
    /// Anything.
    #[serde(default)]
    pub extra: Map<String, Value>,
    /// The conductor's notes.
    #[serde(default)]
    pub internal_info: Map<String, Value>,
    /// Switch and port.
    #[serde(default)]
    pub local_link_connection: Map<String, Value>,
    /// The node network-boots from it.
    pub pxe_enabled: bool,
    /// 1.34.
    #[serde(default)]
    pub physical_network: Option<String>,
    /// 1.24: the bond it is part of.
    #[serde(default)]
    pub portgroup_uuid: Option<Uuid>,
    /// 1.53.
    #[serde(default)]
    pub is_smartnic: bool,
    /// 1.88, unique.
    #[serde(default)]
    pub name: Option<String>,
    /// 1.97.
    #[serde(default)]
    pub description: Option<String>,
    /// 1.100.
    #[serde(default)]
    pub vendor: Option<String>,
    /// 1.101.
    #[serde(default)]
    pub category: Option<String>,
    /// 1.111.
    pub available_for_dynamic_portgroup: bool,
}

impl Port {
    /// A port as `POST /v1/ports` makes it; the store sets id and times.
    pub fn new(node_uuid: Uuid, address: Mac) -> Self {
        Port {
            id: 0,
            revision: 0,
            uuid: Uuid::new_v4(),
            node_uuid,
            address,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: None,
            extra: Map::new(),
            internal_info: Map::new(),
            local_link_connection: Map::new(),
            pxe_enabled: true,
            physical_network: None,
            portgroup_uuid: None,
            is_smartnic: false,
            name: None,
            description: None,
            vendor: None,
            category: None,
            available_for_dynamic_portgroup: true,
        }
    }
}
