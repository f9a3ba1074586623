//! The `pci-devices` collector: what hangs on the PCI buses.

use crate::sys::sysfs::Roots;
use serde_json::{Value, json};

/// One object a device, as agent-protocol section 14 has them: hexadecimal texts without `0x`.
pub fn devices(roots: &Roots) -> Value {
    let folder = "/sys/bus/pci/devices";
    let hex = |bus: &str, name: &str| {
        let text = roots.text(format!("{folder}/{bus}/{name}")).unwrap_or_default();
        text.strip_prefix("0x").unwrap_or(&text).to_owned()
    };
    let device = |bus: String| {
        json!({
            "vendor_id": hex(&bus, "vendor"),
            "product_id": hex(&bus, "device"),
            "class": hex(&bus, "class"),
            "revision": hex(&bus, "revision"),
            "numa_node_id": hex(&bus, "numa_node"),
            "bus": bus,
        })
    };
    roots.entries(folder).into_iter().map(device).collect()
}
