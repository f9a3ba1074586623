//! The steps that a simulated agent offers.

use common::step::Step;
use serde_json::{Value, json};

/// Where the reference agent puts its own steps.
pub const MANAGER: &str = "SimulatedHardwareManager";

/// For cleaning: two with a priority, three only on request.
pub fn clean() -> Vec<Step> {
    read(json!([
        {"interface": "deploy", "step": "erase_devices", "priority": 10, "reboot_requested": false, "abortable": true},
        {"interface": "deploy", "step": "erase_devices_metadata", "priority": 99, "reboot_requested": false, "abortable": true},
        {"interface": "deploy", "step": "burnin_cpu", "priority": 0, "reboot_requested": false, "abortable": true,
         "argsinfo": {"seconds": {"description": "how long", "required": true}}},
        {"interface": "deploy", "step": "update_firmware", "priority": 0, "reboot_requested": true, "abortable": false},
        {"interface": "deploy", "step": "slow_fan_test", "priority": 0, "reboot_requested": false, "abortable": false},
    ]))
}

/// For deployment.
pub fn deploy() -> Vec<Step> {
    read(json!([
        {"interface": "deploy", "step": "erase_devices_metadata", "priority": 0, "reboot_requested": false},
        {"interface": "deploy", "step": "write_image", "priority": 0, "reboot_requested": false,
         "argsinfo": {"image_info": {"description": "", "required": true}, "configdrive": {"description": "", "required": false}}},
        {"interface": "deploy", "step": "execute_bootc_install", "priority": 0, "reboot_requested": false,
         "argsinfo": {"image_source": {"description": "", "required": true}, "configdrive": {"description": "", "required": true},
                      "oci_pull_secret": {"description": "", "required": true}}},
    ]))
}

/// For service.
pub fn service() -> Vec<Step> {
    read(json!([
        {"interface": "deploy", "step": "update_nic", "priority": 0, "reboot_requested": false, "abortable": true,
         "argsinfo": {"url": {"description": "the firmware", "required": true}}},
        {"interface": "deploy", "step": "test_memory", "priority": 0, "reboot_requested": false, "abortable": false},
        {"interface": "deploy", "step": "update_bios", "priority": 0, "reboot_requested": true, "abortable": false},
    ]))
}

fn read(steps: Value) -> Vec<Step> {
    serde_json::from_value(steps).expect("steps as agents offer them")
}
