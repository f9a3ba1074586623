//! SQL of what belongs to nodes: history, inventory, arrivals.

use crate::model::history::HistoryEntry;
use crate::store::{Page, StoreError, seal};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;
use uuid::Uuid;

fn json(text: &str) -> Result<Value, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Database(format!("a record is damaged: {error}")))
}

/// Appends lines and drops the oldest beyond `max`.
pub fn add_history(connection: &Connection, node: Uuid, lines: &[HistoryEntry], max: usize) -> Result<(), StoreError> {
    if lines.is_empty() {
        return Ok(());
    }
    for line in lines {
        let doc = serde_json::to_string(line).map_err(|error| StoreError::Database(error.to_string()))?;
        connection
            .prepare_cached("insert into history (uuid, node_uuid, doc) values (?1, ?2, ?3)")?
            .execute(params![line.uuid.to_string(), node.to_string(), doc])?;
    }
    connection
        .prepare_cached(
            "delete from history where node_uuid = ?1 and id <=
             (select id from history where node_uuid = ?1 order by id desc limit 1 offset ?2)",
        )?
        .execute(params![node.to_string(), i64::try_from(max).unwrap_or(i64::MAX)])?;
    Ok(())
}

pub fn history(connection: &Connection, node: Uuid, page: &Page) -> Result<Vec<HistoryEntry>, StoreError> {
    let after: i64 = match page.marker {
        Some(marker) => connection
            .query_row("select id from history where uuid = ?1", [marker.to_string()], |row| row.get(0))
            .optional()?
            .ok_or_else(|| StoreError::NotFound(format!("Node history record {marker}")))?,
        None => 0,
    };
    let mut statement =
        connection.prepare_cached("select doc from history where node_uuid = ?1 and id > ?2 order by id limit ?3")?;
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![node.to_string(), after, limit])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let doc: String = row.get(0)?;
        lines.push(serde_json::from_str(&doc).map_err(|error| StoreError::Database(error.to_string()))?);
    }
    Ok(lines)
}

/// Where the seal of a text of a node belongs.
pub fn place(node: &str, part: &str) -> String {
    format!("{node}/{part}")
}

pub fn put_inventory(connection: &Connection, node: Uuid, inventory: String, plugin: String) -> Result<(), StoreError> {
    let node = node.to_string();
    let (inventory, key) = seal::sealed_text(&place(&node, "inventory"), inventory);
    let (plugin, _) = seal::sealed_text(&place(&node, "plugin_data"), plugin);
    connection.execute(
        "insert into inventories (node_uuid, inventory, plugin_data, sealed) values (?1, ?2, ?3, ?4)
         on conflict (node_uuid) do update set inventory = ?2, plugin_data = ?3, sealed = ?4",
        params![node, inventory, plugin, key],
    )?;
    Ok(())
}

pub fn inventory(connection: &Connection, node: Uuid) -> Result<Option<(Value, Value)>, StoreError> {
    let node = node.to_string();
    let found: Option<(String, String, Option<String>)> = connection
        .query_row("select inventory, plugin_data, sealed from inventories where node_uuid = ?1", [&node], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((inventory, plugin, key)) = found else { return Ok(None) };
    let open = |part: &str, text: String| -> Result<Value, StoreError> {
        json(&seal::opened_text(&place(&node, part), key.as_deref(), text)?)
    };
    Ok(Some((open("inventory", inventory)?, open("plugin_data", plugin)?)))
}

pub fn put_arrival(connection: &Connection, node: Uuid, data: String) -> Result<(), StoreError> {
    let node = node.to_string();
    let (data, key) = seal::sealed_text(&place(&node, "data"), data);
    connection.execute(
        "insert into arrivals (node_uuid, data, sealed) values (?1, ?2, ?3)
         on conflict (node_uuid) do update set data = ?2, sealed = ?3",
        params![node, data, key],
    )?;
    Ok(())
}

pub fn arrival(connection: &Connection, node: Uuid) -> Result<Option<Value>, StoreError> {
    let node = node.to_string();
    let found: Option<(String, Option<String>)> = connection
        .query_row("select data, sealed from arrivals where node_uuid = ?1", [&node], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let open = |(text, key): (String, Option<String>)| -> Result<Value, StoreError> {
        json(&seal::opened_text(&place(&node, "data"), key.as_deref(), text)?)
    };
    found.map(open).transpose()
}

pub fn drop_arrival(connection: &Connection, node: Uuid) -> Result<(), StoreError> {
    connection.execute("delete from arrivals where node_uuid = ?1", [node.to_string()])?;
    Ok(())
}
