//! SQL of records: one by one. Lists are in `record_list`.

use super::events::{self, Thing};
use super::micros;
use crate::model::record::{Kind, Meta, UniqueKey};
use crate::store::records::Record;
use crate::store::{StoreError, seal};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// What [`from_row`] reads, in its order.
pub const COLUMNS: &str = "id, uuid, name, node_uuid, revision, created_at, updated_at, doc, sealed";

/// Fields of a kind's document that may hold secrets: passwords of remote volumes, arguments of steps and of rules' calls.
/// Nothing is searched by them.
pub fn secret_fields(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::VolumeTarget => &["properties"],
        Kind::DeployTemplate | Kind::Runbook => &["steps"],
        Kind::InspectionRule => &["actions", "conditions"],
        _ => &[],
    }
}

/// Where the seals of a record belong.
pub fn place(kind: Kind, uuid: &str) -> String {
    format!("{}/{uuid}", kind.name())
}

/// The document, and the name of the key that it is sealed with.
fn doc(record: &Record) -> (String, Option<String>) {
    let fields = secret_fields(record.kind);
    let place = place(record.kind, &record.meta.uuid.to_string());
    match if fields.is_empty() { None } else { seal::sealed(&place, fields, || Some(record.document.clone())) } {
        Some((sealed, key)) => (sealed.to_string(), Some(key)),
        None => (record.document.to_string(), None),
    }
}

/// A record without its unique values: whoever read it knows them by its document.
pub fn from_row(kind: Kind, row: &Row<'_>) -> Result<Record, StoreError> {
    let damaged = |what: String| StoreError::Database(format!("a {kind} record is damaged: {what}"));
    let time = |at: i64| Timestamp::from_microsecond(at).map_err(|error| damaged(error.to_string()));
    let uuid = |text: String| Uuid::try_parse(&text).map_err(|error| damaged(error.to_string()));
    let text: String = row.get(7)?;
    let mut document: Value = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    if let (Some(key), Value::Object(map)) = (row.get::<_, Option<String>>(8)?, &mut document) {
        seal::opened(&place(kind, &row.get::<_, String>(1)?), secret_fields(kind), &key, map)?;
    }
    Ok(Record {
        kind,
        meta: Meta {
            id: row.get(0)?,
            uuid: uuid(row.get(1)?)?,
            revision: row.get(4)?,
            created_at: time(row.get(5)?)?,
            updated_at: row.get::<_, Option<i64>>(6)?.map(time).transpose()?,
        },
        name: row.get(2)?,
        node: row.get::<_, Option<String>>(3)?.map(uuid).transpose()?,
        unique: Vec::new(),
        document,
    })
}

/// Says which unique value is taken, or that the node is gone.
fn refusal(error: rusqlite::Error, record: &Record) -> StoreError {
    let (noun, text) = (record.kind.noun(), error.to_string());
    if text.contains("records.uuid") {
        StoreError::Duplicate(format!("{noun} with UUID {} already exists.", record.meta.uuid))
    } else if text.contains("records.name") {
        let name = record.name.as_deref().unwrap_or_default();
        StoreError::Duplicate(format!("{noun} with name {name} already exists."))
    } else if text.contains("FOREIGN KEY") {
        StoreError::NotFound(format!("Node {}", record.node.unwrap_or_default()))
    } else {
        error.into()
    }
}

/// As precise as it is kept.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(micros(now)).unwrap_or(now)
}

fn node_text(record: &Record) -> Option<String> {
    record.node.map(|node| node.to_string())
}

fn write_keys(connection: &Connection, kind: Kind, id: i64, keys: &[UniqueKey]) -> Result<(), StoreError> {
    connection.prepare_cached("delete from record_keys where record = ?1")?.execute([id])?;
    for key in keys {
        connection
            .prepare_cached("insert into record_keys (record, kind, key, value) values (?1, ?2, ?3, ?4)")?
            .execute(params![id, kind.name(), key.key, key.value])
            .map_err(|error| match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::ConstraintViolation) => StoreError::Duplicate(key.taken.clone()),
                _ => error.into(),
            })?;
    }
    Ok(())
}

pub fn insert(connection: &Connection, mut record: Record) -> Result<Record, StoreError> {
    record.meta.created_at = now();
    record.meta.updated_at = None;
    record.meta.revision = 1;
    let (doc, key) = doc(&record);
    connection
        .prepare_cached(
            "insert into records (kind, uuid, name, node_uuid, revision, created_at, doc, sealed)
             values (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7)",
        )?
        .execute(params![
            record.kind.name(),
            record.meta.uuid.to_string(),
            record.name,
            node_text(&record),
            micros(record.meta.created_at),
            doc,
            key
        ])
        .map_err(|error| refusal(error, &record))?;
    record.meta.id = connection.last_insert_rowid();
    write_keys(connection, record.kind, record.meta.id, &record.unique)?;
    tell(connection, &record, "create")?;
    Ok(record)
}

/// Settings and versions that are read from machines are not what people made: they are no events.
fn tell(connection: &Connection, record: &Record, verb: &str) -> Result<(), StoreError> {
    if matches!(record.kind, Kind::BiosSetting | Kind::FirmwareComponent) {
        return Ok(());
    }
    let thing = Thing {
        word: record.kind.name(),
        uuid: record.meta.uuid,
        name: record.name.as_deref(),
        node: record.node,
        owner: record.document.get("owner").and_then(Value::as_str),
        record: &|| {
            let mut document = record.document.clone();
            document["uuid"] = json!(record.meta.uuid);
            document["name"] = json!(record.name);
            document["created_at"] = json!(record.meta.created_at);
            document["updated_at"] = json!(record.meta.updated_at);
            document
        },
    };
    events::tell_of(connection, &thing, verb)
}

