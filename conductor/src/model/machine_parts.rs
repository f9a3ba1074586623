//! What a machine's firmware says about itself: BIOS settings and firmware components (rest-api section 8.2).

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One BIOS setting, as the fields of the API. Absent facts are null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BiosSetting {
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
