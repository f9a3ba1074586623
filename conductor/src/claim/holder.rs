//! What every claim of a process shares: the store, the times, and who knocked at which held node.

use super::crash_point;
use crate::config::Config;
use crate::model::node::Node;
use crate::store::{NodeEdit, Store, StoreError};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// What every claim of this process shares.
pub struct Holder {
    /// Nodes and ports.
    pub store: Arc<dyn Store>,
    /// Name of this conductor.
    pub host: String,
    pub(super) lease_time: Duration,
    pub(super) retry_attempts: u32,
    pub(super) retry_interval: Duration,
    /// Nodes held by this process.
    knocks: Mutex<HashMap<Uuid, Knocks>>,
}

/// Who holds a node of this process, and whether somebody knocked meanwhile.
#[derive(Debug, Default)]
struct Knocks {
    /// Claims that are not gone yet. For a moment there are two: the database has given the node to the next claim while the
    /// task of the last one has not gone on.
    claims: u32,
    /// Somebody knocked, and no claim has looked since.
    knocked: bool,
}

/// How often a node is asked for that somebody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tries {
    /// Now or never.
    Once,
    /// As `node_locked_retry_attempts` says (rest-api section 17.1).
    Patiently,
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

    fn knocks(&self) -> MutexGuard<'_, HashMap<Uuid, Knocks>> {
        self.knocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A claim has the node. What was knocked before it came stays.
    pub(super) fn taken(&self, node: Uuid) {
        self.knocks().entry(node).or_default().claims += 1;
    }

    /// A claim is gone. `true`: somebody knocked, and there is no other claim that will see it.
    pub(super) fn given_back(&self, node: Uuid) -> bool {
        let mut all = self.knocks();
        let Some(knocks) = all.get_mut(&node) else { return false };
        knocks.claims = knocks.claims.saturating_sub(1);
        knocks.claims == 0 && all.remove(&node).is_some_and(|knocks| knocks.knocked)
    }

    /// Changes a node that nobody holds, at the price of one write: `change` sees the present record, and its refusal leaves
    /// it as it was. For changes that need no more than the record; whatever talks to a machine holds a [`super::Claim`].
    /// Tries again for a while when somebody holds the node, as [`super::Claim::take_patiently`] does. `read`: the node, if
    /// the caller has just read it.
    ///
    /// # Errors
    /// What the store says; inside, what `change` says.
    pub async fn edit<E: Send + 'static>(
        &self,
        node: Uuid,
        mut read: Option<Node>,
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
            match self.store.edit_node(node, read.take(), edit).await {
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
        self.knocks().get_mut(&node).map(|knocks| knocks.knocked = true).is_some()
    }
}
