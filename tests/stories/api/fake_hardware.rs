//! What fake hardware answers to everything one may ask of a machine: as Ironic's fake does.

use crate::site::{NEW, Site};
use conductor::claim::Claim;
use conductor::config::Seconds;
use conductor::model::fsm::State;
use serde_json::{Value, json};
use std::time::Duration;

/// A node with stand-ins wherever there is one.
async fn bare(site: &Site) {
    let body = json!({"driver": "fake-hardware", "name": "bare", "management_interface": "noop",
        "bios_interface": "no-bios", "console_interface": "no-console", "raid_interface": "no-raid",
        "rescue_interface": "no-rescue", "firmware_interface": "no-firmware", "inspect_interface": "no-inspect",
        "vendor_interface": "no-vendor"});
    site.post("/v1/nodes", body).await.expect(201);
}

fn lacks(what: &str) -> String {
    format!("Driver fake-hardware does not support {what} (disabled or not implemented).")
}

/// `last_error`, once the node is free again.
async fn last_error(site: &Site, node: &str) -> Value {
    site.reaches(node, "enroll").await;
    site.get(&format!("/v1/nodes/{node}")).await.body["last_error"].clone()
}

#[tokio::test]
async fn boot_devices_and_the_interrupt() {
    let site = Site::start().await;
    site.node("n").await;
    bare(&site).await;
    let device = "management/boot_device";
    for (node, method, path, body, status, answer) in [
        ("n", "GET", "", None, 200, json!({"boot_device": "pxe", "persistent": false})),
        ("n", "PUT", "", Some(json!({"boot_device": "pxe", "persistent": true})), 204, Value::Null),
        ("n", "GET", "", None, 200, json!({"boot_device": "pxe", "persistent": false})),
        ("n", "GET", "/supported", None, 200, json!({"supported_boot_devices": ["pxe"]})),
        ("bare", "GET", "", None, 200, json!({"boot_device": "pxe", "persistent": true})),
        ("bare", "PUT", "", Some(json!({"boot_device": "disk"})), 204, Value::Null),
        ("bare", "GET", "/supported", None, 200, json!({"supported_boot_devices": ["pxe", "disk"]})),
    ] {
        let reply = site.at(NEW, method, &format!("/v1/nodes/{node}/{device}{path}"), body).await.expect(status);
        assert_eq!(reply.body, answer, "{node} {method} {path}");
    }
    for (node, body, words) in [
        ("n", json!({"boot_device": "disk"}), "Invalid boot device disk specified.".to_owned()),
        ("n", json!({"boot_device": "xx"}), "Invalid boot device xx specified.".into()),
        ("bare", json!({"boot_device": "xx"}), "Invalid boot device xx specified, supported are pxe, disk.".into()),
        ("n", json!({}), "Missing mandatory parameter: boot_device".into()),
        ("n", json!({"boot_device": "pxe", "persistent": "maybe"}), "Invalid persistent: Unrecognized value".into()),
    ] {
        let reply = site.put(&format!("/v1/nodes/{node}/{device}"), body).await.expect(400);
        assert!(reply.fault().starts_with(&words), "{}", reply.fault());
    }
    let nmi = "/v1/nodes/n/management/inject_nmi";
    assert_eq!(site.put(nmi, json!({})).await.expect(400).fault(), lacks("inject_nmi"));
    assert_eq!(site.put(nmi, json!({"a": 1})).await.expect(400).fault(), "Unexpected arguments: a");
    site.at("1.28", "PUT", nmi, None).await.expect(404);
}

#[tokio::test]
async fn lights_can_be_seen_and_not_switched() {
    let site = Site::start().await;
    site.node("n").await;
    bare(&site).await;
    let base = "/v1/nodes/n/management/indicators";
    let lights = site.get(base).await.expect(200).body;
    let rows: Vec<_> = lights["indicators"].as_array().unwrap().iter().collect();
    let short = |row: &Value| json!([row["name"], row["component"], row["readonly"], row["states"]]);
    assert_eq!(short(rows[0]), json!(["led-0@chassis", "chassis", true, ["off", "on"]]));
    assert_eq!(short(rows[1]), json!(["led@system", "system", false, ["blinking", "off", "on"]]));
    assert_eq!(rows[1]["links"][0]["href"], format!("{}{base}/led@system", site.base));
    assert_eq!(site.get(&format!("{base}/led@system")).await.expect(200).body, json!({"state": "on"}));
    for (light, words) in [
        ("led@zz", "Invalid component zz specified."),
        ("zz@system", "Invalid indicator zz specified."),
        ("zz", "Malformed indicator name \"zz\""),
    ] {
        assert_eq!(site.get(&format!("{base}/{light}")).await.expect(400).fault(), words);
    }
    let set = async |light: &str, body: Value| site.put(&format!("{base}/{light}"), body).await.expect(400).fault();
    assert_eq!(set("led@system", json!({"state": "off"})).await, lacks("set_indicator_state"));
    assert_eq!(set("zz", json!({"state": "off"})).await, "Malformed indicator name \"zz\"");
    assert_eq!(set("led@system", json!({})).await, "Missing mandatory parameter: state");
    let reply = site.get("/v1/nodes/bare/management/indicators").await.expect(400);
    assert_eq!(reply.fault(), lacks("get_supported_indicators"));
}

