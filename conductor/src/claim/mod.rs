//! The held node: lease, keep-alive, moves, timeline. The only writer of a node.
//!
//! A claim is a lease with an owner, a reason, a deadline and a fencing number. While it lives it is renewed; when its
//! conductor dies it runs out; when it was taken over, every further write is refused by the database. Whoever knocks at
//! a held node leaves a mark, and the holder looks once more before it lets go, so that no heartbeat is lost.

pub mod crash_point;
mod holder;
mod timeline;

pub use holder::{Holder, Tries};
pub use timeline::clip;

use crate::model::fsm::Refused;
use crate::model::history::HistoryEntry;
use crate::model::node::Node;
use crate::store::records::RecordChange;
use crate::store::{Lease, StoreError};
use jiff::Timestamp;
use std::sync::Arc;
use tokio::task::AbortHandle;
use uuid::Uuid;

/// Why a node could not be taken, moved or saved.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The table has no such move.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// A node that is held.
pub struct Claim {
    holder: Arc<Holder>,
    /// The record; changes count after [`Claim::save`].
    pub node: Node,
    lease: Option<Arc<Lease>>,
    keeper: AbortHandle,
    timeline: Vec<HistoryEntry>,
    along: Vec<RecordChange>,
}

impl Claim {
    /// Takes the node now, or says who has it.
    ///
    /// # Errors
    /// [`StoreError::Held`], [`StoreError::NotFound`] and what else the store says.
    pub async fn take(holder: &Arc<Holder>, node: Uuid, reason: &str) -> Result<Claim, StoreError> {
        // In a task of its own: a client that hangs up while the database answers takes the request with it, but what the
        // database then gives becomes a claim all the same, and is given back.
        let taken = tokio::spawn(Claim::taken(Arc::clone(holder), node, reason.to_owned())).await;
        taken.unwrap_or_else(|broken| match broken.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StoreError::Database("this process is stopping".into())),
        })
    }

    async fn taken(holder: Arc<Holder>, node: Uuid, reason: String) -> Result<Claim, StoreError> {
        let (lease, record) = holder.store.lease(node, &holder.host, &reason, holder.lease_time).await?;
        holder.taken(node);
        let lease = Arc::new(lease);
        let keeper = tokio::spawn(keep(Arc::clone(&holder), Arc::clone(&lease))).abort_handle();
        Ok(Claim { holder, node: record, lease: Some(lease), keeper, timeline: Vec::new(), along: Vec::new() })
    }

    /// Takes the node, trying again for a while as `node_locked_retry_attempts` says (rest-api section 17.1).
    ///
    /// # Errors
    /// As [`Claim::take`].
    pub async fn take_patiently(holder: &Arc<Holder>, node: Uuid, reason: &str) -> Result<Claim, StoreError> {
        let mut tries = 1;
        loop {
            match Claim::take(holder, node, reason).await {
                Err(StoreError::Held { .. }) if tries < holder.retry_attempts => {
                    tries += 1;
                    tokio::time::sleep(holder.retry_interval).await;
                }
                other => return other,
            }
        }
    }

    /// Saves the record, the timeline and what goes [`Claim::along`] in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Fenced`]: somebody else has the node now; stop. What the changes say: then nothing is written.
    pub async fn save(&mut self) -> Result<(), StoreError> {
        crash_point::reach(&self.node);
        self.node.updated_at = Some(Timestamp::now());
        let lease = self.lease.as_ref().ok_or(StoreError::Fenced(self.node.uuid))?;
        let (history, along) = (std::mem::take(&mut self.timeline), std::mem::take(&mut self.along));
        let store = &self.holder.store;
        self.node.revision = if along.is_empty() {
            store.save(&self.node, lease, history).await?
        } else {
            store.save_with(&self.node, lease, history, along).await?
        };
        Ok(())
    }

    /// These changes are written with the next save, whichever that is (a failure included), or not at all.
    pub fn along(&mut self, changes: impl IntoIterator<Item = RecordChange>) {
        self.along.extend(changes);
    }

    /// As [`Claim::save`], with changes of records in the same transaction.
    ///
    /// # Errors
    /// As [`Claim::save`].
    pub async fn save_with(&mut self, changes: Vec<RecordChange>) -> Result<(), StoreError> {
        self.along(changes);
        self.save().await
    }

    /// Removes the node from the store; the claim ends with it.
    ///
    /// # Errors
    /// What the store says.
    pub async fn delete(mut self) -> Result<(), StoreError> {
        let lease = self.lease.take().ok_or(StoreError::Fenced(self.node.uuid))?;
        self.keeper.abort();
        self.holder.given_back(self.node.uuid);
        self.holder.store.delete_node(&lease).await
    }

    /// Gives the node back. `true`: somebody knocked while it was held, look again.
    pub async fn release(mut self) -> bool {
        self.keeper.abort();
        if let Some(lease) = self.lease.take()
            && let Err(error) = self.holder.store.release(&lease).await
        {
            tracing::warn!(node = %self.node.uuid, %error, "the lease was not given back; it runs out by itself");
        }
        self.holder.given_back(self.node.uuid)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        self.keeper.abort();
        self.holder.given_back(self.node.uuid);
        let store = Arc::clone(&self.holder.store);
        // A cancelled or panicked flow: the node must not stay held until the lease runs out.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { store.release(&lease).await });
        }
    }
}

