//! BIOS settings and firmware components: what was read last, field by field, version by version.

use crate::site::{NEW, Site};
use conductor::model::machine_parts::{BiosSetting, FirmwareComponent};
use serde_json::{Value, json};

/// A node whose firmware was read.
async fn read(site: &Site) -> String {
    let uuid = site.node("n").await;
    let node = uuid.parse().unwrap();
    let setting = |name: &str, value: &str| BiosSetting {
        node,
        name: name.into(),
        value: Some(value.into()),
        ..BiosSetting::default()
    };
    let range = BiosSetting { attribute_type: Some("Integer".into()), lower_bound: Some(1), ..setting("Fan", "2") };
    let store = &site.conductor().store;
    store.replace_all_of_node(node, &[setting("Zoom", "on"), range]).await.unwrap();
    let component = FirmwareComponent {
        node,
        component: "bmc".into(),
        initial_version: Some("1.0".into()),
        current_version: Some("2.0".into()),
        vendor: Some("Acme".into()),
        ..FirmwareComponent::default()
    };
    store.replace_all_of_node(node, &[component]).await.unwrap();
    uuid
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn settings_are_listed_short_in_detail_and_by_field() {
    let site = Site::start().await;
    let uuid = read(&site).await;
    let list = site.get("/v1/nodes/n/bios").await.expect(200).body;
    let names: Vec<_> = list["bios"].as_array().unwrap().iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names, ["Fan", "Zoom"]);
    assert_eq!(keys(&list["bios"][0]), ["created_at", "links", "name", "updated_at", "value"]);
    assert_eq!(list["bios"][0]["links"][0]["href"], format!("{}/v1/nodes/n/bios/Fan", site.base));
    let detail = site.get("/v1/nodes/n/bios?detail=true").await.expect(200).body;
    assert_eq!(keys(&detail["bios"][0]).len(), 14);
    assert_eq!((&detail["bios"][0]["lower_bound"], &detail["bios"][0]["allowable_values"]), (&json!(1), &json!([])));
    let some = site.get("/v1/nodes/n/bios?fields=value").await.expect(200).body;
    assert_eq!(keys(&some["bios"][0]), ["created_at", "links", "updated_at", "value"]);
    let one = site.get("/v1/nodes/n/bios/Fan").await.expect(200).body;
    assert_eq!(one["Fan"]["attribute_type"], "Integer");
    assert_eq!(one["Fan"]["links"][0]["href"], format!("{}/v1/nodes/{uuid}/bios/Fan", site.base));
    let old = site.at("1.73", "GET", "/v1/nodes/n/bios/Fan", None).await.expect(200).body;
    assert!(old["Fan"].get("attribute_type").is_none());
}

#[tokio::test]
async fn settings_are_refused_by_version_and_name() {
    let site = Site::start().await;
    let uuid = read(&site).await;
    for (version, path, status, words) in [
        (NEW, "/zz", 404, format!("Node {uuid} doesn't have a BIOS setting 'zz'")),
        (NEW, "?fields=zz", 400, "Schema error: 'zz' is not one of ['allowable_values', 'attribute_type',".into()),
        (NEW, "?fields=name&detail=true", 400, "Can not specify ?detail=True and fields in the same request.".into()),
        (NEW, "?foo=1", 400, "Unexpected arguments: foo".into()),
        (
            "1.73",
            "?detail=true",
            400,
            "Schema error: Additional properties are not allowed ('detail' was unexpected)".into(),
        ),
    ] {
        let reply = site.at(version, "GET", &format!("/v1/nodes/n/bios{path}"), None).await.expect(status);
        assert!(reply.fault().starts_with(&words), "{path}: {}", reply.fault());
    }
    for path in ["", "/Fan"] {
        site.at("1.39", "GET", &format!("/v1/nodes/n/bios{path}"), None).await.expect(404);
    }
    site.at(NEW, "POST", "/v1/nodes/n/bios", Some(json!({}))).await.expect(405);
}

#[tokio::test]
async fn firmware_components_have_an_identity_since_1_114() {
    let site = Site::start().await;
    read(&site).await;
    let new = site.get("/v1/nodes/n/firmware").await.expect(200).body;
    assert_eq!(
        (&new["firmware"][0]["current_version"], &new["firmware"][0]["vendor"]),
        (&json!("2.0"), &json!("Acme"))
    );
    // Defect 9 of the reference: there it is 400.
    assert_eq!(site.get("/v1/nodes/n/firmware?detail=true").await.expect(200).body, new);
    let old = site.at("1.113", "GET", "/v1/nodes/n/firmware", None).await.expect(200).body;
    assert_eq!(
        keys(&old["firmware"][0]),
        ["component", "created_at", "current_version", "initial_version", "last_version_flashed", "updated_at"]
    );
    let reply = site.at("1.113", "GET", "/v1/nodes/n/firmware?fields=vendor", None).await.expect(400);
    assert!(reply.fault().starts_with("Fields vendor are not allowed in this API version."), "{}", reply.fault());
    let some = site.get("/v1/nodes/n/firmware?fields=component,vendor").await.expect(200).body;
    assert_eq!(keys(&some["firmware"][0]), ["component", "created_at", "updated_at", "vendor"]);
    site.get("/v1/nodes/n/firmware?fields=zz").await.expect(400);
    site.at("1.85", "GET", "/v1/nodes/n/firmware", None).await.expect(404);
}

#[tokio::test]
async fn a_node_takes_its_parts_with_it() {
    let site = Site::start().await;
    let uuid = read(&site).await;
    site.delete("/v1/nodes/n").await.expect(204);
    site.get(&format!("/v1/nodes/{uuid}/bios")).await.expect(404);
    let again = json!({"driver": "fake-hardware", "uuid": uuid});
    site.post("/v1/nodes", again).await.expect(201);
    assert_eq!(site.get(&format!("/v1/nodes/{uuid}/bios")).await.expect(200).body, json!({"bios": []}));
}
