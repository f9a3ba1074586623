//! The shape of OpenStack's `network_data.json`: links, networks on them, services. Whoever reads it at boot trusts it.

use super::args::cut;
use super::python;
use serde_json::{Map, Value};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A field of an object: name, required, what it may hold.
type Rule = (&'static str, bool, fn(&Value) -> bool);

const LINKS: &[&str] = &["bridge", "dvs", "hw_veb", "hyperv", "ovs", "tap", "vhostuser", "vif", "phy"];
const BOND_MODES: &[&str] =
    &["802.3ad", "balance-rr", "active-backup", "balance-xor", "broadcast", "balance-tlb", "balance-alb"];

const LINK: &[Rule] = &[
    ("ethernet_mac_address", true, mac),
    ("id", true, anything),
    ("type", true, |value| one_of(value, LINKS)),
    ("mtu", false, mtu),
    ("vif_id", false, Value::is_string),
];
const BOND: &[Rule] = &[
    ("ethernet_mac_address", true, mac),
    ("id", true, anything),
    ("type", true, |value| one_of(value, &["bond"])),
    ("bond_mode", true, |value| one_of(value, BOND_MODES)),
    ("bond_links", true, |value| list(value, Value::is_string)),
    ("mtu", false, mtu),
    ("vif_id", false, Value::is_string),
];
const VLAN: &[Rule] = &[
    ("vlan_mac_address", true, mac),
    ("id", true, anything),
    ("type", true, |value| one_of(value, &["vlan"])),
    ("vlan_link", true, Value::is_string),
    ("vlan_id", true, |value| value.is_i64() || value.is_u64()),
    ("mtu", false, mtu),
    ("vif_id", false, Value::is_string),
];
const NETWORK_4: &[Rule] = &[
    ("id", true, anything),
    ("link", true, Value::is_string),
    ("network_id", true, Value::is_string),
    ("type", true, |value| one_of(value, &["ipv4", "ipv4_dhcp"])),
    ("ip_address", false, v4),
    ("netmask", false, mask_4),
    ("routes", false, |value| list(value, |route| fits(route, ROUTE_4))),
];
const NETWORK_6: &[Rule] = &[
    ("id", true, anything),
    ("link", true, Value::is_string),
    ("network_id", true, Value::is_string),
    ("type", true, |value| one_of(value, &["ipv6", "ipv6_dhcp", "ipv6_slaac"])),
    ("ip_address", false, v6_with_prefix),
    ("netmask", false, v6),
    ("routes", false, |value| list(value, |route| fits(route, ROUTE_6))),
];
const ROUTE_4: &[Rule] = &[
    ("network", true, v4),
    ("netmask", true, mask_4),
    ("gateway", true, v4),
    ("services", false, |value| list(value, |service| fits(service, SERVICE_4))),
];
const ROUTE_6: &[Rule] = &[
    ("network", true, v6),
    ("netmask", true, v6),
    ("gateway", true, v6),
    ("services", false, |value| list(value, |service| fits(service, SERVICE_6))),
];
const SERVICE_4: &[Rule] = &[("address", true, v4), ("type", true, |value| one_of(value, &["dns"]))];
const SERVICE_6: &[Rule] = &[("address", true, v6_with_prefix), ("type", true, |value| one_of(value, &["dns"]))];

/// The lists of the document and what their items may be.
const LISTS: &[(&str, &[&[Rule]])] =
    &[("links", &[LINK, BOND, VLAN]), ("networks", &[NETWORK_4, NETWORK_6]), ("services", &[SERVICE_4, SERVICE_6])];

/// Refuses what is no network data; an empty object is none, and fine.
///
/// # Errors
/// 400 `Invalid network_data: ...`.
pub fn check(map: &Map<String, Value>) -> Result<(), String> {
    if map.is_empty() {
        return Ok(());
    }
    // The space at the end is the contract's.
    let invalid = |text: String| Err(format!("Invalid network_data: {text} "));
    if let Some((name, _)) = LISTS.iter().find(|(name, _)| !map.contains_key(*name)) {
        return invalid(format!("'{name}' is a required property"));
    }
    for (name, shapes) in LISTS {
        let Value::Array(items) = &map[*name] else {
            return invalid(format!("{} is not of type 'array'", python::repr(&map[*name])));
        };
        if let Some(item) = items.iter().find(|item| !shapes.iter().any(|shape| fits(item, shape))) {
            return invalid(format!("{} is not valid under any of the given schemas", cut(&python::repr(item))));
        }
    }
    Ok(())
}

fn fits(value: &Value, shape: &[Rule]) -> bool {
    let Value::Object(map) = value else { return false };
    shape.iter().all(|(name, required, rule)| map.get(*name).map_or(!required, rule))
}

fn anything(_: &Value) -> bool {
    true
}

fn list(value: &Value, rule: impl Fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(rule))
}

