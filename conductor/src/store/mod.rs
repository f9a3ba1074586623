//! Where nodes are kept: traits without SQL in them. SQL stays in this room.
//!
//! Two rules make everything else simple: a node's state is written only by the holder of its lease, and a lease that
//! has been taken over since is refused by the database (fencing), whatever its old holder believes.

use crate::model::fsm::State;
use crate::model::history::HistoryEntry;
use crate::model::node::Node;
use crate::model::port::Port;
use crate::policy::Visible;
use async_trait::async_trait;
use common::mac::Mac;
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// Proof that a node is held. Not `Clone`: one holder.
#[derive(Debug)]
pub struct Lease {
    /// The node.
    pub node: Uuid,
    /// Grows with every lease of the node; the database refuses older ones.
    pub fence: i64,
    /// Host name of the holder.
    pub owner: String,
}

/// Which nodes a list shows. `None` = do not care.
#[derive(Clone, Debug, Default)]
pub struct NodeFilter {
    /// Exact.
    pub instance_uuid: Option<String>,
    /// Exact.
    pub instance_name: Option<String>,
    /// Exact.
    pub chassis_uuid: Option<String>,
    /// Has an instance_uuid.
    pub associated: Option<bool>,
    /// Flag.
    pub maintenance: Option<bool>,
    /// Flag.
    pub retired: Option<bool>,
    /// Any of these; empty = any.
    pub provision_states: Vec<State>,
    /// Exact.
    pub driver: Option<String>,
    /// Exact.
    pub resource_class: Option<String>,
    /// Exact.
    pub fault: Option<String>,
    /// Exact, empty text allowed.
    pub conductor_group: Option<String>,
    /// Exact.
    pub owner: Option<String>,
    /// Exact.
    pub lessee: Option<String>,
    /// Owner or lessee.
    pub project: Option<String>,
    /// Substring.
    pub description_contains: Option<String>,
    /// Any of these; empty = any.
    pub shards: Vec<String>,
    /// Has a shard.
    pub sharded: Option<bool>,
    /// UUID of the parent.
    pub parent_node: Option<String>,
    /// Children are hidden unless asked for.
    pub include_children: bool,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// At most so many.
    pub limit: usize,
    /// UUID of the last element seen.
    pub marker: Option<Uuid>,
    /// A plain field of the record (checked by the caller); `id` = creation order.
    pub sort_key: String,
    /// Descending.
    pub descending: bool,
}

impl Default for Page {
    fn default() -> Self {
        Page { limit: usize::MAX, marker: None, sort_key: "id".into(), descending: false }
    }
}

/// Which ports a list shows.
#[derive(Clone, Debug, Default)]
pub struct PortFilter {
    /// Of this node.
    pub node: Option<Uuid>,
    /// With this MAC.
    pub address: Option<Mac>,
    /// In this port group.
    pub portgroup: Option<Uuid>,
    /// Of nodes in one of these shards.
    pub shards: Vec<String>,
    /// Substring of the description.
    pub description_contains: Option<String>,
    /// Of nodes in one of these groups.
    pub conductor_groups: Vec<String>,
}

/// A conductor that registered itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ConductorRecord {
    /// Host name.
    pub hostname: String,
    /// Group it serves.
    pub conductor_group: String,
    /// Hardware types it serves.
    pub drivers: Vec<String>,
    /// First start.
    pub created_at: Timestamp,
    /// Last sign of life.
    pub updated_at: Timestamp,
}

/// How many nodes are in a state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StateCount {
    /// The state.
    pub state: State,
    /// How many.
    pub nodes: u64,
    /// Since when the first of them is there.
    pub oldest: Option<Timestamp>,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such record; the text names it as the API does.
    #[error("{0} could not be found.")]
    NotFound(String),
    /// Somebody holds the node.
    #[error("Node {node} is locked by host {owner}, please retry after the current operation is completed.")]
    Held {
        /// The node.
        node: Uuid,
        /// Host name of the holder.
        owner: String,
        /// What the holder does.
        reason: String,
    },
    /// A unique value is taken; the text is the API's.
    #[error("{0}")]
    Duplicate(String),
    /// The record was changed since it was read.
    #[error("{0} was changed by somebody else in the meantime. Read it again and repeat the change")]
    Stale(String),
    /// The lease was taken over: whoever gets this must stop working on the node.
    #[error("the lease on node {0} has been taken over; this conductor must not write it any more")]
    Fenced(Uuid),
    /// Sealed secrets and their keys.
    #[error(transparent)]
    Keys(#[from] seal::SealError),
    /// Disk full, file damaged, and the like.
    #[error("the database failed: {0}. Check the data directory: free space, permissions, and the disk itself")]
    Database(String),
}

/// What is done to a record inside one transaction. `None`: leave it as it was; lines of history go with the change.
/// It runs where everybody's writes wait: no input, no output, nothing slow.
pub type NodeEdit = Box<dyn FnOnce(&mut Node) -> Option<Vec<HistoryEntry>> + Send>;

