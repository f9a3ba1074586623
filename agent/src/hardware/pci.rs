//! The `pci-devices` collector: what hangs on the PCI buses.

use crate::sys::sysfs::Roots;
use serde_json::{Value, json};

const FOLDER: &str = "/sys/bus/pci/devices";

/// One object a device, as agent-protocol section 14 has them: hexadecimal texts without `0x`. A device that does not
/// say what it is is left out; a revision or memory node that is not told is null.
pub fn devices(roots: &Roots) -> Value {
    let device = |bus: String| {
        let hex = |name: &str| Some(roots.text(format!("{FOLDER}/{bus}/{name}"))?.strip_prefix("0x")?.to_owned());
        Some(json!({
            "vendor_id": hex("vendor")?,
            "product_id": hex("device")?,
            "class": hex("class")?,
            "revision": hex("revision"),
            "numa_node_id": roots.text(format!("{FOLDER}/{bus}/numa_node")),
            "bus": bus,
        }))
    };
    roots.entries(FOLDER).into_iter().filter_map(device).collect()
}
