//! The config drive as the API takes it: an object, a URL, or base64 of gzip of an image.
//!
//! Rest-api section 7.2, agent-protocol section 12.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Largest config drive that is written to a disk, bytes (agent-protocol section 12).
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The object form; the conductor makes an ISO 9660 volume of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigDriveParts {
    /// `openstack/latest/meta_data.json`; uuid and name are defaulted from the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta_data: Option<Map<String, Value>>,
    /// `openstack/latest/network_data.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_data: Option<Map<String, Value>>,
    /// `openstack/latest/user_data`: text as it is; object or list as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<Value>,
    /// `openstack/latest/vendor_data.json`; API 1.59.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_data: Option<Map<String, Value>>,
}
