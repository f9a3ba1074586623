//! What in-band inspection posts: the inventory and what the configured collectors add (agent-protocol section 14).

use crate::hardware::benchmark::Benchmark;
use crate::hardware::lldp::{Heard, parsed};
use crate::hardware::{dmi, extra, numa, pci, usb};
use crate::sys::sysfs::Roots;
use common::heartbeat::InspectionData;
use common::inventory::{Disk, Inventory};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What collectors may look at.
pub struct Sources<'a> {
    /// The machine.
    pub roots: &'a Roots,
    /// Its inventory.
    pub inventory: &'a Inventory,
    /// The disk an image would go to.
    pub root_disk: Option<&'a Disk>,
    /// Names of the collectors, in the operator's order.
    pub collectors: &'a [String],
    /// Names of hardware managers and their versions, as step listings have them.
    pub managers: &'a BTreeMap<String, String>,
    /// What switches said, if anybody listened.
    pub heard: Option<&'a Heard>,
    /// What to measure.
    pub benchmarks: &'a [Benchmark],
    /// Makes the log bundle.
    pub logs: &'a dyn Fn() -> String,
}

/// Adds its keys; the text of a failure goes to `error`, which makes the real conductor fail the inspection.
type Collect = fn(&Sources, &mut Map<String, Value>) -> Result<(), String>;

/// Every collector by its name. `logs` is last wherever it was named, so that it tells of the others.
const COLLECTORS: &[(&str, Collect)] = &[
    ("default", default),
    ("dmi-decode", dmi_decode),
    ("extra-hardware", extra_hardware),
    ("lldp", lldp),
    ("numa-topology", numa_topology),
    ("pci-devices", pci_devices),
    ("usb-devices", usb_devices),
    ("logs", logs),
];

/// The names of all collectors.
pub fn names() -> Vec<&'static str> {
    COLLECTORS.iter().map(|(name, _)| *name).collect()
}

/// Gathers what the named collectors have. What fails or is unknown is told in `error`: it must not stop the rest, and
/// the conductor decides.
pub fn inspection_data(sources: &Sources) -> InspectionData {
    let mut data = Map::new();
    let mut failures = Vec::new();
    let named = |wanted: &str| sources.collectors.iter().any(|name| name == wanted);
    for (name, collect) in COLLECTORS.iter().filter(|(name, _)| named(name)) {
        if let Err(why) = collect(sources, &mut data) {
            failures.push(format!("collector {name}: {why}"));
        }
    }
    for unknown in sources.collectors.iter().filter(|name| COLLECTORS.iter().all(|(known, _)| known != name)) {
        let name = crate::sys::text::clean(unknown.as_bytes(), 64);
        let known = names().join(", ");
        failures
            .push(format!("this agent has no collector `{name}`; it has {known}. Correct ipa-inspection-collectors"));
    }
    let error = (!failures.is_empty()).then(|| failures.join("; "));
    InspectionData { inventory: sources.inventory.clone(), error, plugin_data: data }
}

fn default(sources: &Sources, data: &mut Map<String, Value>) -> Result<(), String> {
    if let Some(disk) = sources.root_disk {
        data.insert("root_disk".into(), json!(disk));
    }
    data.insert("boot_interface".into(), json!(sources.inventory.boot.pxe_interface));
    let managers = sources.managers.iter().map(|(name, version)| json!({"name": name, "version": version}));
    let managers: Vec<Value> = managers.collect();
    data.insert("configuration".into(), json!({"collectors": sources.collectors, "managers": managers}));
    Ok(())
}

fn dmi_decode(_: &Sources, data: &mut Map<String, Value>) -> Result<(), String> {
    data.insert("dmi".into(), dmi::decode().map_err(|error| error.to_string())?);
    Ok(())
}

fn extra_hardware(sources: &Sources, data: &mut Map<String, Value>) -> Result<(), String> {
    data.insert("data".into(), extra::facts(sources.roots, sources.inventory, sources.benchmarks));
    Ok(())
}

/// As the wire says it, and in words (`parsed_lldp`: the keys that the conductor's own parser makes).
fn lldp(sources: &Sources, data: &mut Map<String, Value>) -> Result<(), String> {
    let Some(heard) = sources.heard else { return Err("nobody listened to the switches".into()) };
    let words = heard.iter().map(|(name, pieces)| (name.clone(), Value::from(parsed(pieces))));
    let words: Map<String, Value> = words.filter(|(_, words)| words != &json!({})).collect();
    data.insert("lldp_raw".into(), json!(heard));
    if !words.is_empty() {
        data.insert("parsed_lldp".into(), words.into());
    }
    Ok(())
}

/// A kernel that shows no topology is no failure of the inspection (the reference only logs it, too).
fn numa_topology(sources: &Sources, data: &mut Map<String, Value>) -> Result<(), String> {
    match numa::topology(sources.roots) {
        Ok(topology) => {
            data.insert("numa_topology".into(), topology);
        }
        Err(why) => tracing::warn!(%why, "no numa_topology"),
    }
    Ok(())
}

fn pci_devices(sources: &Sources, data: &mut Map<String, Value>) -> Result<(), String> {
    data.insert("pci_devices".into(), pci::devices(sources.roots));
    Ok(())
}

fn usb_devices(sources: &Sources, data: &mut Map<String, Value>) -> Result<(), String> {
    data.insert("usb_devices".into(), usb::devices(sources.roots));
    Ok(())
}

