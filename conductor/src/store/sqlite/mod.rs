//! The store on SQLite: reads run inline on a thread's own connection, writes go through one thread.

mod belongings;
mod change;
mod checkpoint;
mod conductors;
mod events;
mod expect;
mod leases;
mod more;
mod node_head;
mod node_list;
mod nodes;
mod order;
mod ports;
mod record_list;
mod records;
mod schema;
mod settle;
mod writer;

use super::events::LogOptions;
use super::records::RecordChange;
use super::seal::{self, Keys};
use super::{
    ConductorRecord, Lease, NodeEdit, NodeFilter, Page, PortFilter, StateCount, Store, StoreError,
    expect as expectation, origin,
};
use crate::model::history::HistoryEntry;
use crate::model::node::Node;
use crate::model::port::Port;
use crate::policy::Visible;
use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::Value;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;
use writer::Writer;

thread_local! {
    /// Connections of this thread by file: one, outside of tests. A short read costs 3 µs here and 40 µs through another thread.
    static READERS: RefCell<Vec<(PathBuf, Connection)>> = const { RefCell::new(Vec::new()) };
}

/// A store in one file.
pub struct SqliteStore {
    path: PathBuf,
    writer: Writer,
    history_max: usize,
    log: LogOptions,
    keys: Option<Arc<Keys>>,
}

impl SqliteStore {
    /// Opens or makes the file. `history_max`: lines of history kept per node.
    ///
    /// # Errors
    /// [`StoreError::Database`] when the file cannot be used.
    pub fn open(path: &Path, history_max: usize) -> Result<Self, StoreError> {
        Self::open_with(path, history_max, None)
    }

    /// As [`SqliteStore::open`], with keys for what is secret. What is not sealed with the first key is sealed anew.
    ///
    /// # Errors
    /// [`StoreError::Keys`] when a record was sealed with a key that is not among these.
    pub fn open_with(path: &Path, history_max: usize, keys: Option<Arc<Keys>>) -> Result<Self, StoreError> {
        let connection = schema::open(path)?;
        schema::migrate(&connection)?;
        seal::under(keys.as_ref(), || settle::settle(&connection, keys.as_deref()))?;
        let failed = |error: std::io::Error| StoreError::Database(error.to_string());
        let signals = checkpoint::spawn(schema::open(path)?, path).map_err(failed)?;
        let writer = Writer::spawn(connection, signals).map_err(failed)?;
        Ok(Self { path: path.to_owned(), writer, history_max, log: LogOptions::default(), keys })
    }

    /// How much of the event log is kept and written.
    pub fn with_log(self, log: LogOptions) -> Self {
        Self { log, ..self }
    }

    /// Runs a job on the writing thread, if its author's expectation holds; what it tells the event log is put down to whoever asked.
    async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let log = events::Log { options: self.log, origin: origin::present() };
        let (expected, keys) = (expectation::present(), self.keys.clone());
        let job = move |connection: &Connection| {
            let work = |connection: &Connection| seal::under(keys.as_ref(), || work(connection));
            events::under(log, || match expected {
                Some(expected) => expect::hold(connection, &expected, work),
                None => work(connection),
            })
        };
        self.writer.run(job).await
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        READERS.with_borrow_mut(|readers| {
            let known = readers.iter().position(|(path, _)| path.as_os_str() == self.path.as_os_str());
            if known.is_none() {
                readers.push((self.path.clone(), schema::open(&self.path)?));
            }
            let (_, connection) = &readers[known.unwrap_or(readers.len() - 1)];
            seal::under(self.keys.as_ref(), || work(connection))
        })
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::Database(error.to_string())
    }
}

/// Microseconds since 1970, as times are stored.
fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

#[async_trait]
impl Store for SqliteStore {
    async fn create_node_with(&self, node: Node, along: Vec<RecordChange>) -> Result<Node, StoreError> {
        self.write(move |connection| {
            let node = nodes::insert(connection, node)?;
            along.into_iter().try_for_each(|change| change::apply(connection, change))?;
            Ok(node)
        })
        .await
    }

    async fn node(&self, ident: &str) -> Result<Node, StoreError> {
        self.read(|connection| nodes::by_ident(connection, ident))
    }

    async fn nodes(&self, visible: &Visible, filter: &NodeFilter, page: &Page) -> Result<Vec<Node>, StoreError> {
        self.read(|connection| node_list::list(connection, visible, filter, page))
    }

    async fn node_ids(&self, visible: &Visible, filter: &NodeFilter, page: &Page) -> Result<Vec<i64>, StoreError> {
        self.read(|connection| node_list::ids(connection, visible, filter, page))
    }

    async fn count_nodes(&self, filter: &NodeFilter, most: usize) -> Result<usize, StoreError> {
        self.read(|connection| node_list::count(connection, filter, most))
    }

    async fn state_counts(&self) -> Result<Vec<StateCount>, StoreError> {
        let path = self.path.clone();
        // A millisecond for some thousand nodes: not where requests are served.
        let work = tokio::task::spawn_blocking(move || node_list::state_counts(&schema::open(&path)?));
        work.await.map_err(|error| StoreError::Database(error.to_string()))?
    }

    async fn shard_counts(&self, visible: &Visible) -> Result<Vec<(Option<String>, u64)>, StoreError> {
        self.read(|connection| node_list::shard_counts(connection, visible))
    }

