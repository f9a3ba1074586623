//! SQL of conductors. Their ids are the order in which they came.

use super::micros;
use super::order::Order;
use crate::store::{ConductorRecord, Page, StoreError};
use jiff::Timestamp;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

const COLUMNS: &str = "hostname, conductor_group, drivers, created_at, updated_at";

fn from_row(row: &Row<'_>) -> rusqlite::Result<ConductorRecord> {
    let time = |micros: i64| Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(ConductorRecord {
        hostname: row.get(0)?,
        conductor_group: row.get(1)?,
        drivers: row.get::<_, String>(2)?.split(',').map(str::to_owned).collect(),
        created_at: time(row.get(3)?),
        updated_at: time(row.get(4)?),
    })
}

pub fn register(connection: &Connection, record: &ConductorRecord) -> Result<(), StoreError> {
    connection.execute(
        "insert into conductors (hostname, conductor_group, drivers, created_at, updated_at) values (?1, ?2, ?3, ?4, ?5)
         on conflict (hostname) do update set conductor_group = ?2, drivers = ?3, updated_at = ?5",
        params![
            record.hostname,
            record.conductor_group,
            record.drivers.join(","),
            micros(record.created_at),
            micros(record.updated_at)
        ],
    )?;
    Ok(())
}

fn unknown(hostname: &str) -> StoreError {
    StoreError::NotFound(format!("Conductor {hostname}"))
}

pub fn by_name(connection: &Connection, hostname: &str) -> Result<ConductorRecord, StoreError> {
    connection
        .prepare_cached(&format!("select {COLUMNS} from conductors where hostname = ?1"))?
        .query_row([hostname], from_row)
        .optional()?
        .ok_or_else(|| unknown(hostname))
}

pub fn list(connection: &Connection, page: &Page, marker: Option<&str>) -> Result<Vec<ConductorRecord>, StoreError> {
    let key = match page.sort_key.as_str() {
        column @ ("id" | "hostname" | "conductor_group" | "created_at" | "updated_at") => column.to_owned(),
        odd => return Err(StoreError::Database(format!("`{odd}` is no sort key"))),
    };
    let order = Order::new("listed", key, page);
    let mut values = vec![Sql::Integer(i64::try_from(page.limit).unwrap_or(i64::MAX))];
    let mut clause = String::new();
    if let Some(marker) = marker {
        let mut find = connection.prepare_cached("select rowid from conductors where hostname = ?1")?;
        let seen: Option<i64> = find.query_row([marker], |row| row.get(0)).optional()?;
        values.push(Sql::Integer(seen.ok_or_else(|| unknown(marker))?));
        clause = format!("where {}", order.behind("?2"));
    }
    let sql = format!(
        "with listed as (select rowid as id, * from conductors)
         select {COLUMNS} from listed {clause} order by {} limit ?1",
        order.by()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
