//! Rules for single fields: who may patch what, what a lessee sees, links to nodes of others, nodes of one's own.

use super::persona::{Guarded, LEASE, OWN};
use serde_json::{Value, json};

fn set(path: &str, value: Value) -> Option<Value> {
    Some(json!([{"op": "add", "path": path, "value": value}]))
}

#[tokio::test]
async fn each_field_has_its_right() {
    let guarded = Guarded::start().await;
    let node = guarded.node(json!({"owner": OWN, "lessee": LEASE})).await;
    let path = format!("/v1/nodes/{node}");
    for (persona, field, value, status) in [
        ("owner member", "/driver_info/x", json!("y"), 200),
        ("lessee admin", "/driver_info/x", json!("y"), 403),
        ("lessee admin", "/instance_info/x", json!("y"), 200),
        ("lessee member", "/instance_info/x", json!("y"), 403),
        ("lessee member", "/extra/x", json!("y"), 200),
        ("owner reader", "/extra/x", json!("y"), 403),
        ("owner service", "/properties/x", json!("y"), 200),
        ("owner service", "/description", json!("y"), 403),
        ("owner member", "/power_interface", json!("fake"), 403),
        ("owner manager", "/power_interface", json!("fake"), 200),
        ("owner admin", "/automated_clean", json!(false), 403),
        ("owner admin", "/automated_clean", json!(true), 200),
        ("system admin", "/automated_clean", json!(false), 200),
        ("owner admin", "/owner", json!("other"), 403),
        ("owner admin", "/shard", json!("s"), 403),
        ("owner admin", "/conductor_group", json!("g"), 403),
        ("owner admin", "/disable_power_off", json!(true), 403),
        ("lessee admin", "/lessee", json!("other"), 403),
        ("owner member", "/lessee", json!("other"), 200),
        ("lessee admin", "/extra/x", json!("y"), 404),
    ] {
        let reply = guarded.ask(persona, "PATCH", &path, set(field, value)).await;
        assert_eq!(reply.status, status, "{persona} {field}: {reply:?}");
    }
    // One right too few spoils the whole patch.
    let both = json!([{"op": "add", "path": "/extra/z", "value": 1}, {"op": "add", "path": "/owner", "value": "me"}]);
    guarded.ask("owner admin", "PATCH", &path, Some(both)).await.expect(403);
    assert_eq!(guarded.ask("owner reader", "GET", &path, None).await.body["extra"].get("z"), None);
}

#[tokio::test]
async fn a_lessee_sees_remarks_where_the_owner_sees_the_machine() {
    let guarded = Guarded::start().await;
    let node = guarded
        .node(json!({"owner": OWN, "lessee": LEASE, "driver_info": {"address": "192.0.2.9", "password": "s3cret"}}))
        .await;
    for path in
        [format!("/v1/nodes/{node}"), "/v1/nodes/detail".into(), "/v1/nodes?fields=driver_info,last_error".into()]
    {
        let shown = async |persona: &str| guarded.ask(persona, "GET", &path, None).await.expect(200).body.to_string();
        for persona in ["lessee reader", "lessee admin"] {
            let text = shown(persona).await;
            assert!(
                !text.contains("192.0.2.9") && text.contains("baremetal:node:get:driver_info permission"),
                "{text}"
            );
            assert!(text.contains("** Value Redacted - Requires baremetal:node:get:last_error permission. **"));
        }
        for persona in ["owner reader", "system reader"] {
            let text = shown(persona).await;
            assert!(text.contains("192.0.2.9") && !text.contains("s3cret") && !text.contains("edacted"), "{text}");
        }
    }
    let states = guarded.ask("lessee reader", "GET", &format!("/v1/nodes/{node}/states"), None).await.expect(200);
    assert!(states.body["last_error"].as_str().unwrap().contains("Redacted"));
}

