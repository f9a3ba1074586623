//! What is sealed, at the start: every key that is needed is there, and all is sealed with the first one.

use super::belongings;
use super::events;
use super::nodes::unsealed;
use super::records::{place, secret_fields};
use crate::model::event::Event;
use crate::model::record::Kind;
use crate::store::StoreError;
use crate::store::seal::{self, FIELDS, Keys, SealError};
use rusqlite::{Connection, params};
use serde_json::Value;

/// Rows in one transaction.
const PIECE: usize = 500;

/// Where seals are: tables, and which of their rows hold what may be sealed.
const TABLES: [(&str, &str); 5] = [
    ("nodes", "true"),
    ("records", "kind in ('volume_target', 'deploy_template', 'runbook', 'inspection_rule')"),
    ("inventories", "true"),
    ("arrivals", "true"),
    ("events", "snapshot is not null"),
];

/// Seals what is open or sealed with an older key.
///
/// # Errors
/// [`StoreError::Keys`] when a key is missing or a record does not open; what was sealed until then stays so.
pub fn settle(connection: &Connection, keys: Option<&Keys>) -> Result<(), StoreError> {
    for (table, _) in TABLES {
        let sql = format!("select distinct sealed from {table} where sealed is not null");
        let used: Vec<String> = connection.prepare(&sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        if let Some(missing) = used.into_iter().find(|name| !keys.is_some_and(|keys| keys.has(name))) {
            return Err(SealError::Missing(missing).into());
        }
    }
    let Some(keys) = keys else { return Ok(()) };
    let (mut rows, mut were_open) = (0, false);
    for (table, holds) in TABLES {
        let sql = format!("select rowid, sealed is null from {table} where {holds} and sealed is not ?1");
        let found: Vec<(i64, bool)> = connection
            .prepare(&sql)?
            .query_map([keys.first()], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for piece in found.chunks(PIECE) {
            let transaction = connection.unchecked_transaction()?;
            piece.iter().try_for_each(|(id, _)| seal_row(connection, table, *id))?;
            transaction.commit()?;
        }
        rows += found.len();
        were_open |= found.iter().any(|(_, open)| *open);
    }
    if rows > 0 {
        tracing::info!(rows, key = keys.first(), "secrets in the database are sealed with the first key");
    }
    if were_open {
        // Pages that were free before, and the log of writes, may still hold what was open.
        connection.execute_batch("vacuum")?;
        connection.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))?;
    }
    Ok(())
}

fn seal_row(connection: &Connection, table: &str, id: i64) -> Result<(), StoreError> {
    match table {
        "nodes" => node(connection, id),
        "records" => record(connection, id),
        "inventories" => texts(connection, id, "inventories", &["inventory", "plugin_data"]),
        "arrivals" => texts(connection, id, "arrivals", &["data"]),
        _ => event(connection, id),
    }
}

fn damaged(error: impl std::fmt::Display) -> StoreError {
    StoreError::Database(format!("a record is damaged: {error}"))
}

fn node(connection: &Connection, id: i64) -> Result<(), StoreError> {
    let (uuid, document) = unsealed(connection, id)?;
    let Some((sealed, key)) = seal::sealed(&uuid, &FIELDS, || Some(document)) else { return Ok(()) };
    let values = params![id, sealed.to_string(), key];
    connection.prepare_cached("update nodes set doc = ?2, sealed = ?3 where id = ?1")?.execute(values)?;
    Ok(())
}

fn record(connection: &Connection, id: i64) -> Result<(), StoreError> {
    let (kind, uuid, text, key): (String, String, String, Option<String>) = connection
        .prepare_cached("select kind, uuid, doc, sealed from records where id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let kind = Kind::from_name(&kind).ok_or_else(|| damaged(format!("there is no kind `{kind}`")))?;
    let (fields, place) = (secret_fields(kind), place(kind, &uuid));
    let mut document: Value = serde_json::from_str(&text).map_err(damaged)?;
    if let (Some(key), Value::Object(map)) = (key, &mut document) {
        seal::opened(&place, fields, &key, map)?;
    }
    let Some((sealed, key)) = seal::sealed(&place, fields, || Some(document)) else { return Ok(()) };
    let values = params![id, sealed.to_string(), key];
    connection.prepare_cached("update records set doc = ?2, sealed = ?3 where id = ?1")?.execute(values)?;
    Ok(())
}

fn texts(connection: &Connection, id: i64, table: &str, columns: &[&str]) -> Result<(), StoreError> {
    let sql = format!("select node_uuid, sealed from {table} where rowid = ?1");
    let (node, old): (String, Option<String>) =
        connection.prepare_cached(&sql)?.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for column in columns {
        let place = belongings::place(&node, column);
        let sql = format!("select {column} from {table} where rowid = ?1");
        let text: String = connection.prepare_cached(&sql)?.query_row([id], |row| row.get(0))?;
        let (text, key) = seal::sealed_text(&place, seal::opened_text(&place, old.as_deref(), text)?);
        let sql = format!("update {table} set {column} = ?2, sealed = ?3 where rowid = ?1");
        connection.prepare_cached(&sql)?.execute(params![id, text, key])?;
    }
    Ok(())
}

fn event(connection: &Connection, id: i64) -> Result<(), StoreError> {
    let (doc, text, old): (String, String, Option<String>) = connection
        .prepare_cached("select doc, snapshot, sealed from events where id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let event: Event = serde_json::from_str(&doc).map_err(damaged)?;
    let place = events::place(&event);
    let (text, key) = seal::sealed_text(&place, seal::opened_text(&place, old.as_deref(), text)?);
    let values = params![id, text, key];
    connection.prepare_cached("update events set snapshot = ?2, sealed = ?3 where id = ?1")?.execute(values)?;
    Ok(())
}
