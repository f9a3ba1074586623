//! SQL of nodes.

use super::leases::fenced;
use super::{events, micros, records};
use crate::model::event::{self, Event};
use crate::model::history::{HistoryEntry, MAINTENANCE};
use crate::model::node::{Node, Reservation};
use crate::model::notice;
use crate::model::power::PowerState;
use crate::model::record::Kind;
use crate::store::seal;
use crate::store::{NodeEdit, StoreError};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What [`from_row`] reads, in its order.
pub const COLUMNS: &str = "id, doc, lease_owner, lease_reason, lease_until, revision, sealed";

/// What [`held`] reads, in its order.
pub const LEASE: &str = "lease_owner, lease_reason, lease_until";

/// A node out of a row of [`COLUMNS`].
pub fn from_row(row: &Row<'_>) -> Result<Node, StoreError> {
    let text = row.get_ref(1)?.as_str().map_err(|error| StoreError::Database(error.to_string()))?;
    let mut node: Node = match row.get::<_, Option<String>>(6)? {
        None => serde_json::from_str(text).map_err(damaged)?,
        Some(key) => serde_json::from_value(open(text, &key)?).map_err(damaged)?,
    };
    node.id = row.get(0)?;
    node.revision = row.get(5)?;
    node.reservation = held(row, 2, micros(Timestamp::now()))?;
    Ok(node)
}

fn damaged(error: serde_json::Error) -> StoreError {
    StoreError::Database(format!("a node record is damaged: {error}"))
}

pub fn open(text: &str, key: &str) -> Result<Value, StoreError> {
    let mut document: Map<String, Value> = serde_json::from_str(text).map_err(damaged)?;
    let uuid = document.get("uuid").and_then(Value::as_str).unwrap_or_default().to_owned();
    seal::opened(&uuid, &seal::FIELDS, key, &mut document)?;
    Ok(Value::Object(document))
}

/// UUID and document of a node as they are without a seal.
pub fn unsealed(connection: &Connection, id: i64) -> Result<(String, Value), StoreError> {
    let (uuid, text, key): (String, String, Option<String>) = connection
        .prepare_cached("select uuid, doc, sealed from nodes where id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let document = match key {
        None => serde_json::from_str(&text).map_err(damaged)?,
        Some(key) => open(&text, &key)?,
    };
    Ok((uuid, document))
}

/// Who has the node of a row whose columns from `at` on are those of [`LEASE`].
pub fn held(row: &Row<'_>, at: usize, now: i64) -> Result<Option<Reservation>, StoreError> {
    let (Some(owner), Some(until)) = (row.get::<_, Option<String>>(at)?, row.get::<_, Option<i64>>(at + 2)?) else {
        return Ok(None);
    };
    if until <= now {
        return Ok(None);
    }
    let until = Timestamp::from_microsecond(until).unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(Some(Reservation { owner, reason: row.get::<_, Option<String>>(at + 1)?.unwrap_or_default(), until }))
}

/// The document, and the name of the key that it is sealed with.
fn doc(node: &Node) -> Result<(String, Option<String>), StoreError> {
    if let Some((sealed, key)) = seal::sealed(&node.uuid.to_string(), &seal::FIELDS, || serde_json::to_value(node).ok())
    {
        return Ok((sealed.to_string(), Some(key)));
    }
    let text = serde_json::to_string(node).map_err(|error| StoreError::Database(error.to_string()))?;
    Ok((text, None))
}

/// Says which unique value is taken, in the API's words (rest-api section 2.2).
fn duplicate(error: rusqlite::Error, node: &Node) -> StoreError {
    let text = error.to_string();
    if text.contains("nodes.name") {
        StoreError::Duplicate(format!("A node with name {} already exists.", node.name.as_deref().unwrap_or_default()))
    } else if text.contains("nodes.uuid") {
        StoreError::Duplicate(format!("A node with UUID {} already exists.", node.uuid))
    } else if text.contains("nodes.instance_uuid") {
        let instance = node.instance_uuid.as_deref().unwrap_or_default();
        StoreError::Duplicate(format!(
            "Instance {instance} is already associated with a node, it cannot be associated with this other node {}",
            node.uuid
        ))
    } else {
        error.into()
    }
}

/// What stands beside the document, in the order of [`SEARCHED`].
fn searched<'a>(node: &'a Node, made: &'a Made) -> [&'a dyn ToSql; 14] {
    [
        &node.driver,
        &node.resource_class,
        &node.owner,
        &node.lessee,
        &node.shard,
        &node.parent_node,
        &node.conductor_group,
        &node.chassis_uuid,
        &node.instance_name,
        &node.fault,
        &node.maintenance,
        &node.retired,
        &made.power,
        &made.since,
    ]
}

/// Columns whose values are not in the node as they are kept.
struct Made {
    power: Option<&'static str>,
    since: Option<i64>,
}