    async fn nodes_by_id(&self, ids: &[i64], fields: Option<&[String]>) -> Result<Vec<Node>, StoreError> {
        self.read(|connection| match fields.and_then(node_head::Wanted::of) {
            Some(wanted) => node_head::by_id(connection, ids, &wanted),
            None => nodes::by_id(connection, ids),
        })
    }

    async fn edit_node(&self, node: Uuid, read: Option<Node>, edit: NodeEdit) -> Result<Node, StoreError> {
        let max = self.history_max;
        self.write(move |connection| {
            let (node, history) = nodes::edit(connection, node, read, edit)?;
            belongings::add_history(connection, node.uuid, &history, max)?;
            Ok(node)
        })
        .await
    }

    async fn delete_node(&self, lease: &Lease) -> Result<(), StoreError> {
        let (node, fence) = (lease.node, lease.fence);
        self.write(move |connection| nodes::delete(connection, node, fence)).await
    }

    async fn lease(&self, node: Uuid, owner: &str, reason: &str, time: Duration) -> Result<(Lease, Node), StoreError> {
        let (owner, reason) = (owner.to_owned(), reason.to_owned());
        self.write(move |connection| leases::lease(connection, node, &owner, &reason, time)).await
    }

    async fn renew(&self, lease: &Lease, time: Duration) -> Result<(), StoreError> {
        let (node, fence) = (lease.node, lease.fence);
        self.write(move |connection| leases::renew(connection, node, fence, time)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let (node, fence) = (lease.node, lease.fence);
        self.write(move |connection| leases::release(connection, node, fence)).await
    }

    async fn save(&self, node: &Node, lease: &Lease, history: Vec<HistoryEntry>) -> Result<i64, StoreError> {
        let (node, fence, max) = (node.clone(), lease.fence, self.history_max);
        self.write(move |connection| {
            let revision = nodes::save(connection, &node, fence, &history)?;
            belongings::add_history(connection, node.uuid, &history, max)?;
            Ok(revision)
        })
        .await
    }

    async fn end_leases(&self, owner: &str) -> Result<usize, StoreError> {
        let owner = owner.to_owned();
        self.write(move |connection| leases::end_leases(connection, &owner)).await
    }

    async fn create_port(&self, port: Port) -> Result<Port, StoreError> {
        self.write(move |connection| ports::insert(connection, port)).await
    }

    async fn port(&self, ident: &str) -> Result<Port, StoreError> {
        self.read(|connection| ports::by_ident(connection, ident))
    }

    async fn ports(&self, visible: &Visible, filter: &PortFilter, page: &Page) -> Result<Vec<Port>, StoreError> {
        self.read(|connection| ports::list(connection, visible, filter, page))
    }

    async fn port_ids(&self, visible: &Visible, filter: &PortFilter, page: &Page) -> Result<Vec<i64>, StoreError> {
        self.read(|connection| ports::ids(connection, visible, filter, page))
    }

    async fn ports_by_id(&self, ids: &[i64]) -> Result<Vec<Port>, StoreError> {
        self.read(|connection| ports::by_id(connection, ids))
    }

    async fn save_port(&self, port: &Port) -> Result<Port, StoreError> {
        let port = port.clone();
        self.write(move |connection| ports::save(connection, port)).await
    }

    async fn delete_port_at(&self, port: Uuid, revision: i64) -> Result<(), StoreError> {
        self.write(move |connection| ports::delete_at(connection, port, revision)).await
    }

    async fn delete_port(&self, port: Uuid) -> Result<(), StoreError> {
        self.write(move |connection| ports::delete(connection, port)).await
    }

    async fn history(&self, node: Uuid, page: &Page) -> Result<Vec<HistoryEntry>, StoreError> {
        self.read(|connection| belongings::history(connection, node, page))
    }

    async fn put_inventory(&self, node: Uuid, inventory: &Value, plugin_data: &Value) -> Result<(), StoreError> {
        let (inventory, plugin_data) = (inventory.to_string(), plugin_data.to_string());
        self.write(move |connection| belongings::put_inventory(connection, node, inventory, plugin_data)).await
    }

    async fn inventory(&self, node: Uuid) -> Result<Option<(Value, Value)>, StoreError> {
        self.read(|connection| belongings::inventory(connection, node))
    }

    async fn put_arrival(&self, node: Uuid, data: &Value) -> Result<(), StoreError> {
        let data = data.to_string();
        self.write(move |connection| belongings::put_arrival(connection, node, data)).await
    }

    async fn arrival(&self, node: Uuid) -> Result<Option<Value>, StoreError> {
        self.read(|connection| belongings::arrival(connection, node))
    }

    async fn drop_arrival(&self, node: Uuid) -> Result<(), StoreError> {
        self.write(move |connection| belongings::drop_arrival(connection, node)).await
    }

    async fn register_conductor(&self, record: &ConductorRecord) -> Result<(), StoreError> {
        let record = record.clone();
        self.write(move |connection| conductors::register(connection, &record)).await
    }

    async fn conductor(&self, hostname: &str) -> Result<ConductorRecord, StoreError> {
        self.read(|connection| conductors::by_name(connection, hostname))
    }

    async fn conductors(&self, page: &Page, marker: Option<&str>) -> Result<Vec<ConductorRecord>, StoreError> {
        self.read(|connection| conductors::list(connection, page, marker))
    }
}

#[cfg(test)]
mod seal_tests;
#[cfg(test)]
mod tests;
