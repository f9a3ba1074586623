//! Long lists as streams: rows are read a piece at a time and written as they are read. A page of a thousand nodes costs the
//! memory of one piece, however many clients ask; a client that reads slowly holds no transaction open.

use super::body::{Content, JSON};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::{Field, Selection, View, wanted, write};
use super::page::{self, Paging};
use super::resource::Resource;
use crate::model::node::Node;
use crate::model::port::Port;
use crate::store::{Store, StoreError};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::try_unfold;
use serde_json::Value;
use std::io;
use std::sync::Arc;
use uuid::Uuid;

/// Rows in one piece: some hundred KiB of the largest nodes.
const PIECE: usize = 50;

/// What is listed by key.
#[async_trait]
pub trait Listed: Send + Sync + Sized + 'static {
    /// The rows of these keys, in their order, with at least these fields; those that are gone meanwhile are left out.
    async fn read(store: &dyn Store, ids: &[i64], fields: Option<&[String]>) -> Result<Vec<Self>, StoreError>;
    /// What the link to the next page names.
    fn uuid(&self) -> Uuid;
}

#[async_trait]
impl Listed for Node {
    async fn read(store: &dyn Store, ids: &[i64], fields: Option<&[String]>) -> Result<Vec<Self>, StoreError> {
        store.nodes_by_id(ids, fields).await
    }

    fn uuid(&self) -> Uuid {
        self.uuid
    }
}

#[async_trait]
impl Listed for Port {
    async fn read(store: &dyn Store, ids: &[i64], _: Option<&[String]>) -> Result<Vec<Self>, StoreError> {
        store.ports_by_id(ids).await
    }

    fn uuid(&self) -> Uuid {
        self.uuid
    }
}

#[async_trait]
impl<T: Resource> Listed for T {
    async fn read(store: &dyn Store, ids: &[i64], _: Option<&[String]>) -> Result<Vec<Self>, StoreError> {
        store.list_by_id(ids).await
    }

    fn uuid(&self) -> Uuid {
        self.meta().uuid
    }
}

/// The link to the next page, from the UUID of the last row.
pub type NextLink = Box<dyn Fn(Uuid) -> String + Send + Sync>;

/// Writes one row as people see it.
type WriteRow<T> = Box<dyn Fn(&T, &mut Vec<u8>) + Send + Sync>;

/// A list that is to be answered.
pub struct Rows<T> {
    /// Where the rows are.
    pub store: Arc<dyn Store>,
    /// Their keys, in order.
    pub ids: Vec<i64>,
    /// Which fields are shown, if not all.
    pub fields: Option<Vec<String>>,
    /// The name of the list in its document.
    pub name: &'static str,
    /// Writes a row as people see it.
    pub write: WriteRow<T>,
    /// The link to the next page, from the UUID of the last row; `None`: this is the last page.
    pub next: Option<NextLink>,
}

/// Where a stream is.
struct Reading<T> {
    rows: Rows<T>,
    done: usize,
    last: Option<Uuid>,
    ended: bool,
}

