//! A host's life as Metal3's baremetal-operator drives it with gophercloud: its calls, in its order, with its headers
//! (rest-api section 19.4); and what it does about 404, 409 and failures.

use crate::site::{Reply, Site};
use serde_json::{Value, json};
use std::time::Duration;

/// The version it chooses here: both headers carry it.
const CHOSEN: &str = "1.110";

/// Names are `namespace~name`.
const HOST: &str = "metal3~worker-0";

/// gophercloud's client.
struct Operator<'a> {
    site: &'a Site,
}

impl Operator<'_> {
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let shared = format!("baremetal {CHOSEN}");
        let mut headers = vec![
            ("Accept", "application/json"),
            ("User-Agent", "gophercloud/v2.7.0"),
            ("X-OpenStack-Ironic-API-Version", CHOSEN),
            ("OpenStack-API-Version", shared.as_str()),
        ];
        if body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        let reply = self.site.send(method, path, &headers, body.map(|body| body.to_string().into_bytes())).await;
        assert_eq!(reply.header("x-openstack-ironic-api-version"), Some(CHOSEN), "{method} {path}: {reply:?}");
        reply
    }

    async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, None).await
    }

    async fn node(&self) -> Value {
        self.get(&format!("/v1/nodes/{HOST}")).await.expect(200).body
    }

    async fn update(&self, patch: Value) -> Value {
        self.call("PATCH", &format!("/v1/nodes/{HOST}"), Some(patch)).await.expect(200).body
    }

    /// A verb; 409 means: later.
    async fn provision(&self, body: Value, rests: &str) {
        let path = format!("/v1/nodes/{HOST}/states/provision");
        let mut reply = self.call("PUT", &path, Some(body.clone())).await;
        for _ in 0..50 {
            if reply.status != 409 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            reply = self.call("PUT", &path, Some(body.clone())).await;
        }
        assert_eq!(reply.status, 202, "{body}: {reply:?}");
        self.site.reaches(HOST, rests).await;
        let node = self.node().await;
        assert!(node["last_error"].is_null() && node["fault"].is_null(), "after {body}: {node}");
    }

    /// Waits for a state, as the operator does: it polls.
    async fn sees(&self, state: &str) -> Value {
        for _ in 0..400 {
            let node = self.node().await;
            if node["provision_state"] == state && node["reservation"].is_null() {
                return node;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the host is not seen in {state}: {}", self.node().await);
    }

    async fn power(&self, body: Value, state: &str) {
        self.call("PUT", &format!("/v1/nodes/{HOST}/states/power"), Some(body)).await.expect(202);
        for _ in 0..400 {
            let node = self.node().await;
            if node["power_state"] == state && node["target_power_state"].is_null() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the host does not become {state}: {}", self.node().await);
    }
}

fn registration() -> Value {
    json!({
        "driver": "fake-hardware",
        "bios_interface": "fake", "boot_interface": "fake", "deploy_interface": "fake", "firmware_interface": "fake",
        "inspect_interface": "fake", "management_interface": "fake", "power_interface": "fake",
        "raid_interface": "fake", "vendor_interface": "fake",
        "name": HOST,
        "driver_info": {"deploy_kernel": "http://192.0.2.1/kernel", "redfish_password": "s3cret"},
        "disable_power_off": false,
        "properties": {"capabilities": "boot_mode:uefi", "cpu_arch": "x86_64"},
    })
}

#[tokio::test]
async fn the_operator_discovers_the_service_and_sees_drivers() {
    let site = Site::start().await;
    // Discovery comes before a version is chosen: no version header.
    let found = site.send("GET", "/v1/", &[("Accept", "application/json")], None).await.expect(200).body;
    assert_eq!(
        (found["version"]["min_version"].as_str(), found["version"]["version"].as_str()),
        (Some("1.1"), Some("1.115"))
    );
    let operator = Operator { site: &site };
    let drivers = operator.get("/v1/drivers").await.expect(200).body;
    assert!(!drivers["drivers"].as_array().expect("a list").is_empty());
}

#[tokio::test]
async fn a_host_is_registered_inspected_prepared_provisioned_and_removed() {
    let site = Site::start().await;
    let operator = Operator { site: &site };
    register(&operator).await;
    operator.provision(json!({"target": "manage"}), "manageable").await;
    inspect(&operator).await;
    prepare(&operator).await;
    operator.provision(json!({"target": "provide"}), "available").await;
    provision(&operator).await;
    deprovision(&operator).await;
    operator.provision(json!({"target": "manage"}), "manageable").await;
    let gone = operator.call("DELETE", &format!("/v1/nodes/{HOST}"), None).await;
    assert!([202, 204].contains(&gone.status), "{gone:?}");
    operator.get(&format!("/v1/nodes/{HOST}")).await.expect(404);
}

async fn register(operator: &Operator<'_>) {
    operator.get(&format!("/v1/nodes/{HOST}")).await.expect(404);
    let ports = operator.get("/v1/ports?address=52:54:00:6d:00:01&fields=node_uuid").await.expect(200).body;
    assert_eq!(ports["ports"], json!([]), "nobody has this address yet");
    let node = operator.call("POST", "/v1/nodes", Some(registration())).await.expect(201).body;
    assert_eq!((&node["name"], &node["provision_state"]), (&json!(HOST), &json!("enroll")));
    assert_eq!(node["driver_info"]["redfish_password"], "******");
    operator.call("POST", "/v1/nodes", Some(registration())).await.expect(409);
    let port = json!({"node_uuid": node["uuid"], "address": "52:54:00:6D:00:01", "pxe_enabled": true});
    operator.call("POST", "/v1/ports", Some(port.clone())).await.expect(201);
    operator.call("POST", "/v1/ports", Some(port)).await.expect(409);
    let path = format!("/v1/ports?node_uuid={}&fields=node_uuid,uuid,address", node["uuid"].as_str().expect("a UUID"));
    let ports = operator.get(&path).await.expect(200).body;
    assert_eq!(ports["ports"][0]["address"], "52:54:00:6d:00:01");
    let listed = operator.get("/v1/nodes?fields=uuid,name,provision_state,boot_interface").await.expect(200).body;
    assert_eq!(listed["nodes"][0]["name"], HOST);
    // What differs from the resource is patched; a password that is shown masked is sent anew.
    let node = operator
        .update(json!([
            {"op": "add", "path": "/driver_info/deploy_ramdisk", "value": "http://192.0.2.1/ramdisk"},
            {"op": "add", "path": "/driver_info/redfish_password", "value": "an0ther"},
            {"op": "add", "path": "/automated_clean", "value": false},
            {"op": "replace", "path": "/properties/capabilities", "value": "boot_mode:uefi,secure_boot:true"},
            {"op": "remove", "path": "/driver_info/deploy_kernel"},
        ]))
        .await;
    assert_eq!(
        node["driver_info"],
        json!({"redfish_password": "******", "deploy_ramdisk": "http://192.0.2.1/ramdisk"})
    );
    let report = operator.get(&format!("/v1/nodes/{HOST}/validate")).await.expect(200).body;
    assert_eq!((&report["boot"]["result"], &report["deploy"]["result"]), (&json!(true), &json!(true)), "{report}");
}

async fn inspect(operator: &Operator<'_>) {
    // No inventory: inspect first.
    operator.get(&format!("/v1/nodes/{HOST}/inventory")).await.expect(404);
    operator.provision(json!({"target": "inspect"}), "manageable").await;
    let node = operator.node().await;
    assert!(node["inspection_finished_at"].is_string(), "{node}");
    // A failure that is not ours: too early for this verb.
    let path = format!("/v1/nodes/{HOST}/states/provision");
    let reply = operator.call("PUT", &path, Some(json!({"target": "deleted"}))).await.expect(400);
    assert!(reply.fault().contains("can not be performed"), "{}", reply.fault());
}

/// The operator reads settings and components, and says which RAID it wants.
async fn prepare(operator: &Operator<'_>) {
    operator.get(&format!("/v1/nodes/{HOST}/bios?detail=true")).await.expect(200);
    operator.get(&format!("/v1/nodes/{HOST}/firmware")).await.expect(200);
    let raid = json!({"logical_disks": [{"size_gb": 50, "raid_level": "1", "is_root_volume": true}]});
    operator.call("PUT", &format!("/v1/nodes/{HOST}/states/raid"), Some(raid.clone())).await.expect(204);
    assert_eq!(operator.node().await["target_raid_config"], raid);
}

async fn provision(operator: &Operator<'_>) {
    let instance = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123";
    let info = json!({
        "image_source": "http://192.0.2.1/image.qcow2", "image_os_hash_algo": "sha256", "image_disk_format": "qcow2",
        "image_os_hash_value": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "capabilities": {"boot_option": "local"}, "root_device": {"name": "s== /dev/sda"}, "image_pull_secret": "s3cret",
    });
    let mut patch = vec![json!({"op": "add", "path": "/instance_uuid", "value": instance})];
    for (key, value) in info.as_object().expect("an object") {
        patch.push(json!({"op": "add", "path": format!("/instance_info/{key}"), "value": value}));
    }
    let node = operator.update(Value::Array(patch)).await;
    assert_eq!(node["instance_info"]["image_pull_secret"], "******");
    let drive = json!({"meta_data": {"name": "worker-0"}, "network_data": {"links": []}, "user_data": "#cloud-config"});
    operator.provision(json!({"target": "active", "configdrive": drive}), "active").await;
    assert_eq!(operator.node().await["instance_info"]["configdrive"], "******");
    operator.power(json!({"target": "soft power off", "timeout": 180}), "power off").await;
    operator.power(json!({"target": "power on"}), "power on").await;
    operator.power(json!({"target": "rebooting"}), "power on").await;
    virtual_media(operator).await;
    let path = format!("/v1/nodes/{HOST}/maintenance");
    operator.call("PUT", &path, Some(json!({"reason": "NodeNotReady"}))).await.expect(202);
    assert_eq!(operator.node().await["maintenance_reason"], "NodeNotReady");
    operator.call("DELETE", &path, None).await.expect(202);
    assert_eq!(operator.node().await["maintenance"], false);
    // Its instance keeps it: 409, whatever the operator would like.
    operator.call("DELETE", &format!("/v1/nodes/{HOST}"), None).await.expect(409);
}

/// `DataImage`: a CD for a host that runs. The fake BMC takes none, and says so with the status that Ironic gives.
async fn virtual_media(operator: &Operator<'_>) {
    let path = format!("/v1/nodes/{HOST}/vmedia");
    let disk = json!({"device_type": "cdrom", "image_url": "ftp://192.0.2.1/data.iso"});
    let reply = operator.call("POST", &path, Some(disk)).await.expect(400);
    assert!(reply.fault().contains("Unsupported or missing URL scheme: ftp"), "{}", reply.fault());
}

async fn deprovision(operator: &Operator<'_>) {
    operator.provision(json!({"target": "deleted"}), "available").await;
    let node = operator.node().await;
    assert!(node["instance_uuid"].is_null() && node["instance_info"] == json!({}), "{node}");
}

#[tokio::test]
async fn a_host_that_fails_tells_why_and_is_tried_again() {
    let site = Site::start().await;
    let operator = Operator { site: &site };
    let mut body = registration();
    body["inspect_interface"] = json!("agent");
    operator.call("POST", "/v1/nodes", Some(body)).await.expect(201);
    operator.provision(json!({"target": "manage"}), "manageable").await;
    // Nobody boots this machine: the operator gives up, which is no error of the host's.
    let path = format!("/v1/nodes/{HOST}/states/provision");
    operator.call("PUT", &path, Some(json!({"target": "inspect"}))).await.expect(202);
    operator.sees("inspect wait").await;
    operator.call("PUT", &path, Some(json!({"target": "abort"}))).await.expect(202);
    let node = operator.sees("inspect failed").await;
    assert!(node["last_error"].as_str().is_some_and(|text| text.contains("aborted")), "{node}");
    operator.provision(json!({"target": "manage"}), "manageable").await;
    // Externally provisioned hosts are adopted, deleted ones are simply forgotten.
    operator
        .update(json!([{"op": "add", "path": "/instance_info/image_source", "value": "http://192.0.2.1/i"},
            {"op": "add", "path": "/instance_info/image_checksum", "value": "9b5ad71b2ce5302211f9c61530b329a4"}]))
        .await;
    operator.provision(json!({"target": "adopt"}), "active").await;
    operator.call("PUT", &format!("/v1/nodes/{HOST}/maintenance"), Some(json!({"reason": "delete"}))).await.expect(202);
    let gone = operator.call("DELETE", &format!("/v1/nodes/{HOST}"), None).await;
    assert!([202, 204].contains(&gone.status), "{gone:?}");
}
