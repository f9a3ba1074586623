//! The event log: what engines must do with it. Lines come into being with the writes that they tell of.

use super::StoreError;
use crate::model::event::Event;
use crate::policy::Visible;
use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

/// How much of the log is kept and written.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Lines at most; the oldest go first.
    pub max: u64,
    /// Records go into the log as they were, for the message bus.
    pub snapshots: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { max: 10_000, snapshots: false }
    }
}

/// Which lines a reader wants; what is empty does not matter.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// About this node, its ports included.
    pub node: Option<Uuid>,
    /// Types, or the part before the dot: `node`, `node.power_state`.
    pub kinds: Vec<String>,
    /// Of resources with this owner.
    pub owner: Option<String>,
}

/// A part of the log.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Lines that fit, oldest first.
    pub events: Vec<Event>,
    /// Everything up to this id has been looked at: the place to go on.
    pub position: i64,
    /// Lines between the asked-for place and the first one that is still there.
    pub missed: i64,
    /// Id of the newest line of the log. Smaller than the asked-for place: this is another log than the reader's.
    pub newest: i64,
}

/// What an engine does with the log.
#[async_trait]
pub trait Events: Send + Sync {
    /// At most `limit` lines after `after`; a project sees what it owns and what is on nodes that it has on lease.
    async fn events(
        &self,
        visible: &Visible,
        filter: &EventFilter,
        after: i64,
        limit: usize,
    ) -> Result<Batch, StoreError>;
    /// Changes whenever the log grows; the value is the newest id. A reader that was slow sees the last value only.
    fn events_grow(&self) -> watch::Receiver<i64>;
    /// Drops lines written before `time`; says how many.
    async fn trim_events(&self, time: Timestamp) -> Result<usize, StoreError>;
    /// Up to where a receiver has got; a new one begins at the newest line there is now.
    async fn cursor(&self, receiver: &str) -> Result<i64, StoreError>;
    /// The receiver has everything up to `position`.
    async fn set_cursor(&self, receiver: &str, position: i64) -> Result<(), StoreError>;
}