fn logs(sources: &Sources, data: &mut Map<String, Value>) -> Result<(), String> {
    data.insert("logs".into(), Value::String((sources.logs)()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Sources, inspection_data};
    use crate::hardware::lldp::Heard;
    use crate::hardware::tests::oracle;
    use crate::sys::sysfs::Roots;
    use crate::sys::test_tree::TestTree;
    use common::inventory::{Disk, Inventory};
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn posted(roots: &Roots, collectors: &[&str], heard: Option<&Heard>) -> Value {
        let disk = Disk { name: "/dev/sda".into(), size: 5 << 30, ..Disk::default() };
        let managers = BTreeMap::from([("generic_hardware_manager".to_owned(), "1.2".to_owned())]);
        let names: Vec<String> = collectors.iter().map(|name| (*name).to_owned()).collect();
        let inventory = Inventory::default();
        let sources = Sources {
            roots,
            inventory: &inventory,
            root_disk: Some(&disk),
            collectors: &names,
            managers: &managers,
            heard,
            benchmarks: &[],
            logs: &|| "TEdT".to_owned(),
        };
        serde_json::to_value(inspection_data(&sources)).unwrap()
    }

    fn some_devices() -> TestTree {
        let tree = TestTree::new();
        for (name, text) in [
            ("vendor", "0x8086"),
            ("device", "0x100e"),
            ("class", "0x020000"),
            ("revision", "0x03"),
            ("numa_node", "-1"),
        ] {
            tree.file(&format!("sys/bus/pci/devices/0000:00:03.0/{name}"), format!("{text}\n"));
        }
        for (name, text) in [("vendor", "0x1af4"), ("device", "0x1000"), ("class", "0x010000")] {
            tree.file(&format!("sys/bus/pci/devices/0000:00:04.0/{name}"), format!("{text}\n"));
        }
        tree.file("sys/bus/pci/devices/0000:00:05.0/vendor", "0x1af4\n");
        tree.file("sys/bus/pci/devices/0000:00:06.0/vendor", [0xff; 9]);
        tree
    }

    #[test]
    fn each_collector_adds_its_keys() {
        let tree = some_devices();
        let all = ["default", "logs", "pci-devices", "usb-devices", "numa-topology", "lldp", "extra-hardware"];
        let heard = Heard::from([("eno1".into(), vec![(5, "6c656166".into())]), ("eno2".into(), vec![])]);
        let data = posted(&tree.roots(), &all, Some(&heard));
        assert_eq!(data["error"], json!(null));
        assert_eq!(data["root_disk"]["name"], "/dev/sda");
        assert_eq!(data["boot_interface"], json!(null));
        assert_eq!(data["configuration"]["collectors"], json!(all));
        assert_eq!(data["configuration"]["managers"], json!([{"name": "generic_hardware_manager", "version": "1.2"}]));
        assert_eq!(data["logs"], "TEdT");
        let device = json!({"vendor_id": "8086", "product_id": "100e", "class": "020000", "revision": "03",
            "numa_node_id": "-1", "bus": "0000:00:03.0"});
        assert_eq!(data["pci_devices"][0], device);
        assert_eq!(data["pci_devices"][1]["revision"], json!(null));
        assert_eq!(data["pci_devices"].as_array().unwrap().len(), 2);
        assert_eq!(data["lldp_raw"], json!({"eno1": [[5, "6c656166"]], "eno2": []}));
        assert_eq!(data["parsed_lldp"], json!({"eno1": {"switch_system_name": "leaf"}}));
        assert_eq!(data["usb_devices"], json!([]));
        assert!(data.get("numa_topology").is_none() && data["data"].is_array());
    }

    #[test]
    fn the_reference_lists_the_same_pci_devices() {
        let tree = some_devices();
        let code = "import json, sys, os\nfrom ironic_python_agent import inspector, utils\n\
            root = json.load(sys.stdin)\n\
            real = (os.listdir, os.path.isdir, os.path.isfile, open)\n\
            place = lambda p: root + p if str(p).startswith('/sys/bus') else p\n\
            os.listdir = lambda p: sorted(real[0](place(p)))\n\
            os.path.isdir = lambda p: real[1](place(p))\n\
            os.path.isfile = lambda p: real[2](place(p))\n\
            inspector.open = lambda p, *a: real[3](place(p), *a, errors='replace')\n\
            data = {}\ninspector.collect_pci_devices_info(data, utils.AccumulatedFailures())\n\
            json.dump(data, sys.stdout)\n";
        let root = tree.roots().path("/").display().to_string();
        let Some(theirs) = oracle(code, &json!(root.trim_end_matches('/'))) else { return };
        assert_eq!(posted(&tree.roots(), &["pci-devices"], None)["pci_devices"], theirs["pci_devices"]);
    }

    #[test]
    fn unknown_collectors_are_told_and_the_rest_is_still_collected() {
        let data = posted(&TestTree::new().roots(), &["lldp", "default", "x\x1b[2J"], None);
        let error = data["error"].as_str().unwrap();
        assert!(error.contains("collector lldp: ") && error.contains("`x[2J`") && !error.contains('\x1b'), "{error}");
        assert_eq!(data["root_disk"]["size"], 5u64 << 30);
        assert!(data.get("logs").is_none() && data.get("pci_devices").is_none());
    }
}
