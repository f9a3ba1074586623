//! What every store must do with records, whatever the database.

use super::records::{RecordChange, RecordFilter};
use super::{Page, Store, StoreError};
use crate::model::node::Node;
use crate::model::record::{Kind, Meta, Recorded, UniqueKey};
use crate::policy::Visible;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// A resource as others write theirs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Group {
    #[serde(skip)]
    meta: Meta,
    name: Option<String>,
    node: Option<Uuid>,
    address: Option<String>,
    size: i64,
    open: bool,
}

impl Group {
    fn named(name: &str) -> Self {
        Group { meta: Meta::default(), name: Some(name.into()), node: None, address: None, size: 0, open: false }
    }
}

impl Recorded for Group {
    const KIND: Kind = Kind::PortGroup;

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn node(&self) -> Option<Uuid> {
        self.node
    }

    fn unique(&self) -> Vec<UniqueKey> {
        let key = |address: &String| UniqueKey {
            key: "address",
            value: address.clone(),
            taken: format!("A portgroup with MAC address {address} already exists."),
        };
        self.address.iter().map(key).collect()
    }
}

/// Runs the whole contract.
pub async fn hold(store: &(dyn Store + 'static)) {
    unique_values_are_kept_unique(store).await;
    a_revision_grows_with_every_write_and_guards_it(store).await;
    lists_are_filtered_and_paged(store).await;
    records_go_with_their_node(store).await;
    all_of_a_node_are_replaced(store).await;
    a_node_and_its_records_are_saved_together(store).await;
}

async fn node(store: &dyn Store, owner: Option<&str>) -> Uuid {
    let node = Node { owner: owner.map(Into::into), shard: owner.map(Into::into), ..Node::new(Uuid::new_v4(), "fake") };
    store.create_node(node).await.unwrap().uuid
}

async fn unique_values_are_kept_unique(store: &(dyn Store + 'static)) {
    let first = Group { address: Some("aa".into()), ..Group::named("one") };
    let kept = store.create(&first).await.unwrap();
    assert!(kept.meta.id > 0 && kept.meta.revision == 1 && kept.meta.updated_at.is_none());
    assert_eq!(store.find::<Group>("one").await.unwrap(), kept);
    assert_eq!(store.find::<Group>(&kept.meta.uuid.to_string().to_uppercase()).await.unwrap(), kept);
    let text = |error: StoreError| match error {
        StoreError::Duplicate(text) | StoreError::NotFound(text) => text,
        other => panic!("{other}"),
    };
    assert_eq!(text(store.find::<Group>("none").await.unwrap_err()), "Portgroup none");
    assert_eq!(
        text(store.create(&Group::named("one")).await.unwrap_err()),
        "A portgroup with name one already exists."
    );
    let twin = Group { meta: first.meta.clone(), ..Group::named("two") };
    let taken = text(store.create(&twin).await.unwrap_err());
    assert_eq!(taken, format!("A portgroup with UUID {} already exists.", first.meta.uuid));
    let taken = Group { address: Some("aa".into()), ..Group::named("two") };
    assert_eq!(text(store.create(&taken).await.unwrap_err()), "A portgroup with MAC address aa already exists.");
    assert!(store.find::<Group>("two").await.is_err(), "nothing of a refused record stays");
    // A value that is given up is free again; one that is not stays taken.
    let other = store.create(&Group { address: Some("bb".into()), ..Group::named("two") }).await.unwrap();
    assert!(matches!(
        store.put(&Group { address: Some("aa".into()), ..other.clone() }).await,
        Err(StoreError::Duplicate(_))
    ));
    store.put(&Group { address: None, ..kept.clone() }).await.unwrap();
    store.put(&Group { address: Some("aa".into()), ..other.clone() }).await.unwrap();
    let lost = Group { node: Some(Uuid::new_v4()), ..Group::named("three") };
    assert!(matches!(store.create(&lost).await, Err(StoreError::NotFound(text)) if text.starts_with("Node ")));
    store.remove(&kept).await.unwrap();
    store.remove(&other).await.unwrap();
    assert!(matches!(store.remove(&other).await, Err(StoreError::NotFound(_))));
}

async fn a_revision_grows_with_every_write_and_guards_it(store: &(dyn Store + 'static)) {
    let read = store.create(&Group::named("guarded")).await.unwrap();
    let newer = store.put_unchanged(&Group { size: 1, ..read.clone() }).await.unwrap();
    assert_eq!((newer.meta.revision, newer.size, newer.meta.id), (2, 1, read.meta.id));
    assert!(newer.meta.updated_at.is_some() && newer.meta.created_at == read.meta.created_at);
    assert!(matches!(store.put_unchanged(&Group { size: 9, ..read.clone() }).await, Err(StoreError::Stale(_))));
    let uuid = read.meta.uuid;
    assert!(matches!(store.record_delete(Kind::PortGroup, uuid, Some(1)).await, Err(StoreError::Stale(_))));
    assert_eq!(store.find::<Group>("guarded").await.unwrap(), newer);
    store.record_delete(Kind::PortGroup, uuid, Some(2)).await.unwrap();
    assert!(matches!(store.put(&read).await, Err(StoreError::NotFound(_))), "what is gone does not come back");
}

async fn lists_are_filtered_and_paged(store: &(dyn Store + 'static)) {
    let (mine, other) = (node(store, Some("me")).await, node(store, None).await);
    for (name, node, size, open) in
        [("c", Some(mine), 2, true), ("a", Some(mine), 1, false), ("b", Some(other), 2, false), ("d", None, 3, true)]
    {
        store.create(&Group { node, size, open, ..Group::named(name) }).await.unwrap();
    }
    let names = async |filter: RecordFilter, page: Page| {
        let found = store.list::<Group>(&Visible::Everything, &filter, &page).await.unwrap();
        found.into_iter().filter_map(|group| group.name).collect::<Vec<_>>().join(" ")
    };
    let all = RecordFilter::default;
    let sorted = |key: &str, descending| Page { sort_key: key.into(), descending, ..Page::default() };
    assert_eq!(names(all(), Page::default()).await, "c a b d");
    assert_eq!(names(all(), sorted("name", true)).await, "d c b a");
    assert_eq!(names(all(), sorted("size", false)).await, "a c b d");
    assert_eq!(names(RecordFilter::of_node(mine), Page::default()).await, "c a");
    assert_eq!(names(all().with("size", 2), Page::default()).await, "c b");
    assert_eq!(names(all().with("open", true).with("size", 3), Page::default()).await, "d");
    assert_eq!(names(all().with("address", json!(null)), Page::default()).await, "c a b d");
    let either = RecordFilter { either: vec![("open", json!(true)), ("size", json!(1))], ..all() };
    assert_eq!(names(either, Page::default()).await, "c a d");
    assert_eq!(names(RecordFilter { node_project: Some("me".into()), ..all() }, Page::default()).await, "c a");
    assert_eq!(names(RecordFilter { shards: vec!["me".into(), "x".into()], ..all() }, Page::default()).await, "c a");
    assert_eq!(names(RecordFilter { contains: vec![("name", "b".into())], ..all() }, Page::default()).await, "b");
    for (key, descending, expected) in [("id", false, "c a b d"), ("node_uuid", true, ""), ("size", true, "d b c a")] {
        let mut seen = Vec::new();
        let mut page = Page { limit: 1, ..sorted(key, descending) };
        while let Some(group) = store.list::<Group>(&Visible::Everything, &all(), &page).await.unwrap().pop() {
            page.marker = Some(group.meta.uuid);
            seen.extend(group.name);
        }
        assert!(seen.len() == 4 && (expected.is_empty() || seen.join(" ") == expected), "{key}: {seen:?}");
    }
    let lost = Page { marker: Some(Uuid::new_v4()), ..Page::default() };
    assert!(matches!(store.list::<Group>(&Visible::Everything, &all(), &lost).await, Err(StoreError::NotFound(_))));
}

async fn records_go_with_their_node(store: &(dyn Store + 'static)) {
    let uuid = node(store, None).await;
    let group = Group { node: Some(uuid), address: Some("cc".into()), ..Group::named("goes") };
    store.create(&group).await.unwrap();
    let (lease, _) = store.lease(uuid, "c1", "test", Duration::from_secs(60)).await.unwrap();
    store.delete_node(&lease).await.unwrap();
    assert!(store.find::<Group>("goes").await.is_err());
    store.create(&Group { node: None, ..group }).await.expect("its name and address are free again");
}

async fn all_of_a_node_are_replaced(store: &(dyn Store + 'static)) {
    let uuid = node(store, None).await;
    let row = |address: &str, size| Group {
        name: None,
        node: Some(uuid),
        address: Some(format!("{uuid} {address}")),
        size,
        ..Group::named("")
    };
    store.replace_all_of_node(uuid, &[row("1", 1), row("2", 2), row("3", 3)]).await.unwrap();
    let read = async || {
        store.list::<Group>(&Visible::Everything, &RecordFilter::of_node(uuid), &Page::default()).await.unwrap()
    };
    let before = read().await;
    store.replace_all_of_node(uuid, &[row("2", 2), row("3", 33), row("4", 4)]).await.unwrap();
    let after = read().await;
    assert_eq!(after.iter().map(|row| row.size).collect::<Vec<_>>(), [2, 33, 4]);
    assert_eq!(after[0], before[1], "what did not change is not written");
    assert_eq!((after[1].meta.uuid, after[1].meta.revision), (before[2].meta.uuid, 2));
    store.replace_all_of_node::<Group>(uuid, &[]).await.unwrap();
    assert!(read().await.is_empty());
}

async fn a_node_and_its_records_are_saved_together(store: &(dyn Store + 'static)) {
    let uuid = node(store, None).await;
    let kept = store.create(&Group { node: Some(uuid), ..Group::named("together") }).await.unwrap();
    let (lease, mut record) = store.lease(uuid, "c1", "test", Duration::from_secs(60)).await.unwrap();
    record.name = Some("renamed".into());
    let change = |group: &Group| RecordChange::Save(Box::new(super::records::Record::of(group).unwrap()));
    let gone = Group { meta: Meta::default(), ..kept.clone() };
    assert!(store.save_with(&record, &lease, vec![], vec![change(&gone)]).await.is_err());
    assert!(store.node("renamed").await.is_err(), "all or nothing");
    let bigger = Group { size: 7, ..kept };
    store.save_with(&record, &lease, vec![], vec![change(&bigger)]).await.unwrap();
    assert_eq!(
        (store.node("renamed").await.unwrap().uuid, store.find::<Group>("together").await.unwrap().size),
        (uuid, 7)
    );
    let delete = RecordChange::Delete(Kind::PortGroup, bigger.meta.uuid);
    store.save_with(&record, &lease, vec![], vec![delete.clone(), delete]).await.unwrap();
    assert!(store.find::<Group>("together").await.is_err());
}
