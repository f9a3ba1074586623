//! SQL of the event log and of the places of its readers.

use super::micros;
use crate::model::event::{Event, Origin};
use crate::model::notice;
use crate::policy::Visible;
use crate::store::events::{Batch, EventFilter, LogOptions};
use crate::store::{StoreError, seal};
use jiff::Timestamp;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use serde_json::Value;
use std::cell::RefCell;
use uuid::Uuid;

/// What a write knows about the log: how it is kept, and who asked for the write.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// How it is kept.
    pub options: LogOptions,
    /// Who asked.
    pub origin: Origin,
}

thread_local! {
    /// Of the job that the writing thread has in hand.
    static PRESENT: RefCell<Log> = RefCell::default();
}

/// Runs a job; what it tells the log is put down to whoever asked for it.
pub fn under<T>(log: Log, job: impl FnOnce() -> T) -> T {
    PRESENT.with_borrow_mut(|present| *present = log);
    job()
}

/// Who asked for the present job.
pub fn origin() -> Origin {
    PRESENT.with_borrow(|log| log.origin.clone())
}

/// Where the seal of a line's record belongs.
pub fn place(event: &Event) -> String {
    format!("event/{}/{}", event.uuid, micros(event.at))
}

/// Appends lines and drops the oldest beyond the limit. `snapshot` is made only when there is something to tell and a
/// message bus wants it.
pub fn tell(
    connection: &Connection,
    events: Vec<Event>,
    snapshot: impl FnOnce() -> Option<Value>,
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let options = PRESENT.with_borrow(|log| log.options);
    let told = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let snapshot = if options.snapshots { snapshot().map(|value| value.to_string()) } else { None };
    for event in events {
        let (snapshot, key) = match &snapshot {
            Some(text) => {
                let (text, key) = seal::sealed_text(&place(&event), text.clone());
                (Some(text), key)
            }
            None => (None, None),
        };
        let doc = serde_json::to_string(&event).map_err(|error| StoreError::Database(error.to_string()))?;
        connection
            .prepare_cached(
                "insert into events (at, kind, node_uuid, owner, lessee, doc, snapshot, sealed)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                micros(event.at),
                event.kind,
                event.node.map(|node| node.to_string()),
                event.owner,
                event.lessee,
                doc,
                snapshot,
                key
            ])?;
    }
    // Ids have no holes, so the limit is a bound on them. A hundredth goes at once: not every line pays for a deletion.
    let newest = connection.last_insert_rowid();
    let limit = i64::try_from(options.max).unwrap_or(i64::MAX);
    let step = (limit / 100).max(1);
    if newest.rem_euclid(step) < told {
        let first = newest.saturating_sub(limit).saturating_add(step - 1);
        connection.prepare_cached("delete from events where id <= ?1")?.execute([first])?;
    }
    Ok(())
}

/// A person's change of something that is no node: `verb` is create, update or delete.
pub fn tell_of(connection: &Connection, thing: &Thing<'_>, verb: &str) -> Result<(), StoreError> {
    let of_node: Option<(Option<String>, Option<String>)> = match thing.node {
        Some(node) => connection
            .prepare_cached("select owner, lessee from nodes where uuid = ?1")?
            .query_row([node.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?,
        None => None,
    };
    let (node_owner, lessee) = of_node.unwrap_or_default();
    let origin = origin();
    let event = Event {
        id: 0,
        at: Timestamp::now(),
        kind: format!("{}.{verb}", thing.word),
        uuid: thing.uuid.to_string(),
        name: thing.name.map(str::to_owned),
        node: thing.node,
        owner: thing.owner.map(str::to_owned).or(node_owner),
        lessee,
        user: origin.user,
        request_id: origin.request_id,
        data: serde_json::Map::new(),
        snapshot: None,
    };
    tell(connection, vec![event], || notice::of_record(thing.word, thing.document(), thing.node))
}

/// Something that is no node, as the log calls it.
pub struct Thing<'a> {
    /// `port`, `chassis` ...
    pub word: &'a str,
    /// Identity.
    pub uuid: Uuid,
    /// Name.
    pub name: Option<&'a str>,
    /// The node it belongs to.
    pub node: Option<Uuid>,
    /// Its own owner.
    pub owner: Option<&'a str>,
    /// The record.
    pub record: &'a dyn Fn() -> Value,
}

impl Thing<'_> {
    fn document(&self) -> Value {
        (self.record)()
    }
}

