//! What every store must do, whatever the database: one set of tests, run against each engine.

use super::{NodeFilter, Page, PortFilter, Store, StoreError};
use crate::model::fsm::State;
use crate::model::history::{HistoryEntry, Severity};
use crate::model::node::Node;
use crate::model::port::Port;
use crate::policy::Visible;
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

const MINUTE: Duration = Duration::from_secs(60);

fn named(name: &str) -> Node {
    Node { name: Some(name.into()), ..Node::new(Uuid::new_v4(), "fake-hardware") }
}

fn line(text: &str) -> HistoryEntry {
    HistoryEntry {
        uuid: Uuid::new_v4(),
        created_at: Timestamp::now(),
        severity: Severity::Info,
        event: text.into(),
        event_type: "test".into(),
        user: None,
        project: None,
        conductor: "c1".into(),
        state: None,
        target_provision_state: None,
        duration_seconds: None,
        proof: None,
        moved: None,
    }
}

/// Runs the whole contract. `history_max` of the store must be 3.
pub async fn hold(store: &dyn Store) {
    nodes_are_found_by_uuid_and_name_and_unique_values_are_kept_unique(store).await;
    a_lease_keeps_others_out_and_a_stale_holder_cannot_write(store).await;
    an_edit_sees_the_present_record_whatever_was_read_before(store).await;
    lists_are_paged_in_any_order(store).await;
    shards_count_the_nodes_that_one_may_see(store).await;
    what_belongs_to_a_node_goes_with_it(store).await;
}

async fn nodes_are_found_by_uuid_and_name_and_unique_values_are_kept_unique(store: &dyn Store) {
    let node = store.create_node(named("first")).await.unwrap();
    assert_eq!(store.node("first").await.unwrap().uuid, node.uuid);
    assert_eq!(store.node(&node.uuid.to_string().to_uppercase()).await.unwrap().uuid, node.uuid);
    assert!(matches!(store.node("none").await, Err(StoreError::NotFound(text)) if text == "Node none"));
    let error = store.create_node(named("first")).await.unwrap_err();
    assert_eq!(error.to_string(), "A node with name first already exists.");
    let twin = Node { name: None, ..named("x") };
    let error = store.create_node(Node { uuid: node.uuid, ..twin }).await.unwrap_err();
    assert!(error.to_string().starts_with("A node with UUID"), "{error}");
}

async fn a_lease_keeps_others_out_and_a_stale_holder_cannot_write(store: &dyn Store) {
    let node = store.create_node(named("leased")).await.unwrap();
    let (old, _) = store.lease(node.uuid, "c1", "deploying", Duration::ZERO).await.unwrap();
    // The first lease ran out at once: another conductor takes over.
    let (new, mut copy) = store.lease(node.uuid, "c2", "take over", MINUTE).await.unwrap();
    let held = store.lease(node.uuid, "c1", "again", MINUTE).await.unwrap_err();
    assert!(matches!(held, StoreError::Held { owner, .. } if owner == "c2"));
    copy.provision_state = State::Manageable;
    assert!(matches!(store.save(&copy, &old, vec![]).await, Err(StoreError::Fenced(_))), "a stale owner's write");
    assert!(matches!(store.renew(&old, MINUTE).await, Err(StoreError::Fenced(_))));
    assert!(matches!(store.delete_node(&old).await, Err(StoreError::Fenced(_))));
    store.release(&old).await.unwrap();
    assert_eq!(store.node("leased").await.unwrap().reservation.unwrap().owner, "c2", "release by a stale owner");
    store.save(&copy, &new, vec![line("moved")]).await.unwrap();
    store.release(&new).await.unwrap();
    let read = store.node("leased").await.unwrap();
    assert_eq!((read.provision_state, read.reservation), (State::Manageable, None));
    let (lost, _) = store.lease(node.uuid, "c1", "before the crash", MINUTE).await.unwrap();
    assert_eq!(store.end_leases("c1").await.unwrap(), 1);
    assert!(matches!(store.save(&copy, &lost, vec![]).await, Err(StoreError::Fenced(_))));
    assert!(store.lease(node.uuid, "c1", "after the crash", MINUTE).await.is_ok());
}

