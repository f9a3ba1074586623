//! Machines captured from real iron (`tests/fixtures/machines`), read whole and compared with what other programs say of them.

use crate::hardware::{block, extra, inventory, numa, pci, usb};
use crate::sys::test_tree::TestTree;
use common::root_hint::RootHints;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/machines"))
}

/// The tree of a machine, and everything that the agent says of it.
fn seen(name: &str) -> (TestTree, Value) {
    let text = fs::read_to_string(folder().join(format!("{name}.tree"))).unwrap();
    let tree = TestTree::captured(&text);
    let roots = tree.roots();
    let (inventory, unread) = inventory(&roots);
    assert!(!unread.iter().any(|unread| unread.why.contains("malformed")), "{name}: {unread:?}");
    let whole = json!({
        "data": extra::facts(&roots, &inventory, &[]),
        "inventory": inventory,
        "numa_topology": numa::topology(&roots).unwrap_or_else(|why| why.into()),
        "pci_devices": pci::devices(&roots),
        "usb_devices": usb::devices(&roots),
    });
    (tree, whole)
}

/// Every value of `truth` is in `ours`, and lists have as many members; the names of those that are not.
fn missing(place: &str, ours: &Value, truth: &Value, complaints: &mut Vec<String>) {
    match (ours, truth) {
        (Value::Object(ours), Value::Object(truth)) => {
            for (key, truth) in truth {
                missing(&format!("{place}.{key}"), ours.get(key).unwrap_or(&Value::Null), truth, complaints);
            }
        }
        (Value::Array(ours), Value::Array(truth)) if truth.iter().any(Value::is_object) => {
            // Interfaces made of others are not hardware: other programs do not list them.
            let made = |one: &&Value| one["name"].as_str().is_some_and(|name| name.contains('.'));
            let count = ours.len() - ours.iter().filter(made).count();
            if count != truth.len() {
                complaints.push(format!("{place}: {count} are listed, there are {}", truth.len()));
            }
            for truth in truth {
                let fits = |ours: &Value| {
                    let mut complaints = Vec::new();
                    missing("", ours, truth, &mut complaints);
                    complaints.is_empty()
                };
                if !ours.iter().any(fits) {
                    let key = ["name", "bus", "numa_node"].into_iter().find(|key| !truth[*key].is_null());
                    let like = |ours: &&Value| key.is_some_and(|key| ours[key] == truth[key]);
                    complaints.push(format!("{place}: {truth} is not in it, but {:?}", ours.iter().find(like)));
                }
            }
        }
        (ours, truth) if ours == truth => {}
        (ours, truth) => complaints.push(format!("{place}: {ours}, and it is {truth}")),
    }
}

#[test]
fn a_captured_machine_without_troubles_tells_none() {
    let (tree, seen) = seen("supermicro-sys-4029gp");
    assert!(tree.roots().exists("/sys/bus/pci/devices/0000:1b:00.0/max_link_width"));
    assert_eq!(seen["inventory"].get("health"), None);
}

#[test]
fn every_link_to_a_captured_disk_can_be_a_hint() {
    let (tree, _) = seen("util-linux-five-disks");
    let disks = block::facts(&tree.roots());
    // udev has one link for those who wrote hints before it counted the device behind a port, and one that counts it.
    for port in ["1", "1.0"] {
        let hint = json!({"by_path": format!("/dev/disk/by-path/pci-0000:00:1f.2-ata-{port}")});
        let hints = RootHints::parse(hint.as_object().unwrap()).unwrap();
        let fits = disks.iter().filter(|disk| hints.matches(disk).unwrap()).map(|disk| disk.name.as_str());
        assert_eq!(fits.collect::<Vec<_>>(), ["/dev/sda"], "{hint}");
    }
}

#[test]
fn only_ports_of_a_captured_machine_are_interfaces() {
    let (_, seen) = seen("dell-dcs8000z");
    let nics = seen["inventory"]["interfaces"].as_array().unwrap().iter();
    let names: Vec<&str> = nics.map(|nic| nic["name"].as_str().unwrap()).collect();
    // Its bridge, its loopback and the network of its coprocessor are no ports of the machine.
    assert_eq!(names, ["eth0", "eth1", "ib0"]);
    let disk = &seen["inventory"]["disks"][0];
    assert_eq!(
        (&disk["model"], &disk["vendor"], &disk["hctl"]),
        (&"ST9250610NS".into(), &"ATA".into(), &"4:0:0:0".into())
    );
}

#[test]
fn what_the_agent_says_of_a_captured_machine_is_what_other_programs_say() {
    let mut complaints = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_none_or(|kind| kind != "json") {
            continue;
        }
        let name = entry.file_stem().unwrap().to_str().unwrap();
        let truth: Value = serde_json::from_str(&fs::read_to_string(&entry).unwrap()).unwrap();
        missing(name, &seen(name).1, &truth, &mut complaints);
        count += 1;
    }
    assert!(count > 8, "only {count} machines were found");
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
