//! The held node: lease, keep-alive, moves, timeline. The only writer of a node.
//!
//! A claim is a lease with an owner, a reason, a deadline and a fencing number. While it lives it is renewed; when its
//! conductor dies it runs out; when it was taken over, every further write is refused by the database. Whoever knocks at
//! a held node leaves a mark, and the holder looks once more before it lets go, so that no heartbeat is lost.

pub mod crash_point;

use crate::config::Config;
use crate::model::event::Move;
use crate::model::fsm::{self, Event, Refused, State};
use crate::model::history::{HistoryEntry, Severity};
use crate::model::node::Node;
use crate::store::records::RecordChange;
use crate::store::{Lease, NodeEdit, Store, StoreError};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;
use uuid::Uuid;

/// Longest `last_error` and history text (rest-api section 17.13).
const TEXT_MAX: usize = 4096;

/// What every claim of this process shares.
pub struct Holder {
    /// Nodes and ports.
    pub store: Arc<dyn Store>,
    /// Name of this conductor.
    pub host: String,
    lease_time: Duration,
    retry_attempts: u32,
    retry_interval: Duration,
    /// Nodes held by this process; `true`: somebody knocked meanwhile.
    knocks: Mutex<HashMap<Uuid, bool>>,
}

/// How often a node is asked for that somebody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tries {
    /// Now or never.
    Once,
    /// As `node_locked_retry_attempts` says (rest-api section 17.1).
    Patiently,
}

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

impl Holder {
    /// Takes its times from the configuration.
    pub fn new(store: Arc<dyn Store>, config: &Config) -> Self {
        Self {
            store,
            host: config.host(),
            lease_time: config.conductor.lease_time.duration().max(Duration::from_secs(3)),
            retry_attempts: config.conductor.node_locked_retry_attempts.max(1),
            retry_interval: config.conductor.node_locked_retry_interval.duration(),
            knocks: Mutex::default(),
        }
    }

