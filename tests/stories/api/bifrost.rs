//! What Bifrost's playbooks do through openstacksdk and the command line (rest-api section 19.5): enrol with a port, save the
//! inventory, deploy with a config drive, tear down.

use crate::site::{Site, replace};
use serde_json::json;

#[tokio::test]
async fn a_playbook_enrols_inspects_deploys_and_redeploys() {
    let site = Site::start().await;
    let conductors = site.get("/v1/conductors").await.expect(200).body;
    assert_eq!(conductors["conductors"][0]["alive"], true);
    // `register_machine`: POST, manage, ports, provide.
    let node = json!({
        "driver": "fake-hardware", "name": "testvm1", "resource_class": "baremetal",
        "driver_info": {"deploy_kernel": "http://192.0.2.1:8080/ipa.kernel", "deploy_ramdisk": "http://192.0.2.1:8080/ipa.initramfs"},
        "properties": {"cpu_arch": "x86_64", "cpus": 4, "memory_mb": 8192, "local_gb": 10},
    });
    let node = site.at("1.109", "POST", "/v1/nodes", Some(node)).await.expect(201).body;
    let uuid = node["uuid"].as_str().expect("a UUID");
    site.provision(uuid, "manage", "manageable").await;
    let port = json!({"address": "52:54:00:bf:00:01", "node_uuid": uuid});
    site.at("1.101", "POST", "/v1/ports", Some(port)).await.expect(201);
    site.provision(uuid, "inspect", "manageable").await;
    let saved = site.get("/v1/nodes/testvm1/inventory").await;
    assert!([200, 404].contains(&saved.status), "fake inspection may leave no inventory: {saved:?}");
    site.provision(uuid, "provide", "available").await;
    let report = site.get("/v1/nodes/testvm1/validate").await.expect(200).body;
    assert_eq!(report["deploy"]["result"], true, "{report}");
    for round in ["first", "second"] {
        let info = json!({"image_source": "http://192.0.2.1:8080/deployment_image.qcow2",
            "image_checksum": "9b5ad71b2ce5302211f9c61530b329a4", "image_disk_format": "qcow2", "display_name": round});
        site.patch("/v1/nodes/testvm1", replace("/instance_info", info)).await.expect(200);
        let drive = json!({"meta_data": {"public_keys": {"mykey": "ssh-rsa AAAA"}, "hostname": "testvm1"}});
        let body = json!({"target": "active", "configdrive": drive});
        site.put("/v1/nodes/testvm1/states/provision", body).await.expect(202);
        site.reaches("testvm1", "active").await;
        site.provision("testvm1", "deleted", "available").await;
    }
    site.put("/v1/nodes/testvm1/maintenance", json!({})).await.expect(202);
    site.delete("/v1/nodes/testvm1").await.expect(204);
    site.get("/v1/nodes/testvm1").await.expect(404);
}
