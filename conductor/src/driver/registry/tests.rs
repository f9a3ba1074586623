//! Defaults, refusals and opening, by the texts of rest-api sections 2.2 and 6.2.

use super::{Enabled, Registry};
use crate::driver::fake::FakeDelays;
use crate::driver::ipmi::IpmiOptions;
use crate::driver::traits::{DriverError, Target};
use crate::model::node::InterfaceKind;
use crate::model::power::{BootDevice, PowerState, PowerTarget};
use crate::model::secret_map::SecretMap;
use serde_json::{Value, json};
use std::time::Duration;

fn registry(enabled: Enabled) -> Registry {
    Registry::new(enabled, IpmiOptions::default(), FakeDelays::default()).unwrap()
}

fn target(info: Value) -> Target {
    let driver_info = SecretMap::from(info.as_object().unwrap().clone());
    Target { node_uuid: "7e3a".into(), driver_info, uefi: true, stored_power: None }
}

fn only(kind: InterfaceKind, names: &[&str]) -> Enabled {
    let mut enabled = Enabled::everything();
    enabled.interfaces.insert(kind, names.iter().map(ToString::to_string).collect());
    enabled
}

#[test]
fn defaults_follow_the_type_among_what_is_enabled() {
    let all = registry(Enabled::everything());
    let default = |hardware, kind| all.default_interface(hardware, kind).unwrap();
    assert_eq!(default("ipmi", InterfaceKind::Boot), "ipxe");
    assert_eq!(default("ipmi", InterfaceKind::Power), "ipmitool");
    assert_eq!(default("ipmi", InterfaceKind::Raid), "no-raid");
    assert_eq!(default("ipmi", InterfaceKind::Inspect), "agent");
    assert_eq!(default("manual-management", InterfaceKind::Management), "noop");
    for &kind in InterfaceKind::ALL {
        let expected = if kind == InterfaceKind::Network { "flat" } else { "fake" };
        assert_eq!(default("fake-hardware", kind), expected);
    }
    assert_eq!(default("idrac", InterfaceKind::Boot), "ipxe");
    assert_eq!(default("idrac", InterfaceKind::Bios), "idrac-redfish");
    assert_eq!(default("redfish", InterfaceKind::Raid), "redfish");
    assert_eq!(default("intel-ipmi", InterfaceKind::Management), "intel-ipmitool");
    let few = registry(only(InterfaceKind::Boot, &["pxe"]));
    assert_eq!(few.default_interface("ipmi", InterfaceKind::Boot).unwrap(), "pxe");
    let mut written = Enabled::everything();
    written.defaults.insert(InterfaceKind::Raid, "agent".into());
    assert_eq!(registry(written).default_interface("ipmi", InterfaceKind::Raid).unwrap(), "agent");
}

#[test]
fn refusals_have_the_texts_of_the_contract() {
    let few = registry(only(InterfaceKind::Power, &["fake"]));
    let text = |result: Result<(), DriverError>| result.unwrap_err().to_string();
    assert_eq!(
        text(few.default_interface("ipmi", InterfaceKind::Power).map(drop)),
        "For hardware type 'ipmi', no default value found for power interface could be determined. Please ensure the \
         interfaces are enabled."
    );
    assert_eq!(
        text(few.check_interface("ipmi", InterfaceKind::Power, "ipmitool")),
        "Could not find the following interface in the 'ironic.hardware.interfaces.power' entrypoint: ipmitool. Valid \
         interfaces are ['fake']."
    );
    assert_eq!(
        text(few.check_interface("ipmi", InterfaceKind::Power, "fake")),
        "power interface implementation 'fake' is not supported by hardware type IPMIHardware."
    );
    assert_eq!(
        text(few.hardware_type("redfih").map(drop)),
        "Could not find the following driver(s) or hardware type(s): redfih."
    );
    assert!(few.check_interface("fake-hardware", InterfaceKind::Boot, "pxe").is_ok());
}

#[test]
fn a_name_nobody_knows_stops_the_start() {
    let wrong = only(InterfaceKind::Power, &["ipmitol"]);
    let error = Registry::new(wrong, IpmiOptions::default(), FakeDelays::default()).err().unwrap().to_string();
    assert_eq!(
        error,
        "enabled_power_interfaces names 'ipmitol', which is none of: agent, fake, idrac-redfish, ipmitool, redfish"
    );
}