/// Nodes, ports and what belongs to them; everything else is in [`records`].
#[async_trait]
pub trait Store: records::Records + events::Events + Send + Sync {
    /// Stores a new node. Id and created_at are set by the store.
    async fn create_node(&self, node: Node) -> Result<Node, StoreError> {
        self.create_node_with(node, Vec::new()).await
    }
    /// The same, and what comes with the node: all of it or nothing.
    async fn create_node_with(&self, node: Node, along: Vec<records::RecordChange>) -> Result<Node, StoreError>;
    /// By UUID, or by name when the text is not a UUID.
    async fn node(&self, ident: &str) -> Result<Node, StoreError>;
    /// A page of nodes: of those that are visible.
    async fn nodes(&self, visible: &Visible, filter: &NodeFilter, page: &Page) -> Result<Vec<Node>, StoreError>;
    /// The keys of a page of nodes, in its order: small, however large the nodes are. See [`Store::nodes_by_id`].
    async fn node_ids(&self, visible: &Visible, filter: &NodeFilter, page: &Page) -> Result<Vec<i64>, StoreError>;
    /// How many nodes pass the filter, counted no further than `most`. Reads no record, and of states alone no more than as
    /// many lines of an index.
    async fn count_nodes(&self, filter: &NodeFilter, most: usize) -> Result<usize, StoreError>;
    /// How many nodes are in each state that has some. Reads an index and no record.
    async fn state_counts(&self) -> Result<Vec<StateCount>, StoreError>;
    /// How many of the visible nodes each shard has, in the order of names; those without a shard first. Reads no record.
    async fn shard_counts(&self, visible: &Visible) -> Result<Vec<(Option<String>, u64)>, StoreError>;
    /// These nodes, in this order; those that are gone are left out. `fields`: only these are looked at; nodes are read
    /// several times faster when none of them needs the whole record.
    async fn nodes_by_id(&self, ids: &[i64], fields: Option<&[String]>) -> Result<Vec<Node>, StoreError>;
    /// Changes a node that nobody holds, in one transaction: taking, saving and giving back at the price of one write.
    /// Whoever held it and let his lease run out is fenced off. `read`: the node as the caller has it from here, untouched;
    /// if it is still the same, it is not read a second time.
    async fn edit_node(&self, node: Uuid, read: Option<Node>, edit: NodeEdit) -> Result<Node, StoreError>;
    /// Removes the node and everything that belongs to it, lease included.
    async fn delete_node(&self, lease: &Lease) -> Result<(), StoreError>;

    /// Takes the node, or says who has it. A lease that is not renewed runs out.
    async fn lease(&self, node: Uuid, owner: &str, reason: &str, time: Duration) -> Result<(Lease, Node), StoreError>;
    /// Prolongs a lease.
    async fn renew(&self, lease: &Lease, time: Duration) -> Result<(), StoreError>;
    /// Gives the node back. A lease that was taken over is no error.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;
    /// Only the holder can write: the lease is the proof. History lines go into the same transaction, and so does the end
    /// of an allocation that the node no longer names.
    /// Returns the new revision.
    async fn save(&self, node: &Node, lease: &Lease, history: Vec<HistoryEntry>) -> Result<i64, StoreError>;
    /// Ends every lease of `owner`: called once at start, when no work of an earlier process can be running.
    async fn end_leases(&self, owner: &str) -> Result<usize, StoreError>;

    /// Stores a new port.
    async fn create_port(&self, port: Port) -> Result<Port, StoreError>;
    /// By UUID or name.
    async fn port(&self, ident: &str) -> Result<Port, StoreError>;
    /// A page of ports: of those whose nodes are visible.
    async fn ports(&self, visible: &Visible, filter: &PortFilter, page: &Page) -> Result<Vec<Port>, StoreError>;
    /// The keys of a page of ports, in its order. See [`Store::ports_by_id`].
    async fn port_ids(&self, visible: &Visible, filter: &PortFilter, page: &Page) -> Result<Vec<i64>, StoreError>;
    /// These ports, in this order; those that are gone are left out.
    async fn ports_by_id(&self, ids: &[i64]) -> Result<Vec<Port>, StoreError>;
    /// Replaces a port that is still at the revision that was read; returns it as it is now. Otherwise [`StoreError::Stale`].
    async fn save_port(&self, port: &Port) -> Result<Port, StoreError>;
    /// Removes a port.
    async fn delete_port(&self, port: Uuid) -> Result<(), StoreError>;
    /// Removes a port that is still at this revision. Otherwise [`StoreError::Stale`].
    async fn delete_port_at(&self, port: Uuid, revision: i64) -> Result<(), StoreError>;

    /// Lines of a node's history, oldest first.
    async fn history(&self, node: Uuid, page: &Page) -> Result<Vec<HistoryEntry>, StoreError>;

    /// Keeps what an inspection found: `inventory` and `plugin_data`.
    async fn put_inventory(&self, node: Uuid, inventory: &Value, plugin_data: &Value) -> Result<(), StoreError>;
    /// What the last inspection found.
    async fn inventory(&self, node: Uuid) -> Result<Option<(Value, Value)>, StoreError>;
    /// Keeps inspection data that arrived and are not processed yet; survives a restart.
    async fn put_arrival(&self, node: Uuid, data: &Value) -> Result<(), StoreError>;
    /// The data that arrived, if any.
    async fn arrival(&self, node: Uuid) -> Result<Option<Value>, StoreError>;
    /// They are processed.
    async fn drop_arrival(&self, node: Uuid) -> Result<(), StoreError>;

    /// A sign of life of a conductor.
    async fn register_conductor(&self, record: &ConductorRecord) -> Result<(), StoreError>;
    /// By host name.
    async fn conductor(&self, hostname: &str) -> Result<ConductorRecord, StoreError>;
    /// A page of conductors; their marker is a host name, not the page's.
    async fn conductors(&self, page: &Page, marker: Option<&str>) -> Result<Vec<ConductorRecord>, StoreError>;
}

#[cfg(test)]
mod contract;
#[cfg(test)]
mod event_contract;
pub mod events;
pub mod expect;
pub mod origin;
#[cfg(test)]
mod record_contract;
pub mod records;
pub mod seal;
pub mod sqlite;
