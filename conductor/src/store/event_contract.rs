//! What the event log of every store must do: lines come with their writes, in order, bounded; readers resume and learn of gaps.

use super::events::EventFilter;
use super::{Store, StoreError, origin};
use crate::model::event::Origin;
use crate::model::node::Node;
use crate::model::port::Port;
use crate::model::power::PowerState;
use crate::policy::Visible;
use jiff::Timestamp;
use std::time::Duration;
use uuid::Uuid;

/// Runs the contract on an empty store that keeps 10 lines.
pub async fn hold(store: &dyn Store) {
    lines_come_with_their_writes_and_name_who_asked(store).await;
    readers_resume_and_learn_what_was_cut(store).await;
    tenants_see_their_own(store).await;
    places_of_readers_are_kept(store).await;
}

async fn kinds(store: &dyn Store, after: i64, filter: &EventFilter) -> Vec<String> {
    store
        .events(&Visible::Everything, filter, after, 100)
        .await
        .unwrap()
        .events
        .into_iter()
        .map(|event| event.kind)
        .collect()
}

async fn lines_come_with_their_writes_and_name_who_asked(store: &dyn Store) {
    let mut grow = store.events_grow();
    let asker = Origin { request_id: Some("req-1".into()), user: Some("ann".into()) };
    let node = origin::by(asker, store.create_node(Node::new(Uuid::new_v4(), "fake-hardware"))).await.unwrap();
    grow.changed().await.unwrap();
    let port = Port::new(node.uuid, "52:54:00:00:0e:01".parse().unwrap());
    let port = store.create_port(port).await.unwrap();
    assert!(store.create_port(port.clone()).await.is_err(), "a refused write is no event");
    let (lease, mut record) = store.lease(node.uuid, "c1", "test", Duration::from_secs(60)).await.unwrap();
    store.save(&record, &lease, vec![]).await.unwrap();
    record.power_state = Some(PowerState::On);
    store.save(&record, &lease, vec![]).await.unwrap();
    let stale = super::Lease { node: node.uuid, fence: lease.fence - 1, owner: "c0".into() };
    record.power_state = Some(PowerState::Off);
    assert!(matches!(store.save(&record, &stale, vec![]).await, Err(StoreError::Fenced(_))));
    store.delete_port(port.uuid).await.unwrap();
    store.delete_node(&lease).await.unwrap();
    let batch = store.events(&Visible::Everything, &EventFilter::default(), 0, 100).await.unwrap();
    let told: Vec<_> = batch.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(told, ["node.create", "port.create", "node.power_state", "port.delete", "node.delete"]);
    let ids: Vec<_> = batch.events.iter().map(|event| event.id).collect();
    assert_eq!((ids, batch.position, batch.missed), (vec![1, 2, 3, 4, 5], 5, 0));
    assert_eq!(batch.events[0].user.as_deref(), Some("ann"));
    assert!(batch.events[1].user.is_none(), "nobody asked for the port");
    assert!(batch.events[0].snapshot.is_none(), "no bus, no snapshots");
    let of_port = EventFilter { kinds: vec!["port".into(), "node.delete".into()], ..EventFilter::default() };
    assert_eq!(kinds(store, 0, &of_port).await, ["port.create", "port.delete", "node.delete"]);
    let of_node = EventFilter { node: Some(node.uuid), ..EventFilter::default() };
    assert_eq!(kinds(store, 3, &of_node).await, ["port.delete", "node.delete"]);
}

async fn readers_resume_and_learn_what_was_cut(store: &dyn Store) {
    for _ in 0..10 {
        store.create_node(Node::new(Uuid::new_v4(), "fake-hardware")).await.unwrap();
    }
    let all = EventFilter::default();
    let batch = store.events(&Visible::Everything, &all, 2, 3).await.unwrap();
    let ids: Vec<_> = batch.events.iter().map(|event| event.id).collect();
    assert_eq!((ids, batch.position, batch.missed), (vec![6, 7, 8], 8, 3), "3, 4 and 5 are gone");
    assert_eq!(store.events(&Visible::Everything, &all, 8, 3).await.unwrap().missed, 0);
    let later = store.events(&Visible::Everything, &all, 99, 3).await.unwrap();
    assert_eq!((later.events.len(), later.newest), (0, 15), "another log than the reader's");
    assert_eq!(store.trim_events(Timestamp::now()).await.unwrap(), 10);
    let empty = store.events(&Visible::Everything, &all, 10, 3).await.unwrap();
    assert_eq!((empty.events.len(), empty.missed, empty.position), (0, 5, 15));
}

async fn tenants_see_their_own(store: &dyn Store) {
    let from = store.events(&Visible::Everything, &EventFilter::default(), 0, 1).await.unwrap().newest;
    for (owner, lessee) in [(Some("a"), None), (Some("b"), Some("a")), (Some("b"), None), (None, None)] {
        let owned = Node { owner: owner.map(Into::into), lessee: lessee.map(Into::into), ..Node::default() };
        store.create_node(Node { uuid: Uuid::new_v4(), driver: "fake-hardware".into(), ..owned }).await.unwrap();
    }
    let mine = Visible::Project("a".into());
    assert_eq!(store.events(&mine, &EventFilter::default(), from, 100).await.unwrap().events.len(), 2);
    let owned = EventFilter { owner: Some("b".into()), ..EventFilter::default() };
    assert_eq!(kinds(store, from, &owned).await.len(), 2);
    assert_eq!(store.events(&mine, &owned, from, 100).await.unwrap().events.len(), 1);
    assert_eq!(store.events(&Visible::Nothing, &EventFilter::default(), 0, 100).await.unwrap().events.len(), 0);
}

async fn places_of_readers_are_kept(store: &dyn Store) {
    let newest = store.events(&Visible::Everything, &EventFilter::default(), 0, 1).await.unwrap().newest;
    assert_eq!(store.cursor("hook").await.unwrap(), newest, "a new reader begins now");
    store.set_cursor("hook", newest - 2).await.unwrap();
    assert_eq!(store.cursor("hook").await.unwrap(), newest - 2);
}
