//! What the agent tells the API: look-up, heartbeat, continue-inspection, and the answers.
//!
//! Agent-protocol sections 2.2 to 2.5. Unknown keys are ignored in both directions.

use crate::inventory::Inventory;
use crate::token::Token;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// `GET /`: the only part that an agent reads (section 2.2).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiRoot {
    /// The newest version of the API; decides what a heartbeat may carry.
    pub default_version: ApiVersion,
}

/// One API version document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiVersion {
    /// For example `1.115`.
    pub version: String,
}

/// Answer of `GET /v1/lookup` and of continue-inspection at 1.84 and newer (section 2.3).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LookupReply {
    /// The node this machine is.
    pub node: LookupNode,
    /// What the agent must know to work.
    #[serde(default)]
    pub config: Option<LookupConfig>,
    /// Where servers before API 1.32 put it, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_timeout: Option<u64>,
}

/// The five keys of a node that a look-up shows; secrets inside are masked.
#[derive(Clone, Serialize, Deserialize)]
pub struct LookupNode {
    /// The node's UUID.
    pub uuid: String,
    /// Operator's facts: root device hints, skip list, capabilities.
    #[serde(default)]
    pub properties: Map<String, Value>,
    /// What to deploy.
    #[serde(default)]
    pub instance_info: Map<String, Value>,
    /// Conductor's scratch space: erase parameters and the like (section 18).
    #[serde(default)]
    pub driver_internal_info: Map<String, Value>,
    /// Links to the node.
    #[serde(default)]
    pub links: Vec<Value>,
}

impl fmt::Debug for LookupNode {
    /// Which node; not what is known of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookupNode").field("uuid", &self.uuid).finish_non_exhaustive()
    }
}

/// The `config` object of a look-up answer, in the reference's key order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LookupConfig {
    /// Metrics back end; ignored by our agent.
    #[serde(default)]
    pub metrics: Value,
    /// Statsd address; ignored by our agent.
    #[serde(default)]
    pub metrics_statsd: Value,
    /// Seconds; heartbeats come at 0.3 to 0.6 of it. Compulsory.
    pub heartbeat_timeout: u64,
    /// Container policy; unused until container steps exist.
    #[serde(default)]
    pub agent_containers: Value,
    /// The token, or the mask when it was handed out before; absent below API 1.62.
    #[serde(default)]
    pub agent_token: Option<Token>,
    /// Constant true in Ironic.
    #[serde(default)]
    pub agent_token_required: bool,
    /// MD5 digests are acceptable.
    #[serde(default)]
    pub agent_md5_checksum_enable: Option<bool>,
    /// Turns off the comparison of declared and found image format.
    #[serde(default)]
    pub disable_deep_image_inspection: Option<bool>,
    /// Formats that may be written.
    #[serde(default)]
    pub permitted_image_formats: Option<Vec<String>>,
    /// The BMC must not be asked in band.
    #[serde(default)]
    pub agent_skip_bmc_detect: Option<bool>,
    /// Permission to run a tenant image's grub-install; our agent never does.
    #[serde(default)]
    pub enable_bios_bootloader_install: Option<bool>,
    /// `1.2` or `1.3`, for the agent's server and its downloads.
    #[serde(default)]
    pub tls_min_version: Option<String>,
    /// Colon list for TLS 1.2.
    #[serde(default)]
    pub tls_cipher_suites: Option<String>,
    /// Least seconds between heartbeats on demand. An extension: our conductor may send it, other agents ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_heartbeat_min_gap: Option<f64>,
}

/// Body of `POST /v1/heartbeat/{uuid}` (section 2.4).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Heartbeat {
    /// `proto://host:port` where the agent listens.
    pub callback_url: String,
    /// From API 1.62.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_token: Option<Token>,
    /// From API 1.36.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// PEM of the agent's self-signed certificate, from API 1.68.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_verify_ca: Option<String>,
    /// `start`, `end`, `error`; from API 1.72, installers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_status: Option<String>,
    /// Free text beside `agent_status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_status_message: Option<String>,
}

/// Body of `POST /v1/continue_inspection` (sections 2.5 and 14).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InspectionData {
    /// What the machine has.
    pub inventory: Inventory,
    /// Failures of collectors, or null.
    #[serde(default)]
    pub error: Option<String>,
    /// Everything else: root_disk, boot_interface, configuration, logs ...
    #[serde(flatten)]
    pub plugin_data: Map<String, Value>,
}

/// Answer of continue-inspection to callers without a version header.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InspectionReply {
    /// The node the data were taken for.
    pub uuid: String,
}
