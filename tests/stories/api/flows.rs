//! Verbs on fake hardware as a running Ironic answers them: rescue, service, holds, pauses, families.

use crate::site::Site;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Asks for a verb with arguments.
async fn ask(site: &Site, node: &str, body: Value) -> crate::site::Reply {
    site.put(&format!("/v1/nodes/{node}/states/provision"), body).await
}

/// Waits until the node is in the state and nobody holds it.
async fn rests(site: &Site, node: &str, state: &str) -> Value {
    let begun = Instant::now();
    loop {
        let now = site.get(&format!("/v1/nodes/{node}")).await.expect(200).body;
        if now["provision_state"] == state && now["reservation"].is_null() {
            return now;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{node} should be `{state}`: {now}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn made(site: &Site, body: Value, verbs: &[(&str, &str)]) -> String {
    let mut node = json!({"driver": "fake-hardware"});
    for (key, value) in body.as_object().unwrap() {
        node[key] = value.clone();
    }
    let uuid = site.post("/v1/nodes", node).await.expect(201).body["uuid"].as_str().unwrap().to_owned();
    for (verb, state) in verbs {
        ask(site, &uuid, json!({"target": verb})).await.expect(202);
        rests(site, &uuid, state).await;
    }
    uuid
}

const MANAGEABLE: &[(&str, &str)] = &[("manage", "manageable")];
const ACTIVE: &[(&str, &str)] = &[("manage", "manageable"), ("provide", "available"), ("active", "active")];

fn step(interface: &str, name: &str) -> Value {
    json!({"interface": interface, "step": name})
}

/// The moves of a node so far, oldest first.
async fn moves(site: &Site, node: &str) -> Vec<String> {
    let history = site.get(&format!("/v1/nodes/{node}/history?detail=true")).await.expect(200).body;
    let moves: Vec<String> = history["history"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["event"].as_str())
        .filter(|event| event.contains(" -> "))
        .map(|event| event.split(" (").next().unwrap().to_owned())
        .collect();
    moves
}

#[tokio::test]
async fn fake_rescue_is_there_at_once_and_comes_back() {
    let site = Site::start().await;
    let node = made(&site, json!({"rescue_interface": "fake"}), ACTIVE).await;
    ask(&site, &node, json!({"target": "rescue", "rescue_password": "secret"})).await.expect(202);
    let shown = rests(&site, &node, "rescue").await;
    assert_eq!((&shown["target_provision_state"], &shown["last_error"]), (&Value::Null, &Value::Null));
    ask(&site, &node, json!({"target": "rescue", "rescue_password": "other"})).await.expect(202);
    rests(&site, &node, "rescue").await;
    ask(&site, &node, json!({"target": "unrescue"})).await.expect(202);
    rests(&site, &node, "active").await;
    let moves = moves(&site, &node).await;
    let tail: Vec<_> = moves.iter().skip_while(|line| !line.contains("rescuing")).map(String::as_str).collect();
    assert_eq!(
        tail,
        [
            "active -> rescuing",
            "rescuing -> rescue",
            "rescue -> rescuing",
            "rescuing -> rescue",
            "rescue -> unrescuing",
            "unrescuing -> active"
        ]
    );
}

#[tokio::test]
async fn rescues_that_cannot_be_are_refused_as_ironic_refuses_them() {
    let site = Site::start().await;
    let node = made(&site, json!({"rescue_interface": "no-rescue"}), ACTIVE).await;
    let rescue = json!({"target": "rescue", "rescue_password": "secret"});
    let reply = ask(&site, &node, rescue.clone()).await.expect(500);
    assert_eq!(
        reply.fault(),
        format!(
            "Failed to rescue instance None for node {node}: Validation failed: Driver fake-hardware does not support rescue \
             (disabled or not implemented)."
        )
    );
    let shown = rests(&site, &node, "active").await;
    assert_eq!(shown["instance_info"], json!({}), "no password stays");
    let reply = ask(&site, &node, json!({"target": "rescue", "rescue_password": "  "})).await.expect(400);
    assert!(reply.fault().contains("A non-empty \"rescue_password\" is required"));
    for (verb, operation, body) in [
        ("rescue", "rescuing", rescue),
        ("service", "service", json!({"target": "service", "service_steps": [step("power", "reboot")]})),
    ] {
        site.put(&format!("/v1/nodes/{node}/maintenance"), json!({})).await.expect(202);
        let reply = ask(&site, &node, body).await.expect(400);
        let sentence =
            format!("The {operation} operation can't be performed on node {node} because it's in maintenance mode.");
        assert_eq!(reply.fault(), sentence, "{verb}");
    }
}

#[tokio::test]
async fn a_service_runs_reserved_steps_holds_and_goes_on() {
    let site = Site::start().await;
    let node = made(&site, json!({}), ACTIVE).await;
    let steps = json!([step("power", "power_on"), step("power", "hold"), step("power", "power_off")]);
    ask(&site, &node, json!({"target": "service", "service_steps": steps})).await.expect(202);
    let shown = rests(&site, &node, "service hold").await;
    assert_eq!(
        (&shown["service_step"]["step"], &shown["power_state"], &shown["target_provision_state"]),
        (&json!("hold"), &json!("power on"), &json!("active"))
    );
    ask(&site, &node, json!({"target": "unhold"})).await.expect(202);
    let shown = rests(&site, &node, "active").await;
    assert_eq!((&shown["power_state"], &shown["service_step"]), (&json!("power off"), &json!({})));
    let moves = moves(&site, &node).await;
    assert_eq!(
        moves[moves.len() - 5..],
        [
            "active -> servicing",
            "servicing -> service hold",
            "service hold -> service wait",
            "service wait -> servicing",
            "servicing -> active"
        ]
    );
}

#[tokio::test]
async fn a_service_with_an_unknown_step_fails_and_can_be_aborted() {
    let site = Site::start().await;
    let node = made(&site, json!({}), ACTIVE).await;
    for disable in [true, false] {
        let steps = json!([step("vendor", "nope")]);
        let body = json!({"target": "service", "service_steps": steps, "disable_ramdisk": disable});
        ask(&site, &node, body).await.expect(202);
        let shown = rests(&site, &node, "service failed").await;
        let error = shown["last_error"].as_str().unwrap();
        assert!(
            error.contains("node does not support this service step: {'interface': 'vendor', 'step': 'nope'}"),
            "{error}"
        );
        assert_eq!((&shown["maintenance"], &shown["fault"]), (&json!(false), &Value::Null));
    }
    ask(&site, &node, json!({"target": "abort"})).await.expect(202);
    let shown = rests(&site, &node, "active").await;
    assert_eq!(shown["last_error"], "By request, the service operation was aborted");
    let body = json!({"target": "service", "service_steps": [step("vendor", "send_raw")]});
    let reply = ask(&site, &node, body).await.expect(400);
    assert_eq!(
        reply.fault(),
        "service step 'vendor.send_raw' is not allowed. Disallowed by operator configuration [api]disallow_service_steps."
    );
}

#[tokio::test]
async fn cleaning_holds_pauses_and_is_aborted_in_a_hold() {
    let site = Site::start().await;
    let node = made(&site, json!({}), MANAGEABLE).await;
    let pause = json!({"interface": "power", "step": "wait", "args": {"seconds": 1}});
    let steps = json!([pause, step("power", "hold"), step("power", "power_on")]);
    let begun = Instant::now();
    ask(&site, &node, json!({"target": "clean", "clean_steps": steps})).await.expect(202);
    let paused = rests(&site, &node, "clean wait").await;
    assert_eq!(paused["target_provision_state"], "manageable");
    rests(&site, &node, "clean hold").await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    ask(&site, &node, json!({"target": "abort"})).await.expect(202);
    let shown = rests(&site, &node, "clean failed").await;
    assert_eq!(
        shown["last_error"],
        "By request, the clean operation was aborted during or after the completion of step \"power.hold\""
    );
    assert_eq!((&shown["maintenance"], &shown["target_provision_state"]), (&json!(false), &json!("manageable")));
    assert_ne!(shown["power_state"], "power on", "the step after the hold did not run");
    ask(&site, &node, json!({"target": "manage"})).await.expect(202);
    rests(&site, &node, "manageable").await;
    let endless = json!({"target": "clean", "clean_steps": [step("power", "wait")]});
    ask(&site, &node, endless).await.expect(202);
    let shown = rests(&site, &node, "clean failed").await;
    assert!(shown["last_error"].as_str().unwrap().contains("without the argument `seconds`"), "{shown}");
}

#[tokio::test]
async fn a_deployment_holds_and_is_aborted_without_a_tear_down() {
    let site = Site::start().await;
    let held = |priority: u32| {
        let hold = json!({"interface": "power", "step": "hold", "args": {}, "priority": priority});
        json!({"target": "active", "deploy_steps": [hold]})
    };
    let node = made(&site, json!({"instance_info": {"a": "b"}}), &ACTIVE[..2]).await;
    ask(&site, &node, held(50)).await.expect(202);
    rests(&site, &node, "deploy hold").await;
    ask(&site, &node, json!({"target": "unhold"})).await.expect(202);
    rests(&site, &node, "active").await;

    let node = made(&site, json!({"instance_info": {"a": "b"}}), &ACTIVE[..2]).await;
    ask(&site, &node, held(150)).await.expect(202);
    rests(&site, &node, "deploy hold").await;
    ask(&site, &node, json!({"target": "abort"})).await.expect(202);
    let shown = rests(&site, &node, "deploy failed").await;
    assert_eq!((&shown["instance_info"], &shown["target_provision_state"]), (&json!({"a": "b"}), &json!("active")));
    assert!(shown["last_error"].as_str().unwrap().starts_with("By request, the deploy operation was aborted"));
}

#[tokio::test]
async fn deploy_steps_are_checked_before_the_answer() {
    let site = Site::start().await;
    let node = made(&site, json!({}), &ACTIVE[..2]).await;
    let asked =
        |name: &str, priority: u32| json!({"interface": "deploy", "step": name, "args": {}, "priority": priority});
    let reply = ask(&site, &node, json!({"target": "active", "deploy_steps": [asked("deploy", 10)]})).await.expect(400);
    assert_eq!(
        reply.fault(),
        format!(
            "Failed to validate deploy or power info for node {node}: Validation of deploy steps from \"deploy steps\" argument \
             failed.deploy step deploy on interface deploy is a core step and cannot be overridden by user steps. It may be \
             disabled by setting the priority to 0"
        )
    );
    let twice = json!([asked("deploy", 0), asked("deploy", 0)]);
    let reply = ask(&site, &node, json!({"target": "active", "deploy_steps": twice})).await.expect(400);
    assert!(reply.fault().ends_with("Duplicate deploy steps for deploy.deploy"), "{}", reply.fault());
    ask(&site, &node, json!({"target": "active", "deploy_steps": [asked("deploy", 0)]})).await.expect(202);
    let shown = rests(&site, &node, "deploy failed").await;
    assert!(shown["last_error"].as_str().unwrap().starts_with("No deploy steps returned by the driver"), "{shown}");
}

#[tokio::test]
async fn a_family_shares_its_power_and_a_step_reaches_the_children() {
    let site = Site::start().await;
    let parent = made(&site, json!({}), MANAGEABLE).await;
    let child = made(&site, json!({"parent_node": parent}), MANAGEABLE).await;
    let own = json!({"parent_node": parent, "driver_info": {"has_dedicated_power_supply": true}});
    let alone = made(&site, own, MANAGEABLE).await;
    let power = async |node: &str| site.get(&format!("/v1/nodes/{node}")).await.body["power_state"].clone();
    let set = async |node: &str, target: &str| {
        site.put(&format!("/v1/nodes/{node}/states/power"), json!({"target": target})).await.expect(202);
        rests(&site, node, "manageable").await;
    };
    set(&child, "power on").await;
    assert_eq!((power(&parent).await, power(&child).await), (json!("power on"), json!("power on")));
    set(&alone, "power on").await;
    set(&parent, "power off").await;
    assert_eq!(
        (power(&parent).await, power(&child).await, power(&alone).await),
        (json!("power off"), json!("power off"), json!("power on"))
    );
    set(&parent, "power on").await;

    let on_children = |limit: Value| {
        let mut step = json!({"interface": "power", "step": "power_on", "execute_on_child_nodes": true});
        if !limit.is_null() {
            step["limit_child_node_execution"] = limit;
        }
        json!({"target": "clean", "clean_steps": [step], "disable_ramdisk": true})
    };
    ask(&site, &parent, on_children(Value::Null)).await.expect(202);
    rests(&site, &parent, "manageable").await;
    assert_eq!((power(&child).await, power(&alone).await), (json!("power on"), json!("power on")));
    let history = site.get(&format!("/v1/nodes/{parent}/history?detail=true")).await.body.to_string();
    assert!(history.contains("clean step power.power_on ran on 2 child nodes"), "{history}");

    let stranger = made(&site, json!({}), &[]).await;
    ask(&site, &parent, on_children(json!([stranger]))).await.expect(202);
    let shown = rests(&site, &parent, "clean failed").await;
    assert!(shown["last_error"].as_str().unwrap().contains("is no child of node"), "{shown}");
}

#[tokio::test]
async fn steps_of_fake_interfaces_run_in_cleaning_and_service() {
    let site = Site::start().await;
    let fake = json!({"bios_interface": "fake", "vendor_interface": "fake", "firmware_interface": "fake"});
    let node = made(&site, fake, MANAGEABLE).await;
    let bios = async || site.get(&format!("/v1/nodes/{node}/bios")).await.expect(200).body["bios"].clone();
    let settings = json!([{"name": "a", "value": "b"}]);
    let apply = json!({"interface": "bios", "step": "apply_configuration", "args": {"settings": settings}});
    ask(&site, &node, json!({"target": "clean", "clean_steps": [apply]})).await.expect(202);
    rests(&site, &node, "manageable").await;
    assert_eq!((bios().await[0]["name"].clone(), bios().await[0]["value"].clone()), (json!("a"), json!("b")));

    for (steps, sentence) in [
        (
            json!([step("bios", "apply_configuration")]),
            "Cannot clean node NODE: clean step {'interface': 'bios', 'step': 'apply_configuration', 'abortable': False, \
             'priority': 0} is missing these required arguments: settings (List of BIOS settings, each item needs to contain a \
             dictionary with name/value pairs)",
        ),
        (
            json!([step("deploy", "erase_devices")]),
            "Cannot clean node NODE: node does not support this clean step: {'interface': 'deploy', 'step': 'erase_devices'}",
        ),
    ] {
        ask(&site, &node, json!({"target": "clean", "clean_steps": steps})).await.expect(202);
        let shown = rests(&site, &node, "clean failed").await;
        let error = shown["last_error"].as_str().unwrap().replace(&node, "NODE");
        assert!(error.starts_with(sentence), "{error}");
        assert_eq!(shown["maintenance"], json!(false), "no step ran");
        ask(&site, &node, json!({"target": "manage"})).await.expect(202);
        rests(&site, &node, "manageable").await;
    }
    let body = json!({"target": "clean", "clean_steps": [step("bios", "factory_reset")], "disable_ramdisk": true});
    ask(&site, &node, body).await.expect(202);
    let shown = rests(&site, &node, "clean failed").await;
    assert!(shown["last_error"].as_str().unwrap().ends_with("requires booting a ramdisk"), "{shown}");
    ask(&site, &node, json!({"target": "manage"})).await.expect(202);
    rests(&site, &node, "manageable").await;

    ask(&site, &node, json!({"target": "provide"})).await.expect(202);
    rests(&site, &node, "available").await;
    let history = site.get(&format!("/v1/nodes/{node}/history?detail=true")).await.body.to_string();
    assert!(history.contains("clean step vendor.log_passthrough done"), "automated cleaning runs it: {history}");
    ask(&site, &node, json!({"target": "active"})).await.expect(202);
    rests(&site, &node, "active").await;
    let steps = json!([step("bios", "factory_reset"), step("vendor", "log_passthrough")]);
    ask(&site, &node, json!({"target": "service", "service_steps": steps})).await.expect(202);
    rests(&site, &node, "active").await;
    assert_eq!(bios().await, json!([]));
}

#[tokio::test]
async fn a_step_that_somebody_else_must_end_waits_and_is_not_cut_off() {
    let site = Site::with(|config, _| {
        config.conductor.service_callback_timeout.0 = 1.0;
        config.conductor.check_provision_state_interval.0 = 0.1;
    })
    .await;
    let node = made(&site, json!({"vendor_interface": "fake"}), ACTIVE).await;
    let steps = json!([step("vendor", "trigger_servicewait")]);
    ask(&site, &node, json!({"target": "service", "service_steps": steps})).await.expect(202);
    let shown = rests(&site, &node, "service wait").await;
    assert_eq!(
        shown["service_step"],
        json!({"interface": "vendor", "step": "trigger_servicewait", "abortable": false, "priority": 0})
    );
    ask(&site, &node, json!({"target": "abort"})).await.expect(202);
    let shown = rests(&site, &node, "service wait").await;
    assert_eq!(shown["service_step"]["abort_after"], json!(true));
    let shown = rests(&site, &node, "service failed").await;
    assert!(shown["last_error"].as_str().unwrap().starts_with("Timeout reached while servicing the node"), "{shown}");
    assert_eq!((&shown["maintenance"], &shown["fault"]), (&json!(true), &json!("service failure")));
    ask(&site, &node, json!({"target": "abort"})).await.expect(409);
}

#[tokio::test]
async fn simulated_delays_hold_nodes_and_no_workers() {
    let site = Site::with(|config, _| {
        config.conductor.workers_pool_size = 2;
        config.fake.inspect_delay = "1".into();
    })
    .await;
    let mut nodes = Vec::new();
    for _ in 0..6 {
        nodes.push(made(&site, json!({"inspect_interface": "fake"}), MANAGEABLE).await);
    }
    let begun = Instant::now();
    for node in &nodes {
        ask(&site, node, json!({"target": "inspect"})).await.expect(202);
        // It has gone aside when the next one is asked for.
        let path = format!("/v1/nodes/{node}");
        assert_eq!(site.get(&path).await.body["provision_state"], "inspecting");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(site.get(&path).await.body["reservation"], "here", "it stays held");
    }
    for node in &nodes {
        rests(&site, node, "manageable").await;
    }
    assert!(
        begun.elapsed() >= Duration::from_secs(1) && begun.elapsed() < Duration::from_millis(2900),
        "{:?}",
        begun.elapsed()
    );
}
