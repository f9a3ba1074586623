//! Verbs, power, maintenance, boot device: what clients wait for and what they are refused.

use crate::site::{NEW, Site};
use serde_json::json;

#[tokio::test]
async fn a_verb_answers_202_with_the_node_already_on_its_way() {
    let site = Site::start().await;
    site.node("n").await;
    let reply = site.put("/v1/nodes/n/states/provision", json!({"target": "manage"})).await.expect(202);
    assert_eq!(reply.header("location"), Some(format!("{}/v1/nodes/n/states", site.base).as_str()));
    assert_eq!((reply.header("content-length"), reply.header("content-type")), (Some("0"), None));
    let states = site.get("/v1/nodes/n/states").await.expect(200).body;
    assert_ne!(states["provision_state"], "enroll", "a client that polls at once must see that something happens");
    assert!(states["last_error"].is_null());
    site.reaches("n", "manageable").await;
    site.provision("n", "provide", "available").await;
    let history = site.get("/v1/nodes/n/history?detail=true").await.expect(200).body;
    let entries = history["history"].as_array().unwrap();
    assert!(entries.len() >= 4 && entries[0]["conductor"] == "here", "{history}");
    let one = site.get(&format!("/v1/nodes/n/history/{}", entries[0]["uuid"].as_str().unwrap())).await.expect(200);
    assert_eq!(one.body["event"], entries[0]["event"]);
}

#[tokio::test]
async fn arguments_are_checked_in_the_order_of_the_contract() {
    let site = Site::start().await;
    let uuid = site.node("n").await;
    let action = |verb: &str, state: &str| {
        format!(
            "The requested action \"{verb}\" can not be performed on node \"{uuid}\" while it is in state \"{state}\"."
        )
    };
    for (version, body, status, words) in [
        (NEW, json!({}), 400, "Missing mandatory parameter: target".to_owned()),
        (NEW, json!({"target": "manage", "foo": 1}), 400, "Unexpected arguments: foo".into()),
        (NEW, json!({"target": "delete"}), 400, action("delete", "enroll")),
        (NEW, json!({"target": "active"}), 400, action("active", "enroll")),
        ("1.3", json!({"target": "manage"}), 406, "Request not acceptable.".into()),
        (NEW, json!({"target": "manage", "configdrive": "x"}), 400, "Adding a config drive is only supported".into()),
        (NEW, json!({"target": "manage", "disable_ramdisk": true}), 400, "disable_ramdisk is supported only".into()),
        (NEW, json!({"target": "manage", "rescue_password": "x"}), 400, "\"rescue_password\" is only valid".into()),
        (NEW, json!({"target": "manage", "clean_steps": [{}]}), 400, "\"clean_steps\" is only valid".into()),
    ] {
        let reply = site
            .at(version, "PUT", &format!("/v1/nodes/{uuid}/states/provision"), Some(body.clone()))
            .await
            .expect(status);
        assert!(reply.fault().contains(&words), "{body}: {}", reply.fault());
    }
    site.provision("n", "manage", "manageable").await;
    for (body, words) in [
        (json!({"target": "clean"}), "\"clean_steps\" is required when setting target provision state to clean"),
        (
            json!({"target": "clean", "clean_steps": [{"interface": "x", "step": "y"}]}),
            "Invalid clean_steps: 'x' is not one of",
        ),
    ] {
        let reply = site.put("/v1/nodes/n/states/provision", body).await.expect(400);
        assert!(reply.fault().contains(words), "{}", reply.fault());
    }
}

#[tokio::test]
async fn arguments_come_from_body_query_and_form() {
    let site = Site::start().await;
    site.node("n").await;
    site.at(NEW, "PUT", "/v1/nodes/n/states/provision?target=manage", None).await.expect(202);
    site.reaches("n", "manageable").await;
    let headers = [("X-OpenStack-Ironic-API-Version", NEW), ("Content-Type", "application/x-www-form-urlencoded")];
    site.send("PUT", "/v1/nodes/n/states/provision", &headers, Some(b"target=provide".to_vec())).await.expect(202);
    site.reaches("n", "available").await;
}

#[tokio::test]
async fn maintenance_power_and_boot_device() {
    let site = Site::start().await;
    site.node("n").await;
    site.provision("n", "manage", "manageable").await;
    site.put("/v1/nodes/n/maintenance", json!({"reason": "fan"})).await.expect(202);
    assert_eq!(site.get("/v1/nodes/n").await.body["maintenance_reason"], "fan");
    let reply = site.put("/v1/nodes/n/states/provision", json!({"target": "active"})).await.expect(400);
    assert!(reply.fault().contains("because it's in maintenance mode"), "{}", reply.fault());
    site.delete("/v1/nodes/n/maintenance").await.expect(202);
    assert!(site.get("/v1/nodes/n").await.body["maintenance_reason"].is_null());
    site.put("/v1/nodes/n/management/boot_device", json!({"boot_device": "pxe"})).await.expect(204);
    let device = site.get("/v1/nodes/n/management/boot_device").await.expect(200).body;
    assert_eq!(device, json!({"boot_device": "pxe", "persistent": false}));
    site.put("/v1/nodes/n/management/boot_device", json!({"boot_device": "zz"})).await.expect(400);
    for (version, body, status) in [
        (NEW, json!({"target": "zzz"}), 400),
        (NEW, json!({"target": "power on", "timeout": 0}), 400),
        ("1.26", json!({"target": "power on", "timeout": 5}), 406),
        ("1.26", json!({"target": "soft power off"}), 406),
        (NEW, json!({"target": "power on"}), 202),
    ] {
        site.at(version, "PUT", "/v1/nodes/n/states/power", Some(body)).await.expect(status);
    }
    site.reaches("n", "manageable").await;
    assert_eq!(site.get("/v1/nodes/n/states").await.body["power_state"], "power on");
    let validate = site.get("/v1/nodes/n/validate").await.expect(200).body;
    let kinds: Vec<&String> = validate.as_object().unwrap().keys().collect();
    assert_eq!(
        kinds,
        [
            "boot",
            "deploy",
            "management",
            "network",
            "power",
            "bios",
            "console",
            "firmware",
            "inspect",
            "raid",
            "rescue",
            "storage"
        ]
    );
}
