//! Volume connectors and targets: they change only while their machine is off (rest-api section 13).

use super::{Caller, Conductor, RequestError, held};
use crate::model::fsm::State;
use crate::model::node::Node;
use crate::model::power::PowerState;
use crate::model::record::{Kind, Recorded};
use std::sync::Arc;
use uuid::Uuid;

/// A record that always has a node.
pub trait OfNode: Recorded {
    /// Its node.
    fn owner(&self) -> Uuid {
        self.node().unwrap_or_default()
    }
}

impl<T: Recorded> OfNode for T {}

/// Stores a new connector or target.
///
/// # Errors
/// An unknown node, 409 for values that are taken.
pub async fn create_volume<T: OfNode>(
    conductor: &Arc<Conductor>,
    volume: &T,
    caller: &Caller,
) -> Result<T, RequestError> {
    let node = volume.owner();
    let volume = conductor.store.create(volume).await?;
    tracing::info!(%node, kind = %T::KIND, uuid = %volume.meta().uuid, request_id = caller.request_id, "created");
    Ok(volume)
}

fn action(kind: Kind, verb: &str) -> String {
    format!("{} {verb}", kind.noun().trim_start_matches("A "))
}

fn not_off(kind: Kind, verb: &str, node: &Node) -> RequestError {
    RequestError::Invalid(format!(
        "The requested action \"{}\" can not be performed on node \"{}\" while it is in state \"{}\".",
        action(kind, verb),
        node.uuid,
        node.power_state.map_or("None", PowerState::name)
    ))
}

/// Changes a connector or target of a machine that is off.
///
/// # Errors
/// 400 when it is not; 409 for values that are taken.
pub async fn update_volume<T: OfNode>(conductor: &Arc<Conductor>, before: &T, after: &T) -> Result<T, RequestError> {
    held(conductor, before.owner(), &action(T::KIND, "update"), async |node| {
        if node.power_state != Some(PowerState::Off) {
            return Err(not_off(T::KIND, "update", node));
        }
        Ok(conductor.store.put_unchanged(after).await?)
    })
    .await
}

/// Removes a connector or target of a machine that is off, or that was never more than enrolled.
///
/// # Errors
/// 400 when it is not, 409 when the node is held.
pub async fn delete_volume<T: OfNode>(
    conductor: &Arc<Conductor>,
    volume: &T,
    caller: &Caller,
) -> Result<(), RequestError> {
    let node = volume.owner();
    held(conductor, node, &action(T::KIND, "deletion"), async |node| {
        let idle = matches!(node.provision_state, State::Manageable | State::Enroll | State::AdoptFailed);
        if !idle && node.power_state != Some(PowerState::Off) {
            return Err(not_off(T::KIND, "deletion", node));
        }
        Ok(conductor.store.remove(volume).await?)
    })
    .await?;
    tracing::info!(%node, kind = %T::KIND, uuid = %volume.meta().uuid, request_id = caller.request_id, "deleted");
    Ok(())
}