#[tokio::test]
async fn boot_mode_and_secure_boot_are_taken_and_then_fail() {
    let site = Site::start().await;
    site.node("n").await;
    for (path, target, words) in [
        ("boot_mode", json!("uefi"), format!("Failed to change boot mode to 'uefi': {}", lacks("set_boot_mode"))),
        (
            "secure_boot",
            json!("on"),
            format!("Failed to change secure_boot state to 'True': {}", lacks("set_secure_boot_state")),
        ),
    ] {
        let url = format!("/v1/nodes/n/states/{path}");
        let reply = site.put(&url, json!({"target": target})).await.expect(202);
        assert_eq!(reply.header("location"), Some(format!("{}/v1/nodes/n/states", site.base).as_str()));
        assert_eq!(last_error(&site, "n").await, words);
        site.put(&url, json!({})).await.expect(400);
        site.put(&url, json!({"target": "xx"})).await.expect(400);
        site.at("1.75", "PUT", &url, Some(json!({"target": target}))).await.expect(404);
        assert_eq!(site.get(&url).await.expect(405).header("allow"), Some("PUT"));
    }
    let reply = site.put("/v1/nodes/n/states/boot_mode", json!({"target": "xx"})).await.expect(400);
    assert_eq!(reply.fault(), "Invalid boot mode xx requested for node. Allowed boot modes are: bios, uefi");
}

#[tokio::test]
async fn a_node_on_its_way_keeps_its_boot_settings() {
    let site = Site::start().await;
    let uuid = site.node("n").await;
    let mut held = Claim::take(&site.conductor().holder, uuid.parse().unwrap(), "a test").await.unwrap();
    held.node.provision_state = State::DeployWait;
    held.save().await.unwrap();
    for (path, target) in [("boot_mode", json!("bios")), ("secure_boot", json!(false))] {
        let reply = site.put(&format!("/v1/nodes/n/states/{path}"), json!({"target": target})).await.expect(409);
        assert!(reply.fault().contains("Since node is transitioning"), "{}", reply.fault());
    }
    held.node.provision_state = State::Manageable;
    held.save().await.unwrap();
    let reply = site.put("/v1/nodes/n/states/boot_mode", json!({"target": "bios"})).await.expect(409);
    assert!(reply.fault().contains("is locked by host here"), "{}", reply.fault());
    // Reading needs no lock: defect 24 of the reference.
    for path in ["management/boot_device", "management/indicators/led@system", "validate", "states/console"] {
        site.get(&format!("/v1/nodes/n/{path}")).await.expect(200);
    }
    held.release().await;
}

