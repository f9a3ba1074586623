//! What is looked at before a verb is taken: limits, and whether the machine's power can be reached at all.

use crate::site::{Reply, Site, replace};
use conductor::model::fsm::State;
use conductor::model::node::Node;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

async fn ask(site: &Site, node: &str, body: Value) -> Reply {
    site.put(&format!("/v1/nodes/{node}/states/provision"), body).await
}

/// A node that gets into a state without its flows.
async fn put_into(site: &Site, name: &str, state: State) -> String {
    let uuid = site.get(&format!("/v1/nodes/{name}")).await.expect(200).body["uuid"].as_str().unwrap().to_owned();
    let edit = Box::new(move |node: &mut Node| {
        node.provision_state = state;
        Some(Vec::new())
    });
    site.store().edit_node(uuid.parse::<Uuid>().unwrap(), None, edit).await.unwrap();
    uuid
}

fn limit(word: &str) -> String {
    format!(
        "Unable to process request at this time. The concurrent action limit for {word} has been reached. Please contact your \
         administrator and try again later."
    )
}

fn manual() -> Value {
    json!({"target": "clean", "clean_steps": [{"interface": "power", "step": "power_on"}]})
}

#[tokio::test]
async fn cleanings_and_undeployments_beyond_the_limit_come_later() {
    let site = Site::with(|config, _| config.conductor.max_concurrent_clean = 1).await;
    for name in ["busy", "one", "two", "three"] {
        site.node(name).await;
    }
    put_into(&site, "one", State::Manageable).await;
    put_into(&site, "two", State::Active).await;
    put_into(&site, "three", State::Manageable).await;
    for busy in [State::Cleaning, State::CleanWait, State::Deleting] {
        put_into(&site, "busy", busy).await;
        assert_eq!(ask(&site, "one", manual()).await.expect(503).fault(), limit("cleaning"));
        let reply = ask(&site, "two", json!({"target": "deleted"})).await.expect(503);
        assert_eq!(reply.fault(), limit("unprovisioning"), "an undeployment becomes a cleaning");
    }
    // As in Ironic, who asks for an automated cleaning is not counted.
    ask(&site, "three", json!({"target": "provide"})).await.expect(202);
    put_into(&site, "busy", State::CleanHold).await;
    site.reaches("three", "available").await;
    ask(&site, "one", manual()).await.expect(202);
    site.reaches("one", "manageable").await;
}

#[tokio::test]
async fn limits_can_count_the_nodes_of_the_own_group_alone() {
    for (own_group_only, status) in [(false, 503), (true, 202)] {
        let site = Site::with(|config, _| {
            config.conductor.max_concurrent_deploy = 1;
            config.conductor.max_concurrent_per_conductor_group = own_group_only;
            config.conductor.conductor_group = "rack-1".into();
        })
        .await;
        let other = Node {
            conductor_group: "rack-2".into(),
            provision_state: State::DeployWait,
            ..Node::new(Uuid::new_v4(), "fake-hardware")
        };
        site.store().create_node(other).await.unwrap();
        let refused =
            site.post("/v1/nodes", json!({"driver": "fake-hardware", "conductor_group": "rack-2"})).await.expect(400);
        assert!(refused.fault().contains("for conductor group \"rack-2\""), "{}", refused.fault());
        site.post("/v1/nodes", json!({"driver": "fake-hardware", "name": "n", "conductor_group": "rack-1"}))
            .await
            .expect(201);
        put_into(&site, "n", State::Available).await;
        ask(&site, "n", json!({"target": "active"})).await.expect(status);
        assert_eq!(site.get("/v1/conductors").await.body["conductors"][0]["conductor_group"], "rack-1");
    }
}

