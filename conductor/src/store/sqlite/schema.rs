//! Tables, and how an older file becomes a newer one.
//!
//! A record is one JSON document; what must be unique or is searched often has a column of its own beside it.
//! The document is the last column: whoever scans the others does not read it. A revision grows with every change of a
//! record; together with the id it says whether two readings are of the same record.
//! Times are integer microseconds, UUIDs text, so that another engine can agree.

use crate::store::StoreError;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::path::Path;
use std::time::Duration;

/// Each entry brings the file from the version of its index to the next one. Never edit an entry that was released.
const MIGRATIONS: &[&str] = &[
    "
    create table nodes (
        id integer primary key autoincrement,
        uuid text not null unique,
        name text unique,
        instance_uuid text unique,
        provision_state text not null,
        revision integer not null default 1,
        lease_owner text,
        lease_reason text,
        lease_until integer,
        fence integer not null default 0,
        driver text,
        resource_class text,
        owner text,
        lessee text,
        shard text,
        parent_node text,
        conductor_group text,
        chassis_uuid text,
        instance_name text,
        fault text,
        power_state text,
        maintenance integer not null default 0,
        retired integer not null default 0,
        sealed text,
        doc text not null
    );
    create index nodes_by_state on nodes (provision_state);
    create index nodes_by_class on nodes (resource_class) where resource_class is not null;
    create index nodes_by_owner on nodes (owner) where owner is not null;
    create index nodes_by_lessee on nodes (lessee) where lessee is not null;
    create index nodes_by_shard on nodes (shard) where shard is not null;
    create index nodes_by_parent on nodes (parent_node) where parent_node is not null;
    create index nodes_by_instance_name on nodes (instance_name) where instance_name is not null;
    create index nodes_by_fault on nodes (fault) where fault is not null;
    create index nodes_in_maintenance on nodes (maintenance) where maintenance;
    create table ports (
        id integer primary key autoincrement,
        uuid text not null unique,
        node_uuid text not null references nodes (uuid) on delete cascade,
        address text not null unique,
        name text unique,
        revision integer not null default 1,
        doc text not null
    );
    create index ports_by_node on ports (node_uuid);
    create table history (
        id integer primary key autoincrement,
        uuid text not null unique,
        node_uuid text not null references nodes (uuid) on delete cascade,
        doc text not null
    );
    create index history_by_node on history (node_uuid, id);
    create table inventories (
        node_uuid text primary key references nodes (uuid) on delete cascade,
        inventory text not null,
        plugin_data text not null
    );
    create table arrivals (
        node_uuid text primary key references nodes (uuid) on delete cascade,
        data text not null
    );
    create table conductors (
        hostname text primary key,
        conductor_group text not null,
        drivers text not null,
        created_at integer not null,
        updated_at integer not null
    );
",
    "
    create table records (
        id integer primary key autoincrement,
        kind text not null,
        uuid text not null,
        name text,
        node_uuid text references nodes (uuid) on delete cascade,
        revision integer not null,
        created_at integer not null,
        updated_at integer,
        doc text not null,
        unique (kind, uuid),
        unique (kind, name)
    );
    create index records_by_kind on records (kind, id);
    create index records_by_node on records (node_uuid, kind);
    create table record_keys (
        record integer not null references records (id) on delete cascade,
        kind text not null,
        key text not null,
        value text not null,
        primary key (kind, key, value)
    ) without rowid;
    create index record_keys_by_record on record_keys (record);
",
    // Events stay when what they tell of is gone. Ids are never used twice: a reader resumes by them.
    "
    create table events (
        id integer primary key autoincrement,
        at integer not null,
        kind text not null,
        node_uuid text,
        owner text,
        lessee text,
        doc text not null,
        snapshot text
    );
    create index events_by_time on events (at);
    create table event_cursors (
        receiver text primary key,
        position integer not null
    );
",
    // How many nodes are in each state, and since when, without a look at the nodes. What else is secret has its seal.
    "
    alter table nodes add column provision_since integer;
    update nodes set provision_since =
        cast(unixepoch(json_extract(doc, '$.provision_updated_at'), 'subsec') * 1000000 as integer);
    drop index nodes_by_state;
    create index nodes_by_state on nodes (provision_state, provision_since);
    alter table records add column sealed text;
    alter table events add column sealed text;
    alter table inventories add column sealed text;
    alter table arrivals add column sealed text;
",
    // Most lists are of nodes that are no children, in the order of their ids: found without reading a node.
    "
    create index nodes_without_parent on nodes (id, parent_node) where parent_node is null;
",
];

/// Opens the file with the settings every connection needs. WAL: readers never wait for the writer.
/// `synchronous=full`: a committed write survives a power cut.
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)
        .map_err(|error| StoreError::Database(format!("cannot open {}: {error}", path.display())))?;
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", "on")?;
    // What undoes one job of a transaction is kept in memory, not in a file beside the database.
    connection.pragma_update(None, "temp_store", "memory")?;
    // The log is emptied behind the writer's back (`checkpoint`); this bound holds when that does not keep up.
    connection.pragma_update(None, "wal_autocheckpoint", 16_384)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Plans do not depend on the values that are bound: SQLite would make a statement's plan anew for each list otherwise.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Brings the file to this program's version; refuses one from a newer program.
pub fn migrate(connection: &Connection) -> Result<(), StoreError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    if done > MIGRATIONS.len() {
        return Err(StoreError::Database(format!(
            "the file has schema version {version}, this program knows {}: start the newer conductor, or restore the copy made before the upgrade",
            MIGRATIONS.len()
        )));
    }
    for (index, step) in MIGRATIONS.iter().enumerate().skip(done) {
        connection.execute_batch(&format!("begin immediate; {step} pragma user_version = {}; commit", index + 1))?;
    }
    Ok(())
}
