//! How a node boots and which partition table it wants, from its record (ipa-features 21, row "Boot mode").

use super::table::Kind;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Firmware interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootMode {
    /// Legacy.
    Bios,
    /// With entries in NVRAM and an EFI system partition.
    Uefi,
}

/// Secure boot means UEFI; else the instance, the node's capabilities, what the conductor decided, the ramdisk.
pub fn boot_mode(node: &Map<String, Value>, ramdisk: BootMode) -> BootMode {
    let (instance, own) = (capabilities(node, "instance_info"), capabilities(node, "properties"));
    let secure = instance.get("secure_boot").or_else(|| own.get("secure_boot"));
    if secure.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return BootMode::Uefi;
    }
    let said = |section: &str| node.get(section)?.get("deploy_boot_mode").map(plain);
    let word = said("instance_info").or_else(|| own.get("boot_mode").cloned()).or_else(|| said("driver_internal_info"));
    match word.as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("uefi") => BootMode::Uefi,
        Some("bios") => BootMode::Bios,
        _ => ramdisk,
    }
}

/// GPT for UEFI; for BIOS what the capability `disk_label` says, or an MBR.
pub fn table_kind(node: &Map<String, Value>, mode: BootMode) -> Kind {
    let (instance, own) = (capabilities(node, "instance_info"), capabilities(node, "properties"));
    let label = instance.get("disk_label").or_else(|| own.get("disk_label"));
    if mode == BootMode::Uefi || label.is_some_and(|label| label == "gpt") { Kind::Gpt } else { Kind::Msdos }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// `capabilities` of a section: an object, JSON text, or `key:value,key:value`.
fn capabilities(node: &Map<String, Value>, section: &str) -> BTreeMap<String, String> {
    let Some(value) = node.get(section).and_then(|section| section.get("capabilities")) else { return BTreeMap::new() };
    let object =
        |value: &Value| Some(value.as_object()?.iter().map(|(key, value)| (key.clone(), plain(value))).collect());
    let text = value.as_str().unwrap_or_default();
    let parsed = || serde_json::from_str::<Value>(text).ok().as_ref().and_then(object);
    let pairs = || {
        text.split(',')
            .filter_map(|pair| pair.split_once(':'))
            .map(|(key, value)| (key.trim().into(), value.trim().into()))
            .collect()
    };
    object(value).or_else(parsed).unwrap_or_else(pairs)
}

#[cfg(test)]
mod tests {
    use super::{BootMode, boot_mode, table_kind};
    use crate::disk::table::Kind;
    use serde_json::{Value, json};

    #[test]
    fn the_order_is_the_references() {
        use BootMode::{Bios, Uefi};
        let cases: [(Value, BootMode, Kind); 10] = [
            (json!({}), Bios, Kind::Msdos),
            (json!({"driver_internal_info": {"deploy_boot_mode": "uefi"}}), Uefi, Kind::Gpt),
            (
                json!({"driver_internal_info": {"deploy_boot_mode": "uefi"}, "properties": {"capabilities": "boot_mode:bios"}}),
                Bios,
                Kind::Msdos,
            ),
            (json!({"properties": {"capabilities": "boot_mode:UEFI,disk_label:msdos"}}), Uefi, Kind::Gpt),
            (json!({"properties": {"capabilities": "{\"boot_mode\": \"uefi\"}"}}), Uefi, Kind::Gpt),
            (
                json!({"properties": {"capabilities": {"boot_mode": "uefi"}}, "instance_info": {"deploy_boot_mode": "bios"}}),
                Bios,
                Kind::Msdos,
            ),
            (json!({"properties": {"capabilities": "secure_boot:True, boot_mode:bios"}}), Uefi, Kind::Gpt),
            (
                json!({"properties": {"capabilities": "secure_boot:true"}, "instance_info": {"capabilities": {"secure_boot": false}}}),
                Bios,
                Kind::Msdos,
            ),
            (json!({"properties": {"capabilities": "disk_label:gpt"}}), Bios, Kind::Gpt),
            (
                json!({"properties": {"capabilities": 7, "x": 1}, "instance_info": {"deploy_boot_mode": "nonsense"}}),
                Bios,
                Kind::Msdos,
            ),
        ];
        for (node, mode, table) in cases {
            let node = node.as_object().unwrap();
            assert_eq!(boot_mode(node, Bios), mode, "{node:?}");
            assert_eq!(table_kind(node, mode), table, "{node:?}");
        }
        assert_eq!(boot_mode(json!({}).as_object().unwrap(), Uefi), Uefi);
    }
}
