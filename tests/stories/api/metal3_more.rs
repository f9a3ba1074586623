//! Metal3's operator where things are not simple: a host that is held, details from the ramdisk, detaching and adopting.

use crate::metal3::{HOST, Operator, registration};
use crate::site::Site;
use conductor::claim::Claim;
use serde_json::json;
use std::time::Duration;

/// gophercloud asks again after 409 and 503; what is done under a lock is done once.
#[tokio::test]
async fn a_held_host_is_409_until_it_is_free_and_the_same_request_then_works() {
    let site = Site::start().await;
    let operator = Operator { site: &site };
    let node = operator.call("POST", "/v1/nodes", Some(registration())).await.expect(201).body;
    operator.provision(json!({"target": "manage"}), "manageable").await;
    let uuid = node["uuid"].as_str().unwrap().parse().unwrap();
    let held = Claim::take(&site.conductor().holder, uuid, "a test").await.unwrap();
    let path = format!("/v1/nodes/{HOST}");
    let reserved = operator.node().await;
    assert_eq!(reserved["reservation"], "here", "the operator sees that it must wait");
    let patch = json!([{"op": "add", "path": "/instance_info/image_source", "value": "http://192.0.2.1/i"}]);
    for (method, path, body) in [
        ("PATCH", path.clone(), patch.clone()),
        ("PUT", format!("{path}/states/provision"), json!({"target": "inspect"})),
        ("PUT", format!("{path}/states/power"), json!({"target": "power on"})),
        ("PUT", format!("{path}/states/raid"), json!({"logical_disks": [{"size_gb": 50, "raid_level": "1"}]})),
        ("PUT", format!("{path}/maintenance"), json!({"reason": "x"})),
    ] {
        let reply = operator.call(method, &path, Some(body)).await.expect(409);
        let words = "is locked by host here, please retry after the current operation is completed.";
        assert!(reply.fault().ends_with(words), "{method} {path}: {}", reply.fault());
    }
    // What only reads is not kept waiting.
    for path in [path.clone(), format!("{path}/validate"), format!("{path}/firmware"), "/v1/ports".into()] {
        operator.get(&path).await.expect(200);
    }
    // The lock goes in the background; the operator's third try finds the host free.
    let release = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        held.release().await;
    });
    let mut tries = 0;
    let node = loop {
        tries += 1;
        let reply = operator.call("PATCH", &path, Some(patch.clone())).await;
        if reply.status == 200 {
            break reply.body;
        }
        assert!(reply.status == 409 && tries < 100, "{reply:?}");
    };
    release.await.unwrap();
    assert!(tries > 1, "it was refused before");
    assert_eq!(node["instance_info"]["image_source"], "http://192.0.2.1/i");
}

