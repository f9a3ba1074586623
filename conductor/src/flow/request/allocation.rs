//! Allocations as people ask for them: made, made for a node in use, given up (rest-api section 11).

use super::{Caller, Conductor, RequestError, find, sign};
use crate::claim::{Claim, Tries};
use crate::flow::{allocate, let_go};
use crate::model::allocation::{self, Allocation, AllocationState};
use crate::model::fsm::State;
use crate::model::node::Node;
use crate::model::record::{Kind, Recorded};
use crate::store::StoreError;
use crate::store::expect::present;
use crate::store::records::{Record, RecordChange};
use std::sync::Arc;

/// Stores an allocation; its node is looked for behind.
///
/// # Errors
/// 409 for a UUID or a name that is taken.
pub async fn create_allocation(
    conductor: &Arc<Conductor>,
    allocation: &Allocation,
    caller: &Caller,
) -> Result<Allocation, RequestError> {
    let kept = conductor.store.create(allocation).await?;
    tracing::info!(allocation = %kept.meta.uuid, request_id = caller.request_id, user = caller.user, "allocation asked for");
    allocate::start(conductor, kept.meta.uuid);
    Ok(kept)
}

/// Stores an allocation of a node that is in use already. One that does not fit is kept in the state `error`.
///
/// # Errors
/// 409: the node is not active, does not fit, or has another instance.
pub async fn backfill_allocation(
    conductor: &Arc<Conductor>,
    allocation: &Allocation,
    node: &str,
    caller: &Caller,
) -> Result<Allocation, RequestError> {
    let node = find(conductor, node).await?;
    let uuid = allocation.meta.uuid;
    let mut claim = Claim::take_patiently(&conductor.holder, node.uuid, "allocation backfilling").await?;
    let saved = fill(&mut claim, allocation, caller).await;
    let_go(conductor, claim).await;
    match saved {
        Ok(()) => {
            tracing::info!(node = %node.uuid, allocation = %uuid, request_id = caller.request_id, "allocation backfilled");
            Ok(conductor.store.find(&uuid.to_string()).await?)
        }
        Err(RequestError::Conflict(text)) if !text.ends_with("already exists.") => {
            let failed =
                Allocation { state: AllocationState::Error, last_error: Some(text.clone()), ..allocation.clone() };
            conductor.store.create(&failed).await?;
            Err(RequestError::Conflict(text))
        }
        Err(error) => Err(error),
    }
}

async fn fill(claim: &mut Claim, allocation: &Allocation, caller: &Caller) -> Result<(), RequestError> {
    let node = &mut claim.node;
    let uuid = allocation.meta.uuid.to_string();
    let why = allocation.misfits(node);
    if !why.is_empty() {
        let why = format!("Cannot backfill an allocation for node {}: {}", node.uuid, why.join("; "));
        return Err(RequestError::Conflict(allocation.failure(&why)));
    }
    if let Some(other) = node.instance_uuid.as_ref().filter(|other| **other != uuid) {
        return Err(RequestError::Conflict(format!("Node {} is associated with instance {other}.", node.uuid)));
    }
    let taken = allocation.take(node);
    sign(node, caller);
    claim.save_with(vec![RecordChange::Create(Box::new(Record::of(&taken)?))]).await?;
    Ok(())
}

/// Gives an allocation up; its node is free again.
///
/// # Errors
/// 409 while the node is active or on its way, unless in maintenance.
pub async fn delete_allocation(
    conductor: &Arc<Conductor>,
    allocation: &Allocation,
    caller: &Caller,
) -> Result<(), RequestError> {
    let uuid = allocation.meta.uuid;
    let mut now = allocation.clone();
    loop {
        let gone = match now.node_uuid {
            // It may get its node in this very moment.
            None => conductor.store.record_delete(Kind::Allocation, uuid, Some(now.meta().revision)).await,
            Some(node) => {
                let change = move |node: &mut Node| {
                    if node.allocation_uuid.as_deref() == Some(uuid.to_string().as_str()) {
                        removable(node, uuid)?;
                        allocation::let_go(node);
                    }
                    Ok(())
                };
                conductor.holder.edit::<RequestError>(node, None, Tries::Patiently, change).await??;
                conductor.store.record_delete(Kind::Allocation, uuid, None).await
            }
        };
        match gone {
            Ok(()) => break,
            Err(StoreError::NotFound(_)) if now.node_uuid.is_some() => break,
            Err(StoreError::Stale(_)) if present().is_none() => now = conductor.store.find(&uuid.to_string()).await?,
            Err(error) => return Err(error.into()),
        }
    }
    tracing::info!(allocation = %uuid, request_id = caller.request_id, user = caller.user, "allocation deleted");
    Ok(())
}

fn removable(node: &Node, uuid: uuid::Uuid) -> Result<(), RequestError> {
    if node.maintenance {
        return Ok(());
    }
    let begin = format!("Cannot remove allocation {uuid} for node {}, because the node is", node.uuid);
    if node.target_provision_state.is_some() && !node.provision_state.allows_update() {
        return Err(RequestError::Conflict(format!(
            "{begin} in state {} where updates are not allowed (and maintenance mode is off)",
            node.provision_state
        )));
    }
    if node.provision_state == State::Active {
        return Err(RequestError::Conflict(format!("{begin} active (and maintenance mode is off)")));
    }
    Ok(())
}