pub fn by_ident(connection: &Connection, kind: Kind, ident: &str) -> Result<Record, StoreError> {
    let (column, text) = match Uuid::try_parse(ident) {
        Ok(uuid) => ("uuid", uuid.to_string()),
        Err(_) => ("name", ident.to_owned()),
    };
    let sql = format!("select {COLUMNS} from records where kind = ?1 and {column} = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![kind.name(), text])?;
    match rows.next()? {
        Some(row) => from_row(kind, row),
        None => Err(StoreError::NotFound(kind.named(ident))),
    }
}

pub fn by_id(connection: &Connection, kind: Kind, ids: &[i64]) -> Result<Vec<Record>, StoreError> {
    let sql = format!("select {COLUMNS} from records where id = ?1 and kind = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(row) = statement.query(params![id, kind.name()])?.next()? {
            found.push(from_row(kind, row)?);
        }
    }
    Ok(found)
}

pub fn save(connection: &Connection, mut record: Record, expected: Option<i64>) -> Result<Record, StoreError> {
    let kept = revision(connection, record.kind, record.meta.uuid, expected)?;
    record.meta.revision = kept + 1;
    record.meta.updated_at = Some(now());
    let (doc, key) = doc(&record);
    connection
        .prepare_cached(
            "update records set name = ?3, node_uuid = ?4, revision = ?5, updated_at = ?6, doc = ?7, sealed = ?8
             where kind = ?1 and uuid = ?2",
        )?
        .execute(params![
            record.kind.name(),
            record.meta.uuid.to_string(),
            record.name,
            node_text(&record),
            record.meta.revision,
            record.meta.updated_at.map(micros),
            doc,
            key
        ])
        .map_err(|error| refusal(error, &record))?;
    let (id, created): (i64, i64) = connection
        .prepare_cached("select id, created_at from records where kind = ?1 and uuid = ?2")?
        .query_row(params![record.kind.name(), record.meta.uuid.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    record.meta.id = id;
    record.meta.created_at = Timestamp::from_microsecond(created).unwrap_or(record.meta.created_at);
    write_keys(connection, record.kind, id, &record.unique)?;
    tell(connection, &record, "update")?;
    Ok(record)
}

/// The revision that is kept now, if it is the expected one.
fn revision(connection: &Connection, kind: Kind, uuid: Uuid, expected: Option<i64>) -> Result<i64, StoreError> {
    let kept: Option<i64> = connection
        .prepare_cached("select revision from records where kind = ?1 and uuid = ?2")?
        .query_row(params![kind.name(), uuid.to_string()], |row| row.get(0))
        .optional()?;
    match (kept, expected) {
        (None, _) => Err(StoreError::NotFound(kind.named(&uuid.to_string()))),
        (Some(kept), Some(expected)) if kept != expected => Err(StoreError::Stale(kind.named(&uuid.to_string()))),
        (Some(kept), _) => Ok(kept),
    }
}

pub fn delete(connection: &Connection, kind: Kind, uuid: Uuid, expected: Option<i64>) -> Result<(), StoreError> {
    revision(connection, kind, uuid, expected)?;
    let record = by_ident(connection, kind, &uuid.to_string())?;
    connection.execute("delete from records where kind = ?1 and uuid = ?2", params![kind.name(), uuid.to_string()])?;
    tell(connection, &record, "delete")
}

/// The first unique value of every record of the kind that the node has.
fn of_node(connection: &Connection, kind: Kind, node: Uuid) -> Result<HashMap<String, Record>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "select {COLUMNS}, (select key || ' ' || value from record_keys where record = id order by key limit 1)
         from records where kind = ?1 and node_uuid = ?2"
    ))?;
    let mut rows = statement.query(params![kind.name(), node.to_string()])?;
    let mut kept = HashMap::new();
    while let Some(row) = rows.next()? {
        let record = from_row(kind, row)?;
        let key: Option<String> = row.get(9)?;
        kept.insert(key.unwrap_or_else(|| record.meta.uuid.to_string()), record);
    }
    Ok(kept)
}

pub fn replace(connection: &Connection, kind: Kind, node: Uuid, records: Vec<Record>) -> Result<(), StoreError> {
    let kept = of_node(connection, kind, node)?;
    let mut stay = HashSet::new();
    let mut new = Vec::new();
    for mut record in records {
        let first = record.unique.iter().min_by_key(|key| key.key).map(|key| format!("{} {}", key.key, key.value));
        let Some(old) = first.and_then(|key| kept.get(&key)) else {
            new.push(record);
            continue;
        };
        stay.insert(old.meta.uuid);
        if old.document != record.document {
            record.meta.uuid = old.meta.uuid;
            save(connection, record, None)?;
        }
    }
    // First what goes, then what comes: a new record may carry a value that an old one had.
    for old in kept.values().filter(|old| !stay.contains(&old.meta.uuid)) {
        delete(connection, kind, old.meta.uuid, None)?;
    }
    for record in new {
        insert(connection, Record { kind, node: Some(node), ..record })?;
    }
    Ok(())
}