/// The newest id ever given, also when its line is gone.
pub fn newest(connection: &Connection) -> Result<i64, StoreError> {
    let found = connection
        .prepare_cached("select seq from sqlite_sequence where name = 'events'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or(0))
}

pub fn read(
    connection: &Connection,
    visible: &Visible,
    filter: &EventFilter,
    after: i64,
    limit: usize,
) -> Result<Batch, StoreError> {
    // One snapshot of the file for all three questions.
    let together = connection.unchecked_transaction()?;
    let newest = newest(&together)?;
    let oldest: Option<i64> = together.prepare_cached("select min(id) from events")?.query_row([], |row| row.get(0))?;
    let first = oldest.unwrap_or(newest + 1);
    let mut values = vec![Sql::Integer(after), Sql::Integer(i64::try_from(limit).unwrap_or(i64::MAX))];
    let mut clause = String::new();
    let mut bind = |text: &str, value: String| {
        values.push(Sql::Text(value));
        clause.push_str(&text.replace("??", &format!("?{}", values.len())));
    };
    if let Some(node) = filter.node {
        bind(" and node_uuid = ??", node.to_string());
    }
    if let Some(owner) = &filter.owner {
        bind(" and owner = ??", owner.clone());
    }
    if let Some(project) = visible.project() {
        bind(" and (owner = ?? or lessee = ??)", project.to_owned());
    }
    for (index, kind) in filter.kinds.iter().enumerate() {
        let word = if index == 0 { " and (" } else { " or " };
        bind(&format!("{word}kind = ?? or kind like ?? || '.%'"), kind.replace(['%', '_'], "_"));
    }
    if !filter.kinds.is_empty() {
        clause.push(')');
    }
    let sql = format!("select id, doc, snapshot, sealed from events where id > ?1{clause} order by id limit ?2");
    let mut statement = together.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut events = Vec::new();
    let damaged = |error: serde_json::Error| StoreError::Database(format!("an event is damaged: {error}"));
    while let Some(row) = rows.next()? {
        let mut event: Event = serde_json::from_str(&row.get::<_, String>(1)?).map_err(damaged)?;
        event.id = row.get(0)?;
        if let Some(text) = row.get::<_, Option<String>>(2)? {
            let key: Option<String> = row.get(3)?;
            let text = seal::opened_text(&place(&event), key.as_deref(), text)?;
            event.snapshot = Some(serde_json::from_str(&text).map_err(damaged)?);
        }
        events.push(event);
    }
    let full = events.len() == limit;
    let position = events.last().map(|event| event.id).filter(|_| full).unwrap_or(newest).max(after.min(newest));
    Ok(Batch { events, position, missed: (first - after - 1).max(0), newest })
}

pub fn trim(connection: &Connection, time: Timestamp) -> Result<usize, StoreError> {
    Ok(connection.prepare_cached("delete from events where at < ?1")?.execute([micros(time)])?)
}

pub fn cursor(connection: &Connection, receiver: &str) -> Result<i64, StoreError> {
    let newest = newest(connection)?;
    connection
        .prepare_cached("insert into event_cursors (receiver, position) values (?1, ?2) on conflict do nothing")?
        .execute(params![receiver, newest])?;
    Ok(connection
        .prepare_cached("select position from event_cursors where receiver = ?1")?
        .query_row([receiver], |row| row.get(0))?)
}

pub fn set_cursor(connection: &Connection, receiver: &str, position: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "insert into event_cursors (receiver, position) values (?1, ?2) on conflict do update set position = ?2",
        )?
        .execute(params![receiver, position])?;
    Ok(())
}