#[tokio::test]
async fn verbs_need_a_power_interface_that_is_complete_where_ironic_asks_for_it() {
    let site = Site::with(|config, _| config.conductor.automated_clean = true).await;
    let body =
        json!({"driver": "ipmi", "name": "n", "rescue_interface": "agent", "driver_info": {"ipmi_username": "root"}});
    let node = site.post("/v1/nodes", body).await.expect(201).body["uuid"].as_str().unwrap().to_owned();
    let service = json!({"target": "service", "service_steps": [{"interface": "power", "step": "power_on"}]});
    for (state, body, status, begin) in [
        (State::Manageable, manual(), 400, format!("Validation of node {node} for cleaning failed: ")),
        (State::Manageable, json!({"target": "inspect"}), 400, String::new()),
        (
            State::Available,
            json!({"target": "active"}),
            400,
            format!("Failed to validate deploy or power info for node {node}: "),
        ),
        (
            State::Active,
            json!({"target": "rebuild"}),
            400,
            format!("Failed to validate deploy or power info for node {node}: "),
        ),
        (State::Active, service, 400, format!("Validation of node {node} for servicing failed: ")),
        (
            State::Active,
            json!({"target": "deleted"}),
            500,
            "Failed to validate power driver interface. Can not delete instance. Error: ".into(),
        ),
        (
            State::Active,
            json!({"target": "rescue", "rescue_password": "x"}),
            500,
            format!("Failed to rescue instance None for node {node}: Validation failed: "),
        ),
        (
            State::Rescue,
            json!({"target": "unrescue"}),
            500,
            format!("Failed to unrescue instance None for node {node}: Validation failed: "),
        ),
    ] {
        put_into(&site, "n", state).await;
        let reply = ask(&site, "n", body.clone()).await.expect(status);
        assert!(
            reply.fault().starts_with(&begin) && reply.fault().contains("ipmi_address"),
            "{body}: {}",
            reply.fault()
        );
        let shown = site.get("/v1/nodes/n").await.body;
        assert_eq!((&shown["provision_state"], &shown["last_error"]), (&json!(state), &Value::Null), "{body}");
    }
    // These are accepted, and the record tells what was wrong.
    put_into(&site, "n", State::Manageable).await;
    ask(&site, "n", json!({"target": "provide"})).await.expect(202);
    let failed = site.until("/v1/nodes/n", |node| node["provision_state"] == "clean failed").await;
    let error = failed["last_error"].as_str().unwrap();
    assert!(error.starts_with(&format!("Validation of node {node} for cleaning failed: ")), "{error}");
    assert_eq!(failed["maintenance"], false, "no step ran");
    put_into(&site, "n", State::Manageable).await;
    ask(&site, "n", json!({"target": "adopt"})).await.expect(202);
    let failed = site.until("/v1/nodes/n", |node| node["provision_state"] == "adopt failed").await;
    assert!(
        failed["last_error"].as_str().unwrap().starts_with(&format!("Error while attempting to adopt node {node}: "))
    );
    put_into(&site, "n", State::Enroll).await;
    ask(&site, "n", json!({"target": "manage"})).await.expect(202);
    let failed = |node: &Value| node["provision_state"] == "enroll" && !node["last_error"].is_null();
    let error = site.until("/v1/nodes/n", failed).await["last_error"].clone();
    assert!(
        error
            .as_str()
            .unwrap()
            .starts_with(&format!("Failed to validate power driver interface for node {node}. Error: "))
    );
}

#[tokio::test]
async fn a_deployment_leases_the_node_and_a_closed_boot_mode_is_none() {
    let closed = vec!["bios".to_owned()];
    let site = Site::with(|config, _| config.conductor.disallowed_deployment_boot_modes = closed).await;
    site.node("n").await;
    put_into(&site, "n", State::Available).await;
    site.patch("/v1/nodes/n", json!([{"op": "add", "path": "/properties/boot_mode", "value": "BIOS"}]))
        .await
        .expect(200);
    let reply = ask(&site, "n", json!({"target": "active"})).await.expect(400);
    assert_eq!(reply.fault(), "'bios' boot mode is not allowed for provisioning operation.");
    let open = json!([{"op": "remove", "path": "/properties/boot_mode"}, {"op": "add", "path": "/instance_info/project_id", "value": "tenant"}]);
    site.patch("/v1/nodes/n", open).await.expect(200);
    site.provision("n", "active", "active").await;
    assert_eq!(site.get("/v1/nodes/n").await.body["lessee"], "tenant");
    site.provision("n", "rebuild", "active").await;
    site.provision("n", "deleted", "available").await;
    assert_eq!(site.get("/v1/nodes/n").await.body["lessee"], Value::Null, "the lease ends with the instance");
}

#[tokio::test]
async fn an_inspection_by_the_agent_needs_a_boot_that_is_managed_here() {
    let site = Site::start().await;
    let fake = json!({"driver": "fake-hardware", "name": "n", "inspect_interface": "agent"});
    site.post("/v1/nodes", fake).await.expect(201);
    put_into(&site, "n", State::Manageable).await;
    let inspect = json!({"target": "inspect"});
    let lacks = "Driver fake-hardware does not support validate_inspection (disabled or not implemented).";
    assert_eq!(ask(&site, "n", inspect.clone()).await.expect(400).fault(), lacks);
    site.patch("/v1/nodes/n", replace("/boot_interface", json!("ipxe"))).await.expect(200);
    let fault = ask(&site, "n", inspect).await.expect(400).fault();
    assert!(fault.starts_with("Insufficient information provided for managed inspection: "), "{fault}");
    assert_eq!(site.get("/v1/nodes/n").await.body["provision_state"], "manageable");
}

