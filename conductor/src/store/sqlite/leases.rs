//! Leases of nodes: who holds one, until when, and with which fence.

use super::micros;
use super::nodes::by_ident;
use crate::model::node::{Node, Reservation};
use crate::store::{Lease, StoreError};
use jiff::Timestamp;
use rusqlite::{Connection, params};
use std::time::Duration;
use uuid::Uuid;

fn until(time: Duration) -> i64 {
    micros(Timestamp::now()).saturating_add(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}

pub fn lease(
    connection: &Connection,
    node: Uuid,
    owner: &str,
    reason: &str,
    time: Duration,
) -> Result<(Lease, Node), StoreError> {
    let taken = connection
        .prepare_cached(
            "update nodes set lease_owner = ?2, lease_reason = ?3, lease_until = ?4, fence = fence + 1
             where uuid = ?1 and (lease_owner is null or lease_until <= ?5)",
        )?
        .execute(params![node.to_string(), owner, reason, until(time), micros(Timestamp::now())])?;
    let record = by_ident(connection, &node.to_string())?;
    if taken == 0 {
        let held = record.reservation.unwrap_or(Reservation {
            owner: String::new(),
            reason: String::new(),
            until: Timestamp::UNIX_EPOCH,
        });
        return Err(StoreError::Held { node, owner: held.owner, reason: held.reason });
    }
    let fence = connection
        .prepare_cached("select fence from nodes where uuid = ?1")?
        .query_row([node.to_string()], |row| row.get(0))?;
    Ok((Lease { node, fence, owner: owner.to_owned() }, record))
}

/// One row was changed, or the lease is not the caller's any more.
pub fn fenced(changed: usize, node: Uuid) -> Result<(), StoreError> {
    if changed == 1 { Ok(()) } else { Err(StoreError::Fenced(node)) }
}

pub fn renew(connection: &Connection, node: Uuid, fence: i64, time: Duration) -> Result<(), StoreError> {
    let changed = connection
        .prepare_cached("update nodes set lease_until = ?3 where uuid = ?1 and fence = ?2 and lease_owner is not null")?
        .execute(params![node.to_string(), fence, until(time)])?;
    fenced(changed, node)
}

pub fn release(connection: &Connection, node: Uuid, fence: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "update nodes set lease_owner = null, lease_reason = null, lease_until = null where uuid = ?1 and fence = ?2",
        )?
        .execute(params![node.to_string(), fence])?;
    Ok(())
}

pub fn end_leases(connection: &Connection, owner: &str) -> Result<usize, StoreError> {
    Ok(connection.execute(
        "update nodes set lease_owner = null, lease_reason = null, lease_until = null, fence = fence + 1 where lease_owner = ?1",
        [owner],
    )?)
}