#[tokio::test]
async fn projects_enroll_for_themselves_and_delete_what_is_theirs() {
    let guarded = Guarded::start().await;
    let body = |owner: Option<&str>| Some(json!({"driver": "fake-hardware", "owner": owner}));
    let made = guarded.ask("owner admin", "POST", "/v1/nodes", body(None)).await.expect(201);
    assert_eq!(made.body["owner"], OWN);
    guarded.ask("owner admin", "POST", "/v1/nodes", body(Some(OWN))).await.expect(201);
    guarded.ask("owner admin", "POST", "/v1/nodes", body(Some("other"))).await.expect(400);
    guarded.ask("owner manager", "POST", "/v1/nodes", body(Some(OWN))).await.expect(403);
    let theirs = guarded.ask("system admin", "POST", "/v1/nodes", body(Some("other"))).await.expect(201);
    assert_eq!(theirs.body["owner"], "other");
    let path = format!("/v1/nodes/{}", made.body["uuid"].as_str().unwrap());
    guarded.ask("owner manager", "DELETE", &path, None).await.expect(403);
    guarded.ask("stranger admin", "DELETE", &path, None).await.expect(404);
    guarded.ask("owner admin", "DELETE", &path, None).await.expect(204);
}

#[tokio::test]
async fn links_lead_only_to_visible_nodes_of_the_same_owner() {
    let guarded = Guarded::start().await;
    let mine = guarded.node(json!({"owner": OWN})).await;
    let sibling = guarded.node(json!({"owner": OWN})).await;
    let theirs = guarded.node(json!({"owner": "other"})).await;
    let path = format!("/v1/nodes/{mine}");
    let nothing = "00000000-0000-4000-8000-000000000000";
    let link = |to: &str| set("/parent_node", json!(to));
    guarded.ask("owner admin", "PATCH", &path, link(&sibling)).await.expect(403);
    guarded.ask("system member", "PATCH", &path, link(&sibling)).await.expect(200);
    let text = |reply: crate::site::Reply| reply.error()["faultstring"].as_str().unwrap().to_owned();
    let foreign = text(guarded.ask("system member", "PATCH", &path, link(&theirs)).await.expect(400));
    let missing = text(guarded.ask("system member", "PATCH", &path, link(nothing)).await.expect(400));
    assert_eq!(foreign.replace(&theirs, nothing), missing);
    // The owner counts at the moment of the change: a node that is given away takes no rights with it.
    guarded.ask("system admin", "PATCH", &path, set("/owner", json!("other"))).await.expect(200);
    guarded.ask("owner admin", "GET", &path, None).await.expect(404);
    let port = json!({"node_uuid": mine, "address": "52:54:00:00:00:09"});
    guarded.ask("owner admin", "POST", "/v1/ports", Some(port.clone())).await.expect(403);
    let port = json!({"node_uuid": nothing, "address": "52:54:00:00:00:09"});
    guarded.ask("owner admin", "POST", "/v1/ports", Some(port)).await.expect(403);
}

#[tokio::test]
async fn lists_cannot_be_sorted_by_what_the_reader_may_not_read() {
    let guarded = Guarded::start().await;
    guarded.node(json!({"owner": OWN, "lessee": LEASE})).await;
    for key in ["last_error", "reservation"] {
        for path in [format!("/v1/nodes?sort_key={key}"), format!("/v1/nodes/detail?sort_key={key}&sort_dir=desc")] {
            for (persona, status) in [("system reader", 200), ("lessee admin", 403), ("stranger reader", 403)] {
                let reply = guarded.ask(persona, "GET", &path, None).await.expect(status);
                assert!(status == 200 || reply.fault().contains(&format!("baremetal:node:get:{key}")), "{reply:?}");
            }
        }
    }
    // And by what nobody may sort by: fields with documents in them.
    guarded.ask("system admin", "GET", "/v1/nodes?sort_key=driver_info", None).await.expect(400);
}

#[tokio::test]
async fn the_history_names_the_project_of_who_asked() {
    let guarded = Guarded::start().await;
    let node = guarded.node(json!({"owner": OWN})).await;
    let maintenance = format!("/v1/nodes/{node}/maintenance");
    let asked = async || {
        let path = format!("/v1/nodes/{node}/history?detail=true");
        let reply = guarded.ask("system reader", "GET", &path, None).await.expect(200);
        let lines = reply.body["history"].as_array().unwrap().clone();
        let line = lines.into_iter().rev().find(|line| line["event_type"] == "maintenance");
        line.expect("a line of the maintenance")["project"].clone()
    };
    guarded.ask("owner admin", "PUT", &maintenance, Some(json!({"reason": "a fan"}))).await.expect(202);
    assert_eq!(asked().await, OWN);
    guarded.ask("system admin", "DELETE", &maintenance, None).await.expect(202);
    assert_eq!(asked().await, Value::Null);
}