impl Made {
    fn of(node: &Node) -> Self {
        Made { power: node.power_state.map(PowerState::name), since: node.provision_updated_at.map(micros) }
    }
}

/// Columns that repeat a field of the document, so that lists find it without reading the document.
pub const SEARCHED: [&str; 14] = [
    "driver",
    "resource_class",
    "owner",
    "lessee",
    "shard",
    "parent_node",
    "conductor_group",
    "chassis_uuid",
    "instance_name",
    "fault",
    "maintenance",
    "retired",
    "power_state",
    "provision_since",
];

/// The fields that have a column are the same: only the document has to be written.
fn same_columns(before: &Node, after: &Node) -> bool {
    (&before.name, &before.instance_uuid, before.provision_state, before.maintenance, before.retired)
        == (&after.name, &after.instance_uuid, after.provision_state, after.maintenance, after.retired)
        && (&before.driver, &before.resource_class, &before.owner, &before.lessee, &before.shard)
            == (&after.driver, &after.resource_class, &after.owner, &after.lessee, &after.shard)
        && (&before.parent_node, &before.conductor_group, &before.chassis_uuid)
            == (&after.parent_node, &after.conductor_group, &after.chassis_uuid)
        && (&before.instance_name, &before.fault, before.power_state, before.provision_updated_at)
            == (&after.instance_name, &after.fault, after.power_state, after.provision_updated_at)
}

pub fn insert(connection: &Connection, mut node: Node) -> Result<Node, StoreError> {
    node.created_at = Timestamp::now();
    node.revision = 1;
    let (uuid, state, (doc, sealed)) = (node.uuid.to_string(), node.provision_state.name(), doc(&node)?);
    let made = Made::of(&node);
    let mut values: Vec<&dyn ToSql> = vec![&uuid, &node.name, &node.instance_uuid, &state, &doc, &sealed];
    values.extend(searched(&node, &made));
    let marks: Vec<_> = (1..=values.len()).map(|number| format!("?{number}")).collect();
    let sql = format!(
        "insert into nodes (uuid, name, instance_uuid, provision_state, doc, sealed, {}) values ({})",
        SEARCHED.join(", "),
        marks.join(", ")
    );
    connection.prepare_cached(&sql)?.execute(&values[..]).map_err(|error| duplicate(error, &node))?;
    node.id = connection.last_insert_rowid();
    let event = Event::of_node(&node, "node.create", json!({"driver": node.driver}), &events::origin());
    events::tell(connection, vec![event], || Some(notice::of_node(&node)))?;
    Ok(node)
}

pub fn by_ident(connection: &Connection, ident: &str) -> Result<Node, StoreError> {
    let column = if Uuid::try_parse(ident).is_ok() { "uuid" } else { "name" };
    let mut statement = connection.prepare_cached(&format!("select {COLUMNS} from nodes where {column} = ?1"))?;
    let ident_text = if column == "uuid" { ident.to_ascii_lowercase() } else { ident.to_owned() };
    let mut rows = statement.query([ident_text])?;
    match rows.next()? {
        Some(row) => from_row(row),
        None => Err(StoreError::NotFound(format!("Node {ident}"))),
    }
}

/// Narrows a query on nodes to what is visible; every list of nodes, and of what belongs to nodes, goes through here.
///
/// `mark` is the parameter that carries the project.
pub fn visible_to(mark: &str) -> String {
    format!("(nodes.owner = {mark} or nodes.lessee = {mark})")
}

pub fn by_id(connection: &Connection, ids: &[i64]) -> Result<Vec<Node>, StoreError> {
    // One reading lock for all of them.
    let connection = &connection.unchecked_transaction()?;
    let mut statement = connection.prepare_cached(&format!("select {COLUMNS} from nodes where id = ?1"))?;
    let mut nodes = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(row) = statement.query([id])?.next()? {
            nodes.push(from_row(row)?);
        }
    }
    Ok(nodes)
}

pub fn save(connection: &Connection, node: &Node, fence: i64, history: &[HistoryEntry]) -> Result<i64, StoreError> {
    let before = by_ident(connection, &node.uuid.to_string()).map_err(|error| match error {
        // Deleted under a holder who was overtaken.
        StoreError::NotFound(_) => StoreError::Fenced(node.uuid),
        other => other,
    })?;
    let revision = write(connection, node, KEPT, " and fence = ?7 and lease_owner is not null", &[&fence])?;
    let revision = revision.ok_or(StoreError::Fenced(node.uuid))?;
    tell_saved(connection, &before, node, history)?;
    Ok(revision)
}

/// What follows from a save: an allocation that the node let go is forgotten with it, and the change is told.
fn tell_saved(connection: &Connection, before: &Node, node: &Node, history: &[HistoryEntry]) -> Result<(), StoreError> {
    if before.allocation_uuid != node.allocation_uuid
        && let Some(allocation) = before.allocation_uuid.as_deref().and_then(|uuid| Uuid::try_parse(uuid).ok())
    {
        match records::delete(connection, Kind::Allocation, allocation, None) {
            Err(StoreError::NotFound(_)) => {}
            other => other?,
        }
    }
    let moves: Vec<_> = history.iter().filter_map(|line| line.moved.clone()).collect();
    let asked = history.iter().any(|line| line.event_type == MAINTENANCE);
    let told = event::of_save(before, node, &moves, asked, &events::origin());
    events::tell(connection, told, || Some(notice::of_node(node)))
}