/// Hardware details come from the agent: the host waits, the ramdisk reports, the operator reads the inventory.
#[tokio::test]
async fn hardware_details_are_read_from_the_inventory_that_the_ramdisk_brings() {
    // As Metal3 configures its Ironic: others boot the ramdisk.
    let site = Site::with(|config, _| config.inspector.require_managed_boot = false).await;
    let operator = Operator { site: &site };
    let mut body = registration();
    body["inspect_interface"] = json!("agent");
    let node = operator.call("POST", "/v1/nodes", Some(body)).await.expect(201).body;
    let uuid = node["uuid"].as_str().unwrap().to_owned();
    let port = json!({"node_uuid": uuid, "address": "52:54:00:6d:00:02", "pxe_enabled": true});
    operator.call("POST", "/v1/ports", Some(port)).await.expect(201);
    operator.provision(json!({"target": "manage"}), "manageable").await;
    operator.get(&format!("/v1/nodes/{HOST}/inventory")).await.expect(404);
    let path = format!("/v1/nodes/{HOST}/states/provision");
    operator.call("PUT", &path, Some(json!({"target": "inspect"}))).await.expect(202);
    operator.sees("inspect wait").await;
    let found = json!({"inventory": {
        "interfaces": [{"name": "eno1", "mac_address": "52:54:00:6d:00:02", "ipv4_address": "192.0.2.7", "has_carrier": true}],
        "cpu": {"count": 4, "architecture": "x86_64", "model_name": "M", "frequency": "2000", "flags": ["vmx"]},
        "memory": {"physical_mb": 8192, "total": 8_589_934_592_i64},
        "disks": [{"name": "/dev/sda", "size": 10_737_418_240_i64, "rotational": false, "hctl": "0:0:0:0"}],
        "system_vendor": {"manufacturer": "QEMU", "product_name": "Q35", "serial_number": "7", "firmware": {"vendor": "edk2"}},
        "bmc_address": "192.0.2.9", "hostname": "worker-0", "boot": {"current_boot_mode": "uefi"}},
        "root_disk": {"name": "/dev/sda", "size": 10_737_418_240_i64}});
    site.at("1.84", "POST", &format!("/v1/continue_inspection?node_uuid={uuid}"), Some(found.clone()))
        .await
        .expect(202);
    operator.sees("manageable").await;
    let shown = operator.get(&format!("/v1/nodes/{HOST}/inventory")).await.expect(200).body;
    for part in ["memory", "system_vendor", "hostname", "bmc_address"] {
        for (name, value) in found["inventory"][part].as_object().into_iter().flatten() {
            if !value.is_object() {
                assert_eq!(&shown["inventory"][part][name], value, "{part} {name}");
            }
        }
    }
    let cpu = &shown["inventory"]["cpu"];
    assert_eq!((&cpu["count"], &cpu["architecture"], &cpu["model_name"]), (&json!(4), &json!("x86_64"), &json!("M")));
    assert_eq!(shown["inventory"]["disks"][0]["size"], found["inventory"]["disks"][0]["size"]);
    assert_eq!(shown["inventory"]["interfaces"][0]["mac_address"], "52:54:00:6d:00:02");
    assert!(shown["plugin_data"].is_object(), "{shown}");
    let node = operator.node().await;
    assert_eq!(node["properties"]["cpu_arch"], "x86_64");
    assert!(node["inspection_finished_at"].is_string() && node["last_error"].is_null());
}

/// Detach: the operator forgets the host, the machine runs on. Attached again it is registered and adopted: no power
/// action, no deployment.
#[tokio::test]
async fn a_detached_host_runs_on_and_is_adopted_when_it_comes_back() {
    let site = Site::start().await;
    let operator = Operator { site: &site };
    for round in ["deployed", "adopted"] {
        let node = operator.call("POST", "/v1/nodes", Some(registration())).await.expect(201).body;
        operator.provision(json!({"target": "manage"}), "manageable").await;
        operator
            .update(json!([{"op": "add", "path": "/instance_uuid", "value": node["uuid"]},
                {"op": "add", "path": "/instance_info/image_source", "value": "http://192.0.2.1/i"},
                {"op": "add", "path": "/instance_info/image_checksum", "value": "9b5ad71b2ce5302211f9c61530b329a4"}]))
            .await;
        if round == "deployed" {
            operator.provision(json!({"target": "provide"}), "available").await;
            // A deployment by a method of the image's own: its step at the priority of writing an image.
            let steps = json!([{"interface": "deploy", "step": "install_coreos", "args": {}, "priority": 80}]);
            let body = json!({"target": "active", "deploy_steps": steps,
                "configdrive": {"meta_data": {"name": "w"}, "network_data": {}, "user_data": "{}"}});
            operator.provision(body, "active").await;
        } else {
            operator.power(json!({"target": "power on"}), "power on").await;
            operator.provision(json!({"target": "adopt"}), "active").await;
            assert_eq!(operator.node().await["power_state"], "power on", "adoption switches nothing");
        }
        // Detach: maintenance, then away with it although an instance is on it.
        let path = format!("/v1/nodes/{HOST}");
        operator.call("DELETE", &path, None).await.expect(409);
        operator.call("PUT", &format!("{path}/maintenance"), Some(json!({"reason": "detached"}))).await.expect(202);
        operator.call("PATCH", &path, Some(json!([{"op": "remove", "path": "/instance_uuid"}]))).await.expect(200);
        let gone = operator.call("DELETE", &path, None).await;
        assert!([202, 204].contains(&gone.status), "{round}: {gone:?}");
        operator.get(&path).await.expect(404);
    }
}
