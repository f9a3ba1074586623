//! Chassis and port groups.

use crate::site::{Site, replace};
use serde_json::{Value, json};

fn uuid(body: &Value) -> String {
    body["uuid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_chassis_holds_nodes_and_is_kept_while_it_does() {
    let site = Site::start().await;
    let node = site.node("n").await;
    let made = site.post("/v1/chassis", json!({"description": "rack", "extra": {"a": 1}})).await.expect(201);
    let chassis = uuid(&made.body);
    let path = format!("/v1/chassis/{chassis}");
    assert!(made.header("location").unwrap().ends_with(&path));
    assert_eq!(made.body["nodes"][0]["href"], format!("{}{path}/nodes", site.base));
    let short = site.get("/v1/chassis").await.body["chassis"][0].clone();
    assert_eq!(short.as_object().unwrap().keys().collect::<Vec<_>>(), ["uuid", "description", "links"]);
    let unknown = "11111111-1111-4111-8111-111111111111";
    for patch in [replace("/chassis_uuid", json!(unknown)), replace("/chassis_uuid", json!("x"))] {
        site.patch("/v1/nodes/n", patch).await.expect(400);
    }
    let body = json!({"driver": "fake-hardware", "chassis_uuid": unknown});
    let refused = site.post("/v1/nodes", body).await.expect(400);
    assert_eq!(refused.fault(), format!("Chassis {unknown} could not be found."));
    site.patch("/v1/nodes/n", replace("/chassis_uuid", json!(chassis))).await.expect(200);
    for list in [format!("{path}/nodes"), format!("{path}/nodes/detail"), format!("/v1/nodes?chassis_uuid={chassis}")] {
        assert_eq!(site.get(&list).await.expect(200).body["nodes"][0]["uuid"], node.as_str(), "{list}");
    }
    let kept = site.delete(&path).await.expect(400);
    assert!(kept.fault().ends_with("contains nodes."), "{}", kept.fault());
    let after = site.patch(&path, replace("/description", json!("new"))).await.expect(200).body;
    assert!(after["description"] == "new" && after["updated_at"].is_string());
    site.patch(&path, replace("/uuid", json!(unknown))).await.expect(400);
    // Out of its chassis: from 1.25 on.
    for body in [json!([{"op": "remove", "path": "/chassis_uuid"}]), replace("/chassis_uuid", Value::Null)] {
        site.at("1.24", "PATCH", "/v1/nodes/n", Some(body)).await.expect(406);
    }
    site.at("1.25", "PATCH", "/v1/nodes/n", Some(json!([{"op": "remove", "path": "/chassis_uuid"}]))).await.expect(200);
    site.delete(&path).await.expect(204);
    site.get(&path).await.expect(404);
    site.get("/v1/chassis/name").await.expect(400);
    site.get(&format!("/v1/nodes?chassis_uuid={chassis}")).await.expect(404);
}

#[tokio::test]
async fn a_port_group_holds_ports_of_its_node() {
    let site = Site::start().await;
    let (node, other) = (site.node("n").await, site.node("m").await);
    let body = json!({"node_uuid": node, "name": "bond", "address": "52:54:00:AA:00:01", "mode": "802.3ad"});
    let group = uuid(&site.post("/v1/portgroups", body.clone()).await.expect(201).body);
    for (body, status, words) in [
        (json!({"node_uuid": node, "name": "bond"}), 409, "A portgroup with name bond already exists."),
        (json!({"node_uuid": node, "address": "52:54:00:aa:00:01"}), 409, "A portgroup with MAC address"),
        (json!({"node_uuid": node, "uuid": group}), 409, "A portgroup with UUID"),
        (json!({"name": "x"}), 400, "'node_uuid' is a required property"),
        (json!({"node_uuid": node, "name": "a b"}), 400, "Cannot create portgroup with invalid name 'a b'"),
        (json!({"node_uuid": node, "dynamic_portgroup": true}), 400, "('dynamic_portgroup' was unexpected)"),
    ] {
        let reply = site.post("/v1/portgroups", body).await.expect(status);
        assert!(reply.fault().contains(words), "{}", reply.fault());
    }
    let port = |address: &str, node: &str| json!({"node_uuid": node, "address": address, "portgroup_uuid": group});
    let refused = site.post("/v1/ports", port("52:54:00:00:00:09", &other)).await.expect(400);
    assert_eq!(refused.fault(), "Port can not be added to a portgroup belonging to a different node.");
    let made = site.post("/v1/ports", port("52:54:00:00:00:01", &node)).await.expect(201);
    assert_eq!(made.body["portgroup_uuid"], group.as_str());
    for path in [
        format!("/v1/portgroups/{group}/ports"),
        "/v1/portgroups/bond/ports/detail".into(),
        "/v1/ports?portgroup=bond".into(),
    ] {
        assert_eq!(site.get(&path).await.expect(200).body["ports"].as_array().unwrap().len(), 1, "{path}");
    }
    for path in [
        "/v1/portgroups?address=52:54:00:AA:00:01",
        "/v1/portgroups?node=n",
        "/v1/nodes/n/portgroups",
        "/v1/portgroups?conductor_groups=",
    ] {
        assert_eq!(site.get(path).await.expect(200).body["portgroups"][0]["uuid"], group.as_str(), "{path}");
    }
    assert_eq!(site.get("/v1/portgroups?node=m").await.body["portgroups"], json!([]));
    let full = site.delete("/v1/portgroups/bond").await.expect(400);
    assert!(full.fault().ends_with("contains ports."), "{}", full.fault());
    let moved = site.patch("/v1/portgroups/bond", replace("/node_uuid", json!(other))).await.expect(400);
    assert!(moved.fault().contains("there are ports associated"), "{}", moved.fault());
    let port = format!("/v1/ports/{}", uuid(&made.body));
    site.patch(&port, json!([{"op": "remove", "path": "/portgroup_uuid"}])).await.expect(200);
    let moved = site.patch("/v1/portgroups/bond", replace("/node_uuid", json!(other))).await.expect(200);
    assert_eq!(moved.body["node_uuid"], other.as_str());
    site.delete("/v1/nodes/m").await.expect(204);
    site.get("/v1/portgroups/bond").await.expect(404);
}

#[tokio::test]
async fn ports_of_a_group_share_its_physical_network() {
    let site = Site::start().await;
    let node = site.node("n").await;
    let group = uuid(&site.post("/v1/portgroups", json!({"node_uuid": node})).await.expect(201).body);
    let port = |last: u8, network: &str| {
        json!({"node_uuid": node, "portgroup_uuid": group, "physical_network": network,
            "address": format!("52:54:00:00:00:{last:02x}")})
    };
    let first = uuid(&site.post("/v1/ports", port(1, "red")).await.expect(201).body);
    let path = format!("/v1/portgroups/{group}");
    assert_eq!(site.get(&path).await.body["physical_network"], "red", "the first port decides");
    site.post("/v1/ports", port(2, "blue")).await.expect(409);
    let port_path = format!("/v1/ports/{first}");
    site.patch(&port_path, replace("/physical_network", json!("blue"))).await.expect(400);
    site.patch(&path, replace("/physical_network", json!("blue"))).await.expect(200);
    assert_eq!(site.get(&port_path).await.body["physical_network"], "blue", "its ports follow");
    site.patch(&path, replace("/standalone_ports_supported", json!(false))).await.expect(200);
    let mut body = port(3, "blue");
    body["pxe_enabled"] = json!(true);
    assert!(site.post("/v1/ports", body).await.expect(409).fault().contains("doesn't support standalone ports"));
}

#[tokio::test]
async fn old_versions_do_not_know_what_came_later() {
    let site = Site::start().await;
    let node = site.node("n").await;
    let group = uuid(&site.post("/v1/portgroups", json!({"node_uuid": node})).await.expect(201).body);
    for (version, method, path, body, status) in [
        ("1.22", "GET", "/v1/portgroups".to_owned(), None, 404),
        ("1.23", "GET", format!("/v1/portgroups/{group}/ports"), None, 404),
        ("1.23", "GET", "/v1/nodes/n/portgroups".into(), None, 404),
        ("1.25", "POST", "/v1/portgroups".into(), Some(json!({"node_uuid": node, "mode": "x"})), 406),
        ("1.25", "GET", "/v1/portgroups?fields=mode".into(), None, 406),
        ("1.42", "GET", "/v1/portgroups?detail=true".into(), None, 400),
        ("1.98", "GET", "/v1/portgroups?conductor_groups=x".into(), None, 406),
        ("1.105", "GET", "/v1/portgroups?shard=x".into(), None, 406),
        ("1.23", "GET", "/v1/ports?portgroup=x".into(), None, 406),
        ("1.7", "GET", "/v1/chassis?fields=uuid".into(), None, 406),
    ] {
        assert_eq!(site.at(version, method, &path, body).await.status, status, "{version} {path}");
    }
    for (version, shown, hidden) in
        [("1.25", "name", "mode"), ("1.101", "mode", "physical_network"), ("1.110", "category", "dynamic_portgroup")]
    {
        let body = site.at(version, "GET", &format!("/v1/portgroups/{group}"), None).await.expect(200).body;
        assert!(body.get(shown).is_some() && body.get(hidden).is_none(), "{version}: {body}");
    }
}

#[tokio::test]
async fn patches_at_the_same_time_lose_nothing_and_a_condition_is_kept() {
    let site = Site::start().await;
    let chassis = uuid(&site.post("/v1/chassis", json!({})).await.expect(201).body);
    let path = format!("/v1/chassis/{chassis}");
    let read = site.get(&path).await;
    let tag = read.header("etag").expect("a tag").to_owned();
    let patches = (0..20).map(|number| {
        let patch = json!([{"op": "add", "path": format!("/extra/k{number}"), "value": number}]);
        let path = path.clone();
        let site = &site;
        async move { site.patch(&path, patch).await.expect(200) }
    });
    futures_util::future::join_all(patches).await;
    assert_eq!(site.get(&path).await.body["extra"].as_object().unwrap().len(), 20);
    let body = replace("/description", json!("late")).to_string().into_bytes();
    let headers =
        [("X-OpenStack-Ironic-API-Version", "1.115"), ("Content-Type", "application/json"), ("If-Match", tag.as_str())];
    assert_eq!(site.send("PATCH", &path, &headers, Some(body)).await.status, 412, "it was changed since");
}
