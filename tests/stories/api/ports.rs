//! Ports of a node.

use crate::site::{NEW, Site, replace};
use serde_json::json;

#[tokio::test]
async fn a_port_is_created_found_changed_and_deleted() {
    let site = Site::start().await;
    let node = site.node("n").await;
    let body = json!({"node_uuid": node, "address": "52:54:00:AA:00:01", "name": "p1",
        "local_link_connection": {"switch_id": "0a:1b:2c:3d:4e:5f", "port_id": "Eth1"}});
    let made = site.post("/v1/ports", body).await.expect(201);
    let uuid = made.body["uuid"].as_str().unwrap().to_owned();
    assert_eq!(made.body["address"], "52:54:00:aa:00:01");
    assert!(made.header("location").unwrap().ends_with(&format!("/v1/ports/{uuid}")));
    for path in [
        "/v1/ports?address=52:54:00:aa:00:01",
        "/v1/ports?node=n",
        &format!("/v1/ports?node_uuid={node}"),
        "/v1/nodes/n/ports",
    ] {
        let reply = site.get(path).await.expect(200);
        let ports = reply.body["ports"].as_array().unwrap();
        assert_eq!(ports.len(), 1, "{path}");
        assert_eq!(ports[0].as_object().unwrap().keys().collect::<Vec<_>>(), ["uuid", "address", "links"]);
    }
    assert_eq!(site.get("/v1/ports/p1").await.expect(200).body["uuid"], uuid.as_str());
    let after = site.patch(&format!("/v1/ports/{uuid}"), replace("/pxe_enabled", json!(false))).await.expect(200).body;
    assert!(after["pxe_enabled"] == false && after["updated_at"].is_string());
    site.delete("/v1/ports/p1").await.expect(204);
    assert_eq!(site.get("/v1/ports").await.body, json!({"ports": []}));
}

#[tokio::test]
async fn refusals_name_the_field() {
    let site = Site::start().await;
    let node = site.node("n").await;
    site.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:aa:00:01"})).await.expect(201);
    for (body, status, words) in [
        (json!({"node_uuid": node}), 400, "'address' is a required property"),
        (json!({"address": "52:54:00:aa:00:02"}), 400, "'node_ident' is a required property"),
        (json!({"node_uuid": node, "address": "zz"}), 400, "Expected valid MAC address for address: zz"),
        (
            json!({"node_uuid": node, "address": "52:54:00:AA:00:01"}),
            409,
            "A port with MAC address 52:54:00:aa:00:01 already exists.",
        ),
        (json!({"node_uuid": "nope", "address": "52:54:00:aa:00:02"}), 400, "Expected UUID for node_uuid: nope"),
        (json!({"node_uuid": node, "address": "52:54:00:aa:00:02", "foo": 1}), 400, "('foo' was unexpected)"),
    ] {
        let reply = site.post("/v1/ports", body.clone()).await.expect(status);
        assert!(reply.fault().contains(words), "{body}: {}", reply.fault());
    }
}

#[tokio::test]
async fn cabling_is_fixed_while_a_node_is_available_unless_in_maintenance() {
    let site = Site::start().await;
    let node = site.node("n").await;
    let made = site.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:aa:00:01"})).await.expect(201);
    let path = format!("/v1/ports/{}", made.body["uuid"].as_str().unwrap());
    site.provision("n", "manage", "manageable").await;
    site.provision("n", "provide", "available").await;
    site.patch(&path, replace("/pxe_enabled", json!(false))).await.expect(409);
    site.patch(&path, replace("/extra", json!({"a": 1}))).await.expect(200);
    site.at(NEW, "PUT", "/v1/nodes/n/maintenance", None).await.expect(202);
    site.patch(&path, replace("/pxe_enabled", json!(false))).await.expect(200);
}