/// Renews a lease until it is aborted or the lease is lost.
async fn keep(holder: Arc<Holder>, lease: Arc<Lease>) {
    loop {
        tokio::time::sleep(holder.lease_time / 3).await;
        match holder.store.renew(&lease, holder.lease_time).await {
            Ok(()) => {}
            Err(StoreError::Fenced(node)) => {
                tracing::error!(%node, "the lease was taken over; what this conductor still does to the node will not be saved");
                return;
            }
            Err(error) => tracing::warn!(node = %lease.node, %error, "the lease could not be renewed; trying again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::model::fsm::{Event, State};
    use crate::store::Store;
    use crate::store::sqlite::SqliteStore;
    use std::time::Duration;

    async fn holder(folder: &tempfile::TempDir) -> (Arc<Holder>, Uuid) {
        let store = Arc::new(SqliteStore::open(&folder.path().join("db"), 100).unwrap());
        let node = store.create_node(Node::new(Uuid::new_v4(), "fake-hardware")).await.unwrap();
        (Arc::new(Holder::new(store, &Config::default())), node.uuid)
    }

    #[tokio::test]
    async fn a_knock_at_a_held_node_is_seen_on_release_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let (holder, node) = holder(&folder).await;
        assert!(!holder.mark(node), "nobody holds it");
        let claim = Claim::take(&holder, node, "test").await.unwrap();
        assert!(matches!(Claim::take(&holder, node, "second").await, Err(StoreError::Held { .. })));
        assert!(holder.mark(node));
        assert!(claim.release().await, "the knock");
        assert!(!Claim::take(&holder, node, "again").await.unwrap().release().await);
    }

    #[tokio::test]
    async fn who_hangs_up_while_the_database_answers_leaves_no_lease_behind() {
        use futures_util::FutureExt;
        let folder = tempfile::tempdir().unwrap();
        let (holder, node) = holder(&folder).await;
        let mut request = Box::pin(Claim::take(&holder, node, "a request"));
        assert!(request.as_mut().now_or_never().is_none(), "it is asked, and there is no answer yet");
        drop(request);
        let next = async {
            while Claim::take(&holder, node, "the next one").await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        assert!(holder.lease_time > Duration::from_secs(10), "what is seen is no lease that ran out");
        tokio::time::timeout(Duration::from_secs(5), next).await.expect("the node is free");
    }

    #[tokio::test]
    async fn a_knock_is_not_lost_when_the_next_claim_is_there_before_the_last_one_is_gone() {
        for first_goes_first in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let (holder, node) = holder(&folder).await;
            let first = Claim::take(&holder, node, "first").await.unwrap();
            assert!(holder.mark(node));
            // As when the database has the node back, and whoever gave it back has not gone on yet.
            holder.store.release(first.lease.as_ref().unwrap()).await.unwrap();
            let second = Claim::take(&holder, node, "second").await.unwrap();
            let looks = if first_goes_first {
                [first.release().await, second.release().await]
            } else {
                [second.release().await, first.release().await]
            };
            assert_eq!(looks, [false, true], "whoever is the last one looks again");
            assert!(!holder.mark(node), "nobody holds it");
        }
    }

    #[tokio::test]
    async fn a_move_sets_target_and_times_and_one_without_a_row_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (holder, node) = holder(&folder).await;
        let mut claim = Claim::take(&holder, node, "test").await.unwrap();
        assert!(claim.step(Event::Deploy).is_err());
        claim.step(Event::Manage).unwrap();
        claim.save().await.unwrap();
        claim.release().await;
        let read = holder.store.node(&node.to_string()).await.unwrap();
        assert_eq!((read.provision_state, read.target_provision_state), (State::Verifying, Some(State::Manageable)));
        let history = holder.store.history(node, &crate::store::Page::default()).await.unwrap();
        assert_eq!(history[0].event, "enroll -> verifying (manage)");
    }

    #[tokio::test]
    async fn a_dropped_claim_gives_the_node_back() {
        let folder = tempfile::tempdir().unwrap();
        let (holder, node) = holder(&folder).await;
        drop(Claim::take(&holder, node, "test").await.unwrap());
        Claim::take_patiently(&holder, node, "next").await.unwrap();
    }
}
