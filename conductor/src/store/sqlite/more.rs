//! The store's other two traits on SQLite: records and the event log.

use super::{SqliteStore, belongings, change, events, nodes, record_list, records};
use crate::model::history::HistoryEntry;
use crate::model::node::Node;
use crate::model::record::Kind;
use crate::policy::Visible;
use crate::store::events::{Batch, EventFilter, Events};
use crate::store::records::{Record, RecordChange, RecordFilter, Records};
use crate::store::{Lease, Page, StoreError};
use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

#[async_trait]
impl Records for SqliteStore {
    async fn record_create(&self, record: Record) -> Result<Record, StoreError> {
        self.write(move |connection| records::insert(connection, record)).await
    }

    async fn record(&self, kind: Kind, ident: &str) -> Result<Record, StoreError> {
        self.read(|connection| records::by_ident(connection, kind, ident))
    }

    async fn records(
        &self,
        kind: Kind,
        visible: &Visible,
        filter: &RecordFilter,
        page: &Page,
    ) -> Result<Vec<Record>, StoreError> {
        self.read(|connection| record_list::list(connection, kind, visible, filter, page))
    }

    async fn record_ids(
        &self,
        kind: Kind,
        visible: &Visible,
        filter: &RecordFilter,
        page: &Page,
    ) -> Result<Vec<i64>, StoreError> {
        self.read(|connection| record_list::ids(connection, kind, visible, filter, page))
    }

    async fn records_by_id(&self, kind: Kind, ids: &[i64]) -> Result<Vec<Record>, StoreError> {
        self.read(|connection| records::by_id(connection, kind, ids))
    }

    async fn record_save(&self, record: Record, expected: Option<i64>) -> Result<Record, StoreError> {
        self.write(move |connection| records::save(connection, record, expected)).await
    }

    async fn record_delete(&self, kind: Kind, uuid: Uuid, expected: Option<i64>) -> Result<(), StoreError> {
        self.write(move |connection| records::delete(connection, kind, uuid, expected)).await
    }

    async fn records_replace(&self, kind: Kind, node: Uuid, records: Vec<Record>) -> Result<(), StoreError> {
        self.write(move |connection| records::replace(connection, kind, node, records)).await
    }

    async fn save_with(
        &self,
        node: &Node,
        lease: &Lease,
        history: Vec<HistoryEntry>,
        changes: Vec<RecordChange>,
    ) -> Result<i64, StoreError> {
        let (node, fence, max) = (node.clone(), lease.fence, self.history_max);
        self.write(move |connection| {
            let revision = nodes::save(connection, &node, fence, &history)?;
            belongings::add_history(connection, node.uuid, &history, max)?;
            changes.into_iter().try_for_each(|change| change::apply(connection, change))?;
            Ok(revision)
        })
        .await
    }
}

#[async_trait]
impl Events for SqliteStore {
    async fn events(
        &self,
        visible: &Visible,
        filter: &EventFilter,
        after: i64,
        limit: usize,
    ) -> Result<Batch, StoreError> {
        self.read(|connection| events::read(connection, visible, filter, after, limit))
    }

    fn events_grow(&self) -> watch::Receiver<i64> {
        self.writer.newest_event()
    }

    async fn trim_events(&self, time: Timestamp) -> Result<usize, StoreError> {
        self.write(move |connection| events::trim(connection, time)).await
    }

    async fn cursor(&self, receiver: &str) -> Result<i64, StoreError> {
        let receiver = receiver.to_owned();
        self.write(move |connection| events::cursor(connection, &receiver)).await
    }

    async fn set_cursor(&self, receiver: &str, position: i64) -> Result<(), StoreError> {
        let receiver = receiver.to_owned();
        self.write(move |connection| events::set_cursor(connection, &receiver, position)).await
    }
}
