//! Records: everything that is no node and no port, kept in one way (kind, identity, unique values, JSON document).
//!
//! Three layers: [`Record`] is what the database keeps; [`Records`] is what an engine must do with it; the methods on
//! `dyn Store` below are what others call, with typed resources ([`Recorded`]).

use super::{Lease, Page, Store, StoreError};
use crate::model::history::HistoryEntry;
use crate::model::node::Node;
use crate::model::port::Port;
use crate::model::record::{Kind, Meta, Recorded, UniqueKey};
use crate::policy::Visible;
use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

/// One record as the database keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its kind.
    pub kind: Kind,
    /// Identity, revision and times.
    pub meta: Meta,
    /// Unique among its kind.
    pub name: Option<String>,
    /// Goes with this node.
    pub node: Option<Uuid>,
    /// Values that no other record of the kind may have.
    pub unique: Vec<UniqueKey>,
    /// Everything else.
    pub document: Value,
}

impl Record {
    /// Of a typed resource.
    ///
    /// # Errors
    /// [`StoreError::Database`] when it cannot be written as JSON.
    pub fn of<T: Recorded>(resource: &T) -> Result<Self, StoreError> {
        Ok(Record {
            kind: T::KIND,
            meta: resource.meta().clone(),
            name: resource.name().map(str::to_owned),
            node: resource.node(),
            unique: resource.unique(),
            document: serde_json::to_value(resource).map_err(|error| StoreError::Database(error.to_string()))?,
        })
    }

    /// Back to the typed resource.
    ///
    /// # Errors
    /// [`StoreError::Database`] when the document is not one of this kind.
    pub fn typed<T: Recorded>(self) -> Result<T, StoreError> {
        let mut resource: T = serde_json::from_value(self.document).map_err(|error| {
            StoreError::Database(format!(
                "the record of {} is damaged: {error}",
                T::KIND.named(&self.meta.uuid.to_string())
            ))
        })?;
        *resource.meta_mut() = self.meta;
        Ok(resource)
    }
}

