//! Allocations: nodes reserved by class and traits.

use crate::site::{NEW, Site, replace};
use conductor::model::allocation::Allocation;
use serde_json::{Value, json};

const LIST: &str = "/v1/allocations";

/// A node that is free, of a class.
async fn free(site: &Site, name: &str, class: &str) -> String {
    let body = json!({"driver": "fake-hardware", "name": name, "resource_class": class});
    let made = site.post("/v1/nodes", body).await.expect(201).body;
    site.provision(name, "manage", "manageable").await;
    site.provision(name, "provide", "available").await;
    // A machine whose power was never seen is given to nobody.
    site.put(&format!("/v1/nodes/{name}/states/power"), json!({"target": "power off"})).await.expect(202);
    let settled = |node: &Value| node["power_state"] == "power off" && node["reservation"].is_null();
    site.until(&format!("/v1/nodes/{name}"), settled).await;
    made["uuid"].as_str().unwrap().to_owned()
}

/// Asks for a node and waits for the end of the search.
async fn allocated(site: &Site, body: Value) -> Value {
    let made = site.post(LIST, body).await.expect(201);
    assert_eq!(made.body["state"], "allocating");
    let path = format!("{LIST}/{}", made.body["uuid"].as_str().unwrap());
    assert!(made.header("location").unwrap().ends_with(&path));
    site.until(&path, |now| now["state"] != "allocating").await
}

#[tokio::test]
async fn a_node_is_reserved_by_class_traits_candidates_and_owner() {
    let site = Site::start().await;
    let (first, second) = (free(&site, "one", "a").await, free(&site, "two", "a").await);
    free(&site, "other", "b").await;
    site.put("/v1/nodes/two/traits", json!({"traits": ["CUSTOM_X"]})).await.expect(204);
    site.patch("/v1/nodes/one", replace("/owner", json!("o"))).await.expect(200);
    for (body, words) in [
        (json!({"resource_class": "none"}), "no available nodes match the resource class none."),
        (
            json!({"resource_class": "b", "traits": ["CUSTOM_Q"]}),
            "no suitable nodes have the requested traits CUSTOM_Q.",
        ),
        (
            json!({"resource_class": "b", "candidate_nodes": ["one", second]}),
            "none of the requested nodes are available and match the resource class b.",
        ),
        (json!({"resource_class": "a", "owner": "z"}), "no available nodes match the resource class a."),
    ] {
        let failed = allocated(&site, body).await;
        let uuid = failed["uuid"].as_str().unwrap();
        assert_eq!(failed["state"], "error");
        assert_eq!(failed["last_error"], format!("Failed to process allocation {uuid}: {words}"));
    }
    let by_trait = allocated(&site, json!({"resource_class": "a", "traits": ["CUSTOM_X"]})).await;
    assert_eq!(by_trait["node_uuid"], second.as_str());
    let node = site.get("/v1/nodes/two").await.body;
    assert_eq!((&node["instance_uuid"], &node["allocation_uuid"]), (&by_trait["uuid"], &by_trait["uuid"]));
    assert_eq!(node["instance_info"]["traits"], json!(["CUSTOM_X"]));
    let by_owner = allocated(&site, json!({"resource_class": "a", "owner": "o", "name": "mine"})).await;
    assert_eq!(by_owner["node_uuid"], first.as_str());
    let kept = site.patch("/v1/nodes/one", replace("/owner", json!("p"))).await.expect(409).fault();
    assert!(kept.starts_with("Cannot update owner of node"), "{kept}");
    let none = allocated(&site, json!({"resource_class": "a"})).await;
    assert_eq!(none["state"], "error", "both are taken");
    for (query, count) in [("?resource_class=a&state=active", 2), ("?node=one", 1), ("?owner=o", 1), ("?state=x", 0)] {
        let found = site.get(&format!("{LIST}{query}")).await.expect(200).body["allocations"].as_array().unwrap().len();
        assert_eq!(found, count, "{query}");
    }
    assert_eq!(site.get("/v1/nodes/one/allocation").await.expect(200).body["name"], "mine");
    site.delete("/v1/allocations/mine").await.expect(204);
    let node = site.get("/v1/nodes/one").await.body;
    assert!(node["instance_uuid"].is_null() && node["allocation_uuid"].is_null());
    site.get("/v1/nodes/one/allocation").await.expect(404);
    site.patch("/v1/nodes/two", json!([{"op": "remove", "path": "/instance_uuid"}])).await.expect(200);
    site.get(&format!("{LIST}/{}", by_trait["uuid"].as_str().unwrap())).await.expect(404);
}