impl<T: Listed> Rows<T> {
    /// The rows of a table that these keys name; `name` and `path` are the list's in its document and below `/v1`, `carried`
    /// the further arguments that the link to the next page repeats.
    pub fn of(
        call: &Call,
        (name, path): (&'static str, &str),
        table: &'static [Field<T>],
        ids: Vec<i64>,
        paging: &Paging,
        selection: Selection,
        carried: &[(&str, String)],
    ) -> Self {
        let full = ids.len() == paging.page.limit;
        let next = full.then(|| page::next(call, paging, path, &selection, carried));
        let whole = View::is_whole(call);
        let shown = wanted(table, &selection, call.version);
        let (store, fields, shared) = (Arc::clone(&call.conductor.store), selection.names(), call.clone());
        Rows {
            store,
            ids,
            fields,
            name,
            write: Box::new(move |row, text| write(&shown, row, &View::shared(&shared, whole), text)),
            next: next.map(|next| -> NextLink { Box::new(move |last| next(&last.to_string())) }),
        }
    }

    /// The answer. What fits one piece has a length; the rest is a stream that ends early when a read fails.
    ///
    /// # Errors
    /// What the store says to the first piece.
    pub async fn answer(self) -> Result<Answer, ApiError> {
        let mut reading = Reading { rows: self, done: 0, last: None, ended: false };
        let first = reading.piece().await?;
        if reading.ended {
            return Ok(Answer::content(Content::Bytes(JSON, first)));
        }
        let rest = try_unfold((Some(first), reading), |(first, mut reading)| async move {
            if let Some(first) = first {
                return Ok(Some((first, (None, reading))));
            }
            if reading.ended {
                return Ok(None);
            }
            match reading.piece().await {
                Ok(piece) => Ok(Some((piece, (None, reading)))),
                Err(error) => {
                    tracing::warn!(%error, "a list breaks off in its middle");
                    Err(io::Error::other(error))
                }
            }
        });
        Ok(Answer::content(Content::stream(JSON, rest)))
    }
}

impl<T: Listed> Reading<T> {
    /// The next piece of the document.
    async fn piece(&mut self) -> Result<Bytes, StoreError> {
        let rows = &self.rows;
        let end = (self.done + PIECE).min(rows.ids.len());
        let found = T::read(&*rows.store, &rows.ids[self.done..end], rows.fields.as_deref()).await?;
        let mut text = Vec::with_capacity(found.len() * 512 + 64);
        if self.done == 0 {
            text.extend_from_slice(format!("{{\"{}\":[", rows.name).as_bytes());
        }
        for row in &found {
            if self.last.is_some() {
                text.push(b',');
            }
            self.last = Some(row.uuid());
            (rows.write)(row, &mut text);
        }
        self.done = end;
        if end == rows.ids.len() {
            self.ended = true;
            text.push(b']');
            if let (Some(next), Some(last)) = (&rows.next, self.last) {
                text.extend_from_slice(b",\"next\":");
                text.extend_from_slice(Value::String(next(last)).to_string().as_bytes());
            }
            text.push(b'}');
        }
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Visible;
    use crate::store::sqlite::SqliteStore;
    use crate::store::{NodeFilter, Page};
    use http_body_util::BodyExt;
    use serde_json::json;

    async fn listed(count: usize, limit: usize) -> (Value, bool) {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("db"), 10).unwrap());
        for number in 0..count {
            let mut node = Node::new(Uuid::new_v4(), "fake-hardware");
            node.name = Some(format!("n{number}"));
            store.create_node(node).await.unwrap();
        }
        let page = Page { limit, ..Page::default() };
        let ids = store.node_ids(&Visible::Everything, &NodeFilter::default(), &page).await.unwrap();
        let next: Option<NextLink> =
            if ids.len() == limit { Some(Box::new(|last| format!("after {last}"))) } else { None };
        let rows: Rows<Node> = Rows {
            store,
            ids,
            fields: None,
            name: "nodes",
            write: Box::new(|node, text| {
                text.extend(json!({"name": node.name, "uuid": node.uuid}).to_string().into_bytes());
            }),
            next,
        };
        let (_, length, body) = rows.answer().await.unwrap().body.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (serde_json::from_slice(&bytes).unwrap(), length.is_some())
    }

    #[tokio::test]
    async fn a_list_is_the_same_document_in_one_piece_and_in_many() {
        for (count, limit, whole) in [(0, 10, true), (3, 10, true), (PIECE, 1000, true), (PIECE * 2 + 1, 1000, false)] {
            let (document, has_length) = listed(count, limit).await;
            let nodes = document["nodes"].as_array().unwrap();
            assert_eq!((nodes.len(), has_length), (count, whole));
            assert!(nodes.iter().enumerate().all(|(at, node)| node["name"] == format!("n{at}")));
            assert!(document.get("next").is_none());
        }
        let (document, _) = listed(PIECE * 2, PIECE + 7).await;
        let nodes = document["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), PIECE + 7);
        assert_eq!(document["next"], format!("after {}", nodes[PIECE + 6]["uuid"].as_str().unwrap()));
    }
}