#[test]
fn validation_needs_no_bmc() {
    let all = registry(Enabled::everything());
    let validate = |kind, name, info| all.validate("ipmi", kind, name, &target(info));
    assert!(validate(InterfaceKind::Power, "ipmitool", json!({"ipmi_address": "192.0.2.1"})).is_ok());
    assert!(matches!(validate(InterfaceKind::Power, "ipmitool", json!({})), Err(DriverError::Invalid(_))));
    assert!(validate(InterfaceKind::Boot, "ipxe", json!({})).is_ok());
    assert_eq!(
        validate(InterfaceKind::Bios, "no-bios", json!({})).unwrap_err().to_string(),
        "Driver ipmi does not support bios (disabled or not implemented)."
    );
}

#[tokio::test]
async fn opened_drivers_do_what_their_interfaces_promise() {
    let all = registry(Enabled::everything());
    let fake = all.open("fake-hardware", "fake", "fake", target(json!({}))).unwrap();
    fake.power.set(PowerTarget::On, Duration::ZERO).await.unwrap();
    assert_eq!(fake.power.state().await.unwrap(), PowerState::On);
    let management = fake.management.unwrap();
    assert!(management.set_boot_device(BootDevice::Disk, true).await.is_err(), "as Ironic's fake");
    let noop = all.open("manual-management", "agent", "noop", target(json!({}))).unwrap().management.unwrap();
    noop.set_boot_device(BootDevice::Disk, true).await.unwrap();
    assert!(all.open("ipmi", "ipmitool", "ipmitool", target(json!({}))).is_err(), "no address");
    assert!(all.open("ipmi", "ipmitool", "noop", target(json!({"ipmi_address": "192.0.2.1"}))).is_ok());
}

#[test]
fn properties_are_those_of_the_enabled_interfaces() {
    let all = registry(Enabled::everything());
    let ipmi = all.properties("ipmi").unwrap();
    assert!(
        ["ipmi_address", "ipmi_hex_kg_key", "ipmi_terminal_port", "deploy_kernel"]
            .iter()
            .all(|key| ipmi.contains_key(key))
    );
    let fake = all.properties("fake-hardware").unwrap();
    assert!(fake.keys().all(|key| !key.starts_with("ipmi_")));
}

#[tokio::test]
async fn what_is_not_built_yet_says_so_and_nothing_else() {
    let all = registry(Enabled::everything());
    let target = target(json!({"redfish_address": "192.0.2.1"}));
    let sentence = |kind| format!("Driver redfish does not support {kind} (disabled or not implemented).");
    assert_eq!(all.power("redfish", "redfish", &target).err().unwrap().to_string(), sentence("power"));
    assert_eq!(all.management("redfish", "redfish", &target).err().unwrap().to_string(), sentence("management"));
    for kind in [InterfaceKind::Power, InterfaceKind::Bios, InterfaceKind::Inspect, InterfaceKind::Vendor] {
        assert_eq!(all.validate("redfish", kind, "redfish", &target).unwrap_err().to_string(), sentence(kind.name()));
    }
    assert!(all.vendor("redfish", "redfish", &target).unwrap().is_none());
    assert!(all.steps(InterfaceKind::Bios, "redfish").is_empty());
    assert!(all.step_runner("redfish", InterfaceKind::Bios, "redfish", &target).is_err());
    assert!(all.properties("redfish").unwrap().contains_key("redfish_system_id"));
}

#[tokio::test]
async fn every_step_that_is_listed_can_be_run() {
    let all = registry(Enabled::everything());
    for &kind in InterfaceKind::ALL {
        for name in super::known(kind) {
            let target = target(json!({"ipmi_address": "192.0.2.1"}));
            for row in all.steps(kind, name) {
                let runner = all.step_runner("fake-hardware", kind, name, &target).unwrap();
                if name == "ipmitool" {
                    continue; // there is no BMC to hear it
                }
                let args = json!({"settings": []});
                assert!(runner.run(row.name, args.as_object().unwrap()).await.is_ok(), "{kind} {name} {}", row.name);
            }
        }
    }
}
