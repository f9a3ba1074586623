//! The contract on SQLite, and older and newer files.

use super::{LogOptions, Node, Page, SqliteStore, Store, Uuid, Visible};
use crate::model::record::Kind;
use crate::store::records::{RecordFilter, Records};

#[tokio::test]
async fn sqlite_holds_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("wrought.sqlite"), 3).unwrap();
    crate::store::contract::hold(&store).await;
    crate::store::record_contract::hold(&store).await;
}

#[tokio::test]
async fn sqlite_holds_the_contract_of_the_event_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = LogOptions { max: 10, snapshots: false };
    let store = SqliteStore::open(&folder.path().join("wrought.sqlite"), 3).unwrap().with_log(log);
    crate::store::event_contract::hold(&store).await;
}

#[tokio::test]
async fn a_file_of_the_first_version_gets_the_tables_of_records_and_keeps_its_nodes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrought.sqlite");
    let store = SqliteStore::open(&path, 3).unwrap();
    let since = "2026-11-20T12:00:00.25Z".parse().ok();
    let node = Node { provision_updated_at: since, ..Node::new(Uuid::new_v4(), "fake-hardware") };
    let node = store.create_node(node).await.unwrap();
    drop(store);
    let connection = rusqlite::Connection::open(&path).unwrap();
    let back = "drop table record_keys; drop table records; drop table events; drop table event_cursors;
        drop index nodes_without_parent; drop index nodes_by_state; alter table nodes drop column provision_since;
        create index nodes_by_state on nodes (provision_state);
        alter table inventories drop column sealed; alter table arrivals drop column sealed; pragma user_version = 1";
    connection.execute_batch(back).unwrap();
    drop(connection);
    let store = SqliteStore::open(&path, 3).unwrap();
    assert_eq!(store.node(&node.uuid.to_string()).await.unwrap().uuid, node.uuid);
    let counts = store.state_counts().await.unwrap();
    assert_eq!((counts.len(), counts[0].nodes, counts[0].oldest), (1, 1, since));
    assert!(
        store
            .records(Kind::Chassis, &Visible::Everything, &RecordFilter::default(), &Page::default())
            .await
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_file_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrought.sqlite");
    drop(SqliteStore::open(&path, 3).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteStore::open(&path, 3).err().unwrap().to_string();
    assert!(error.contains("newer conductor"), "{error}");
}
