//! Machines that nobody has enrolled (`[auto_discovery]`; rest-api section 14.3): they become nodes once, where that is wanted.

use serde_json::{Value, json};

use crate::site::Site;

const PATH: &str = "/v1/continue_inspection";

fn found(mac: &str) -> Value {
    json!({"inventory": {"interfaces": [{"name": "eno1", "mac_address": mac, "ipv4_address": "192.0.2.7"}],
        "cpu": {"count": 4, "architecture": "x86_64"}, "boot": {"current_boot_mode": "uefi"},
        "bmc_address": "192.0.2.9"}, "root_disk": {"name": "/dev/sda"}})
}

async fn nodes(site: &Site) -> Vec<Value> {
    let list = site.get("/v1/nodes/detail").await.expect(200).body;
    list["nodes"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn unknown_machines_are_nothing_unless_discovery_is_wanted() {
    let site = Site::start().await;
    let reply = site.post(PATH, found("52:54:00:d0:00:01")).await.expect(404);
    assert_eq!((reply.fault().as_str(), nodes(&site).await.len()), ("Resource could not be found.", 0));
}

#[tokio::test]
async fn an_unknown_machine_is_enrolled_once_with_what_it_sent() {
    let site = Site::with(|config, _| {
        config.auto_discovery.enabled = true;
        config.auto_discovery.driver = Some("fake-hardware".into());
        config.top.default_resource_class = Some("found".into());
    })
    .await;
    let (one, two) =
        tokio::join!(site.post(PATH, found("52:54:00:d0:00:01")), site.post(PATH, found("52:54:00:d0:00:01")));
    let mut answers = [one, two];
    answers.sort_by_key(|answer| answer.status);
    let [made, again] = answers;
    let reply = made.expect(202).body;
    again.expect(404);
    let uuid = reply["node"]["uuid"].as_str().expect("as a look-up answers").to_owned();
    assert!(
        reply["config"]["heartbeat_timeout"].is_number() && reply["config"].get("agent_token").is_none(),
        "{reply}"
    );

    let path = format!("/v1/nodes/{uuid}");
    let node = site.until(&path, |node| node["inspection_finished_at"].is_null() && node["boot_mode"] == "uefi").await;
    let inventory = site.get(&format!("{path}/inventory")).await.expect(200).body;
    assert_eq!(inventory["plugin_data"]["auto_discovered"], true);
    let shown =
        ["provision_state", "driver", "resource_class", "power_state", "last_error"].map(|key| node[key].clone());
    assert_eq!(shown, [json!("enroll"), json!("fake-hardware"), json!("found"), json!(null), json!(null)]);
    assert_eq!((&node["properties"]["cpu_arch"], &node["boot_mode"]), (&json!("x86_64"), &json!("uefi")));
    let made = site.post("/v1/nodes", json!({"driver": "fake-hardware"})).await.expect(201).body;
    let chosen = |node: &Value| -> Vec<(String, Value)> {
        let same = |name: &str| name.ends_with("_interface") || ["resource_class", "conductor_group"].contains(&name);
        node.as_object().unwrap().clone().into_iter().filter(|(name, _)| same(name)).collect()
    };
    assert_eq!(chosen(&node), chosen(&made), "made as if somebody had created it");
    site.delete(&format!("/v1/nodes/{}", made["uuid"].as_str().unwrap())).await.expect(204);
    let ports = site.get(&format!("{path}/ports")).await.expect(200).body;
    assert_eq!(ports["ports"][0]["address"], "52:54:00:d0:00:01");
    site.post(PATH, found("52:54:00:d0:00:01")).await.expect(404);
    assert_eq!(nodes(&site).await.len(), 1, "it is known now");

    // As agents without a version ask; and a machine that could not be told from others.
    site.at("1.1", "POST", PATH, Some(found("52:54:00:d0:00:02"))).await.expect(202);
    let mut silent = found("52:54:00:d0:00:03");
    silent["inventory"]["interfaces"][0]["ipv4_address"] = json!(null);
    site.post(PATH, silent).await.expect(404);
    assert_eq!(nodes(&site).await.len(), 2);
}
