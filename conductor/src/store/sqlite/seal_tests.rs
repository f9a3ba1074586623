//! Secrets in the file of the database: planted everywhere, then looked for in its bytes.

use super::SqliteStore;
use crate::model::deploy_template::DeployTemplate;
use crate::model::node::Node;
use crate::model::volume::VolumeTarget;
use crate::policy::Visible;
use crate::store::events::{EventFilter, LogOptions};
use crate::store::records::RecordFilter;
use crate::store::seal::Keys;
use crate::store::{NodeEdit, Page, Store, StoreError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

const SECRET: &str = "Secr3tWord";

fn keys(names: &[&str]) -> Option<Arc<Keys>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    // Each key is its own name, repeated.
    let key = |name: &str| STANDARD.encode(name.repeat(32));
    let text: String = names.iter().map(|name| format!("{name} {}\n", key(name))).collect();
    std::fs::write(file.path(), text).unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    Some(Arc::new(Keys::read(file.path()).unwrap()))
}

fn leaks(folder: &Path) -> bool {
    // The log and its index go with the last connection, which a thread may close at this moment: what is gone leaks nothing.
    let files = std::fs::read_dir(folder).unwrap().filter_map(|entry| match std::fs::read(entry.unwrap().path()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        bytes => Some(bytes.unwrap()),
    });
    files.into_iter().any(|bytes| bytes.windows(10).any(|window| window == SECRET.as_bytes()))
}

#[tokio::test]
async fn secrets_are_sealed_at_rest_and_keys_are_turned_at_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrought.sqlite");
    let mut node = Node::new(Uuid::new_v4(), "fake-hardware");
    node.driver_info.insert("ipmi_password".into(), json!("Secr3tWord"));
    let uuid = node.uuid;
    let secret = |node: &Node| node.driver_info.text("ipmi_password").map(str::to_owned);
    let store = SqliteStore::open_with(&path, 3, keys(&["a"])).unwrap();
    let made = store.create_node(node).await.unwrap();
    assert_eq!(secret(&made).as_deref(), Some("Secr3tWord"));
    let change: NodeEdit = Box::new(|node| {
        node.driver_info.insert("sealed".into(), json!({"salt": "x", "text": "y"}));
        Some(Vec::new())
    });
    store.edit_node(uuid, None, change).await.unwrap();
    drop(store);
    assert!(!leaks(folder.path()));
    let refusal = |error: StoreError| error.to_string();
    let error = refusal(SqliteStore::open(&path, 3).err().unwrap());
    assert!(error.contains("sealed with the key `a`") && error.contains("secrets_key_file"), "{error}");
    assert!(SqliteStore::open_with(&path, 3, keys(&["b"])).is_err());
    let store = SqliteStore::open_with(&path, 3, keys(&["b", "a"])).unwrap();
    assert_eq!(secret(&store.node(&uuid.to_string()).await.unwrap()).as_deref(), Some("Secr3tWord"));
    drop(store);
    let store = SqliteStore::open_with(&path, 3, keys(&["b"])).unwrap();
    let read = store.node(&uuid.to_string()).await.unwrap();
    assert_eq!(secret(&read).as_deref(), Some("Secr3tWord"), "the old key is not needed any more");
    assert_eq!(read.driver_info["sealed"], json!({"salt": "x", "text": "y"}), "what people write is no seal");
}

/// One of each thing that holds secrets.
async fn plant(store: &Arc<dyn Store>) -> Uuid {
    let mut node = Node::new(Uuid::new_v4(), "fake-hardware");
    node.driver_info.insert("ipmi_password".into(), json!(SECRET));
    let uuid = store.create_node(node).await.unwrap().uuid;
    store.put_inventory(uuid, &json!({"bmc": SECRET}), &json!({"logs": [SECRET]})).await.unwrap();
    store.put_arrival(uuid, &json!({"root_password": SECRET})).await.unwrap();
    let mut target = VolumeTarget { node_uuid: uuid, volume_id: "v".into(), ..VolumeTarget::default() };
    target.meta.uuid = Uuid::new_v4();
    target.properties.insert("auth_password".into(), json!(SECRET));
    store.create(&target).await.unwrap();
    let steps =
        json!([{"interface": "bios", "step": "apply_configuration", "args": {"password": SECRET}, "priority": 1}]);
    let template = json!({"name": "CUSTOM_T", "steps": steps});
    let mut template: DeployTemplate = serde_json::from_value(template).unwrap();
    template.meta.uuid = Uuid::new_v4();
    store.create(&template).await.unwrap();
    uuid
}