#[tokio::test]
async fn traits_that_the_node_lacks_are_a_reason_not_to_deploy() {
    let site = Site::start().await;
    let node = site.node("n").await;
    put_into(&site, "n", State::Available).await;
    site.patch("/v1/nodes/n", json!([{"op": "add", "path": "/instance_info/traits", "value": ["CUSTOM_A"]}]))
        .await
        .expect(200);
    let text = format!(
        "Failed to validate deploy or power info for node {node}: Cannot specify instance traits that are not also set on the \
         node. Node {node} is missing traits CUSTOM_A"
    );
    assert_eq!(ask(&site, "n", json!({"target": "active"})).await.expect(400).fault(), text);
}

#[tokio::test]
async fn a_power_change_is_shown_by_its_end_everywhere() {
    let site = Site::with(|config, _| config.fake.power_delay = "1".into()).await;
    site.node("n").await;
    for (target, end) in [("soft rebooting", "power on"), ("soft power off", "power off"), ("rebooting", "power on")] {
        site.put("/v1/nodes/n/states/power", json!({ "target": target })).await.expect(202);
        for (path, place) in [
            ("/v1/nodes/n", "/target_power_state"),
            ("/v1/nodes/n/states", "/target_power_state"),
            ("/v1/nodes?fields=target_power_state", "/nodes/0/target_power_state"),
            ("/v1/nodes/detail", "/nodes/0/target_power_state"),
        ] {
            let shown = site.get(path).await.expect(200).body;
            assert_eq!(shown.pointer(place), Some(&json!(end)), "{path}: {shown}");
        }
        let done = |node: &Value| node["reservation"].is_null();
        let node = site.until("/v1/nodes/n", done).await;
        assert_eq!((&node["power_state"], &node["target_power_state"]), (&json!(end), &Value::Null), "{target}");
    }
}

#[tokio::test]
async fn vifs_are_checked_and_need_the_node_for_themselves() {
    let site = Site::with(|config, _| config.fake.power_delay = "2".into()).await;
    site.node("n").await;
    let url = "/v1/nodes/n/vifs";
    let both = json!({"id": "v", "port_uuid": Uuid::nil(), "portgroup_uuid": Uuid::nil()});
    for (body, text) in [
        (json!({}), "Schema error for vif: 'id' is a required property"),
        (json!({"id": 1}), "Schema error for vif: 1 is not of type 'string'"),
        (json!({"id": "a b"}), "Expected UUID or name for id: a b"),
        (both.clone(), "Cannot specify both port_uuid and portgroup_uuid"),
    ] {
        assert_eq!(site.post(url, body).await.expect(400).fault(), text);
    }
    site.at("1.66", "POST", url, Some(both)).await.expect(204);
    site.at("1.27", "POST", url, Some(json!({"id": "v"}))).await.expect(404);
    site.post(url, json!({"id": "v"})).await.expect(204);
    assert_eq!(site.get(url).await.expect(200).body, json!({"vifs": []}), "the noop network forgets");
    site.delete(&format!("{url}/v")).await.expect(204);
    assert_eq!(site.delete(&format!("{url}/a%20b")).await.expect(400).fault(), "Expected UUID or name for vif_id: a b");
    site.put("/v1/nodes/n/states/power", json!({"target": "power on"})).await.expect(202);
    let reply = site.post(url, json!({"id": "v"})).await.expect(409);
    assert!(reply.fault().contains("is locked by host here"), "{}", reply.fault());
    site.delete(&format!("{url}/v")).await.expect(409);
    site.get(url).await.expect(200);
    site.until("/v1/nodes/n", |node| node["reservation"].is_null()).await;
}

#[tokio::test]
async fn deploy_interfaces_that_are_not_there_are_told_and_those_of_metal3_are() {
    let site = Site::start().await;
    site.post("/v1/nodes", json!({"driver": "ipmi", "name": "n", "driver_info": {"ipmi_address": "192.0.2.1"}}))
        .await
        .expect(201);
    for name in ["ramdisk", "custom-agent", "bootc", "autodetect", "direct"] {
        site.patch("/v1/nodes/n", replace("/deploy_interface", json!(name))).await.expect(200);
    }
    site.patch("/v1/nodes/n", replace("/deploy_interface", json!("anaconda"))).await.expect(400);
    site.patch("/v1/nodes/n", replace("/deploy_interface", json!("ramdisk"))).await.expect(200);
    let deploy = site.get("/v1/nodes/n/validate").await.expect(200).body["deploy"].clone();
    assert!(deploy["reason"].as_str().unwrap().contains("Missing are: ['kernel', 'ramdisk']"), "{deploy}");
    site.post("/v1/nodes", json!({"driver": "fake-hardware", "name": "f", "deploy_interface": "ramdisk"}))
        .await
        .expect(201);
    let deploy = site.get("/v1/nodes/f/validate").await.expect(200).body["deploy"].clone();
    assert!(deploy["reason"].as_str().unwrap().contains("`ramdisk_boot` capability"), "{deploy}");
    tokio::time::timeout(Duration::from_secs(20), site.stop()).await.expect("it stops");
}
