//! What a machine reports when it is inspected: the shape of a real ramdisk's data, with this machine's NIC.

use super::machine::{Body, lock};
use serde_json::{Value, json};
use std::time::Duration;

/// Captured from the reference agent.
const CAPTURED: &str = include_str!("../../fixtures/ipa/inventory.json");

/// Sends the inventory until somebody takes it.
pub async fn report(body: &Body, callback: &str, boot_nic: Option<&str>) {
    let faults = lock(&body.faults).clone();
    if faults.never_reports {
        return;
    }
    let mut inventory: Value = serde_json::from_str(CAPTURED).expect("the fixture is JSON");
    inventory["interfaces"][0]["mac_address"] = json!(body.mac);
    inventory["boot"]["pxe_interface"] = json!(boot_nic);
    let data = json!({"inventory": inventory, "error": faults.inspection_error, "root_disk": inventory["disks"][0]});
    loop {
        let sent = body.http.post(callback).json(&data).send().await;
        match sent.map(|answer| answer.status().as_u16()) {
            Ok(202) => {
                body.note("inventory");
                return;
            }
            Ok(400..=404) => {
                body.note("inventory refused");
                return;
            }
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
