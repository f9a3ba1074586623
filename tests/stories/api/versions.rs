//! One server, 115 versions: negotiation, and what each version shows.

use crate::site::{NEW, Site};
use serde_json::json;

#[tokio::test]
async fn versions_are_negotiated_by_two_headers_and_refused_with_the_range() {
    let site = Site::start().await;
    let used = |reply: &crate::site::Reply| reply.header("x-openstack-ironic-api-version").map(str::to_owned);
    for (headers, version) in [
        (vec![], "1.1"),
        (vec![("X-OpenStack-Ironic-API-Version", "latest")], NEW),
        (vec![("OpenStack-API-Version", "baremetal 1.50"), ("X-OpenStack-Ironic-API-Version", "1.2")], "1.50"),
    ] {
        let reply = site.send("GET", "/v1/nodes", &headers, None).await.expect(200);
        assert_eq!(used(&reply).as_deref(), Some(version));
        assert_eq!(reply.header("x-openstack-ironic-api-maximum-version"), Some(NEW));
        assert_eq!(reply.header("server"), Some("ironic_api"));
    }
    let reply = site.at("1.200", "GET", "/v1/nodes", None).await.expect(406);
    assert_eq!((used(&reply), reply.header("x-openstack-ironic-api-minimum-version")), (None, Some("1.1")));
    assert_eq!(reply.error()["title"], "Not Acceptable");
    let unknown = site.at(NEW, "GET", "/v1/nope", None).await.expect(404);
    assert_eq!(unknown.error(), json!({"code": 404, "title": "Not Found", "description": ""}));
    assert!(unknown.header("x-openstack-ironic-api-maximum-version").is_none());
}

#[tokio::test]
async fn each_version_shows_its_own_fields_and_states() {
    let site = Site::start().await;
    let uuid = site.node("n").await;
    let path = format!("/v1/nodes/{uuid}");
    for (version, has, lacks) in [
        ("1.1", "driver", "driver_internal_info"),
        ("1.3", "driver_internal_info", "name"),
        ("1.5", "name", "clean_step"),
        ("1.20", "network_interface", "resource_class"),
        ("1.31", "boot_interface", "storage_interface"),
        ("1.48", "protected", "conductor"),
        ("1.65", "lessee", "network_data"),
        ("1.94", "parent_node", "disable_power_off"),
        ("1.108", "instance_name", "health"),
    ] {
        let body = site.at(version, "GET", &path, None).await.expect(200).body;
        assert!(body.get(has).is_some() && body.get(lacks).is_none(), "{version}: {has} {lacks}");
    }
    assert_eq!(site.get(&path).await.body.as_object().unwrap().len(), 69);
    site.provision("n", "manage", "manageable").await;
    site.provision("n", "provide", "available").await;
    assert!(site.at("1.1", "GET", &path, None).await.body["provision_state"].is_null());
    let old = site.at("1.10", "POST", "/v1/nodes", Some(json!({"driver": "fake-hardware"}))).await.expect(201);
    assert_eq!(old.body["provision_state"], "available");
}

#[tokio::test]
async fn what_is_too_new_is_refused_as_the_contract_has_it() {
    let site = Site::start().await;
    site.node("n").await;
    for (version, method, path, body, status) in [
        ("1.7", "GET", "/v1/nodes?fields=uuid", None, 406),
        ("1.8", "GET", "/v1/nodes?fields=owner", None, 406),
        ("1.49", "GET", "/v1/nodes?owner=x", None, 406),
        ("1.4", "POST", "/v1/nodes", Some(json!({"driver": "fake-hardware", "name": "x"})), 406),
        ("1.47", "PATCH", "/v1/nodes/n", Some(json!([{"op": "add", "path": "/protected", "value": true}])), 406),
        ("1.48", "GET", "/v1/conductors", None, 404),
        ("1.21", "GET", "/v1/lookup?addresses=52:54:00:00:00:01", None, 404),
        ("1.77", "GET", "/v1/nodes/n/history", None, 404),
        ("1.80", "GET", "/v1/nodes/n/inventory", None, 404),
        ("1.36", "GET", "/v1/nodes/n/traits", None, 406),
        ("1.75", "PUT", "/v1/nodes/n/states/boot_mode", Some(json!({"target": "uefi"})), 404),
        ("1.22", "GET", "/v1/portgroups", None, 404),
    ] {
        site.at(version, method, path, body).await.expect(status);
    }
}

#[tokio::test]
async fn the_documents_list_what_a_version_has() {
    let site = Site::start().await;
    let root = site.send("GET", "/", &[], None).await.expect(200).body;
    assert_eq!(root["default_version"]["version"], NEW);
    assert_eq!(root["versions"][0], root["default_version"]);
    let old = site.at("1.1", "GET", "/v1", None).await.expect(200).body;
    assert!(old.get("nodes").is_some() && old.get("lookup").is_none());
    let new = site.at(NEW, "GET", "/v1/", None).await.expect(200).body;
    assert_eq!(new["nodes"][0]["href"], format!("{}/v1/nodes/", site.base));
    assert!(new.get("inspection_rules").is_some());
    let drivers = site.get("/v1/drivers").await.expect(200).body;
    let names: Vec<&str> =
        drivers["drivers"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["fake-hardware", "ipmi", "manual-management", "redfish"]);
    let driver = site.get("/v1/drivers/ipmi").await.expect(200).body;
    assert_eq!(driver["default_power_interface"], "ipmitool");
    assert!(site.get("/v1/drivers/ipmi/properties").await.expect(200).body.get("ipmi_address").is_some());
    let conductors = site.get("/v1/conductors").await.expect(200).body;
    assert_eq!(conductors["conductors"][0]["hostname"], "here");
    assert_eq!(conductors["conductors"][0]["alive"], true);
}
