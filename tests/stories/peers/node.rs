//! A node of these stories, as an operator describes it: an agent works on it, its power is fake.

use tests::peers::cli::Baremetal;

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