#[tokio::test]
async fn virtual_media_are_checked_at_once_and_refused_behind() {
    let site = Site::start().await;
    let uuid = site.node("n").await;
    let base = "/v1/nodes/n/vmedia";
    assert_eq!(site.get(base).await.expect(400).fault(), lacks("get_virtual_media"));
    let image = json!({"device_type": "cdrom", "image_url": "http://192.0.2.1/x.iso"});
    site.post(base, image.clone()).await.expect(204);
    let attach = "Publishing images is not supported for driver fake-hardware";
    assert_eq!(last_error(&site, "n").await, format!("Could not attach device cdrom to node {uuid}: {attach}"));
    for (path, body, devices) in [
        ("", None, "None"),
        ("", Some(json!({"device_types": ["cdrom", "disk"]})), "['cdrom', 'disk']"),
        ("?device_types=floppy", None, "['floppy']"),
    ] {
        site.at(NEW, "DELETE", &format!("{base}{path}"), body).await.expect(204);
        let words = format!("Could not detach device(s) {devices} from node {uuid}: {}", lacks("detach_virtual_media"));
        assert_eq!(last_error(&site, "n").await, words);
    }
    for (body, words) in [
        (json!({}), "Schema error for vmedia: 'device_type' is a required property"),
        (json!({"device_type": "cdrom"}), "Schema error for vmedia: 'image_url' is a required property"),
        (
            json!({"device_type": "zz", "image_url": "http://a/b"}),
            "Schema error for vmedia: 'zz' is not one of ['disk', 'cdrom', 'floppy']",
        ),
        (json!({"device_type": "cdrom", "image_url": "ftp://a/b"}), "Unsupported or missing URL scheme: ftp"),
        (json!({"device_type": "cdrom", "image_url": "x"}), "Unsupported or missing URL scheme: "),
        (
            json!({"device_type": "cdrom", "image_url": "http://a/b", "foo": 1}),
            "Schema error for vmedia: Additional properties are not allowed ('foo' was unexpected)",
        ),
        (
            json!({"device_type": "cdrom", "image_url": "http://a/b", "image_download_source": "zz"}),
            "Schema error for vmedia: 'zz' is not one of ['http', 'local', 'swift']",
        ),
    ] {
        assert_eq!(site.post(base, body).await.expect(400).fault(), words);
    }
    let reply = site.delete(&format!("{base}?device_types=zz")).await.expect(400);
    assert_eq!(reply.fault(), "Invalid device type(s) zz (valid are disk, cdrom, floppy)");
    // The URL is looked at before the node.
    let wrong = json!({"device_type": "cdrom", "image_url": "ftp://a/b"});
    assert!(site.post("/v1/nodes/zz/vmedia", wrong).await.expect(400).fault().contains("ftp"));
    site.post("/v1/nodes/zz/vmedia", image.clone()).await.expect(404);
    site.at("1.92", "GET", base, None).await.expect(404);
    site.at("1.88", "POST", base, Some(image)).await.expect(404);
    site.at("1.88", "DELETE", base, None).await.expect(404);
}

#[tokio::test]
async fn media_of_a_machine_whose_bmc_is_dead_are_left_alone() {
    let site = Site::start().await;
    let uuid = site.node("n").await;
    let mut held = Claim::take(&site.conductor().holder, uuid.parse().unwrap(), "a test").await.unwrap();
    held.node.maintenance = true;
    held.node.fault = Some("power failure".into());
    held.save().await.unwrap();
    held.release().await;
    let body = json!({"device_type": "cdrom", "image_url": "http://192.0.2.1/x.iso"});
    for reply in [site.post("/v1/nodes/n/vmedia", body).await, site.delete("/v1/nodes/n/vmedia").await] {
        assert!(reply.expect(503).fault().contains("due to power failure state"));
    }
}

#[tokio::test]
async fn the_console_goes_on_and_off() {
    let site = Site::start().await;
    site.node("n").await;
    bare(&site).await;
    let url = "/v1/nodes/n/states/console";
    let off = json!({"console_enabled": false, "console_info": null});
    assert_eq!(site.get(url).await.expect(200).body, off);
    for (body, after) in [
        (json!({"enabled": true}), json!({"console_enabled": true, "console_info": {}})),
        (json!({"enabled": "yes"}), json!({"console_enabled": true, "console_info": {}})),
        (json!({"enabled": "off"}), off.clone()),
    ] {
        let reply = site.put(url, body).await.expect(202);
        assert_eq!(reply.header("location"), Some(format!("{}{url}", site.base).as_str()));
        site.reaches("n", "enroll").await;
        assert_eq!(site.get(url).await.expect(200).body, after);
    }
    site.put(url, json!({})).await.expect(400);
    site.put(url, json!({"enabled": "maybe"})).await.expect(400);
    let reply = site.put("/v1/nodes/bare/states/console", json!({"enabled": true})).await.expect(400);
    assert_eq!(reply.fault(), lacks("console"));
    assert_eq!(site.get("/v1/nodes/bare/states/console").await.expect(200).body, off);
}

#[tokio::test]
async fn a_graphical_console_is_a_page_with_a_token_and_its_session_ends() {
    let site = Site::with(|config, _| config.vnc.token_timeout = Seconds(3.0)).await;
    site.post("/v1/nodes", json!({"driver": "fake-hardware", "name": "g", "console_interface": "fake-graphical"}))
        .await
        .expect(201);
    let url = "/v1/nodes/g/states/console";
    site.put(url, json!({"enabled": true})).await.expect(202);
    let node = site.until("/v1/nodes/g", |node| node["console_enabled"] == true).await;
    let info = site.get(url).await.expect(200).body["console_info"].clone();
    assert_eq!(info["type"], "vnc");
    let page = info["url"].as_str().expect("a page");
    let uuid = node["uuid"].as_str().expect("a UUID");
    let (before, token) = page.split_once("%26token%3D").expect("a token");
    assert_eq!(before, format!("http://127.0.0.1:6090/vnc_auto.html?path=websockify%3Fnode%3D{uuid}"));
    assert_eq!(token.len(), 43, "{token}");
    assert_eq!(node["driver_internal_info"]["novnc_secret_token"], "******");
    let node = site.until("/v1/nodes/g", |node| node["console_enabled"] == false).await;
    let left = node["driver_internal_info"].as_object().expect("an object");
    assert!(!left.keys().any(|key| key.contains("vnc")), "{left:?}");
}

