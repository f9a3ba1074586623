//! `baremetal`, the command line of python-ironicclient, drives a whole life of a node through our conductor.

use std::time::Duration;

use serde_json::{Value, json};
use tests::peers::cli::Baremetal;
use tests::peers::ours::OurConductor;
use tests::peers::require_client;
use tests::story::{Stage, story_after};

const SOON: Duration = Duration::from_secs(60);
const MAC: &str = "52:54:00:70:00:01";
const CONFIG_DRIVE: &str = r#"{"meta_data": {"hostname": "seagull"}, "user_data": "I00="}"#;

#[test]
fn baremetal_drives_a_whole_life_of_a_node() {
    story_after(require_client, async |stage: Stage| {
        let ours = OurConductor::start(&stage.dir).await;
        let baremetal = ours.client();
        let node = enrol(&baremetal);
        walk(&ours, &node, "manage", "manageable").await;
        walk(&ours, &node, "inspect", "manageable").await;
        walk(&ours, &node, "provide", "available").await;
        look_around(&baremetal, &node);
        deploy(&ours, &baremetal, &node).await;
        power(&ours, &baremetal, &node).await;
        switches(&baremetal, &node);
        walk(&ours, &node, "undeploy", "available").await;
        told(&baremetal, &node);
        remove(&baremetal, &node);
        adopt(&ours, &baremetal).await;
    });
}

/// One verb, and the state it ends in.
async fn walk(ours: &OurConductor, node: &str, verb: &str, state: &str) {
    ours.client().run(&["node", verb, node]);
    ours.api.reaches(node, state, SOON, || ours.process.said()).await;
}

fn enrol(baremetal: &Baremetal) -> String {
    let drivers = baremetal.json(&["driver", "list"]);
    let names: Vec<_> = drivers.as_array().expect("a list").iter().map(|driver| &driver["name"]).collect();
    assert!(names.contains(&&json!("fake-hardware")), "{drivers}");
    assert_eq!(baremetal.json(&["conductor", "list"]).as_array().expect("a list").len(), 1);
    let line = ["node", "create", "--driver", "fake-hardware", "--name", "seagull", "--resource-class", "baremetal"];
    let interfaces = ["--deploy-interface", "fake", "--inspect-interface", "fake", "--boot-interface", "fake"];
    let more = ["--property", "cpus=4", "--extra", "rack=7", "--management-interface", "fake"];
    let node = baremetal.json(&[&line[..], &interfaces, &more].concat());
    assert_eq!(node["provision_state"], "enroll");
    assert_eq!(node["extra"]["rack"], 7, "{node}");
    let node = node["uuid"].as_str().expect("a UUID").to_owned();
    let port = baremetal.json(&["port", "create", MAC, "--node", &node]);
    assert_eq!(port["address"], MAC);
    assert_eq!(baremetal.json(&["port", "list", "--node", &node])[0]["address"], MAC);
    // A second port with the same address is refused, with the contract's words.
    let (good, _, said) = baremetal.attempt(&["port", "create", MAC, "--node", &node]);
    assert!(!good && said.contains("already exists"), "{said}");
    node
}

/// What an operator looks at before a deployment.
fn look_around(baremetal: &Baremetal, node: &str) {
    let report = baremetal.json(&["node", "validate", node]);
    let deploy = report.as_array().expect("a list").iter().find(|line| line["Interface"] == "deploy");
    assert_eq!(deploy.map(|line| &line["Result"]), Some(&json!(true)), "{report}");
    let listed = baremetal.json(&["node", "list", "--provision-state", "available", "--long"]);
    assert_eq!(listed[0]["uuid"], json!(node));
    assert_eq!(baremetal.json(&["node", "list", "--provision-state", "active"]), json!([]));
    assert_eq!(baremetal.field("seagull", "driver"), "fake-hardware", "a node is found by its name");
}

async fn deploy(ours: &OurConductor, baremetal: &Baremetal, node: &str) {
    let source = ["--instance-info", "image_source=http://images.example/os.raw"];
    let sum = ["--instance-info", "image_checksum=9b5ad71b2ce5302211f9c61530b329a4922fc6a4"];
    baremetal.run(&[&["node", "set", node][..], &source, &sum].concat());
    baremetal.run(&["node", "deploy", node, "--config-drive", CONFIG_DRIVE]);
    ours.api.reaches(node, "active", SOON, || ours.process.said()).await;
    assert_eq!(baremetal.field(node, "instance_info")["configdrive"], "******", "the config drive is not shown");
    walk(ours, node, "rebuild", "active").await;
}