/// All of it is as it was planted.
async fn found(store: &Arc<dyn Store>, uuid: Uuid) {
    let node = store.node(&uuid.to_string()).await.unwrap();
    assert_eq!(node.driver_info.text("ipmi_password"), Some(SECRET));
    assert_eq!(store.inventory(uuid).await.unwrap(), Some((json!({"bmc": SECRET}), json!({"logs": [SECRET]}))));
    assert_eq!(store.arrival(uuid).await.unwrap(), Some(json!({"root_password": SECRET})));
    let (filter, page) = (RecordFilter::of_node(uuid), Page::default());
    let targets: Vec<VolumeTarget> = store.list(&Visible::Everything, &filter, &page).await.unwrap();
    assert_eq!(targets[0].properties.text("auth_password"), Some(SECRET));
    let template: DeployTemplate = store.find("CUSTOM_T").await.unwrap();
    assert!(serde_json::to_string(&template).unwrap().contains(SECRET));
    let batch = store.events(&Visible::Everything, &EventFilter::default(), 0, 100).await.unwrap();
    let told = batch.events.iter().filter_map(|event| event.snapshot.as_ref()).map(Value::to_string);
    assert!(told.filter(|text| text.contains(&uuid.to_string())).count() >= 2, "{batch:?}");
}

fn open(path: &Path, names: &[&str]) -> Result<Arc<dyn Store>, StoreError> {
    let keys = if names.is_empty() { None } else { keys(names) };
    let store = SqliteStore::open_with(path, 3, keys)?.with_log(LogOptions { max: 100, snapshots: true });
    Ok(Arc::new(store))
}

/// Lines of the log whose record can be read by whoever has the file.
fn open_records(path: &Path) -> i64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    let sql = "select count(*) from events where snapshot is not null and (sealed is null or snapshot like '%driver%')";
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn everything_that_holds_secrets_is_sealed_turned_and_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrought.sqlite");
    let store = open(&path, &["a"]).unwrap();
    let uuid = plant(&store).await;
    found(&store, uuid).await;
    assert!(!leaks(folder.path()), "while it runs: the file and the log of writes");
    drop(store);
    assert!(!leaks(folder.path()));
    assert_eq!(open_records(&path), 0);
    assert!(open(&path, &[]).is_err() && open(&path, &["b"]).is_err());
    found(&open(&path, &["b", "a"]).unwrap(), uuid).await;
    // Every table was turned: the old key is not needed for any of it.
    found(&open(&path, &["b"]).unwrap(), uuid).await;
    assert!(!leaks(folder.path()));
}

#[tokio::test]
async fn a_file_that_was_open_keeps_nothing_of_it_once_there_are_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrought.sqlite");
    let store = open(&path, &[]).unwrap();
    let uuid = plant(&store).await;
    // What was overwritten is still somewhere in the file.
    store.put_inventory(uuid, &json!({"old": SECRET.repeat(2000)}), &json!({})).await.unwrap();
    store.put_inventory(uuid, &json!({"bmc": SECRET}), &json!({"logs": [SECRET]})).await.unwrap();
    drop(store);
    assert!(leaks(folder.path()) && open_records(&path) > 0, "or this test looks in the wrong place");
    let store = open(&path, &["a"]).unwrap();
    found(&store, uuid).await;
    assert!(!leaks(folder.path()));
    drop(store);
    assert!(!leaks(folder.path()));
    assert_eq!(open_records(&path), 0);
}
