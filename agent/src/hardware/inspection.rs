//! What in-band inspection posts: the inventory and what the configured collectors add (agent-protocol section 14).

use crate::hardware::pci;
use crate::sys::sysfs::Roots;
use common::heartbeat::InspectionData;
use common::inventory::{Disk, Inventory};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Gathers `root_disk`, `boot_interface`, `configuration` and the collectors' keys.
///
/// `collectors` are names in the operator's order; `managers` maps names of hardware managers to versions, as step
/// listings do; `logs` makes the log bundle and is called last, so that it tells of the others.
/// What fails or is unknown is told in `error`: it must not stop the rest, and the conductor decides.
pub fn inspection_data(
    roots: &Roots,
    inventory: Inventory,
    root_disk: Option<&Disk>,
    collectors: &[String],
    managers: &BTreeMap<String, String>,
    logs: &dyn Fn() -> String,
) -> InspectionData {
    let mut data = Map::new();
    let mut failures = Vec::new();
    for collector in collectors.iter().filter(|name| *name != "logs") {
        match collector.as_str() {
            "default" => {
                if let Some(disk) = root_disk {
                    data.insert("root_disk".into(), json!(disk));
                }
                data.insert("boot_interface".into(), json!(inventory.boot.pxe_interface));
                let listed = managers.iter().map(|(name, version)| json!({"name": name, "version": version}));
                let managers = listed.collect::<Vec<_>>();
                data.insert("configuration".into(), json!({"collectors": collectors, "managers": managers}));
            }
            "pci-devices" => {
                data.insert("pci_devices".into(), pci::devices(roots));
            }
            unknown => {
                let name = crate::sys::text::clean(unknown.as_bytes(), 64);
                failures.push(format!(
                    "this agent has no collector `{name}`; it has default, logs and pci-devices. Correct \
                     ipa-inspection-collectors"
                ));
            }
        }
    }
    if collectors.iter().any(|name| name == "logs") {
        data.insert("logs".into(), Value::String(logs()));
    }
    let error = (!failures.is_empty()).then(|| failures.join("; "));
    InspectionData { inventory, error, plugin_data: data }
}

#[cfg(test)]
mod tests {
    use super::inspection_data;
    use crate::sys::sysfs::Roots;
    use crate::sys::test_tree::TestTree;
    use common::inventory::{Disk, Inventory};
    use serde_json::json;
    use std::collections::BTreeMap;

    fn posted(roots: &Roots, collectors: &[&str]) -> serde_json::Value {
        let disk = Disk { name: "/dev/sda".into(), size: 5 << 30, ..Disk::default() };
        let managers = BTreeMap::from([("generic_hardware_manager".to_owned(), "1.2".to_owned())]);
        let names: Vec<String> = collectors.iter().map(|name| (*name).to_owned()).collect();
        let logs = || "TEdT".to_owned();
        let data = inspection_data(roots, Inventory::default(), Some(&disk), &names, &managers, &logs);
        serde_json::to_value(data).unwrap()
    }

    #[test]
    fn each_collector_adds_its_keys() {
        let tree = TestTree::new();
        tree.file("sys/bus/pci/devices/0000:00:03.0/vendor", "0x8086\n");
        tree.file("sys/bus/pci/devices/0000:00:03.0/device", "0x100e\n");
        tree.file("sys/bus/pci/devices/0000:00:03.0/class", "0x020000\n");
        tree.file("sys/bus/pci/devices/0000:00:03.0/revision", "0x03\n");
        tree.file("sys/bus/pci/devices/0000:00:03.0/numa_node", "-1\n");
        let data = posted(&tree.roots(), &["default", "logs", "pci-devices"]);
        assert_eq!(data["error"], json!(null));
        assert_eq!(data["root_disk"]["name"], "/dev/sda");
        assert_eq!(data["boot_interface"], json!(null));
        assert_eq!(data["configuration"]["collectors"], json!(["default", "logs", "pci-devices"]));
        assert_eq!(data["configuration"]["managers"], json!([{"name": "generic_hardware_manager", "version": "1.2"}]));
        assert_eq!(data["logs"], "TEdT");
        let device = json!({"vendor_id": "8086", "product_id": "100e", "class": "020000", "revision": "03",
            "numa_node_id": "-1", "bus": "0000:00:03.0"});
        assert_eq!(data["pci_devices"], json!([device]));
    }

    #[test]
    fn unknown_collectors_are_told_and_the_rest_is_still_collected() {
        let data = posted(&TestTree::new().roots(), &["lldp", "default", "x\x1b[2J"]);
        let error = data["error"].as_str().unwrap();
        assert!(error.contains("`lldp`") && error.contains("`x[2J`") && !error.contains('\x1b'), "{error}");
        assert_eq!(data["root_disk"]["size"], 5u64 << 30);
        assert!(data.get("logs").is_none() && data.get("pci_devices").is_none());
    }
}
