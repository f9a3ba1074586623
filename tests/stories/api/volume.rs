//! Volume connectors, volume targets, and what a network service reports.

use crate::site::{Site, replace};
use conductor::model::volume::VolumeTarget;
use serde_json::{Value, json};

const CONNECTORS: &str = "/v1/volume/connectors";
const TARGETS: &str = "/v1/volume/targets";

fn path(list: &str, body: &Value) -> String {
    format!("{list}/{}", body["uuid"].as_str().unwrap())
}

async fn powered(site: &Site, to: &str) {
    site.at(crate::site::NEW, "PUT", "/v1/nodes/n/states/power", Some(json!({"target": to}))).await.expect(202);
    site.until("/v1/nodes/n", |node| node["power_state"] == to && node["reservation"].is_null()).await;
}

#[tokio::test]
async fn connectors_are_unique_and_change_only_while_the_machine_is_off() {
    let site = Site::start().await;
    let (node, other) = (site.node("n").await, site.node("m").await);
    let body = json!({"node_uuid": node, "type": "iqn", "connector_id": "iqn.x"});
    let made = site.post(CONNECTORS, body.clone()).await.expect(201).body;
    let taken = site.post(CONNECTORS, body).await.expect(409).fault();
    assert_eq!(taken, "A volume connector with type iqn and connector ID iqn.x already exists.");
    // The parts are kept apart: these two are not the same.
    site.post(CONNECTORS, json!({"node_uuid": node, "type": "a b", "connector_id": "c"})).await.expect(201);
    site.post(CONNECTORS, json!({"node_uuid": node, "type": "a", "connector_id": "b c"})).await.expect(201);
    for (body, words) in [
        (json!({"node_uuid": node, "type": "iqn"}), "'connector_id' is a required property"),
        (json!({"node_uuid": "n", "type": "iqn", "connector_id": "z"}), "Expected UUID for node_uuid: n"),
        (json!({"node_uuid": node, "type": 1, "connector_id": "z"}), "1 is not of type 'string'"),
        (
            json!({"node_uuid": "11111111-1111-4111-8111-111111111111", "type": "t", "connector_id": "z"}),
            "Invalid input for field/attribute node_uuid. Value: '11111111-1111-4111-8111-111111111111'. ",
        ),
    ] {
        let reply = site.post(CONNECTORS, body).await.expect(400);
        assert!(reply.fault().contains(words), "{}", reply.fault());
    }
    let one = path(CONNECTORS, &made);
    let refused = site.patch(&one, replace("/extra", json!({"a": 1}))).await.expect(400).fault();
    assert!(refused.contains("\"volume connector update\"") && refused.contains("in state \"None\""), "{refused}");
    site.provision("n", "manage", "manageable").await;
    powered(&site, "power on").await;
    site.patch(&one, replace("/extra", json!({"a": 1}))).await.expect(400);
    powered(&site, "power off").await;
    let after = site.patch(&one, replace("/extra", json!({"a": 1}))).await.expect(200).body;
    assert!(after["extra"] == json!({"a": 1}) && after["updated_at"].is_string());
    site.patch(&one, json!([{"op": "remove", "path": "/type"}])).await.expect(400);
    site.patch(&one, replace("/node_uuid", json!(other))).await.expect(200);
    for list in ["/v1/nodes/m/volume/connectors", "/v1/volume/connectors?node=m"] {
        assert_eq!(site.get(list).await.expect(200).body["connectors"].as_array().unwrap().len(), 1, "{list}");
    }
    site.delete(&one).await.expect(204);
    site.get(&one).await.expect(404);
}

#[tokio::test]
async fn a_target_hides_its_secrets_and_keeps_them_through_a_round_trip() {
    let site = Site::start().await;
    let node = site.node("n").await;
    let properties = json!({"auth_password": "s3cret", "target_lun": 1});
    let body =
        json!({"node_uuid": node, "volume_type": "iscsi", "volume_id": "v", "boot_index": 0, "properties": properties});
    let made = site.post(TARGETS, body.clone()).await.expect(201).body;
    assert_eq!(made["properties"], json!({"auth_password": "******", "target_lun": 1}));
    let taken = site.post(TARGETS, body).await.expect(409).fault();
    assert_eq!(taken, "A volume target with boot index '0' for the same node already exists.");
    site.provision("n", "manage", "manageable").await;
    powered(&site, "power off").await;
    let one = path(TARGETS, &made);
    let mut shown = made["properties"].clone();
    shown["target_lun"] = json!(2);
    site.patch(&one, replace("/properties", shown)).await.expect(200);
    let kept: VolumeTarget = site.store().find(made["uuid"].as_str().unwrap()).await.unwrap();
    assert_eq!(kept.properties.text("auth_password"), Some("s3cret"), "the stars are not what is kept");
    assert_eq!(kept.properties.get("target_lun"), Some(&json!(2)));
}

#[tokio::test]
async fn old_versions_know_no_volumes_and_no_events() {
    let site = Site::start().await;
    site.node("n").await;
    for (version, path) in [("1.31", "/v1/volume"), ("1.31", CONNECTORS), ("1.31", "/v1/nodes/n/volume/targets")] {
        site.at(version, "GET", path, None).await.expect(404);
    }
    site.at("1.32", "GET", "/v1/volume/targets?detail=true", None).await.expect(200);
    site.at("1.53", "POST", "/v1/events", Some(json!({"events": []}))).await.expect(404);
}

#[tokio::test]
async fn events_are_checked() {
    let site = Site::start().await;
    let good = json!({"event": "network.bind_port", "port_id": "11111111-1111-4111-8111-111111111111",
        "mac_address": "52:54:00:00:00:01", "status": "ACTIVE", "binding:vnic_type": "baremetal"});
    site.post("/v1/events", json!({"events": [good, good]})).await.expect(204);
    let mut bare = good.clone();
    for name in ["device_id", "binding:host_id", "binding:vnic_type"] {
        bare[name] = json!(null);
    }
    site.post("/v1/events", json!({"events": [bare]})).await.expect(204);
    for (name, value, words) in [
        ("event", json!("x"), "Schema error: 'x' is not one of ['network.bind_port'"),
        ("port_id", json!("z"), "'z' is not a 'uuid'"),
        ("mac_address", json!("z"), "'z' is not a 'mac-address'"),
        ("binding:host_id", json!("z"), "'z' is not a 'uuid'"),
        ("status", json!(null), "null is not of type 'string'"),
        ("status", json!(5), "5 is not of type 'string'"),
        ("foo", json!("z"), "('foo' was unexpected)"),
    ] {
        let mut event = good.clone();
        event[name] = value;
        let reply = site.post("/v1/events", json!({"events": [event]})).await.expect(400);
        assert!(reply.fault().contains(words), "{}", reply.fault());
    }
    for body in [json!({}), json!({"events": []}), json!({"events": [{}]}), json!({"events": [good], "a": 1})] {
        site.post("/v1/events", body).await.expect(400);
    }
}
