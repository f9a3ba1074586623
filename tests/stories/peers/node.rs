//! A node of these stories, as an operator describes it: an agent works on it, its power is fake.

use super::image::text;
use serde_json::{Value, json};
use tests::peers::cli::Baremetal;
use tests::story::Stage;

/// Enrols a node with a port and asks to manage it; returns its UUID. `management` is `fake` or `noop`.
pub fn enrol(baremetal: &Baremetal, name: &str, mac: &str, management: &str) -> String {
    let line = ["node", "create", "--driver", "fake-hardware", "--name", name];
    let deploy = ["--deploy-interface", "direct", "--inspect-interface", "agent", "--boot-interface", "fake"];
    let rest = ["--power-interface", "fake", "--management-interface", management];
    let properties = ["--property", "capabilities=boot_mode:bios"];
    let node = baremetal.json(&[&line[..], &deploy, &rest, &properties].concat());
    let node = node["uuid"].as_str().expect("a UUID").to_owned();
    baremetal.run(&["port", "create", mac, "--node", &node]);
    baremetal.run(&["node", "manage", &node]);
    node
}

/// What an inspection found, as the client saves it: what every agent says of a machine with this NIC.
pub fn inventory(baremetal: &Baremetal, node: &str, stage: &Stage, mac: &str) -> Value {
    let file = stage.dir.join("inventory.json");
    baremetal.run(&["node", "inventory", "save", node, "--file", &file.to_string_lossy()]);
    let kept: Value = serde_json::from_str(&text(&file)).expect("the inventory is JSON");
    let inventory = &kept["inventory"];
    let nic = inventory["interfaces"].as_array().and_then(|nics| nics.iter().find(|nic| nic["name"] == "eth0"));
    assert_eq!(nic.map(|nic| &nic["mac_address"]), Some(&json!(mac)), "{inventory}");
    assert!(inventory["cpu"]["count"].as_u64().is_some_and(|count| count > 0), "{inventory}");
    assert!(inventory["memory"]["physical_mb"].as_u64().is_some_and(|memory| memory > 0), "{inventory}");
    inventory.clone()
}

/// Says which image is to be written, and its SHA-256.
pub fn order(baremetal: &Baremetal, node: &str, url: &str, sum: &str) {
    let source = format!("image_source={url}");
    let value = format!("image_os_hash_value={sum}");
    let mut line = vec!["node", "set", node];
    for word in [&source, &value, "image_os_hash_algo=sha256", "image_disk_format=raw"] {
        line.extend(["--instance-info", word]);
    }
    baremetal.run(&line);
}

/// The argument of `baremetal node clean --clean-steps` for one step.
pub fn clean_step(name: &str) -> String {
    format!(r#"[{{"interface": "deploy", "step": "{name}"}}]"#)
}