#[tokio::test]
async fn wanted_raid_configurations_are_checked_and_kept() {
    let site = Site::start().await;
    site.node("n").await;
    bare(&site).await;
    let url = "/v1/nodes/n/states/raid";
    let good = json!({"logical_disks": [{"raid_level": "1", "size_gb": "MAX", "is_root_volume": true}]});
    site.put(url, good.clone()).await.expect(204);
    assert_eq!(site.get("/v1/nodes/n/states").await.body["target_raid_config"], good);
    for (body, words) in [
        (json!({"foo": 1}), "RAID config validation error: 'logical_disks' is a required property"),
        (json!({"logical_disks": [{"raid_level": "7", "size_gb": 1}]}), "RAID config validation error: '7' is not one"),
        (json!([]), "is not of type 'object'"),
    ] {
        let reply = site.put(url, body).await.expect(400);
        assert!(reply.fault().contains(words), "{}", reply.fault());
    }
    assert_eq!(site.get("/v1/nodes/n/states").await.body["target_raid_config"], good, "refusals change nothing");
    site.put(url, json!({})).await.expect(204);
    assert_eq!(site.get("/v1/nodes/n/states").await.body["target_raid_config"], json!({}));
    site.at("1.11", "PUT", url, Some(good.clone())).await.expect(406);
    let reply = site.put("/v1/nodes/bare/states/raid", good).await.expect(404);
    assert_eq!(reply.fault(), lacks("raid"));
    site.put("/v1/nodes/bare/states/raid", json!({})).await.expect(204);
    assert_eq!(site.get(url).await.expect(405).header("allow"), Some("PUT"), "defect 7 of the reference");
}

#[tokio::test]
async fn stand_ins_fail_validation_and_fakes_pass() {
    let site = Site::start().await;
    site.node("n").await;
    bare(&site).await;
    let checks = site.get("/v1/nodes/n/validate").await.expect(200).body;
    assert!(checks.as_object().unwrap().values().all(|check| *check == json!({"result": true})), "{checks}");
    let checks = site.get("/v1/nodes/bare/validate").await.expect(200).body;
    for kind in ["bios", "console", "firmware", "inspect", "raid", "rescue"] {
        assert_eq!(checks[kind], json!({"result": false, "reason": lacks(kind)}));
    }
    for kind in ["boot", "deploy", "management", "network", "power", "storage"] {
        assert_eq!(checks[kind], json!({"result": true}), "{kind}");
    }
}

#[tokio::test]
async fn delays_of_the_fake_section_are_taken() {
    let site = Site::with(|config, _| config.fake.power_delay = "1".into()).await;
    site.node("n").await;
    let begin = std::time::Instant::now();
    site.put("/v1/nodes/n/states/power", json!({"target": "power on"})).await.expect(202);
    let states = site.get("/v1/nodes/n/states").await.body;
    assert!(states["target_power_state"].is_string() && states["power_state"].is_null(), "{states}");
    site.reaches("n", "enroll").await;
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!(site.get("/v1/nodes/n/states").await.body["power_state"], "power on");
}

#[tokio::test]
async fn storage_takes_its_time_when_an_active_machine_is_switched_and_power_is_unknown_until_then() {
    let site = Site::with(|config, _| config.fake.storage_delay = "1".into()).await;
    let body = json!({"driver": "fake-hardware", "name": "n", "storage_interface": "fake"});
    site.post("/v1/nodes", body).await.expect(201);
    for (verb, state) in [("manage", "manageable"), ("provide", "available"), ("active", "active")] {
        site.provision("n", verb, state).await;
        let node = site.get("/v1/nodes/n").await.body;
        assert!(node["power_state"].is_null(), "nobody has switched it: {node}");
    }
    for (target, state) in [("power on", "power on"), ("power off", "power off")] {
        let begin = std::time::Instant::now();
        site.put("/v1/nodes/n/states/power", json!({"target": target})).await.expect(202);
        let done = |node: &Value| node["power_state"] == state && node["reservation"].is_null();
        site.until("/v1/nodes/n", done).await;
        assert!(begin.elapsed() >= Duration::from_secs(1), "volumes are attached and detached");
    }
}
