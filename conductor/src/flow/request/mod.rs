//! The first door: what people and agents ask for. Checks, takes the node, makes the first move, answers; the loop goes on behind.

mod abort;
mod allocation;
mod arrival;
mod boot_settings;
mod chassis;
mod console;
mod discovery;
mod drivers;
mod heartbeat;
mod lookup;
mod management;
mod media;
mod node;
mod port_group;
mod power;
mod provision;
mod provision_check;
mod raid;
mod validate;
mod vendor;
mod vif;
mod volume;

pub use crate::flow::conductor::Conductor;
pub use crate::policy::Caller;
pub use allocation::{backfill_allocation, create_allocation, delete_allocation};
pub use arrival::{Arrived, continue_inspection};
pub use boot_settings::{BootChange, change_boot};
pub use chassis::{check_chassis, delete_chassis};
pub use console::{console, set_console};
pub use drivers::{DriverFacts, driver_facts, driver_properties};
pub use heartbeat::heartbeat;
pub use lookup::lookup;
pub use management::{
    boot_device, indicator, indicators, inject_nmi, set_boot_device, set_indicator, supported_boot_devices,
};
pub use media::{attach_virtual_media, detach_virtual_media, virtual_media};
pub use node::{create_node, delete_node, set_maintenance, update_node};
pub use port_group::{create_port_group, delete_port_group, join_port_group, update_port_group};
pub use power::power;
pub use provision::provision;
pub use raid::{raid_properties, set_raid};
pub use validate::validate;
pub use vendor::{VendorOutcome, driver_vendor_call, driver_vendor_methods, vendor_call, vendor_methods};
pub use vif::change_vif;
pub use volume::{OfNode, create_volume, delete_volume, update_volume};

use crate::boot::config_drive::ConfigDrive;
use crate::claim::{Claim, ClaimError, clip};
use crate::driver::traits::DriverError;
use crate::flow::let_go;
use crate::model::history::Severity;
use crate::model::node::Node;
use crate::store::StoreError;
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

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
    /// 412: it is not any more what the caller has read.
    #[error("{0}")]
    Stale(String),
    /// 429.
    #[error("{0}")]
    TooOften(String),
    /// 503.
    #[error("{0}")]
    Unavailable(String),
    /// 500.
    #[error("{0}")]
    Internal(String),
}

/// A verb with its arguments; versions and argument/verb combinations have been checked by the API.
#[derive(Clone, Debug, Default)]
pub struct ProvisionRequest {
    /// `manage`, `active`, ...
    pub verb: String,
    /// active, rebuild.
    pub config_drive: Option<ConfigDrive>,
    /// clean: checked against the schema of rest-api 7.2.
    pub clean_steps: Option<Vec<Value>>,
    /// active, rebuild.
    pub deploy_steps: Option<Vec<Value>>,
    /// service: checked against the same schema.
    pub service_steps: Option<Vec<Value>>,
    /// clean, service.
    pub disable_ramdisk: bool,
    /// rescue: in clear, until it is hashed a moment later.
    pub rescue_password: Option<RescuePassword>,
}

/// A password on its way to its hash. Cannot be printed.
#[derive(Clone)]
pub struct RescuePassword(pub String);

impl std::fmt::Debug for RescuePassword {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("******")
    }
}

impl From<StoreError> for RequestError {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::NotFound(_) => RequestError::NotFound(text),
            StoreError::Held { .. } | StoreError::Duplicate(_) | StoreError::Fenced(_) => RequestError::Conflict(text),
            StoreError::Stale(_) => RequestError::Stale(text),
            StoreError::Database(_) | StoreError::Keys(_) => RequestError::Internal(text),
        }
    }
}

impl From<ClaimError> for RequestError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Store(error) => error.into(),
            ClaimError::Refused(refused) => RequestError::Invalid(refused.to_string()),
        }
    }
}

impl From<DriverError> for RequestError {
    fn from(error: DriverError) -> Self {
        let text = error.to_string();
        match error {
            DriverError::Invalid(_) | DriverError::Unsupported(_) | DriverError::Lacks(_) => {
                RequestError::Invalid(text)
            }
            DriverError::Failed(_) => RequestError::Unavailable(text),
        }
    }
}

/// The node, by UUID or name, as the store has it now.
async fn find(conductor: &Conductor, ident: &str) -> Result<Node, RequestError> {
    Ok(conductor.store.node(ident).await?)
}

/// The sentence of a refused action (rest-api section 2.2).
fn refused(action: &str, node: &Node) -> RequestError {
    RequestError::Invalid(format!(
        "The requested action \"{action}\" can not be performed on node \"{}\" while it is in state \"{}\".",
        node.uuid, node.provision_state
    ))
}

/// The lock sentence (rest-api section 2.2).
fn locked(node: &Node, owner: &str) -> RequestError {
    RequestError::Conflict(format!(
        "Node {} is locked by host {owner}, please retry after the current operation is completed.",
        node.uuid
    ))
}

/// The node, as soon as nobody works on it: for changes of what belongs to it. Waits as long as
/// [`Claim::take_patiently`] does.
///
/// # Errors
/// 409 with the lock sentence; 404.
pub async fn unheld(conductor: &Conductor, node: Uuid) -> Result<Node, RequestError> {
    let options = &conductor.config.conductor;
    let mut tries = 1;
    loop {
        let found = find(conductor, &node.to_string()).await?;
        let Some(held) = &found.reservation else { return Ok(found) };
        if tries >= options.node_locked_retry_attempts {
            return Err(locked(&found, &held.owner));
        }
        tries += 1;
        tokio::time::sleep(options.node_locked_retry_interval.duration()).await;
    }
}

/// A worker is free, or the refusal (rest-api section 2.2).
fn worker(conductor: &Conductor) -> Result<(), RequestError> {
    if conductor.has_worker() {
        return Ok(());
    }
    let text = "Requested action cannot be performed due to lack of free conductor workers.";
    Err(RequestError::Unavailable(text.into()))
}

/// What was done behind an answer failed: for `last_error` and the timeline.
fn note_failure(claim: &mut Claim, kind: &str, text: String) {
    claim.node.last_error = Some(clip(text.clone()));
    claim.note(Severity::Error, kind, text);
}

/// The end of what is done behind an answer.
async fn save_and_let_go(conductor: &Arc<Conductor>, mut claim: Claim) {
    if let Err(error) = claim.save().await {
        tracing::error!(node = %claim.node.uuid, %error, "the outcome of a request was not saved");
    }
    let_go(conductor, claim).await;
}

/// Who asked goes into the record, for the timeline and the logs of the flow.
fn sign(node: &mut Node, caller: &Caller) {
    node.flow.request_id = Some(caller.request_id.clone()).filter(|id| !id.is_empty());
    node.flow.user.clone_from(&caller.user);
    node.flow.project = caller.project().map(str::to_owned);
}

/// Does `work` while nobody else changes the node.
async fn held<T>(
    conductor: &Arc<Conductor>,
    node: Uuid,
    reason: &str,
    work: impl AsyncFnOnce(&Node) -> Result<T, RequestError>,
) -> Result<T, RequestError> {
    let claim = Claim::take_patiently(&conductor.holder, node, reason).await?;
    let outcome = work(&claim.node).await;
    let_go(conductor, claim).await;
    outcome
}