fn one_of(value: &Value, words: &[&str]) -> bool {
    value.as_str().is_some_and(|word| words.contains(&word))
}

fn mtu(value: &Value) -> bool {
    value.is_null() || value.as_f64().is_some_and(|mtu| (1.0..=65535.0).contains(&mtu))
}

fn mac(value: &Value) -> bool {
    let pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    value.as_str().is_some_and(|text| {
        let pairs: Vec<&str> = text.split([':', '-']).collect();
        pairs.len() == 6 && pairs.into_iter().all(pair)
    })
}

fn v4(value: &Value) -> bool {
    let number = |part: &str| part.len() <= 3 && part.parse::<u8>().is_ok();
    value.as_str().is_some_and(|text| text.split('.').count() == 4 && text.split('.').all(number))
}

fn mask_4(value: &Value) -> bool {
    let mask = value.as_str().and_then(|text| text.parse::<Ipv4Addr>().ok()).map(u32::from);
    mask.is_some_and(|mask| mask.leading_ones() + mask.trailing_zeros() == 32 || mask == 0)
}

fn v6(value: &Value) -> bool {
    // A link-local address may name its interface.
    let address = |text: &str| text.split_once('%').map_or(text, |(address, _)| address).parse::<Ipv6Addr>().is_ok();
    value.as_str().is_some_and(address)
}

fn v6_with_prefix(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let (address, prefix) = text.split_once('/').unwrap_or((text, "0"));
    prefix.parse::<u8>().is_ok_and(|bits| bits <= 128) && v6(&Value::from(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checked(value: Value) -> Result<(), String> {
        check(value.as_object().unwrap())
    }

    #[test]
    fn a_machine_with_a_bond_a_vlan_and_both_families() {
        let link = json!({"id": "a", "type": "phy", "ethernet_mac_address": "52:54:00:00:00:01", "mtu": 1500});
        let bond = json!({"id": "b", "type": "bond", "ethernet_mac_address": "52-54-00-00-00-01",
            "bond_mode": "802.3ad", "bond_links": ["a"]});
        let vlan = json!({"id": "v", "type": "vlan", "vlan_mac_address": "52:54:00:00:00:01", "vlan_link": "b",
            "vlan_id": 7});
        let route = json!({"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "192.0.2.1"});
        let four = json!({"id": "n", "link": "v", "network_id": "x", "type": "ipv4", "ip_address": "192.0.2.7",
            "netmask": "255.255.255.0", "routes": [route]});
        let six = json!({"id": "m", "link": "v", "network_id": "x", "type": "ipv6", "ip_address": "2001:db8::7/64"});
        let dns = json!({"type": "dns", "address": "2001:db8::53"});
        checked(json!({"links": [link, bond, vlan], "networks": [four, six], "services": [dns]})).unwrap();
        checked(json!({})).unwrap();
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (value, words) in [
            (json!({"links": []}), "'networks' is a required property"),
            (json!({"links": 1, "networks": [], "services": []}), "1 is not of type 'array'"),
            (json!({"links": [{"id": "a"}], "networks": [], "services": []}), "{'id': 'a'} is not valid under any"),
            (
                json!({"links": [], "networks": [], "services": [{"type": "ntp", "address": "192.0.2.1"}]}),
                "is not valid under any",
            ),
        ] {
            let error = checked(value).unwrap_err();
            assert!(error.starts_with("Invalid network_data: ") && error.contains(words), "{error}");
        }
        assert!(!mask_4(&json!("255.0.255.0")) && !v4(&json!("1.2.3")) && !mac(&json!("52:54:00:00:00")));
    }
}
