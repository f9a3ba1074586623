//! SQL of ports.

use super::events::{self, Thing};
use super::nodes::{self, visible_to};
use super::order::Order;
use crate::model::port::Port;
use crate::policy::Visible;
use crate::store::{Page, PortFilter, StoreError};
use jiff::Timestamp;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params, params_from_iter};
use serde_json::json;
use uuid::Uuid;

fn from_row(row: &Row<'_>) -> Result<Port, StoreError> {
    let doc: String = row.get(1)?;
    let mut port: Port = serde_json::from_str(&doc)
        .map_err(|error| StoreError::Database(format!("a port record is damaged: {error}")))?;
    port.id = row.get(0)?;
    port.revision = row.get(2)?;
    Ok(port)
}

const COLUMNS: &str = "id, doc, revision";

fn doc(port: &Port) -> Result<String, StoreError> {
    serde_json::to_string(port).map_err(|error| StoreError::Database(error.to_string()))
}

fn duplicate(error: rusqlite::Error, port: &Port) -> StoreError {
    let text = error.to_string();
    if text.contains("ports.address") {
        StoreError::Duplicate(format!("A port with MAC address {} already exists.", port.address))
    } else if text.contains("ports.uuid") {
        StoreError::Duplicate(format!("A port with UUID {} already exists.", port.uuid))
    } else if text.contains("ports.name") {
        StoreError::Duplicate(format!("A port with name {} already exists.", port.name.as_deref().unwrap_or_default()))
    } else if text.contains("FOREIGN KEY") {
        StoreError::NotFound(format!("Node {}", port.node_uuid))
    } else {
        error.into()
    }
}

pub fn insert(connection: &Connection, mut port: Port) -> Result<Port, StoreError> {
    port.created_at = Timestamp::now();
    port.revision = 1;
    connection
        .prepare_cached("insert into ports (uuid, node_uuid, address, name, doc) values (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            port.uuid.to_string(),
            port.node_uuid.to_string(),
            port.address.to_string(),
            port.name,
            doc(&port)?
        ])
        .map_err(|error| duplicate(error, &port))?;
    port.id = connection.last_insert_rowid();
    tell(connection, &port, "create")?;
    Ok(port)
}

pub fn by_ident(connection: &Connection, ident: &str) -> Result<Port, StoreError> {
    let column = if Uuid::try_parse(ident).is_ok() { "uuid" } else { "name" };
    let mut statement = connection.prepare_cached(&format!("select {COLUMNS} from ports where {column} = ?1"))?;
    let mut rows = statement.query([if column == "uuid" { ident.to_ascii_lowercase() } else { ident.to_owned() }])?;
    match rows.next()? {
        Some(row) => from_row(row),
        None => Err(StoreError::NotFound(format!("Port {ident}"))),
    }
}

pub fn list(
    connection: &Connection,
    visible: &Visible,
    filter: &PortFilter,
    page: &Page,
) -> Result<Vec<Port>, StoreError> {
    select(connection, COLUMNS, visible, filter, page, from_row)
}

pub fn ids(
    connection: &Connection,
    visible: &Visible,
    filter: &PortFilter,
    page: &Page,
) -> Result<Vec<i64>, StoreError> {
    select(connection, "id", visible, filter, page, |row| Ok(row.get(0)?))
}

pub fn by_id(connection: &Connection, ids: &[i64]) -> Result<Vec<Port>, StoreError> {
    // One reading lock for all of them.
    let connection = &connection.unchecked_transaction()?;
    let mut statement = connection.prepare_cached(&format!("select {COLUMNS} from ports where id = ?1"))?;
    let mut ports = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(row) = statement.query([id])?.next()? {
            ports.push(from_row(row)?);
        }
    }
    Ok(ports)
}