async fn an_edit_sees_the_present_record_whatever_was_read_before(store: &dyn Store) {
    let made = store.create_node(named("edited")).await.unwrap();
    let uuid = made.uuid;
    let edit = async |read: Option<Node>, key: &'static str| {
        let change = Box::new(move |node: &mut Node| {
            let seen: Vec<&String> = node.extra.keys().collect();
            node.description = Some(format!("{seen:?}"));
            node.extra.insert(key.into(), json!(1));
            Some(vec![])
        });
        store.edit_node(uuid, read, change).await
    };
    let first = edit(Some(made.clone()), "a").await.unwrap();
    assert_eq!(first.description.as_deref(), Some("[]"));
    assert_eq!(first, store.node("edited").await.unwrap());
    let second = edit(Some(made), "b").await.unwrap();
    assert_eq!(second.description.as_deref(), Some(r#"["a"]"#), "what was read is old");
    let third = edit(None, "c").await.unwrap();
    assert_eq!(third.description.as_deref(), Some(r#"["a", "b"]"#));
    assert_eq!(third.revision, first.revision + 2);
    // Nobody had it when it was read, and its document is the same since.
    let (lease, _) = store.lease(uuid, "c1", "deploying", MINUTE).await.unwrap();
    let refused = edit(Some(third.clone()), "d").await.unwrap_err();
    assert!(matches!(refused, StoreError::Held { owner, .. } if owner == "c1"));
    store.release(&lease).await.unwrap();
    // Another node of the same name and UUID is not the one that was read.
    let (lease, _) = store.lease(uuid, "c1", "deleting", MINUTE).await.unwrap();
    store.delete_node(&lease).await.unwrap();
    assert!(matches!(edit(Some(third.clone()), "e").await, Err(StoreError::NotFound(_))));
    store.create_node(Node { extra: serde_json::Map::new(), uuid, ..named("edited") }).await.unwrap();
    assert_eq!(edit(Some(third), "f").await.unwrap().description.as_deref(), Some("[]"));
}

async fn lists_are_paged_in_any_order(store: &dyn Store) {
    for (name, class) in [("p3", Some("b")), ("p1", None), ("p2", Some("a")), ("p4", Some("b"))] {
        let node = Node { resource_class: class.map(Into::into), owner: Some("pager".into()), ..named(name) };
        store.create_node(node).await.unwrap();
    }
    let filter = NodeFilter { owner: Some("pager".into()), ..NodeFilter::default() };
    for (key, descending, expected) in [
        ("id", false, "p3 p1 p2 p4"),
        ("name", true, "p4 p3 p2 p1"),
        ("resource_class", false, "p1 p2 p3 p4"),
        ("resource_class", true, "p4 p3 p2 p1"),
    ] {
        let mut seen = Vec::new();
        let mut page = Page { limit: 1, marker: None, sort_key: key.into(), descending };
        while let Some(node) = store.nodes(&Visible::Everything, &filter, &page).await.unwrap().pop() {
            page.marker = Some(node.uuid);
            seen.push(node.name.unwrap());
        }
        assert_eq!(seen.join(" "), expected, "{key} descending {descending}");
    }
    for (most, counted) in [(usize::MAX, 4), (4, 4), (3, 3)] {
        assert_eq!(store.count_nodes(&filter, most).await.unwrap(), counted);
    }
    let one = NodeFilter { resource_class: Some("a".into()), associated: Some(false), ..filter };
    assert_eq!(store.nodes(&Visible::Everything, &one, &Page::default()).await.unwrap().len(), 1);
}

async fn shards_count_the_nodes_that_one_may_see(store: &dyn Store) {
    let project = Visible::Project("sharder".into());
    let text = |value: &str| Some(value.to_owned());
    for (shard, lessee) in [(text("s2"), None), (text("s1"), None), (None, None), (text("s2"), text("sharder"))] {
        let owner = if lessee.is_some() { "somebody" } else { "sharder" };
        let node = Node { shard, lessee, owner: text(owner), name: None, ..named("x") };
        store.create_node(node).await.unwrap();
    }
    store.create_node(Node { shard: text("s1"), name: None, ..named("x") }).await.unwrap();
    let counts = store.shard_counts(&project).await.unwrap();
    assert_eq!(counts, [(None, 1), (text("s1"), 1), (text("s2"), 2)]);
    assert_eq!(store.shard_counts(&Visible::Nothing).await.unwrap(), []);
    let all = store.shard_counts(&Visible::Everything).await.unwrap();
    assert!(all[0].0.is_none() && all[0].1 > 1 && all[1..] == [(text("s1"), 2), (text("s2"), 2)], "{all:?}");
}

async fn what_belongs_to_a_node_goes_with_it(store: &dyn Store) {
    let node = store.create_node(named("owner")).await.unwrap();
    let address = "52:54:00:00:00:01".parse().unwrap();
    let port = store.create_port(Port::new(node.uuid, address)).await.unwrap();
    let error = store.create_port(Port::new(node.uuid, address)).await.unwrap_err();
    assert_eq!(error.to_string(), "A port with MAC address 52:54:00:00:00:01 already exists.");
    assert!(store.create_port(Port::new(Uuid::new_v4(), "52:54:00:00:00:02".parse().unwrap())).await.is_err());
    store.put_inventory(node.uuid, &json!({"a": 1}), &json!({})).await.unwrap();
    store.put_arrival(node.uuid, &json!({"b": 2})).await.unwrap();
    let (lease, record) = store.lease(node.uuid, "c1", "test", MINUTE).await.unwrap();
    for number in 1..=5 {
        store.save(&record, &lease, vec![line(&number.to_string())]).await.unwrap();
    }
    let texts: Vec<_> =
        store.history(node.uuid, &Page::default()).await.unwrap().into_iter().map(|line| line.event).collect();
    assert_eq!(texts, ["3", "4", "5"], "only the newest lines are kept");
    assert_eq!(store.inventory(node.uuid).await.unwrap().unwrap().0, json!({"a": 1}));
    assert_eq!(store.arrival(node.uuid).await.unwrap(), Some(json!({"b": 2})));
    store.delete_node(&lease).await.unwrap();
    assert!(store.port(&port.uuid.to_string()).await.is_err());
    assert!(store.inventory(node.uuid).await.unwrap().is_none() && store.arrival(node.uuid).await.unwrap().is_none());
    let filter = PortFilter { address: Some(address), ..PortFilter::default() };
    assert!(store.ports(&Visible::Everything, &filter, &Page::default()).await.unwrap().is_empty());
}
