//! What happens reaches a real RabbitMQ in Ironic's words, and OpenStack's own library reads it there.

use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Duration;
use tests::peers::ours::OurConductor;
use tests::peers::rabbit::{self, Rabbit};
use tests::peers::{require_client, venv};
use tests::story::{Stage, story_after};
use tests::{network, workspace};

/// Longest time that anything may take.
const SOON: Duration = Duration::from_secs(60);

/// What these stories need.
fn require() {
    require_client();
    rabbit::program();
}

/// Everything in a queue, up to the last thing that a story does: a node is deleted.
fn told(bus: &Rabbit, topic: &str) -> Vec<Value> {
    let output = Command::new(venv().join("bin/python"))
        .arg(workspace::root().join("tests/fixtures/peers/notifications.py"))
        .args([bus.url.as_str(), "baremetal.node.delete.end", topic])
        .stdin(Stdio::null())
        .output()
        .expect("python");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn notifications_reach_a_real_bus_also_when_it_comes_later_than_the_event() {
    story_after(require, async |stage: Stage| {
        let base = format!("http://{}:6385", network::CONDUCTOR);
        let text = format!(
            "auth_strategy = \"noauth\"\nnotification_level = \"info\"\n[api]\nhost_ip = \"{}\"\npublic_endpoint = \"{base}\"\n\
             [oslo_messaging_notifications]\ntransport_url = \"rabbit://guest:guest@127.0.0.1:5672/\"\n",
            network::CONDUCTOR
        );
        let ours = OurConductor::start_configured(&stage.dir, &base, &text).await;
        let baremetal = ours.client();
        // No bus yet: what happens waits.
        let line = ["node", "create", "--driver", "fake-hardware", "--name", "seagull"];
        let node = baremetal.json(&[&line[..], &["--driver-info", "ipmi_password=hunter2"]].concat());
        let node = node["uuid"].as_str().expect("a UUID").to_owned();
        let bus = Rabbit::start(&stage.dir).await;
        baremetal.run(&["node", "manage", &node]);
        ours.api.reaches(&node, "manageable", SOON, || ours.process.said()).await;
        baremetal.run(&["node", "power", "on", &node]);
        baremetal.run(&["node", "maintenance", "set", &node]);
        baremetal.run(&["port", "create", "52:54:00:70:00:09", "--node", &node]);
        baremetal.run(&["node", "delete", &node]);
        let told = told(&bus, "ironic_versioned_notifications");
        assert!(!Value::Array(told.clone()).to_string().contains("hunter2"), "{told:?}");
        let types: Vec<&str> = told.iter().filter_map(|message| message["event_type"].as_str()).collect();
        for wanted in [
            "baremetal.node.create.start",
            "baremetal.node.create.end",
            "baremetal.node.provision_set.start",
            "baremetal.node.provision_set.end",
            "baremetal.node.power_set.start",
            "baremetal.node.power_set.end",
            "baremetal.node.maintenance_set.end",
            "baremetal.port.create.end",
            "baremetal.node.delete.end",
        ] {
            assert!(types.contains(&wanted), "{wanted} is not among {types:?}; {}", ours.process.said());
        }
        let end = told.iter().find(|message| message["event_type"] == "baremetal.node.provision_set.end").unwrap();
        let data = &end["payload"]["ironic_object.data"];
        assert_eq!(
            (&data["provision_state"], &data["previous_provision_state"]),
            (&"manageable".into(), &"verifying".into())
        );
        assert_eq!(data["uuid"], node.as_str());
        assert!(end["publisher_id"].as_str().unwrap().starts_with("ironic-conductor."), "{end}");
    });
}

#[test]
fn notifications_go_by_tls_to_the_broker_of_a_cluster_that_is_there() {
    story_after(require, async |stage: Stage| {
        let base = format!("http://{}:6385", network::CONDUCTOR);
        let (bus, authority) = Rabbit::start_with_tls(&stage.dir).await;
        // The first host is down; the name of the second is in its certificate.
        let url = format!("rabbit://guest:guest@127.0.0.1:1,guest:guest@localhost:{}/", rabbit::TLS_PORT);
        let text = format!(
            "auth_strategy = \"noauth\"\nnotification_level = \"info\"\n[api]\nhost_ip = \"{}\"\n\
             [oslo_messaging_notifications]\ntransport_url = \"{url}\"\n\
             [oslo_messaging_rabbit]\nssl = true\nssl_ca_file = \"{}\"\n",
            network::CONDUCTOR,
            authority.display()
        );
        let ours = OurConductor::start_configured(&stage.dir, &base, &text).await;
        let line = ["node", "create", "--driver", "fake-hardware", "--name", "seagull"];
        let node = ours.client().json(&line);
        ours.client().run(&["node", "delete", node["uuid"].as_str().expect("a UUID")]);
        let output = Command::new(venv().join("bin/python"))
            .arg(workspace::root().join("tests/fixtures/peers/notifications.py"))
            .args([bus.url.as_str(), "baremetal.node.delete.end"])
            .stdin(Stdio::null())
            .output()
            .expect("python");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("baremetal.node.create.end"), "{said}; {}", ours.process.said());
        let broker = std::fs::read_dir(stage.dir.join("rabbit/log")).into_iter().flatten().flatten();
        let log: String = broker.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
        assert!(log.contains(&format!("127.0.0.1:{}", rabbit::TLS_PORT)), "by TLS and no other way: {log}");
    });
}
