//! Streams of events: a tenant is told of what it owns or has on lease, and of nothing else, however it asks.

use super::persona::{Guarded, LEASE, OWN, claims};
use serde_json::{Value, json};

/// The lines of a stream that ends by itself: type, UUID, id.
async fn told(guarded: &Guarded, persona: &str, query: &str, last: Option<i64>) -> Vec<(String, String, i64)> {
    let text = guarded.stream(claims(persona), &format!("/v1/events?follow=false&{query}"), last).await;
    let blocks = text.split("\n\n").filter(|block| block.contains("data: "));
    let field =
        |block: &str, name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
    blocks
        .map(|block| {
            let data: Value = serde_json::from_str(&field(block, "data: ")).unwrap();
            let id = field(block, "id: ").parse().unwrap_or(0);
            (field(block, "event: "), data["uuid"].as_str().unwrap_or_default().to_owned(), id)
        })
        .collect()
}

#[tokio::test]
async fn tenants_see_what_they_own_and_lease_and_nothing_else() {
    let guarded = Guarded::start().await;
    let mine = guarded.node(json!({"owner": OWN, "name": "mine"})).await;
    let theirs = guarded.node(json!({"owner": "strange", "name": "theirs"})).await;
    let leased = guarded.node(json!({"owner": OWN, "lessee": LEASE, "name": "leased"})).await;
    let nobodys = guarded.node(json!({"name": "nobodys"})).await;
    let port = guarded.port(&theirs, "52:54:00:00:00:01").await;
    let own_port = guarded.port(&mine, "52:54:00:00:00:02").await;
    let all = [&mine, &theirs, &leased, &nobodys, &port, &own_port];
    let seen = async |persona: &str, query: &str, last: Option<i64>| -> Vec<String> {
        told(&guarded, persona, query, last).await.into_iter().map(|(_, uuid, _)| uuid).collect()
    };
    let from = "last_event_id=0";
    assert_eq!(seen("system reader", from, None).await, all.map(String::clone));
    for role in ["admin", "manager", "member", "reader"] {
        assert_eq!(seen(&format!("owner {role}"), from, None).await, [&mine, &leased, &own_port].map(String::clone));
        assert_eq!(seen(&format!("lessee {role}"), from, None).await, std::slice::from_ref(&leased));
        assert_eq!(seen(&format!("stranger {role}"), from, None).await, [theirs.clone(), port.clone()]);
    }
    // Filters narrow, they never widen.
    assert_eq!(seen("owner reader", &format!("{from}&node={theirs}"), None).await, Vec::<String>::new());
    assert_eq!(seen("owner reader", &format!("{from}&owner=strange"), None).await, Vec::<String>::new());
    assert_eq!(seen("owner reader", &format!("{from}&type=port"), None).await, std::slice::from_ref(&own_port));
    assert_eq!(
        seen("owner reader", &format!("{from}&node={mine}&type=node.create"), None).await,
        std::slice::from_ref(&mine)
    );
    // Resuming shows what came after, of one's own; ids of others' lines are no way to them.
    let lines = told(&guarded, "owner reader", from, None).await;
    assert_eq!(seen("owner reader", "", Some(lines[0].2)).await, [leased.clone(), own_port.clone()]);
    assert_eq!(seen("owner reader", "", Some(lines[0].2 + 1)).await, [leased, own_port]);
    // A name that may not be seen does not exist; without a token there is nothing at all.
    let events = |persona: &str, path: &str| guarded.events(claims(persona), path.to_owned());
    assert_eq!(events("owner reader", "/v1/events?follow=false&node=theirs").await, 404);
    assert_eq!(events("owner reader", "/v1/events?follow=false&node=mine").await, 200);
    assert_eq!(events("nobody", "/v1/events?follow=false").await, 403);
}

#[tokio::test]
async fn a_stream_that_is_open_stays_within_its_rights() {
    let guarded = Guarded::start().await;
    let mine = guarded.node(json!({"owner": OWN})).await;
    let theirs = guarded.node(json!({"owner": "strange"})).await;
    let mut stream = guarded.open_stream(claims("owner reader"), "/v1/events").await;
    for node in [&theirs, &mine, &theirs] {
        let path = format!("/v1/nodes/{node}/maintenance");
        guarded.ask("system admin", "PUT", &path, Some(json!({"reason": "tea"}))).await.expect(202);
    }
    let last = guarded.node(json!({"owner": OWN, "name": "last"})).await;
    let mut text = String::new();
    while !text.contains(&last) {
        let piece = tokio::time::timeout(std::time::Duration::from_secs(20), stream.chunk()).await;
        let piece = piece.expect("an event in time").unwrap().expect("the stream goes on");
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    assert!(text.contains(&mine) && !text.contains(&theirs), "{text}");
}
