//! SQL of writes that go into the transaction of a node's save.

use super::{belongings, ports, records};
use crate::store::StoreError;
use crate::store::records::RecordChange;
use rusqlite::Connection;

pub fn apply(connection: &Connection, change: RecordChange) -> Result<(), StoreError> {
    match change {
        RecordChange::Create(record) => records::insert(connection, *record).map(drop),
        RecordChange::Save(record) => records::save(connection, *record, None).map(drop),
        RecordChange::SaveAt(record, revision) => records::save(connection, *record, Some(revision)).map(drop),
        RecordChange::Delete(kind, uuid) => match records::delete(connection, kind, uuid, None) {
            Err(StoreError::NotFound(_)) => Ok(()),
            other => other,
        },
        RecordChange::Replace(kind, node, all) => records::replace(connection, kind, node, all),
        RecordChange::NewPort(port) => match ports::insert(connection, *port) {
            Err(StoreError::Duplicate(_)) => Ok(()),
            other => other.map(drop),
        },
        RecordChange::SavePort(port) => ports::save(connection, *port).map(drop),
        RecordChange::PutInventory(node, inventory, plugin_data) => {
            belongings::put_inventory(connection, node, inventory.to_string(), plugin_data.to_string())
        }
        RecordChange::PutArrival(node, data) => belongings::put_arrival(connection, node, data.to_string()),
        RecordChange::DropArrival(node) => belongings::drop_arrival(connection, node),
    }
}
