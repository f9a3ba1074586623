//! The `usb-devices` collector: what is plugged in, without hubs.

use crate::sys::sysfs::Roots;
use serde_json::{Value, json};

const FOLDER: &str = "/sys/bus/usb/devices";
/// USB class codes: hub, and "each interface says for itself".
const HUB: &str = "09";

/// Maker, product and place of each device (agent-protocol section 14); texts are empty when the device does not say.
pub fn devices(roots: &Roots) -> Value {
    let device = |name: String| {
        let text = |file: &str| roots.text(format!("{FOLDER}/{name}/{file}"));
        // Interfaces (`1-1:1.0`) have no vendor; hubs, the root ones among them, are not what people plug in.
        let vendor = text("idVendor")?;
        if text("bDeviceClass")? == HUB {
            return None;
        }
        let place =
            (roots.number(format!("{FOLDER}/{name}/busnum"))?, roots.number(format!("{FOLDER}/{name}/devnum"))?);
        Some(json!({
            "product": text("product").or_else(|| text("idProduct")).unwrap_or_default(),
            "vendor": text("manufacturer").unwrap_or(vendor),
            "handle": format!("USB:{:x}:{:x}", place.0, place.1),
        }))
    };
    roots.entries(FOLDER).into_iter().filter_map(device).collect()
}

#[cfg(test)]
mod tests {
    use super::devices;
    use crate::sys::test_tree::TestTree;
    use serde_json::json;

    #[test]
    fn sticks_are_listed_and_hubs_and_interfaces_are_not() {
        let tree = TestTree::new();
        let plug = |name: &str, files: &[(&str, &str)]| {
            for (file, text) in files {
                tree.file(&format!("sys/bus/usb/devices/{name}/{file}"), text);
            }
        };
        plug("usb1", &[("idVendor", "1d6b"), ("bDeviceClass", "09"), ("busnum", "1"), ("devnum", "1")]);
        plug(
            "1-1",
            &[
                ("idVendor", "0951"),
                ("idProduct", "1666"),
                ("bDeviceClass", "00"),
                ("busnum", "1"),
                ("devnum", "12"),
                ("product", "DataTraveler\x1b[2J"),
                ("manufacturer", "Kingston"),
            ],
        );
        plug("1-1:1.0", &[("bInterfaceClass", "08")]);
        plug(
            "1-2",
            &[("idVendor", "046b"), ("idProduct", "ff10"), ("bDeviceClass", "00"), ("busnum", "1"), ("devnum", "3")],
        );
        plug("1-3", &[("idVendor", "046b"), ("bDeviceClass", "00"), ("busnum", "none")]);
        assert_eq!(
            devices(&tree.roots()),
            json!([
                {"product": "DataTraveler[2J", "vendor": "Kingston", "handle": "USB:1:c"},
                {"product": "ff10", "vendor": "046b", "handle": "USB:1:3"},
            ])
        );
        assert_eq!(devices(&TestTree::new().roots()), json!([]));
    }
}
