//! The first door: what people and agents ask for. Checks, takes the node, makes the first move, answers; the loop goes on behind.

use crate::config::Config;
use crate::driver::traits::BootSetting;
use crate::model::node::{InterfaceKind, Node};
use crate::model::power::{BootDevice, PowerTarget};
use crate::store::Store;
use common::config_drive::ConfigDriveParts;
use common::heartbeat::{Heartbeat, InspectionData, LookupReply};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Everything a request or a knock needs.
pub struct Conductor {
    /// Options.
    pub config: Arc<Config>,
    /// Nodes and ports.
    pub store: Arc<dyn Store>,
    /// Name of this conductor.
    pub host: String,
}

/// Who asks: for logs, history and limits.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// `req-<uuid>`.
    pub request_id: String,
    /// User name with http_basic.
    pub user: Option<String>,
}

/// Why a request was refused. `api::error` alone turns kinds into status codes.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// 400.
    #[error("{0}")]
    Invalid(String),
    /// 403.
    #[error("{0}")]
    Forbidden(String),
    /// 404.
    #[error("{0}")]
    NotFound(String),
    /// 409.
    #[error("{0}")]
    Conflict(String),
    /// 503.
    #[error("{0}")]
    Unavailable(String),
    /// 500.
    #[error("{0}")]
    Internal(String),
}

/// The config drive of a provision request, as it came.
#[derive(Clone, Debug)]
pub enum ConfigDriveArg {
    /// Built by the conductor.
    Parts(ConfigDriveParts),
    /// base64 or URL: passed on (syntax checked by the API).
    Text(String),
}

/// A verb with its arguments; versions and argument/verb combinations have been checked by the API.
#[derive(Clone, Debug, Default)]
pub struct ProvisionRequest {
    /// `manage`, `active`, ...
    pub verb: String,
    /// active, rebuild.
    pub config_drive: Option<ConfigDriveArg>,
    /// clean: checked against the schema of rest-api 7.2.
    pub clean_steps: Option<Vec<Value>>,
    /// active, rebuild.
    pub deploy_steps: Option<Vec<Value>>,
    /// clean.
    pub disable_ramdisk: bool,
}

/// `PUT states/provision`, from check 5 of rest-api 7.2 on. When this returns `Ok` the node is in the new state with target
/// set and last_error cleared (19.1), and the work goes on behind.
///
/// # Errors
/// As rest-api 7.2 lists them.
pub async fn provision(
    conductor: &Arc<Conductor>,
    ident: &str,
    request: ProvisionRequest,
    caller: &Caller,
) -> Result<(), RequestError> {
    let _ = (conductor, ident, request, caller);
    Err(RequestError::Unavailable("not wired".into()))
}

/// `PUT states/power` (rest-api 7.1): target and time-out are already typed.
pub async fn power(
    conductor: &Arc<Conductor>,
    ident: &str,
    target: PowerTarget,
    timeout: Option<Duration>,
    caller: &Caller,
) -> Result<(), RequestError> {
    let _ = (conductor, ident, target, timeout, caller);
    Err(RequestError::Unavailable("not wired".into()))
}

/// `GET validate`: one answer per interface, in order, without vendor. `Err(reason)` per interface is not a failure of the call.
pub async fn validate(
    conductor: &Arc<Conductor>,
    ident: &str,
) -> Result<Vec<(InterfaceKind, Result<(), String>)>, RequestError> {
    let _ = (conductor, ident);
    Err(RequestError::Unavailable("not wired".into()))
}

/// `GET management/boot_device`. Needs no lease (defect 24 of the reference).
pub async fn boot_device(conductor: &Arc<Conductor>, ident: &str) -> Result<BootSetting, RequestError> {
    let _ = (conductor, ident);
    Err(RequestError::Unavailable("not wired".into()))
}

/// `PUT management/boot_device`.
pub async fn set_boot_device(
    conductor: &Arc<Conductor>,
    ident: &str,
    device: BootDevice,
    persistent: bool,
    caller: &Caller,
) -> Result<(), RequestError> {
    let _ = (conductor, ident, device, persistent, caller);
    Err(RequestError::Unavailable("not wired".into()))
}