/// Which records a list shows; what is empty does not matter. Fields are top-level names of the document, given by us.
#[derive(Clone, Debug, Default)]
pub struct RecordFilter {
    /// Of one of these nodes.
    pub nodes: Vec<Uuid>,
    /// The field has exactly this value (texts, numbers, booleans; null = absent or null).
    pub equal: Vec<(&'static str, Value)>,
    /// At least one of these fields has its value.
    pub either: Vec<(&'static str, Value)>,
    /// The field is a text with this part.
    pub contains: Vec<(&'static str, String)>,
    /// Of nodes in one of these shards.
    pub shards: Vec<String>,
    /// Of nodes in one of these conductor groups.
    pub conductor_groups: Vec<String>,
    /// Of nodes with this owner or lessee.
    pub node_project: Option<String>,
}

impl RecordFilter {
    /// All of one node.
    pub fn of_node(node: Uuid) -> Self {
        RecordFilter { nodes: vec![node], ..RecordFilter::default() }
    }

    /// The field has this value.
    pub fn with(mut self, field: &'static str, value: impl Into<Value>) -> Self {
        self.equal.push((field, value.into()));
        self
    }
}

/// A write that goes into somebody else's transaction.
#[derive(Clone, Debug)]
pub enum RecordChange {
    /// As [`Records::record_create`].
    Create(Box<Record>),
    /// As [`Records::record_save`] without an expected revision.
    Save(Box<Record>),
    /// As [`Records::record_save`] with this one.
    SaveAt(Box<Record>, i64),
    /// Gone; no error when it was gone before.
    Delete(Kind, Uuid),
    /// As [`Records::records_replace`].
    Replace(Kind, Uuid, Vec<Record>),
    /// A new port; no error when another port has its address or name meanwhile: then there is none.
    NewPort(Box<Port>),
    /// As [`Store::save_port`].
    SavePort(Box<Port>),
    /// As [`Store::put_inventory`]: node, inventory, plugin data.
    PutInventory(Uuid, Value, Value),
    /// As [`Store::put_arrival`].
    PutArrival(Uuid, Value),
    /// As [`Store::drop_arrival`].
    DropArrival(Uuid),
}

/// What an engine does with records. Identity and name of another record of the kind, and every unique value, are
/// refused as [`StoreError::Duplicate`]; an unknown node as [`StoreError::NotFound`].
#[async_trait]
pub trait Records: Send + Sync {
    /// Stores a new record; id, revision and created_at are set here.
    async fn record_create(&self, record: Record) -> Result<Record, StoreError>;
    /// By UUID, or by name when the text is no UUID.
    async fn record(&self, kind: Kind, ident: &str) -> Result<Record, StoreError>;
    /// A page of records: of those that are visible. What belongs to a node is visible with it, allocations and runbooks
    /// to their owner (public runbooks to everybody), the rest only to those who see everything.
    async fn records(
        &self,
        kind: Kind,
        visible: &Visible,
        filter: &RecordFilter,
        page: &Page,
    ) -> Result<Vec<Record>, StoreError>;
    /// The keys of a page of records, in its order. See [`Records::records_by_id`].
    async fn record_ids(
        &self,
        kind: Kind,
        visible: &Visible,
        filter: &RecordFilter,
        page: &Page,
    ) -> Result<Vec<i64>, StoreError>;
    /// These records, in this order; those that are gone are left out.
    async fn records_by_id(&self, kind: Kind, ids: &[i64]) -> Result<Vec<Record>, StoreError>;
    /// Replaces a record; only when it still has the expected revision, if one is given ([`StoreError::Stale`]).
    async fn record_save(&self, record: Record, expected: Option<i64>) -> Result<Record, StoreError>;
    /// Removes a record, with the same condition.
    async fn record_delete(&self, kind: Kind, uuid: Uuid, expected: Option<i64>) -> Result<(), StoreError>;
    /// These are all records of the kind that the node has. Records that were there keep identity and times: the first
    /// unique value says which are the same; those whose document did not change are not written.
    async fn records_replace(&self, kind: Kind, node: Uuid, records: Vec<Record>) -> Result<(), StoreError>;
    /// [`Store::save`] and changes of records, all or nothing.
    async fn save_with(
        &self,
        node: &Node,
        lease: &Lease,
        history: Vec<HistoryEntry>,
        changes: Vec<RecordChange>,
    ) -> Result<i64, StoreError>;
}

impl dyn Store + '_ {
    /// These of the kind, in this order.
    ///
    /// # Errors
    /// See [`Records`].
    pub async fn list_by_id<T: Recorded>(&self, ids: &[i64]) -> Result<Vec<T>, StoreError> {
        self.records_by_id(T::KIND, ids).await?.into_iter().map(Record::typed).collect()
    }

    /// Stores a new resource; answers it as it is kept.
    ///
    /// # Errors
    /// See [`Records`].
    pub async fn create<T: Recorded>(&self, resource: &T) -> Result<T, StoreError> {
        self.record_create(Record::of(resource)?).await?.typed()
    }

    /// By UUID or name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] in the API's words.
    pub async fn find<T: Recorded>(&self, ident: &str) -> Result<T, StoreError> {
        self.record(T::KIND, ident).await?.typed()
    }

    /// A page of them, of those that are visible. (For an answer: `call.visible_records(T::KIND)`.)
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown marker.
    pub async fn list<T: Recorded>(
        &self,
        visible: &Visible,
        filter: &RecordFilter,
        page: &Page,
    ) -> Result<Vec<T>, StoreError> {
        self.records(T::KIND, visible, filter, page).await?.into_iter().map(Record::typed).collect()
    }

    /// Replaces it, whatever its revision is now; answers it as it is kept.
    ///
    /// # Errors
    /// See [`Records`].
    pub async fn put<T: Recorded>(&self, resource: &T) -> Result<T, StoreError> {
        self.record_save(Record::of(resource)?, None).await?.typed()
    }

    /// Replaces it if nobody else wrote since it was read.
    ///
    /// # Errors
    /// [`StoreError::Stale`]: read it again.
    pub async fn put_unchanged<T: Recorded>(&self, resource: &T) -> Result<T, StoreError> {
        self.record_save(Record::of(resource)?, Some(resource.meta().revision)).await?.typed()
    }

    /// Removes it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn remove<T: Recorded>(&self, resource: &T) -> Result<(), StoreError> {
        self.record_delete(T::KIND, resource.meta().uuid, None).await
    }

    /// These are all that the node has.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the node is gone.
    pub async fn replace_all_of_node<T: Recorded>(&self, node: Uuid, resources: &[T]) -> Result<(), StoreError> {
        let records = resources.iter().map(Record::of).collect::<Result<_, _>>()?;
        self.records_replace(T::KIND, node, records).await
    }
}