    fn knocks(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, bool>> {
        self.knocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a node that nobody holds, at the price of one write: `change` sees the present record, and its refusal leaves
    /// it as it was. For changes that need no more than the record; whatever talks to a machine holds a [`Claim`].
    /// Tries again for a while when somebody holds the node, as [`Claim::take_patiently`] does.
    ///
    /// # Errors
    /// What the store says; inside, what `change` says.
    pub async fn edit<E: Send + 'static>(
        &self,
        node: Uuid,
        tries: Tries,
        change: impl FnOnce(&mut Node) -> Result<(), E> + Send + 'static,
    ) -> Result<Result<Node, E>, StoreError> {
        // The change is kept here until a transaction really has the node.
        let desk = Arc::new(Mutex::new((Some(change), None)));
        let most = if tries == Tries::Once { 1 } else { self.retry_attempts };
        let mut tried = 1;
        loop {
            let shared = Arc::clone(&desk);
            let edit: NodeEdit = Box::new(move |node| {
                let mut desk = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let change = desk.0.take()?;
                match change(node) {
                    Ok(()) => {
                        crash_point::reach(node);
                        node.updated_at = Some(Timestamp::now());
                        Some(Vec::new())
                    }
                    Err(refusal) => {
                        desk.1 = Some(refusal);
                        None
                    }
                }
            });
            match self.store.edit_node(node, edit).await {
                Err(StoreError::Held { .. }) if tried < most => {
                    tried += 1;
                    tokio::time::sleep(self.retry_interval).await;
                }
                Err(error) => return Err(error),
                Ok(node) => {
                    let refusal = desk.lock().unwrap_or_else(PoisonError::into_inner).1.take();
                    return Ok(refusal.map_or(Ok(node), Err));
                }
            }
        }
    }

    /// Leaves a mark at a node that this process holds. `false`: it does not hold it, the caller may take it.
    pub fn mark(&self, node: Uuid) -> bool {
        self.knocks().get_mut(&node).map(|knocked| *knocked = true).is_some()
    }
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
        let (lease, record) = holder.store.lease(node, &holder.host, reason, holder.lease_time).await?;
        holder.knocks().insert(node, false);
        let lease = Arc::new(lease);
        let keeper = tokio::spawn(keep(Arc::clone(holder), Arc::clone(&lease))).abort_handle();
        Ok(Claim {
            holder: Arc::clone(holder),
            node: record,
            lease: Some(lease),
            keeper,
            timeline: Vec::new(),
            along: Vec::new(),
        })
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

    /// Writes a line into the node's timeline with the next save.
    pub fn note(&mut self, severity: Severity, kind: &str, text: impl Into<String>) {
        self.note_with(severity, kind, text, None);
    }

    /// As [`Claim::note`], with the time that what ended took, in seconds.
    pub fn note_with(&mut self, severity: Severity, kind: &str, text: impl Into<String>, seconds: Option<f64>) {
        let event = clip(text.into());
        let node = &self.node;
        match severity {
            Severity::Info => {
                tracing::info!(node = %node.uuid, state = %node.provision_state, request_id = node.flow.request_id.as_deref(), "{event}")
            }
            Severity::Error => {
                tracing::warn!(node = %node.uuid, state = %node.provision_state, request_id = node.flow.request_id.as_deref(), "{event}")
            }
        }
        self.timeline.push(HistoryEntry {
            uuid: Uuid::new_v4(),
            created_at: Timestamp::now(),
            severity,
            event,
            event_type: kind.into(),
            user: node.flow.user.clone(),
            conductor: self.holder.host.clone(),
            state: Some(node.provision_state.name().into()),
            target_provision_state: node.target_provision_state.map(|state| state.name().into()),
            duration_seconds: seconds,
            proof: None,
            moved: None,
        });
    }

    /// As [`Claim::note`], of type `erase`, with a proof that goes with the line.
    pub fn note_proof(&mut self, text: impl Into<String>, proof: serde_json::Value) {
        self.note(Severity::Info, "erase", text);
        if let Some(line) = self.timeline.last_mut() {
            line.proof = Some(proof);
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

    /// Makes the move in the record: state, target, times, and a line in the timeline. The caller saves.
    ///
    /// # Errors
    /// [`Refused`] when the table has no such row.
    pub fn step(&mut self, event: Event) -> Result<(), Refused> {
        let (from, from_target) = (self.node.provision_state, self.node.target_provision_state);
        let to = fsm::next(from, event)?;
        let now = Timestamp::now();
        let seconds =
            self.node.provision_updated_at.map(|since| (now - since).total(jiff::Unit::Second).unwrap_or(0.0));
        let keeps_manual_target = self.node.target_provision_state == Some(State::Manageable)
            && matches!(from, State::Cleaning | State::CleanWait | State::CleanHold);
        self.node.provision_state = to;
        self.node.provision_updated_at = Some(now);
        self.node.time_inspection(from, to, now);
        self.node.target_provision_state = match to.target() {
            Some(State::Available) if keeps_manual_target => Some(State::Manageable),
            target => target,
        };
        if to.is_wait() {
            self.node.flow.waiting_since = Some(now);
        } else if !to.is_busy() {
            self.node.flow.waiting_since = None;
            self.node.flow.waiting_for = None;
        }
        self.note_with(Severity::Info, "provision", format!("{from} -> {to} ({event})"), seconds);
        let to_target = self.node.target_provision_state;
        if let Some(line) = self.timeline.last_mut() {
            line.moved = Some(Move { from, from_target, to, to_target, event });
        }
        Ok(())
    }

    /// Removes the node from the store; the claim ends with it.
    ///
    /// # Errors
    /// What the store says.
    pub async fn delete(mut self) -> Result<(), StoreError> {
        let lease = self.lease.take().ok_or(StoreError::Fenced(self.node.uuid))?;
        self.keeper.abort();
        self.holder.knocks().remove(&self.node.uuid);
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
        self.holder.knocks().remove(&self.node.uuid).unwrap_or(false)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        self.keeper.abort();
        self.holder.knocks().remove(&self.node.uuid);
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

/// Cuts a text to what `last_error` may hold.
pub fn clip(mut text: String) -> String {
    if text.len() > TEXT_MAX {
        let end = (0..=TEXT_MAX - 3).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::SqliteStore;

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

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let text = clip("ä".repeat(5000));
        assert!(text.len() <= TEXT_MAX && text.ends_with("..."));
    }
}
