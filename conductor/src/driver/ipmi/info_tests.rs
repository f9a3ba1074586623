//! driver_info: what is taken and what is refused, with Ironic's texts where it has one.

use super::{IpmiInfo, PROPERTIES, Version};
use crate::driver::ipmi::bridge::{Bridge, Hop};
use crate::driver::traits::DriverError;
use crate::model::secret_map::SecretMap;
use serde_json::{Value, json};

fn parse(value: Value) -> Result<IpmiInfo, String> {
    IpmiInfo::parse(&SecretMap::from(value.as_object().unwrap().clone())).map_err(|error| match error {
        DriverError::Invalid(text) => text,
        other => panic!("not a refusal of driver_info: {other:?}"),
    })
}

fn with(key: &str, value: Value) -> Result<IpmiInfo, String> {
    let mut map = json!({"ipmi_address": "10.0.0.1"});
    map[key] = value;
    parse(map)
}

#[test]
fn an_address_is_enough() {
    let info = parse(json!({"ipmi_address": "[fd00::1]"})).unwrap();
    assert_eq!((info.access.address.as_str(), info.access.port, info.access.level), ("fd00::1", 623, 4));
    assert_eq!((info.access.version, info.access.suite, info.bridge), (Version::Plus, None, Bridge::No));
    assert!(info.access.user.is_empty() && info.access.password.is_empty());
}

#[test]
fn every_key_is_read() {
    let info = parse(json!({
        "ipmi_address": "bmc-1.example.org", "ipmi_port": "6230", "ipmi_username": "root", "ipmi_password": 12345,
        "ipmi_priv_level": "OPERATOR", "ipmi_hex_kg_key": "00FF".repeat(10), "ipmi_protocol_version": 2.0,
        "ipmi_cipher_suite": "17", "ipmi_bridging": "dual", "ipmi_local_address": "0x10", "ipmi_target_address": 130,
        "ipmi_target_channel": 7, "ipmi_transit_address": "0x82", "ipmi_transit_channel": "0",
        "ipmi_force_boot_device": "True", "ipmi_disable_boot_timeout": "False", "ipmi_terminal_port": 8023,
        "deploy_kernel": "http://k"}))
    .unwrap();
    assert_eq!((info.access.port, info.access.level, info.access.suite.unwrap().id), (6230, 3, 17));
    assert_eq!(info.access.password.expose(), b"12345");
    assert_eq!(info.access.kg.unwrap().expose().len(), 20);
    let (target, transit) = (Hop { channel: 7, address: 130 }, Hop { channel: 0, address: 0x82 });
    assert_eq!(info.bridge, Bridge::Dual { local: 0x10, transit, target });
    assert_eq!(
        (info.force_boot_device, info.disable_boot_timeout, info.terminal_port),
        (true, Some(false), Some(8023))
    );
}

#[test]
fn refusals_have_the_texts_clients_know() {
    #[rustfmt::skip]
    let cases = [
        (parse(json!({})), "Missing the following IPMI credentials in node's driver_info: ['ipmi_address']."),
        (parse(json!({"ipmi_address": ""})), "Missing the following IPMI credentials in node's driver_info: ['ipmi_address']."),
        (with("ipmi_address", json!("a b; reboot")), "ipmi_address is neither an IP address nor a host name"),
        (with("ipmi_port", json!("x")), "ipmi_port \"x\" is not a valid port."),
        (with("ipmi_port", json!(65536)), "ipmi_port \"65536\" is not a valid port."),
        (with("ipmi_port", json!(0)), "ipmi_port \"0\" is not a valid port."),
        (with("ipmi_terminal_port", json!(-1)), "ipmi_terminal_port \"-1\" is not a valid port."),
        (with("ipmi_priv_level", json!("KING")),
            "Invalid privilege level value:KING, the valid value can be one of ADMINISTRATOR, CALLBACK, OPERATOR, USER"),
        (with("ipmi_protocol_version", json!("3.0")),
            "Invalid IPMI protocol version value 3.0, the valid value can be one of 2.0, 1.5"),
        (with("ipmi_cipher_suite", json!("best")), "Invalid cipher suite best, expected a number"),
        (with("ipmi_hex_kg_key", json!("abc")), "Number of ipmi_hex_kg_key characters is not even"),
        (with("ipmi_hex_kg_key", json!("zz")), "ipmi_hex_kg_key must be hexadecimal digits, 40 of them at most"),
        (with("ipmi_bridging", json!("triple")),
            "Invalid value for ipmi_bridging: triple, the valid value can be one of: ['single', 'dual', 'no']"),
        (with("ipmi_bridging", json!("single")), "['ipmi_target_channel', 'ipmi_target_address'] not provided"),
        (with("ipmi_username", json!("seventeen letters")),
            "ipmi_username must be at most 16 bytes without NUL: the protocol has no room for more"),
        (with("ipmi_password", json!({})), "ipmi_password must be text or a number in the node's driver_info"),
        (with("ipmi_force_boot_device", json!("perhaps")), "ipmi_force_boot_device must be true or false"),
        (parse(json!({"ipmi_address": "h", "ipmi_protocol_version": "1.5", "ipmi_cipher_suite": 3})),
            "Cipher suites cannot be used with IPMI 1.5"),
    ];
    for (result, text) in cases {
        assert_eq!(result.unwrap_err(), text);
    }
    assert!(with("ipmi_cipher_suite", json!(0)).unwrap_err().starts_with("Cipher suite 0 is not spoken here"));
}

#[test]
fn nothing_printed_holds_the_password_or_kg() {
    let info = parse(json!({"ipmi_address": "h", "ipmi_password": "opensesame", "ipmi_hex_kg_key": "6b6b6b"})).unwrap();
    let shown = format!("{info:?}");
    assert!(!shown.contains("opensesame") && !shown.contains("107"), "{shown}");
    assert!(PROPERTIES.iter().all(|(key, text)| key.starts_with("ipmi_") && text.ends_with('.')));
}
