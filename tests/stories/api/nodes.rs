//! Nodes are made, read, changed and deleted.

use crate::site::{NEW, Site, replace};
use serde_json::json;

#[tokio::test]
async fn a_node_is_created_read_by_name_and_uuid_changed_and_deleted() {
    let site = Site::start().await;
    let body = json!({"driver": "fake-hardware", "name": "web-1", "resource_class": "baremetal",
        "driver_info": {"fake_password": "s3cret"}, "properties": {"cpus": 2}});
    let made = site.post("/v1/nodes", body).await.expect(201);
    let uuid = made.body["uuid"].as_str().unwrap();
    assert_eq!(made.header("location"), Some(format!("{}/v1/nodes/{uuid}", site.base).as_str()));
    assert_eq!(made.body["driver_info"], json!({"fake_password": "******"}));
    assert_eq!((&made.body["provision_state"], &made.body["boot_interface"]), (&json!("enroll"), &json!("fake")));
    assert_eq!(made.body["conductor"], "here");
    for ident in [uuid, "web-1", &uuid.to_uppercase(), "web-1/"] {
        assert_eq!(site.get(&format!("/v1/nodes/{ident}")).await.expect(200).body["uuid"], uuid);
    }
    let patch = json!([
        {"op": "add", "path": "/extra/rack", "value": {"row": 1}},
        {"op": "replace", "path": "/properties/cpus", "value": 4},
        {"op": "remove", "path": "/resource_class"},
    ]);
    let after = site.patch("/v1/nodes/web-1", patch).await.expect(200).body;
    assert_eq!((&after["extra"], &after["properties"]), (&json!({"rack": {"row": 1}}), &json!({"cpus": 4})));
    assert!(after["resource_class"].is_null() && after["updated_at"].is_string());
    let gone = site.delete("/v1/nodes/web-1").await.expect(204);
    assert_eq!((gone.header("content-length"), gone.header("content-type")), (None, None));
    assert_eq!(site.get("/v1/nodes/web-1").await.expect(404).fault(), "Node web-1 could not be found.");
}

#[tokio::test]
async fn a_patch_is_all_or_nothing() {
    let site = Site::start().await;
    site.node("n").await;
    let patch = json!([
        {"op": "add", "path": "/extra/a", "value": 1},
        {"op": "remove", "path": "/extra/nope"},
    ]);
    let reply = site.patch("/v1/nodes/n", patch).await.expect(400);
    assert!(reply.fault().ends_with("Reason: can't remove a non-existent object 'nope'"), "{}", reply.fault());
    assert_eq!(site.get("/v1/nodes/n").await.body["extra"], json!({}));
    assert!(site.get("/v1/nodes/n").await.body["reservation"].is_null(), "the node is free again");
}

#[tokio::test]
async fn a_masked_secret_that_is_written_back_stays_what_it_was() {
    let site = Site::start().await;
    site.node("n").await;
    site.patch("/v1/nodes/n", replace("/driver_info", json!({"a_password": "s3cret", "b": 1}))).await.expect(200);
    let mut shown = site.get("/v1/nodes/n").await.body["driver_info"].clone();
    assert_eq!(shown["a_password"], "******");
    shown["b"] = json!(2);
    site.patch("/v1/nodes/n", replace("/driver_info", shown)).await.expect(200);
    let folder = site.stop().await;
    let mut found = false;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(path).unwrap();
            found |= bytes.windows(6).any(|window| window == b"s3cret");
        }
    }
    assert!(found, "the store lost the secret");
}

#[tokio::test]
async fn refusals_of_a_creation_say_why() {
    let site = Site::start().await;
    let uuid = site.node("n").await;
    for (body, status, words) in [
        (json!({}), 400, "Schema error for node: 'driver' is a required property"),
        (
            json!({"driver": "fake-hardware", "foo": 1}),
            400,
            "Additional properties are not allowed ('foo' was unexpected)",
        ),
        (json!({"driver": "fake-hardware", "protected": true}), 400, "('protected' was unexpected)"),
        (json!({"driver": "fake-hardware", "name": "states"}), 400, "The word \"states\" is reserved"),
        (json!({"driver": "fake-hardware", "name": "a b"}), 400, "Cannot create node with invalid name"),
        (json!({"driver": "fake-hardware", "name": "n"}), 409, "A node with name n already exists."),
        (json!({"driver": "fake-hardware", "uuid": uuid}), 409, "already exists."),
        (json!({"driver": "fake-hardware", "uuid": "x"}), 400, "Expected UUID for uuid: x"),
        (json!({"driver": "nope"}), 400, "No valid host was found."),
        (json!({"driver": "fake-hardware", "boot_interface": "nope"}), 400, "Could not find the following interface"),
        (json!({"driver": "fake-hardware", "conductor_group": "g"}), 400, "for conductor group \"g\""),
        (
            json!({"driver": "fake-hardware", "automated_clean": "maybe"}),
            400,
            "Invalid automated_clean: Unrecognized value",
        ),
        (json!({"driver": "fake-hardware", "chassis_uuid": uuid}), 400, "Chassis"),
    ] {
        let reply = site.post("/v1/nodes", body.clone()).await.expect(status);
        assert!(reply.fault().contains(words), "{body}: {}", reply.fault());
    }
    assert_eq!(site.get("/v1/nodes").await.body["nodes"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn traits_are_a_sorted_set() {
    let site = Site::start().await;
    site.node("n").await;
    let set = json!({"traits": ["CUSTOM_B", "HW_CPU_X86_VMX", "CUSTOM_A", "CUSTOM_B"]});
    site.put("/v1/nodes/n/traits", set).await.expect(204);
    assert_eq!(
        site.get("/v1/nodes/n/traits").await.body,
        json!({"traits": ["CUSTOM_A", "CUSTOM_B", "HW_CPU_X86_VMX"]})
    );
    let added = site.at(NEW, "PUT", "/v1/nodes/n/traits/CUSTOM_C", None).await.expect(204);
    assert!(added.header("location").unwrap().ends_with("/v1/nodes/n/traits/CUSTOM_C"));
    site.delete("/v1/nodes/n/traits/CUSTOM_A").await.expect(204);
    site.delete("/v1/nodes/n/traits/CUSTOM_A").await.expect(404);
    site.at(NEW, "PUT", "/v1/nodes/n/traits/bad", None).await.expect(400);
    site.delete("/v1/nodes/n/traits").await.expect(204);
    assert_eq!(site.get("/v1/nodes/n").await.body["traits"], json!([]));
}

#[tokio::test]
async fn children_are_hidden_until_asked_for() {
    let site = Site::start().await;
    let parent = site.node("parent").await;
    let child = site.node("child").await;
    site.patch("/v1/nodes/child", replace("/parent_node", json!("parent"))).await.expect(200);
    assert_eq!(site.get("/v1/nodes/child").await.body["parent_node"], parent.as_str());
    let found = |reply: crate::site::Reply| -> Vec<String> {
        let nodes = reply.expect(200).body["nodes"].as_array().unwrap().clone();
        nodes.iter().map(|node| node["uuid"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(found(site.get("/v1/nodes").await), std::slice::from_ref(&parent));
    assert_eq!(found(site.get("/v1/nodes?include_children=true").await), [parent, child.clone()]);
    assert_eq!(found(site.get("/v1/nodes?parent_node=parent").await), std::slice::from_ref(&child));
    assert_eq!(site.get("/v1/nodes/parent/children").await.body["children"], json!([child]));
}