async fn power(ours: &OurConductor, baremetal: &Baremetal, node: &str) {
    for (line, state) in
        [(&["power", "off"][..], "power off"), (&["power", "on"], "power on"), (&["reboot"], "power on")]
    {
        baremetal.run(&[&["node"], line, &[node]].concat());
        ours.api.reaches(node, "active", SOON, || ours.process.said()).await;
        assert_eq!(ours.api.node(node).await["power_state"], state, "after {line:?}");
    }
}

fn switches(baremetal: &Baremetal, node: &str) {
    baremetal.run(&["node", "maintenance", "set", node, "--reason", "a new fan"]);
    assert_eq!(baremetal.field(node, "maintenance_reason"), "a new fan");
    baremetal.run(&["node", "maintenance", "unset", node]);
    assert_eq!(baremetal.field(node, "maintenance"), false);
    baremetal.run(&["node", "boot", "device", "set", node, "pxe", "--persistent"]);
    assert_eq!(baremetal.json(&["node", "boot", "device", "show", node])["boot_device"], "pxe");
    let can = baremetal.json(&["node", "boot", "device", "show", node, "--supported"]);
    // As Ironic's fake hardware.
    assert_eq!(can["supported_boot_devices"], "pxe", "{can}");
    baremetal.run(&["node", "set", node, "--property", "memory_mb=4096", "--description", "by the window"]);
    baremetal.run(&["node", "unset", node, "--property", "cpus"]);
    assert_eq!(baremetal.field(node, "properties"), json!({"memory_mb": 4096}));
    baremetal.run(&["node", "add", "trait", node, "CUSTOM_WINDOW"]);
    assert!(baremetal.run(&["node", "trait", "list", node]).contains("CUSTOM_WINDOW"));
}

/// The history tells the life, with who asked.
fn told(baremetal: &Baremetal, node: &str) {
    let lines = baremetal.json(&["node", "history", "list", node, "--long"]);
    let events: Vec<&Value> = lines.as_array().expect("a list").iter().map(|line| &line["event"]).collect();
    let text = events.iter().map(|event| event.to_string()).collect::<Vec<_>>().join("\n");
    for word in ["manageable", "available", "active"] {
        assert!(text.contains(word), "no word of {word} in\n{text}");
    }
    let first = lines[0]["uuid"].as_str().expect("a UUID");
    assert!(baremetal.run(&["node", "history", "get", node, first]).contains(first));
}

fn remove(baremetal: &Baremetal, node: &str) {
    baremetal.run(&["node", "delete", node]);
    assert_eq!(baremetal.json(&["node", "list"]), json!([]));
    assert_eq!(baremetal.json(&["port", "list"]), json!([]), "a node's ports go with it");
    let (good, _, said) = baremetal.attempt(&["node", "show", node]);
    assert!(!good && said.contains("could not be found"), "{said}");
}

/// A server that somebody else deployed is taken over as it is; a wait is ended by hand.
async fn adopt(ours: &OurConductor, baremetal: &Baremetal) {
    let node = enrol(baremetal);
    walk(ours, &node, "manage", "manageable").await;
    let (source, sum) =
        ("image_source=http://images.example/os.raw", "image_checksum=9b5ad71b2ce5302211f9c61530b329a4");
    baremetal.run(&["node", "set", &node, "--instance-info", source, "--instance-info", sum]);
    walk(ours, &node, "adopt", "active").await;
    walk(ours, &node, "undeploy", "available").await;
    walk(ours, &node, "manage", "manageable").await;
    // Nobody boots this machine: inspection waits until it is told not to.
    baremetal.run(&["node", "set", &node, "--inspect-interface", "agent"]);
    walk(ours, &node, "inspect", "inspect wait").await;
    walk(ours, &node, "abort", "inspect failed").await;
    walk(ours, &node, "manage", "manageable").await;
    let (good, _, said) = baremetal.attempt(&["node", "rebuild", &node]);
    assert!(!good && said.contains("while it is in state \"manageable\""), "{said}");
    remove(baremetal, &node);
}
