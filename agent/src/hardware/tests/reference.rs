//! Our JSON beside that of the real ironic-python-agent 13.0.0, captured on a machine without SMBIOS.

use super::tables::example;
use crate::hardware::inventory;
use crate::sys::test_tree::TestTree;
use common::inventory::Inventory;
use serde_json::Value;

const CAPTURED: &str = include_str!("../../../../tests/fixtures/ipa/inventory.json");

/// Keys and types, not values: null fits everything, and lists are compared by their first element.
fn shape(path: &str, ours: &Value, theirs: &Value) {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(other)) => {
            let (ours, theirs): (Vec<_>, Vec<_>) = (one.keys().collect(), other.keys().collect());
            assert_eq!(ours, theirs, "keys of {path}, in order");
            one.iter().for_each(|(key, value)| shape(&format!("{path}.{key}"), value, &other[key]));
        }
        (Value::Array(one), Value::Array(other)) => {
            let (Some(one), Some(other)) = (one.first(), other.first()) else { return };
            shape(&format!("{path}[]"), one, other);
        }
        (Value::Null, _) | (_, Value::Null) => {}
        (one, other) => {
            assert_eq!(std::mem::discriminant(one), std::mem::discriminant(other), "type of {path}");
        }
    }
}

#[test]
fn what_the_reference_sends_survives_our_types_unchanged() {
    let captured: Value = serde_json::from_str(CAPTURED).unwrap();
    let typed: Inventory = serde_json::from_value(captured.clone()).unwrap();
    assert!(typed.other.is_empty(), "keys we have no type for: {:?}", typed.other);
    assert_eq!(serde_json::to_value(&typed).unwrap(), captured);
}

#[test]
fn what_we_send_has_the_same_keys_and_types() {
    let tree = TestTree::new();
    tree.file("sys/firmware/dmi/tables/DMI", example()).file("proc/meminfo", "MemTotal: 1024 kB\n");
    tree.disk("sda", "8:0", 5, "sys/devices/pci/host0");
    tree.interface("eth0", 2, "52:54:00:12:34:56", "sys/devices/pci/0000:00:05.0");
    let ours = serde_json::to_value(inventory(&tree.roots()).0).unwrap();
    shape("inventory", &ours, &serde_json::from_str(CAPTURED).unwrap());
}
