//! How a node reaches remote volumes, and which (rest-api section 13).

use super::record::{Kind, Meta, Recorded, UniqueKey};
use super::secret_map::SecretMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// An initiator of a node: an IQN, an address, a WWN.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeConnector {
    /// Identity and times.
    #[serde(skip)]
    pub meta: Meta,
    /// Whose it is.
    pub node_uuid: Uuid,
    /// `iqn`, `ip`, `mac`, `wwnn`, `wwpn`, ... : any word.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the type says.
    pub connector_id: String,
    /// Anything.
    pub extra: Map<String, Value>,
}

impl Recorded for VolumeConnector {
    const KIND: Kind = Kind::VolumeConnector;

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn node(&self) -> Option<Uuid> {
        Some(self.node_uuid)
    }

    fn unique(&self) -> Vec<UniqueKey> {
        let (kind, id) = (&self.kind, &self.connector_id);
        vec![UniqueKey {
            key: "type_and_id",
            // JSON keeps the parts apart, whatever is in them.
            value: Value::from(vec![kind.as_str(), id.as_str()]).to_string(),
            taken: format!("A volume connector with type {kind} and connector ID {id} already exists."),
        }]
    }
}

/// A remote volume of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeTarget {
    /// Identity and times.
    #[serde(skip)]
    pub meta: Meta,
    /// Whose it is.
    pub node_uuid: Uuid,
    /// `iscsi`, `fibre_channel`, ...
    pub volume_type: String,
    /// The volume's name in its own world.
    pub volume_id: String,
    /// 0: the node boots from it.
    pub boot_index: i64,
    /// How to reach it; may hold secrets.
    pub properties: SecretMap,
    /// Anything.
    pub extra: Map<String, Value>,
}

impl Recorded for VolumeTarget {
    const KIND: Kind = Kind::VolumeTarget;

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn node(&self) -> Option<Uuid> {
        Some(self.node_uuid)
    }

    fn unique(&self) -> Vec<UniqueKey> {
        let index = self.boot_index;
        vec![UniqueKey {
            key: "node_and_boot_index",
            value: format!("{} {index}", self.node_uuid),
            taken: format!("A volume target with boot index '{index}' for the same node already exists."),
        }]
    }
}