fn select<T>(
    connection: &Connection,
    columns: &str,
    visible: &Visible,
    filter: &PortFilter,
    page: &Page,
    read: fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut conditions = Vec::new();
    let mut values: Vec<Sql> = Vec::new();
    let mut bind = |value: String| {
        values.push(Sql::Text(value));
        format!("?{}", values.len())
    };
    if let Some(project) = visible.project() {
        let mark = bind(project.to_owned());
        conditions.push(format!("node_uuid in (select nodes.uuid from nodes where {})", visible_to(&mark)));
    }
    if let Some(node) = filter.node {
        conditions.push(format!("node_uuid = {}", bind(node.to_string())));
    }
    if let Some(address) = filter.address {
        conditions.push(format!("address = {}", bind(address.to_string())));
    }
    if let Some(group) = filter.portgroup {
        conditions.push(format!("json_extract(doc, '$.portgroup_uuid') = {}", bind(group.to_string())));
    }
    if let Some(part) = &filter.description_contains {
        conditions.push(format!("instr(json_extract(doc, '$.description'), {}) > 0", bind(part.clone())));
    }
    for (field, wanted) in [("shard", &filter.shards), ("conductor_group", &filter.conductor_groups)] {
        if !wanted.is_empty() {
            let marks: Vec<_> = wanted.iter().map(|value| bind(value.clone())).collect();
            conditions.push(format!("node_uuid in (select uuid from nodes where {field} in ({}))", marks.join(", ")));
        }
    }
    let key = match page.sort_key.as_str() {
        column @ ("id" | "uuid" | "address" | "name" | "node_uuid") => column.to_owned(),
        plain if plain.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') => {
            format!("json_extract(doc, '$.{plain}')")
        }
        odd => return Err(StoreError::Database(format!("`{odd}` is no sort key"))),
    };
    let order = Order::new("ports", key, page);
    if let Some(marker) = page.marker {
        let seen = by_ident(connection, &marker.to_string())?;
        if let Some(project) = visible.project() {
            let node = nodes::by_ident(connection, &seen.node_uuid.to_string())?;
            if ![&node.owner, &node.lessee].iter().any(|theirs| theirs.as_deref() == Some(project)) {
                return Err(StoreError::NotFound(format!("Port {marker}")));
            }
        }
        values.push(Sql::Integer(seen.id));
        conditions.push(order.behind(&format!("?{}", values.len())));
    }
    let clause = if conditions.is_empty() { String::new() } else { format!("where {}", conditions.join(" and ")) };
    values.push(Sql::Integer(i64::try_from(page.limit).unwrap_or(i64::MAX)));
    let (order, limit) = (order.by(), values.len());
    let sql = format!("select {columns} from ports {clause} order by {order} limit ?{limit}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

pub fn save(connection: &Connection, mut port: Port) -> Result<Port, StoreError> {
    port.updated_at = Some(Timestamp::now());
    let changed = connection
        .prepare_cached(
            "update ports set node_uuid = ?2, address = ?3, name = ?4, doc = ?5, revision = revision + 1
             where uuid = ?1 and revision = ?6",
        )?
        .execute(params![
            port.uuid.to_string(),
            port.node_uuid.to_string(),
            port.address.to_string(),
            port.name,
            doc(&port)?,
            port.revision,
        ])
        .map_err(|error| duplicate(error, &port))?;
    if changed == 0 {
        return Err(missed(connection, port.uuid)?);
    }
    port.revision += 1;
    tell(connection, &port, "update")?;
    Ok(port)
}

/// Why no row was met: it is gone, or it is another revision.
fn missed(connection: &Connection, port: Uuid) -> Result<StoreError, StoreError> {
    match by_ident(connection, &port.to_string()) {
        Ok(_) => Ok(StoreError::Stale(format!("Port {port}"))),
        Err(error) => Err(error),
    }
}

pub fn delete_at(connection: &Connection, port: Uuid, revision: i64) -> Result<(), StoreError> {
    let record = by_ident(connection, &port.to_string())?;
    let sql = "delete from ports where uuid = ?1 and revision = ?2";
    match connection.prepare_cached(sql)?.execute(params![port.to_string(), revision])? {
        0 => Err(StoreError::Stale(format!("Port {port}"))),
        _ => tell(connection, &record, "delete"),
    }
}

fn tell(connection: &Connection, port: &Port, verb: &str) -> Result<(), StoreError> {
    let thing = Thing {
        word: "port",
        uuid: port.uuid,
        name: port.name.as_deref(),
        node: Some(port.node_uuid),
        owner: None,
        record: &|| json!(port),
    };
    events::tell_of(connection, &thing, verb)
}

pub fn delete(connection: &Connection, port: Uuid) -> Result<(), StoreError> {
    let record = by_ident(connection, &port.to_string())?;
    connection.execute("delete from ports where uuid = ?1", [port.to_string()])?;
    tell(connection, &record, "delete")
}
