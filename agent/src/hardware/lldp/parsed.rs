//! What a switch said, in words: the keys and values that the conductor's own parser makes of the same packet.
//!
//! Sources: IEEE 802.1AB-2016 (basic), 802.1Q annex D (OUI 00-80-C2), 802.3 clause 79 (OUI 00-12-0F), RFC 4836 (MAU types).

use super::{Tlv, bytes};
use crate::sys::text::clean;
use serde_json::{Map, Value, json};
use std::net::{Ipv4Addr, Ipv6Addr};

const DOT1: [u8; 3] = [0x00, 0x80, 0xc2];
const DOT3: [u8; 3] = [0x00, 0x12, 0x0f];
const VLAN_NAME: u8 = 3;
/// No VLAN has a larger number; 4095 is reserved.
const MAX_VLAN: u16 = 4094;

/// The VLANs that the switch names on this port.
pub fn vlans(pieces: &[Tlv]) -> Vec<u16> {
    let named = pieces.iter().filter(|(kind, _)| *kind == 127).filter_map(|(_, value)| match bytes(value).as_slice() {
        [a, b, c, VLAN_NAME, high, low, ..] if [*a, *b, *c] == DOT1 => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    });
    let mut ids: Vec<u16> = named.filter(|id| (1..=MAX_VLAN).contains(id)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Everything known pieces say. What is malformed is left out; of single values the first counts.
pub fn parsed(pieces: &[Tlv]) -> Map<String, Value> {
    let mut words = Words(Map::new());
    for (kind, value) in pieces {
        let value = bytes(value);
        // A malformed piece says nothing; the others still count.
        let _ = words.piece(*kind, &value);
    }
    words.0
}

struct Words(Map<String, Value>);

impl Words {
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.entry(name).or_insert_with(|| value.into());
    }

    fn add(&mut self, name: &str, value: impl Into<Value>) {
        if let Value::Array(list) = self.0.entry(name).or_insert_with(|| json!([])) {
            list.push(value.into());
        }
    }

    fn piece(&mut self, kind: u8, value: &[u8]) -> Option<()> {
        match kind {
            1 => self.set("switch_chassis_id", identifier(value, 4, 5)?),
            2 => self.set("switch_port_id", identifier(value, 3, 4)?),
            4 => self.set("switch_port_description", text(value)),
            5 => self.set("switch_system_name", text(value)),
            6 => self.set("switch_system_description", text(value)),
            7 => {
                let [a, b, c, d] = *value.first_chunk::<4>().filter(|_| value.len() == 4)?;
                self.set("switch_capabilities_support", capabilities(u16::from_be_bytes([a, b])));
                self.set("switch_capabilities_enabled", capabilities(u16::from_be_bytes([c, d])));
            }
            8 => self.add("switch_mgmt_addresses", address(value.get(1..)?)?),
            127 => match (value.first_chunk::<3>()?, *value.get(3)?, value.get(4..)?) {
                (&DOT1, subtype, data) => self.dot1(subtype, data)?,
                (&DOT3, subtype, data) => self.dot3(subtype, data)?,
                _ => {}
            },
            _ => {}
        }
        Some(())
    }

    fn dot1(&mut self, subtype: u8, data: &[u8]) -> Option<()> {
        match subtype {
            1 => self.set("switch_port_untagged_vlan_id", number(data)?),
            2 => {
                let [flags, high, low] = *data.first_chunk::<3>().filter(|_| data.len() == 3)?;
                self.set("switch_port_protocol_vlan_enabled", flags & 0b100 != 0);
                self.set("switch_port_protocol_vlan_support", flags & 0b010 != 0);
                self.add("switch_port_protocol_vlan_ids", u16::from_be_bytes([high, low]));
            }
            VLAN_NAME => {
                let name = data.get(3..)?.get(..usize::from(*data.get(2)?))?;
                self.add("switch_port_vlans", json!({"name": text(name), "id": number(data)?}));
            }
            4 => {
                let protocol = data.get(1..)?.get(..usize::from(*data.first()?))?;
                self.add("switch_protocol_identities", super::hex(protocol));
            }
            6 => self.set("switch_port_management_vlan_id", number(data)?),
            7 => self.aggregation(data)?,
            _ => {}
        }
        Some(())
    }

    fn dot3(&mut self, subtype: u8, data: &[u8]) -> Option<()> {
        match subtype {
            1 => {
                let [status, a, b, c, d] = *data.first_chunk::<5>().filter(|_| data.len() == 5)?;
                let mau = MAU_TYPES.get(usize::from(u16::from_be_bytes([c, d])))?;
                self.set("switch_port_autonegotiation_enabled", status & 0b10 != 0);
                self.set("switch_port_autonegotiation_support", status & 0b01 != 0);
                self.set("switch_port_physical_capabilities", negotiable(u16::from_be_bytes([a, b])));
                self.set("switch_port_mau_type", *mau);
            }
            3 => self.aggregation(data)?,
            4 => self.set("switch_port_mtu", number(data)?),
            _ => {}
        }
        Some(())
    }

    fn aggregation(&mut self, data: &[u8]) -> Option<()> {
        let [status, a, b, c, d] = *data.first_chunk::<5>().filter(|_| data.len() == 5)?;
        self.set("switch_port_link_aggregation_enabled", status & 0b10 != 0);
        self.set("switch_port_link_aggregation_support", status & 0b01 != 0);
        self.set("switch_port_link_aggregation_id", u32::from_be_bytes([a, b, c, d]));
        Some(())
    }
}

fn number(data: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*data.first_chunk()?))
}

