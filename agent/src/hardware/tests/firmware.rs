//! SMBIOS tables of real machines (`tests/fixtures/smbios`), against what another reader and `dmidecode` say of them.

use crate::hardware::{dmi, inventory, smbios};
use crate::sys::child::Program;
use crate::sys::test_tree::TestTree;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/smbios"))
}

fn machines() -> Vec<(String, Vec<u8>, Value)> {
    let truth: Value = serde_json::from_slice(&fs::read(folder().join("truth.json")).unwrap()).unwrap();
    let one = |(name, truth): (&String, &Value)| {
        (name.clone(), fs::read(folder().join(format!("{name}.dmi"))).unwrap(), truth.clone())
    };
    truth.as_object().unwrap().iter().map(one).collect()
}

#[test]
fn makers_memory_and_sockets_of_real_tables() {
    for (name, tables, truth) in machines() {
        let firmware = smbios::parse(&tables);
        let vendor = serde_json::to_value(&firmware.vendor).unwrap();
        for key in ["manufacturer", "product_name", "serial_number", "firmware"] {
            assert_eq!(vendor[key], truth[key], "{key} of {name}");
        }
        assert_eq!(json!(firmware.memory_mb), truth["memory_mb"], "{name}");
        assert_eq!(json!(firmware.sockets), truth["sockets"], "{name}");
        assert_eq!(json!(firmware.processor), truth["processor"], "{name}");
        let tree = TestTree::new();
        tree.file("sys/firmware/dmi/tables/DMI", &tables);
        let (inventory, unread) = inventory(&tree.roots());
        assert_eq!(json!(inventory.memory.physical_mb), truth["memory_mb"], "{name}: {unread:?}");
    }
}

/// What `dmidecode` prints of tables; its dump files begin with an entry point (SMBIOS 3, 24 bytes). `None`: not installed.
fn printed(tables: &[u8]) -> Option<String> {
    let mut dump = b"_SM3_\0\x18\x03\x03\0\x01\0".to_vec();
    dump.extend(u32::try_from(tables.len()).unwrap().to_le_bytes());
    dump.extend(32u64.to_le_bytes());
    dump[5] = dump.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
    dump.resize(32, 0);
    dump.extend(tables);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), dump).unwrap();
    let program = Program::new("dmidecode").args(["-t", "bios", "-t", "processor", "-t", "memory", "--from-dump"]);
    program.arg(file.path()).succeed().map_err(|error| println!("skipped: {error}")).ok().map(|output| output.text())
}

#[test]
fn dmidecode_counts_the_same_memory_and_sockets() {
    for (name, tables, truth) in machines() {
        let Some(text) = printed(&tables) else { return };
        let seen = dmi::parse(&text);
        let devices = seen["memory"]["devices"].as_array().unwrap();
        let size = |device: &Value| {
            let (count, unit) = device["Size"].as_str()?.split_once(' ')?;
            Some(count.parse::<u64>().ok()? * if unit == "GB" { 1024 } else { 1 })
        };
        assert_eq!(json!(devices.iter().filter_map(size).sum::<u64>()), truth["memory_mb"], "{name}: {text}");
        let slots: u64 = seen["memory"]["Number Of Devices"].as_u64().unwrap();
        assert_eq!(slots, devices.len() as u64, "{name}");
        let processors = seen["cpu"].as_array().unwrap().iter();
        let populated = processors.filter(|socket| socket["Status"].as_str().unwrap().starts_with("Populated"));
        assert_eq!(json!(populated.count()), truth["sockets"], "{name}");
        assert_eq!(seen["bios"]["Version"], truth["firmware"]["version"], "{name}");
    }
}