#[tokio::test]
async fn an_allocation_ends_with_its_instance_and_can_be_made_for_one_that_runs() {
    let site = Site::start().await;
    let node = free(&site, "n", "a").await;
    let mine = allocated(&site, json!({"resource_class": "a", "name": "n"})).await;
    let path = format!("{LIST}/{}", mine["uuid"].as_str().unwrap());
    site.patch(
        "/v1/nodes/n",
        json!([
            {"op": "add", "path": "/instance_info/image_source", "value": "http://127.0.0.1:9/x"},
            {"op": "add", "path": "/instance_info/image_checksum", "value": "d41d8cd98f00b204e9800998ecf8427e"},
        ]),
    )
    .await
    .expect(200);
    site.provision("n", "active", "active").await;
    let kept = site.delete(&path).await.expect(409).fault();
    assert!(kept.ends_with("because the node is active (and maintenance mode is off)"), "{kept}");
    site.patch("/v1/nodes/n", json!([{"op": "remove", "path": "/instance_uuid"}])).await.expect(409);
    site.provision("n", "deleted", "available").await;
    site.get(&path).await.expect(404);
    // In use without an allocation: one is made for it.
    let early = site.post(LIST, json!({"node": "n"})).await.expect(409).fault();
    assert!(early.contains("Node must be in the \"active\" state, but the current state is \"available\""), "{early}");
    site.patch(
        "/v1/nodes/n",
        json!([
            {"op": "add", "path": "/instance_info/image_source", "value": "http://127.0.0.1:9/x"},
            {"op": "add", "path": "/instance_info/image_checksum", "value": "d41d8cd98f00b204e9800998ecf8427e"},
        ]),
    )
    .await
    .expect(200);
    site.provision("n", "active", "active").await;
    let late = site.post(LIST, json!({"node": "n", "name": "late"})).await.expect(201).body;
    assert_eq!((&late["state"], &late["node_uuid"]), (&json!("active"), &json!(node)));
    assert_eq!(late["resource_class"], "a");
    assert_eq!(site.get("/v1/nodes/n").await.body["instance_uuid"], late["uuid"]);
    let other = site.post(LIST, json!({"node": "n", "uuid": "11111111-1111-4111-8111-111111111111"})).await.expect(409);
    assert!(other.fault().contains("is associated with instance"), "{}", other.fault());
    site.at(NEW, "PUT", "/v1/nodes/n/maintenance", None).await.expect(202);
    site.delete("/v1/nodes/n/allocation").await.expect(204);
    assert_eq!(site.get("/v1/allocations/late").await.status, 404);
}

#[tokio::test]
async fn twenty_at_once_get_ten_nodes_and_no_node_twice() {
    let site = Site::start().await;
    for number in 0..10 {
        free(&site, &format!("n{number}"), "a").await;
    }
    let asked = (0..20).map(|_| allocated(&site, json!({"resource_class": "a"})));
    let done = futures_util::future::join_all(asked).await;
    let mut nodes: Vec<&str> = done.iter().filter_map(|one| one["node_uuid"].as_str()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let active = done.iter().filter(|one| one["state"] == "active").count();
    assert_eq!((nodes.len(), active), (10, 10), "every node once, and every node");
}

#[tokio::test]
async fn a_search_that_a_process_did_not_end_goes_on_after_its_next_start() {
    let site = Site::start().await;
    let node = free(&site, "n", "a").await;
    // What a process leaves that is killed between the answer and the end of the search.
    let left = Allocation { resource_class: Some("a".into()), ..Allocation::default() };
    site.store().create(&left).await.unwrap();
    let folder = site.stop().await;
    let site = Site::again(folder).await;
    let path = format!("{LIST}/{}", left.meta.uuid);
    let done = site.until(&path, |now| now["state"] != "allocating").await;
    assert_eq!(done["node_uuid"], node.as_str(), "{done}");
}

#[tokio::test]
async fn refusals_and_old_versions() {
    let site = Site::start().await;
    for (body, words) in [
        (json!({}), "The resource_class field is mandatory when not backfilling"),
        (
            json!({"resource_class": "a", "foo": 1}),
            "Schema error: Additional properties are not allowed ('foo' was unexpected)",
        ),
        (json!({"resource_class": 5}), "Schema error: 5 is not of type 'string', 'null'"),
        (json!({"resource_class": "a", "traits": ["bad"]}), "'bad' does not match '^CUSTOM_[A-Z0-9_]+$'"),
        (json!({"resource_class": "a", "candidate_nodes": ["x", "y"]}), "Nodes cannot be found: x, y"),
        (json!({"resource_class": "a", "name": "a b"}), "Cannot create allocation with invalid name 'a b'"),
        (json!({"resource_class": "a", "node": "nope"}), "Node nope could not be found."),
    ] {
        let reply = site.post(LIST, body.clone()).await.expect(400);
        assert!(reply.fault().contains(words), "{body}: {}", reply.fault());
    }
    let made = allocated(&site, json!({"resource_class": "a", "name": "n"})).await;
    let taken = site.post(LIST, json!({"resource_class": "a", "name": "n"})).await.expect(409).fault();
    assert_eq!(taken, "An allocation with name n already exists.");
    let after = site.patch("/v1/allocations/n", replace("/name", json!("m"))).await.expect(200).body;
    assert_eq!((&after["uuid"], &after["name"]), (&made["uuid"], &json!("m")));
    let fixed = site.patch("/v1/allocations/m", replace("/state", json!("x"))).await.expect(400).fault();
    assert_eq!(fixed, "Cannot patch /state. Only the following can be updated: name, extra");
    for (version, method, path, body, status) in [
        ("1.51", "GET", LIST, None, 404),
        ("1.51", "POST", LIST, Some(json!({"resource_class": "a"})), 405),
        ("1.51", "DELETE", "/v1/allocations/m", None, 405),
        ("1.56", "PATCH", "/v1/allocations/m", Some(json!([])), 405),
        ("1.57", "POST", LIST, Some(json!({"resource_class": "a", "node": "n"})), 400),
        ("1.59", "POST", LIST, Some(json!({"resource_class": "a", "owner": "o"})), 406),
        ("1.59", "GET", "/v1/allocations?owner=o", None, 406),
        ("1.115", "GET", "/v1/allocations?detail=true", None, 400),
    ] {
        assert_eq!(site.at(version, method, path, body).await.status, status, "{version} {method} {path}");
    }
    let old = site.at("1.59", "GET", "/v1/allocations/m", None).await.expect(200).body;
    assert!(old.get("owner").is_none());
}
