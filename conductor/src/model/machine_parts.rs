//! What a machine's firmware says about itself: BIOS settings and firmware components (rest-api section 8.2).

use super::record::{Kind, Meta, Recorded, UniqueKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// One BIOS setting, as the fields of the API. Absent facts are null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BiosSetting {
    /// What the store knows.
    #[serde(skip)]
    pub meta: Meta,
    /// Its node; set by whoever keeps it.
    pub node: Uuid,
    /// Unique on its node.
    pub name: String,
    /// Always text.
    pub value: Option<String>,
    /// `Enumeration`, `String`, `Integer`, `Boolean`, `Password`.
    pub attribute_type: Option<String>,
    /// Of an enumeration.
    pub allowable_values: Option<Vec<Value>>,
    /// Of an integer.
    pub lower_bound: Option<i64>,
    /// Of an integer.
    pub upper_bound: Option<i64>,
    /// Of a string.
    pub min_length: Option<i64>,
    /// Of a string.
    pub max_length: Option<i64>,
    /// Cannot be set.
    pub read_only: Option<bool>,
    /// Takes effect with a reboot.
    pub reset_required: Option<bool>,
    /// Differs from machine to machine.
    pub unique: Option<bool>,
}

/// One part of a machine that has firmware of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FirmwareComponent {
    /// What the store knows.
    #[serde(skip)]
    pub meta: Meta,
    /// Its node; set by whoever keeps it.
    pub node: Uuid,
    /// Unique on its node: `bios`, `bmc`, `nic:1`.
    pub component: String,
    /// What it had when it was first read.
    pub initial_version: Option<String>,
    /// What it has.
    pub current_version: Option<String>,
    /// What was flashed last from here.
    pub last_version_flashed: Option<String>,
    /// 1.114.
    pub vendor: Option<String>,
    /// 1.114.
    pub model: Option<String>,
    /// 1.114.
    pub serial_number: Option<String>,
}

/// Two parts of one node with one name are one part.
fn unique(node: Uuid, key: &'static str, name: &str) -> Vec<UniqueKey> {
    vec![UniqueKey { key, value: format!("{node}/{name}"), taken: format!("Node {node} already has {key} {name}.") }]
}

impl Recorded for BiosSetting {
    const KIND: Kind = Kind::BiosSetting;

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn node(&self) -> Option<Uuid> {
        Some(self.node)
    }

    fn unique(&self) -> Vec<UniqueKey> {
        unique(self.node, "setting", &self.name)
    }
}

impl Recorded for FirmwareComponent {
    const KIND: Kind = Kind::FirmwareComponent;

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn node(&self) -> Option<Uuid> {
        Some(self.node)
    }

    fn unique(&self) -> Vec<UniqueKey> {
        unique(self.node, "component", &self.component)
    }
}
