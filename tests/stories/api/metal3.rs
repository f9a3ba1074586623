//! A host's life as Metal3's baremetal-operator drives it with gophercloud: its calls, in its order, with its headers
//! (rest-api section 19.4); and what it does about 404, 409 and failures.

use crate::site::{Reply, Site};
use serde_json::{Value, json};
use std::time::Duration;

/// The version it chooses here: both headers carry it.
const CHOSEN: &str = "1.110";

/// What it would choose where the first is not offered.
const OLDER: &[&str] = &["1.109", "1.95", "1.93", "1.89"];

/// Names are `namespace~name`.
pub const HOST: &str = "metal3~worker-0";

/// gophercloud's client.
pub struct Operator<'a> {
    /// Where it works.
    pub site: &'a Site,
}

impl Operator<'_> {
    /// A request with both version headers.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.call_in(CHOSEN, method, path, body).await
    }

    async fn call_in(&self, version: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
        let shared = format!("baremetal {version}");
        let mut headers = vec![
            ("Accept", "application/json"),
            ("User-Agent", "gophercloud/v2.7.0"),
            ("X-OpenStack-Ironic-API-Version", version),
            ("OpenStack-API-Version", shared.as_str()),
        ];
        if body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        let reply = self.site.send(method, path, &headers, body.map(|body| body.to_string().into_bytes())).await;
        assert_eq!(reply.header("x-openstack-ironic-api-version"), Some(version), "{method} {path}: {reply:?}");
        reply
    }

    /// A document.
    pub async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, None).await
    }

    /// The host's node.
    pub async fn node(&self) -> Value {
        self.get(&format!("/v1/nodes/{HOST}")).await.expect(200).body
    }

    /// A patch of the host.
    pub async fn update(&self, patch: Value) -> Value {
        self.call("PATCH", &format!("/v1/nodes/{HOST}"), Some(patch)).await.expect(200).body
    }

    /// A verb; 409 means: later.
    pub async fn provision(&self, body: Value, rests: &str) {
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
    pub async fn sees(&self, state: &str) -> Value {
        for _ in 0..400 {
            let node = self.node().await;
            if node["provision_state"] == state && node["reservation"].is_null() {
                return node;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the host is not seen in {state}: {}", self.node().await);
    }

    /// Switches the host, and waits as the operator does.
    pub async fn power(&self, body: Value, state: &str) {
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

/// What it posts.
pub fn registration() -> Value {
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
    for version in OLDER {
        let drivers = operator.call_in(version, "GET", "/v1/drivers", None).await.expect(200).body;
        assert!(!drivers["drivers"].as_array().expect("a list").is_empty(), "{version}");
    }
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
    every_field_it_patches(operator).await;
    let report = operator.get(&format!("/v1/nodes/{HOST}/validate")).await.expect(200).body;
    assert_eq!((&report["boot"]["result"], &report["deploy"]["result"]), (&json!(true), &json!(true)), "{report}");
}

/// What it adds when the resource says so, and takes away again.
async fn every_field_it_patches(operator: &Operator<'_>) {
    let fields = [
        ("/name", json!(HOST)),
        ("/driver_info/deploy_iso", json!("http://192.0.2.1/ipa.iso")),
        ("/driver_info/kernel_append_params", json!("%default% console=ttyS0")),
        ("/driver_info/force_persistent_boot_device", json!("Default")),
        ("/driver_info/external_http_url", json!("http://203.0.113.1:6180")),
        ("/automated_clean", json!(true)),
        ("/disable_power_off", json!(true)),
        ("/properties/capabilities", json!("boot_mode:uefi")),
        ("/properties/cpu_arch", json!("aarch64")),
        ("/inspect_interface", json!("fake")),
        ("/raid_interface", json!("no-raid")),
        ("/deploy_interface", json!("direct")),
        ("/network_data", json!({"links": [], "networks": [], "services": []})),
        ("/instance_info/capabilities", json!({})),
        ("/instance_info/root_device", json!({"hctl": "s== 0:0:0:0"})),
        ("/instance_info/image_source", json!("http://192.0.2.1/image")),
        ("/instance_info/image_checksum", json!("http://192.0.2.1/image.sha256sum")),
        ("/instance_info/image_os_hash_algo", json!("sha256")),
        ("/instance_info/image_os_hash_value", json!("00")),
        ("/instance_info/image_disk_format", json!("raw")),
        ("/instance_info/image_pull_secret", json!("s3cret")),
        ("/instance_info/boot_iso", json!("http://192.0.2.1/live.iso")),
    ];
    let patch = |op: &str| -> Vec<Value> {
        let made = |(path, value): &(&str, Value)| match op {
            "add" => json!({"op": op, "path": path, "value": value}),
            _ => json!({"op": op, "path": path}),
        };
        fields.iter().filter(|(path, _)| op == "add" || *path != "/name").map(made).collect()
    };
    let node = operator.update(Value::Array(patch("add"))).await;
    for (path, value) in &fields {
        let shown = node.pointer(path).unwrap_or(&Value::Null);
        let masked = shown == "******" && path.ends_with("secret");
        assert!(shown == value || masked, "{path}: {shown}");
    }
    let node = operator.update(Value::Array(patch("remove"))).await;
    for (path, _) in fields.iter().filter(|(path, _)| path.matches('/').count() == 2) {
        assert_eq!(node.pointer(path), None, "{path}");
    }
    assert_eq!((&node["deploy_interface"], &node["raid_interface"]), (&json!("fake"), &json!("fake")), "{node}");
    // The host goes on as it was.
    operator
        .update(json!([
            {"op": "add", "path": "/automated_clean", "value": false},
            {"op": "add", "path": "/properties/capabilities", "value": "boot_mode:uefi,secure_boot:true"},
            {"op": "add", "path": "/properties/cpu_arch", "value": "x86_64"},
            {"op": "add", "path": "/driver_info/deploy_ramdisk", "value": "http://192.0.2.1/ramdisk"},
        ]))
        .await;
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
    // Settings and firmware, as it asks for them: a clean that ends in manageable.
    let bios = json!({"interface": "bios", "step": "apply_configuration",
        "args": {"settings": [{"name": "ProcVirtualization", "value": "Enabled"}, {"name": "NumaGroup", "value": "1"}]}});
    let firmware = json!({"interface": "firmware", "step": "update",
        "args": {"settings": [{"component": "bmc", "url": "http://192.0.2.1/bmc.bin"}]}});
    operator.provision(json!({"target": "clean", "clean_steps": [bios, firmware]}), "manageable").await;
    let shown = operator.get(&format!("/v1/nodes/{HOST}/bios")).await.expect(200).body;
    let names: Vec<&str> = shown["bios"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["NumaGroup", "ProcVirtualization"], "{shown}");
    // What the machine cannot do fails the clean, with a text; the operator shows it, and begins again by `manage`.
    let raid = json!([
        {"interface": "raid", "step": "delete_configuration"},
        {"interface": "deploy", "step": "erase_devices_metadata"},
        {"interface": "raid", "step": "create_configuration"},
    ]);
    let path = format!("/v1/nodes/{HOST}/states/provision");
    operator.call("PUT", &path, Some(json!({"target": "clean", "clean_steps": raid}))).await.expect(202);
    let node = operator.sees("clean failed").await;
    let error = node["last_error"].as_str().expect("a text");
    assert!(error.contains("delete_configuration"), "{error}");
    if node["maintenance"] == true {
        operator.call("DELETE", &format!("/v1/nodes/{HOST}/maintenance"), None).await.expect(202);
    }
    operator.call("PUT", &path, Some(json!({"target": "manage"}))).await.expect(202);
    operator.sees("manageable").await;
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
    operator.power(json!({"target": "soft rebooting", "timeout": 180}), "power on").await;
    operator.power(json!({"target": "power off"}), "power off").await;
    operator.power(json!({"target": "power on"}), "power on").await;
    service(operator).await;
    virtual_media(operator).await;
    let path = format!("/v1/nodes/{HOST}/maintenance");
    operator.call("PUT", &path, Some(json!({"reason": "NodeNotReady"}))).await.expect(202);
    assert_eq!(operator.node().await["maintenance_reason"], "NodeNotReady");
    operator.call("DELETE", &path, None).await.expect(202);
    assert_eq!(operator.node().await["maintenance"], false);
    // Its instance keeps it: 409, whatever the operator would like.
    operator.call("DELETE", &format!("/v1/nodes/{HOST}"), None).await.expect(409);
}

/// Settings of a host in use: a service, and the settings are read again.
async fn service(operator: &Operator<'_>) {
    let settings = json!([{"name": "NumaGroup", "value": "2"}]);
    let steps = json!([{"interface": "bios", "step": "apply_configuration", "args": {"settings": settings}}]);
    operator.provision(json!({"target": "service", "service_steps": steps}), "active").await;
    let shown = operator.get(&format!("/v1/nodes/{HOST}/bios/NumaGroup")).await.expect(200).body;
    assert_eq!(shown["NumaGroup"]["value"], "2", "{shown}");
    let path = format!("/v1/nodes/{HOST}/states/provision");
    let steps = json!([{"interface": "deploy", "step": "no_such_step"}]);
    operator.call("PUT", &path, Some(json!({"target": "service", "service_steps": steps}))).await.expect(202);
    let node = operator.sees("service failed").await;
    assert!(node["last_error"].as_str().is_some_and(|text| text.contains("no_such_step")), "{node}");
    // The way back that the operator takes.
    operator.call("PUT", &path, Some(json!({"target": "abort"}))).await.expect(202);
    operator.sees("active").await;
}

/// `DataImage`: a CD for a host that runs. The fake BMC takes none, and says so with the status that Ironic gives.
async fn virtual_media(operator: &Operator<'_>) {
    let path = format!("/v1/nodes/{HOST}/vmedia");
    for (method, body) in [
        ("GET", None),
        ("DELETE", None),
        ("POST", Some(json!({"device_type": "cdrom", "image_url": "http://192.0.2.1/data.iso"}))),
    ] {
        let reply = operator.call(method, &path, body).await;
        let told = reply.status == 204 || reply.status == 400 && reply.fault().contains("does not support");
        assert!(told, "{method}: {reply:?}");
    }
    // Subscriptions to events, as it asks for them: a method that this vendor interface does not have.
    for (method, name) in [("POST", "create_subscription"), ("DELETE", "delete_subscription")] {
        let path = format!("/v1/nodes/{HOST}/vendor_passthru?method={name}");
        let body = json!({"Destination": "https://192.0.2.1/events", "id": "1"});
        operator.call(method, &path, Some(body)).await.expect(400);
    }
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
    // As Metal3 configures its Ironic: others boot the ramdisk.
    let site = Site::with(|config, _| config.inspector.require_managed_boot = false).await;
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