fn text(value: &[u8]) -> String {
    clean(value, 512)
}

/// Chassis or port: a subtype, then text, a MAC, or an address.
fn identifier(value: &[u8], mac: u8, network: u8) -> Option<Value> {
    let (&subtype, data) = value.split_first()?;
    if subtype == mac {
        return hardware_address(data).map(Value::from);
    }
    if subtype == network {
        return address(data).map(Value::from);
    }
    matches!(subtype, 1..=7).then(|| text(data).into())
}

fn hardware_address(data: &[u8]) -> Option<String> {
    Some(common::mac::Mac(*data.first_chunk()?).to_string())
}

/// A family of IANA's list and an address of it.
fn address(data: &[u8]) -> Option<String> {
    let (family, data) = data.split_first()?;
    match family {
        1 => Some(Ipv4Addr::from(*data.first_chunk::<4>()?).to_string()),
        2 => Some(Ipv6Addr::from(*data.first_chunk::<16>()?).to_string()),
        6 => hardware_address(data),
        _ => None,
    }
}

/// Bit 0 is "other".
fn capabilities(bits: u16) -> Vec<&'static str> {
    const NAMES: [&str; 10] = [
        "Repeater",
        "Bridge",
        "WLAN",
        "Router",
        "Telephone",
        "DOCSIS cable device",
        "Station only",
        "C-Vlan",
        "S-Vlan",
        "TPMR",
    ];
    NAMES.iter().zip(1..).filter(|(_, bit)| bits & (1 << bit) != 0).map(|(name, _)| *name).collect()
}

/// Auto-negotiation bits, highest first from bit 14; sorted as texts.
fn negotiable(bits: u16) -> Vec<&'static str> {
    const NAMES: [&str; 15] = [
        "10BASE-T hdx",
        "10BASE-T fdx",
        "10BASE-T4",
        "100BASE-TX hdx",
        "100BASE-TX fdx",
        "100BASE-T2 hdx",
        "100BASE-T2 fdx",
        "PAUSE fdx",
        "Asym PAUSE fdx",
        "Sym PAUSE fdx",
        "Asym and Sym PAUSE fdx",
        "1000BASE-X hdx",
        "1000BASE-X fdx",
        "1000BASE-T hdx",
        "1000BASE-T fdx",
    ];
    let mut names: Vec<&str> =
        NAMES.iter().enumerate().filter(|(at, _)| bits & (1 << (14 - at)) != 0).map(|(_, name)| *name).collect();
    names.sort_unstable();
    names
}

/// By number; larger ones are not known to the conductor either.
#[rustfmt::skip]
const MAU_TYPES: [&str; 54] = [
    "Unknown", "AUI", "10BASE-5", "FOIRL", "10BASE-2", "10BASE-T duplex mode unknown", "10BASE-FP", "10BASE-FB",
    "10BASE-FL duplex mode unknown", "10BROAD36", "10BASE-T half duplex", "10BASE-T full duplex", "10BASE-FL half duplex",
    "10BASE-FL full duplex", "100 BASE-T4", "100BASE-TX half duplex", "100BASE-TX full duplex", "100BASE-FX half duplex",
    "100BASE-FX full duplex", "100BASE-T2 half duplex", "100BASE-T2 full duplex", "1000BASE-X half duplex",
    "1000BASE-X full duplex", "1000BASE-LX half duplex", "1000BASE-LX full duplex", "1000BASE-SX half duplex",
    "1000BASE-SX full duplex", "1000BASE-CX half duplex", "1000BASE-CX full duplex", "1000BASE-T half duplex",
    "1000BASE-T full duplex", "10GBASE-X", "10GBASE-LX4", "10GBASE-R", "10GBASE-ER", "10GBASE-LR", "10GBASE-SR",
    "10GBASE-W", "10GBASE-EW", "10GBASE-LW", "10GBASE-SW", "10GBASE-CX4", "2BASE-TL", "10PASS-TS", "100BASE-BX10D",
    "100BASE-BX10U", "100BASE-LX10", "1000BASE-BX10D", "1000BASE-BX10U", "1000BASE-LX10", "1000BASE-PX10D",
    "1000BASE-PX10U", "1000BASE-PX20D", "1000BASE-PX20U",
];
