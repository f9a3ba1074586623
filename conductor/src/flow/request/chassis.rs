//! Chassis: nodes are in them (rest-api section 10).

use super::{Caller, Conductor, RequestError};
use crate::model::chassis::Chassis;
use crate::policy::Visible;
use crate::store::{NodeFilter, Page, StoreError};
use std::sync::Arc;

/// Removes a chassis that no node is in.
///
/// # Errors
/// 400 when there is one.
pub async fn delete_chassis(
    conductor: &Arc<Conductor>,
    chassis: &Chassis,
    caller: &Caller,
) -> Result<(), RequestError> {
    let uuid = chassis.meta.uuid;
    let filter = NodeFilter { chassis_uuid: Some(uuid.to_string()), include_children: true, ..NodeFilter::default() };
    if !conductor.store.nodes(&Visible::Everything, &filter, &Page { limit: 1, ..Page::default() }).await?.is_empty() {
        return Err(RequestError::Invalid(format!(
            "Cannot complete the requested action because chassis {uuid} contains nodes."
        )));
    }
    conductor.store.remove(chassis).await?;
    tracing::info!(chassis = %uuid, request_id = caller.request_id, "chassis deleted");
    Ok(())
}

/// The chassis exists.
///
/// # Errors
/// 400 when it does not: what was not found is not what the path names.
pub async fn check_chassis(conductor: &Arc<Conductor>, uuid: &str) -> Result<(), RequestError> {
    match conductor.store.find::<Chassis>(uuid).await {
        Err(StoreError::NotFound(_)) => Err(RequestError::Invalid(format!("Chassis {uuid} could not be found."))),
        other => Ok(other.map(drop)?),
    }
}
