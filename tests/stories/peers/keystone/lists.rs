//! With a real Keystone's tokens: no list, filter, marker, field or sort order tells a project what is not its own.

use reqwest::Method;
use serde_json::{Value, json};

use super::Site;

/// A thing that must be hidden from some: its words, and who may see them.
struct Mark {
    words: Vec<String>,
    seen_by: &'static [&'static str],
}

/// Who looks.
const READERS: &[&str] = &[
    "site-admin",
    "site-reader",
    "site-manager",
    "owner-reader",
    "owner-manager",
    "lessee-reader",
    "lessee-member",
    "stranger-reader",
];
const SITE: &[&str] = &["site-admin", "site-reader", "site-manager"];
const OWNER: &[&str] = &["site-admin", "site-reader", "site-manager", "owner-reader", "owner-manager"];

/// Where they look; `ID` and `OTHER` are nodes of theirs and of others.
const LISTS: &[&str] = &[
    "/v1/nodes",
    "/v1/nodes/detail",
    "/v1/nodes?include_children=true",
    "/v1/nodes?fields=uuid,name,owner,shard,parent_node,allocation_uuid,instance_uuid",
    "/v1/nodes?owner=strange",
    "/v1/nodes?shard=s-hidden",
    "/v1/nodes?sharded=true&include_children=true",
    "/v1/nodes?parent_node=OTHER",
    "/v1/nodes?resource_class=class-hidden",
    "/v1/nodes?sort_key=owner&sort_dir=desc&limit=1",
    "/v1/nodes?marker=OTHER",
    "/v1/nodes?description_contains=hidden",
    "/v1/nodes/ID/children",
    "/v1/nodes/OTHER/children",
    "/v1/nodes/OTHER",
    "/v1/nodes/OTHER/states",
    "/v1/nodes/OTHER/ports",
    "/v1/nodes/OTHER/allocation",
    "/v1/nodes/OTHER/history",
    "/v1/ports",
    "/v1/ports/detail",
    "/v1/ports?node=OTHER",
    "/v1/ports?shard=s-hidden",
    "/v1/portgroups",
    "/v1/portgroups?node=OTHER",
    "/v1/volume/connectors",
    "/v1/volume/targets?detail=true",
    "/v1/allocations",
    "/v1/allocations?node=OTHER",
    "/v1/allocations?owner=strange",
    "/v1/runbooks",
    "/v1/runbooks?detail=true",
    "/v1/shards",
    "/v1/conductors",
    "/v1/chassis",
    "/v1/deploy_templates",
    "/v1/inspection_rules",
    "/v1/drivers",
];

async fn made(site: &Site, token: &str, path: &str, body: Value) -> String {
    let (status, answer) = site.ask(token, Method::POST, path, Some(body)).await;
    assert_eq!(status, 201, "{path}: {answer}");
    answer["uuid"].as_str().unwrap().to_owned()
}

/// Things of the owner, some of them on lease, and things of a stranger. Returns the stranger's node and the marks.
async fn populate(site: &Site) -> (String, Vec<Mark>) {
    let admin = site.of("site-admin").await;
    let strange = site.projects["strange"].clone();
    let hidden = made(
        site,
        &admin,
        "/v1/nodes",
        json!({"driver": "fake-hardware", "name": "node-hidden", "owner": strange,
        "shard": "s-hidden", "resource_class": "class-hidden", "description": "about hidden things"}),
    )
    .await;
    let child = made(
        site,
        &admin,
        "/v1/nodes",
        json!({"driver": "fake-hardware", "name": "child-of-mine",
        "owner": site.projects["own"], "parent_node": "mine", "shard": "s-child"}),
    )
    .await;
    let hidden_child = made(
        site,
        &admin,
        "/v1/nodes",
        json!({"driver": "fake-hardware", "name": "child-hidden", "owner": strange,
        "parent_node": "node-hidden"}),
    )
    .await;
    let port = made(site, &admin, "/v1/ports", json!({"node_uuid": hidden, "address": "52:54:00:99:00:01"})).await;
    let group = made(site, &admin, "/v1/portgroups", json!({"node_uuid": hidden, "name": "bond-hidden"})).await;
    let connector = made(
        site,
        &admin,
        "/v1/volume/connectors",
        json!({"node_uuid": hidden, "type": "iqn", "connector_id": "iqn-hidden"}),
    )
    .await;
    let target = made(
        site,
        &admin,
        "/v1/volume/targets",
        json!({"node_uuid": hidden, "volume_type": "iscsi", "volume_id": "volume-hidden", "boot_index": 0}),
    )
    .await;
    let allocation = made(
        site,
        &admin,
        "/v1/allocations",
        json!({"resource_class": "class-hidden", "name": "allocation-hidden",
        "owner": strange, "candidate_nodes": [hidden]}),
    )
    .await;
    let book = made(
        site,
        &admin,
        "/v1/runbooks",
        json!({"name": "book-hidden", "owner": strange,
        "steps": [{"interface": "bios", "step": "factory_reset", "order": 1}]}),
    )
    .await;
    let words = [
        "node-hidden",
        "s-hidden",
        "class-hidden",
        "about hidden",
        "child-hidden",
        "52:54:00:99:00:01",
        "bond-hidden",
        "iqn-hidden",
        "volume-hidden",
        "allocation-hidden",
        "book-hidden",
    ];
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    words.extend([&hidden_child, &port, &group, &connector, &target, &allocation, &book].map(Clone::clone));
    const STRANGE: &[&str] = &["site-admin", "site-reader", "site-manager", "stranger-reader"];
    let marks = vec![
        Mark { words, seen_by: STRANGE },
        Mark { words: vec![child, "child-of-mine".into(), "s-child".into()], seen_by: OWNER },
        // Of a node on lease its machine is the owner's business.
        Mark { words: vec!["192.0.2.9".into()], seen_by: OWNER },
    ];
    (hidden, marks)
}

