//! `PUT states/raid`: the configuration that the next cleaning is to make (rest-api section 7.4).

use super::{Caller, Conductor, RequestError, find, sign};
use crate::claim::Claim;
use crate::driver::raid::logical_disk_properties;
use crate::driver::traits::DriverError;
use crate::flow::let_go;
use crate::model::node::InterfaceKind;
use serde_json::{Map, Value};
use std::sync::Arc;

/// 404 for hardware without RAID, as the contract has it; else the driver's own kind.
fn refusal(error: DriverError) -> RequestError {
    match error {
        DriverError::Unsupported(text) => RequestError::NotFound(text),
        other => other.into(),
    }
}

/// Keeps the wanted configuration; an empty one is always taken.
///
/// # Errors
/// 404 without RAID, 400 with what is wrong, a held node.
pub async fn set_raid(
    conductor: &Arc<Conductor>,
    ident: &str,
    wanted: Map<String, Value>,
    caller: &Caller,
) -> Result<(), RequestError> {
    let node = find(conductor, ident).await?;
    if !wanted.is_empty() {
        let interface = node.interface(InterfaceKind::Raid);
        conductor.drivers.check_raid(&node.driver, interface, &wanted).map_err(refusal)?;
    }
    let mut claim = Claim::take_patiently(&conductor.holder, node.uuid, "setting target RAID config").await?;
    sign(&mut claim.node, caller);
    claim.node.target_raid_config = wanted;
    let saved = claim.save().await;
    let_go(conductor, claim).await;
    Ok(saved?)
}

/// `GET /v1/drivers/{}/raid/logical_disk_properties`: the keys of a logical disk and their meaning.
///
/// # Errors
/// 404 for an unknown hardware type.
pub fn raid_properties(conductor: &Conductor, driver: &str) -> Result<Map<String, Value>, RequestError> {
    super::drivers::known(conductor, driver)?;
    conductor.drivers.default_interface(driver, InterfaceKind::Raid)?;
    // All interfaces take the same keys, in Ironic too.
    Ok(logical_disk_properties())
}