/// `GET management/boot_device/supported`.
pub async fn supported_boot_devices(conductor: &Arc<Conductor>, ident: &str) -> Result<Vec<BootDevice>, RequestError> {
    let _ = (conductor, ident);
    Err(RequestError::Unavailable("not wired".into()))
}

/// `PUT management/inject_nmi`.
pub async fn inject_nmi(conductor: &Arc<Conductor>, ident: &str, caller: &Caller) -> Result<(), RequestError> {
    let _ = (conductor, ident, caller);
    Err(RequestError::Unavailable("not wired".into()))
}

/// Checks driver and interfaces, fills missing interfaces with defaults, stores the node (rest-api 6.2).
pub async fn create_node(conductor: &Arc<Conductor>, node: Node, caller: &Caller) -> Result<Node, RequestError> {
    let _ = (conductor, node, caller);
    Err(RequestError::Unavailable("not wired".into()))
}

/// Takes the node, lets `change` alter it (it sees the present record), saves. `reset_interfaces`: as rest-api 5.
/// `change` decides everything that PATCH decides (state checks, allowed fields); driver and interface names are checked here.
pub async fn update_node(
    conductor: &Arc<Conductor>,
    ident: &str,
    caller: &Caller,
    change: Box<dyn FnOnce(&mut Node) -> Result<(), RequestError> + Send>,
) -> Result<Node, RequestError> {
    let _ = (conductor, ident, caller, change);
    Err(RequestError::Unavailable("not wired".into()))
}

/// `DELETE /v1/nodes/{ident}` with the refusals of rest-api 6.4.
pub async fn delete_node(conductor: &Arc<Conductor>, ident: &str, caller: &Caller) -> Result<(), RequestError> {
    let _ = (conductor, ident, caller);
    Err(RequestError::Unavailable("not wired".into()))
}

/// `PUT maintenance` (with a reason or none) and `DELETE maintenance`.
pub async fn set_maintenance(
    conductor: &Arc<Conductor>,
    ident: &str,
    on: bool,
    reason: Option<String>,
    caller: &Caller,
) -> Result<(), RequestError> {
    let _ = (conductor, ident, on, reason, caller);
    Err(RequestError::Unavailable("not wired".into()))
}

/// `GET /v1/lookup`: `with_token` from API 1.62 on. One text for unknown and not waiting (rest-api 14.1).
pub async fn lookup(
    conductor: &Arc<Conductor>,
    addresses: Vec<common::mac::Mac>,
    node_uuid: Option<Uuid>,
    with_token: bool,
) -> Result<LookupReply, RequestError> {
    let _ = (conductor, addresses, node_uuid, with_token);
    Err(RequestError::Unavailable("not wired".into()))
}

/// `POST /v1/heartbeat/{ident}`: checks from "Node exists" on (rest-api 14.2); version-dependent fields are checked by the API.
pub async fn heartbeat(conductor: &Arc<Conductor>, ident: &str, beat: Heartbeat) -> Result<(), RequestError> {
    let _ = (conductor, ident, beat);
    Err(RequestError::Unavailable("not wired".into()))
}

/// `POST /v1/continue_inspection`: finds the node among those in inspect wait, keeps the data, knocks. Returns the node's UUID;
/// for 1.84 and newer the API then answers with [`lookup`] of it.
pub async fn continue_inspection(
    conductor: &Arc<Conductor>,
    data: InspectionData,
    node_uuid: Option<Uuid>,
) -> Result<Uuid, RequestError> {
    let _ = (conductor, data, node_uuid);
    Err(RequestError::Unavailable("not wired".into()))
}

/// `GET /v1/drivers/{name}/properties`: key to description; `None` for an unknown or disabled hardware type.
pub fn driver_properties(conductor: &Conductor, driver: &str) -> Option<Map<String, Value>> {
    let _ = (conductor, driver);
    None
}

/// Hardware types that are enabled, each with its enabled interfaces and defaults per kind: the facts of `GET /v1/drivers`.
pub fn driver_facts(conductor: &Conductor) -> Vec<DriverFacts> {
    let _ = conductor;
    Vec::new()
}

/// One enabled hardware type.
#[derive(Clone, Debug)]
pub struct DriverFacts {
    /// Its name.
    pub name: String,
    /// Per kind: the default, if one can be computed, and all enabled ones.
    pub interfaces: Vec<(InterfaceKind, Option<String>, Vec<String>)>,
}