/// Every list by everybody.
pub async fn show_everybody_what_is_his(site: &Site) {
    let (hidden, marks) = populate(site).await;
    let mut asked = 0;
    for name in READERS {
        let token = site.of(name).await;
        let (mut shown, mut seen) = (0, String::new());
        for list in LISTS {
            let url = list.replace("ID", "mine").replace("OTHER", &hidden);
            let (status, body) = site.ask(&token, Method::GET, &url, None).await;
            asked += 1;
            assert!(status < 500, "{name} {url}: {status} {body}");
            // A refusal may repeat what was asked for; an answer may not know it.
            let text = if status < 400 { body.to_string() } else { String::new() };
            shown += usize::from(status == 200);
            for mark in marks.iter().filter(|mark| !mark.seen_by.contains(name)) {
                for word in &mark.words {
                    // The list of a node's own children links to itself by what was asked for.
                    assert!(!text.contains(word.as_str()), "{url} tells {name} of {word}: {text}");
                }
            }
            seen.push_str(&text);
        }
        assert!(shown >= 15, "{name} sees something: {shown}");
        // And nothing is missing for those who may see it.
        for mark in marks.iter().filter(|mark| mark.seen_by.contains(name)) {
            // Shards are in lists of the whole site and in the node itself, which no list of children shows in full.
            let listed = mark.words.iter().filter(|word| !word.starts_with("s-"));
            let missing: Vec<&String> = listed.filter(|word| !seen.contains(word.as_str())).collect();
            assert!(missing.is_empty(), "{name} should see {missing:?}");
        }
        let whole = SITE.contains(name);
        for (path, open) in [("/v1/shards", whole), ("/v1/conductors", whole), ("/v1/chassis", whole)] {
            let (status, _) = site.ask(&token, Method::GET, path, None).await;
            assert_eq!(status, if open { 200 } else { 403 }, "{name} {path}");
        }
    }
    println!("{asked} lists were read with real tokens");
}

/// What each role may do with the same node, beyond reading.
pub async fn roles_end_where_they_end(site: &Site) {
    let put = |target: &str| Some(json!({ "target": target }));
    for (name, method, path, body, status) in [
        ("owner-reader", Method::PUT, "/v1/nodes/mine/states/power", put("power on"), 403),
        ("lessee-reader", Method::PUT, "/v1/nodes/mine/states/power", put("power on"), 403),
        ("stranger-admin", Method::PUT, "/v1/nodes/mine/states/power", put("power on"), 404),
        ("lessee-member", Method::PUT, "/v1/nodes/mine/states/power", put("power on"), 202),
        ("lessee-member", Method::PUT, "/v1/nodes/mine/states/provision", put("manage"), 403),
        (
            "lessee-member",
            Method::PATCH,
            "/v1/nodes/mine",
            Some(json!([{"op": "add", "path": "/driver_info/x", "value": 1}])),
            403,
        ),
        (
            "owner-member",
            Method::PATCH,
            "/v1/nodes/mine",
            Some(json!([{"op": "add", "path": "/owner", "value": "x"}])),
            403,
        ),
        (
            "owner-manager",
            Method::PATCH,
            "/v1/nodes/mine",
            Some(json!([{"op": "add", "path": "/bios_interface", "value": "no-bios"}])),
            200,
        ),
        (
            "owner-member",
            Method::PATCH,
            "/v1/nodes/mine",
            Some(json!([{"op": "add", "path": "/bios_interface", "value": "no-bios"}])),
            403,
        ),
        ("owner-member", Method::PUT, "/v1/nodes/mine/traits", Some(json!({"traits": []})), 403),
        ("owner-manager", Method::PUT, "/v1/nodes/mine/traits", Some(json!({"traits": []})), 204),
        ("lessee-manager", Method::PUT, "/v1/nodes/mine/traits", Some(json!({"traits": []})), 403),
        ("owner-manager", Method::DELETE, "/v1/nodes/mine", None, 403),
        ("site-manager", Method::DELETE, "/v1/nodes/mine", None, 403),
        ("site-reader", Method::POST, "/v1/chassis", Some(json!({})), 403),
        ("owner-admin", Method::POST, "/v1/chassis", Some(json!({})), 403),
        ("site-admin", Method::POST, "/v1/chassis", Some(json!({})), 201),
        ("owner-admin", Method::POST, "/v1/nodes", Some(json!({"driver": "fake-hardware", "name": "own-made"})), 201),
        ("owner-manager", Method::DELETE, "/v1/nodes/own-made", None, 403),
        ("owner-admin", Method::DELETE, "/v1/nodes/own-made", None, 204),
        ("lessee-manager", Method::PUT, "/v1/nodes/mine/states/provision", put("manage"), 202),
    ] {
        let token = site.of(name).await;
        let mut answer = site.ask(&token, method.clone(), path, body.clone()).await;
        // The action before may still hold the node.
        for _ in 0..100 {
            if answer.0 != 409 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            answer = site.ask(&token, method.clone(), path, body.clone()).await;
        }
        assert_eq!(answer.0, status, "{name} {method} {path}: {}", answer.1);
    }
}
