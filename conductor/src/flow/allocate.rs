//! Looks for the node of an allocation (rest-api section 11): behind the request, and again after a restart.
//!
//! What is to be done stands in the store (`allocating`), so a process that dies loses nothing. Node and allocation are
//! written together: there is no node without its allocation, and no allocation without its node.

use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::let_go;
use crate::model::allocation::{Allocation, AllocationState, Choice};
use crate::model::fsm::State;
use crate::model::record::Recorded;
use crate::policy::Visible;
use crate::store::records::{Record, RecordChange, RecordFilter};
use crate::store::{NodeFilter, Page, StoreError};
use std::sync::Arc;
use uuid::Uuid;

/// Nodes that are read at the same time.
const AT_ONCE: usize = 256;

/// Starts the search for one allocation.
pub fn start(conductor: &Arc<Conductor>, allocation: Uuid) {
    let shared = Arc::clone(conductor);
    conductor.spawn(async move { search(&shared, allocation).await });
}

/// Starts every search that a process before this one did not end.
///
/// # Errors
/// The store cannot be read.
pub async fn resume(conductor: &Arc<Conductor>) -> Result<usize, StoreError> {
    let filter = RecordFilter::default().with("state", AllocationState::Allocating.name());
    let found = conductor.store.list::<Allocation>(&Visible::Everything, &filter, &Page::default()).await?;
    for allocation in &found {
        start(conductor, allocation.meta.uuid);
    }
    Ok(found.len())
}

/// How one look at all nodes ended.
enum Look {
    /// There is nothing more to do: it has a node, or it is gone.
    Done,
    /// So many nodes suit, and somebody holds each of them.
    Held(usize),
    /// Somebody changed the allocation, or the last node that suited, meanwhile.
    Again,
    /// No node suits.
    None(String),
}

async fn search(conductor: &Arc<Conductor>, uuid: Uuid) {
    let options = &conductor.config.conductor;
    let mut text = String::new();
    for attempt in 0..options.node_locked_retry_attempts.max(1) {
        if attempt > 0 {
            let stopping = conductor.stopping();
            // A node that somebody holds for a moment is free a moment later.
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(options.node_locked_retry_interval.duration()) => {}
            }
        }
        match look(conductor, uuid).await {
            Ok(Look::Done) => return,
            Ok(Look::Again) => text = "all nodes were filtered out during reservation".into(),
            Ok(Look::Held(count)) => text = format!("could not reserve any of {count} suitable nodes"),
            Ok(Look::None(why)) => {
                text = why;
                break;
            }
            Err(error) => {
                tracing::error!(allocation = %uuid, %error, "the search for a node stops here; the next start goes on with it");
                return;
            }
        }
    }
    if let Err(error) = fail(conductor, uuid, &text).await {
        tracing::error!(allocation = %uuid, %error, "the failure of an allocation was not kept");
    }
}

async fn look(conductor: &Arc<Conductor>, uuid: Uuid) -> Result<Look, StoreError> {
    let Some(allocation) = unfinished(conductor, uuid).await? else { return Ok(Look::Done) };
    let filter = NodeFilter {
        resource_class: allocation.resource_class.clone(),
        provision_states: vec![State::Available],
        associated: Some(false),
        maintenance: Some(false),
        project: allocation.owner.clone(),
        include_children: true,
        ..NodeFilter::default()
    };
    let ids = conductor.store.node_ids(&Visible::Everything, &filter, &Page::default()).await?;
    let fields: Vec<String> = Choice::FIELDS.iter().map(|field| (*field).to_owned()).collect();
    let mut choice = allocation.choice();
    for some in ids.chunks(AT_ONCE) {
        conductor.store.nodes_by_id(some, Some(&fields)).await?.iter().for_each(|node| choice.see(node));
    }
    let nodes = match choice.order() {
        Ok(nodes) => nodes,
        Err(why) => return Ok(Look::None(why)),
    };
    let mut held = 0;
    for node in nodes {
        let mut claim = match Claim::take(&conductor.holder, node, "allocating").await {
            Ok(claim) => claim,
            Err(StoreError::Held { .. }) => {
                held += 1;
                continue;
            }
            Err(StoreError::NotFound(_)) => continue,
            Err(error) => return Err(error),
        };
        let saved = if allocation.suits(&claim.node) { Some(reserve(&mut claim, &allocation).await) } else { None };
        let_go(conductor, claim).await;
        match saved {
            None => {}
            Some(Ok(())) => {
                tracing::info!(%node, allocation = %uuid, "reserved");
                return Ok(Look::Done);
            }
            Some(Err(StoreError::Stale(_))) => return Ok(Look::Again),
            // Deleted while its node was looked for.
            Some(Err(StoreError::NotFound(_))) => return Ok(Look::Done),
            Some(Err(StoreError::Duplicate(why))) => return Ok(Look::None(why.trim_end_matches('.').to_owned())),
            Some(Err(error)) => return Err(error),
        }
    }
    Ok(if held > 0 { Look::Held(held) } else { Look::Again })
}

async fn reserve(claim: &mut Claim, allocation: &Allocation) -> Result<(), StoreError> {
    let taken = allocation.take(&mut claim.node);
    let record = Box::new(Record::of(&taken)?);
    claim.save_with(vec![RecordChange::SaveAt(record, allocation.meta().revision)]).await
}

/// The allocation, if its node is still to be found.
async fn unfinished(conductor: &Conductor, uuid: Uuid) -> Result<Option<Allocation>, StoreError> {
    match conductor.store.find::<Allocation>(&uuid.to_string()).await {
        Ok(found) => Ok(Some(found).filter(|found| found.state == AllocationState::Allocating)),
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn fail(conductor: &Conductor, uuid: Uuid, why: &str) -> Result<(), StoreError> {
    while let Some(mut allocation) = unfinished(conductor, uuid).await? {
        allocation.state = AllocationState::Error;
        allocation.last_error = Some(allocation.failure(why));
        match conductor.store.put_unchanged(&allocation).await {
            // Renamed meanwhile: what is kept then gets the error.
            Err(StoreError::Stale(_)) => {}
            Err(StoreError::NotFound(_)) => return Ok(()),
            saved => {
                saved?;
                tracing::warn!(allocation = %uuid, why, "no node for an allocation");
                return Ok(());
            }
        }
    }
    Ok(())
}