/// The lease stays as it is.
const KEPT: &str = "fence = fence";
/// Whoever had the node has it no more, and cannot write it.
const FREE: &str =
    "fence = fence + (lease_owner is not null), lease_owner = null, lease_reason = null, lease_until = null";

/// Writes every column where `condition` holds, which begins with ` and` and whose values are counted from ?7 on.
/// The new revision, or nothing when no row was met.
fn write(
    connection: &Connection,
    node: &Node,
    lease: &str,
    condition: &str,
    more: &[&dyn ToSql],
) -> Result<Option<i64>, StoreError> {
    let (uuid, state, (doc, sealed)) = (node.uuid.to_string(), node.provision_state.name(), doc(node)?);
    let made = Made::of(node);
    let mut values: Vec<&dyn ToSql> = vec![&uuid, &node.name, &node.instance_uuid, &state, &doc, &sealed];
    values.extend(more);
    let first = values.len() + 1;
    values.extend(searched(node, &made));
    let columns: String = SEARCHED.iter().enumerate().map(|(at, name)| format!(", {name} = ?{}", first + at)).collect();
    let sql = format!(
        "update nodes set name = ?2, instance_uuid = ?3, provision_state = ?4, doc = ?5, sealed = ?6, revision = revision + 1, {lease}{columns}
         where uuid = ?1{condition} returning revision"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_row(&values[..], |row| row.get(0)).optional().map_err(|error| duplicate(error, node))
}

/// The node as it is now. What somebody has read is not read again while nobody has changed it: only who has it may be
/// another one, for that does not change its revision.
fn still(connection: &Connection, mut read: Node) -> Result<Node, StoreError> {
    let uuid = read.uuid.to_string();
    let mut statement = connection
        .prepare_cached("select id, revision, lease_owner, lease_reason, lease_until from nodes where uuid = ?1")?;
    let mut rows = statement.query([&uuid])?;
    if let Some(row) = rows.next()?
        && (read.id, read.revision) == (row.get(0)?, row.get(1)?)
    {
        let reservation = held(row, 2, micros(Timestamp::now()))?;
        debug_assert!(
            by_ident(connection, &uuid).is_ok_and(|stored| {
                let unheld = |node: Node| Node { reservation: None, ..node };
                unheld(stored) == unheld(read.clone())
            }),
            "node {uuid} was changed by the caller before it was handed in as read"
        );
        read.reservation = reservation;
        return Ok(read);
    }
    by_ident(connection, &uuid)
}

/// See [`crate::store::Store::edit_node`]. Returns the lines of history that go with the change.
pub fn edit(
    connection: &Connection,
    node: Uuid,
    read: Option<Node>,
    edit: NodeEdit,
) -> Result<(Node, Vec<HistoryEntry>), StoreError> {
    let before = match read {
        Some(read) => still(connection, read)?,
        None => by_ident(connection, &node.to_string())?,
    };
    if let Some(held) = &before.reservation {
        return Err(StoreError::Held { node, owner: held.owner.clone(), reason: held.reason.clone() });
    }
    let mut after = before.clone();
    let Some(history) = edit(&mut after) else { return Ok((before, Vec::new())) };
    // A holder whose lease ran out may still believe in it, and would write his old copy over this: both fence him off.
    if same_columns(&before, &after) {
        let (text, key) = doc(&after)?;
        connection
            .prepare_cached(&format!(
                "update nodes set doc = ?2, sealed = ?3, revision = revision + 1, {FREE} where id = ?1"
            ))?
            .execute(params![before.id, text, key])?;
        after.revision = before.revision + 1;
    } else {
        after.revision =
            write(connection, &after, FREE, "", &[])?.ok_or_else(|| StoreError::NotFound(format!("Node {node}")))?;
    }
    tell_saved(connection, &before, &after, &history)?;
    Ok((after, history))
}

pub fn delete(connection: &Connection, node: Uuid, fence: i64) -> Result<(), StoreError> {
    let found: Option<i64> = connection
        .query_row(
            "select id from nodes where uuid = ?1 and fence = ?2 and lease_owner is not null",
            params![node.to_string(), fence],
            |row| row.get(0),
        )
        .optional()?;
    fenced(usize::from(found.is_some()), node)?;
    let record = by_ident(connection, &node.to_string())?;
    connection.execute("delete from nodes where uuid = ?1", [node.to_string()])?;
    let event = Event::of_node(&record, "node.delete", json!({}), &events::origin());
    events::tell(connection, vec![event], || Some(notice::of_node(&record)))
}
