//! Nodes read from their columns alone: what most lists show does not need the document.

use super::micros;
use super::nodes::held;
use crate::model::fsm::State;
use crate::model::node::Node;
use crate::model::power::PowerState;
use crate::store::StoreError;
use rusqlite::{Connection, Row};

/// Fields of a node that have a column.
pub const FIELDS: &[&str] = &[
    "uuid",
    "name",
    "instance_uuid",
    "provision_state",
    "power_state",
    "maintenance",
    "retired",
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
    "reservation",
    "links",
];

const COLUMNS: &str = "id, uuid, lease_owner, lease_reason, lease_until, revision, name, instance_uuid, provision_state, \
    power_state, maintenance, retired, driver, resource_class, owner, lessee, shard, parent_node, conductor_group, \
    chassis_uuid, instance_name, fault";

/// These nodes, in this order, with nothing but [`FIELDS`].
pub fn by_id(connection: &Connection, ids: &[i64]) -> Result<Vec<Node>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("select {COLUMNS} from nodes where id = ?1"))?;
    let now = micros(jiff::Timestamp::now());
    let mut nodes = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(row) = statement.query([id])?.next()? {
            nodes.push(from_row(row, now)?);
        }
    }
    Ok(nodes)
}

fn from_row(row: &Row<'_>, now: i64) -> Result<Node, StoreError> {
    let damaged = |what: &str| StoreError::Database(format!("a node record is damaged: its column {what}"));
    let text = |at: usize| -> Result<Option<String>, StoreError> { Ok(row.get(at)?) };
    let uuid = row.get_ref(1)?.as_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| damaged("uuid"))?;
    let state = row.get_ref(8)?.as_str().ok().and_then(State::from_name).ok_or_else(|| damaged("provision_state"))?;
    let power = row.get_ref(9)?.as_str_or_null().map_err(|_| damaged("power_state"))?.and_then(PowerState::from_name);
    Ok(Node {
        id: row.get(0)?,
        uuid,
        reservation: held(row, now)?,
        revision: row.get(5)?,
        name: text(6)?,
        instance_uuid: text(7)?,
        provision_state: state,
        power_state: power,
        maintenance: row.get(10)?,
        retired: row.get(11)?,
        driver: text(12)?.unwrap_or_default(),
        resource_class: text(13)?,
        owner: text(14)?,
        lessee: text(15)?,
        shard: text(16)?,
        parent_node: text(17)?,
        conductor_group: text(18)?.unwrap_or_default(),
        chassis_uuid: text(19)?,
        instance_name: text(20)?,
        fault: text(21)?,
        ..Node::default()
    })
}
