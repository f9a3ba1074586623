//! Network interfaces: those with hardware behind them, bonds, and VLANs.

use crate::hardware::Options;
use crate::sys::net::{Ethtool, addresses};
use crate::sys::sysfs::{Roots, Unread};
use common::inventory::Interface;
use serde_json::{Value, json};

/// First bytes of the DHCP client id of Mellanox InfiniBand ports; the port's GUID follows.
const INFINIBAND_CLIENT_ID: &str = "ff:00:00:00:00:00:02:00:00:02:c9:00:";
/// Their PCI vendor.
const MELLANOX: &str = "0x15b3";
/// `ARPHRD_INFINIBAND`.
const INFINIBAND: u64 = 32;

/// What there is, and what the configuration hides.
#[derive(Debug, Default)]
pub struct Nics {
    /// In the order in which the kernel made them.
    pub shown: Vec<Interface>,
    /// Name, MAC and reason of each that is left out.
    pub hidden: Vec<Value>,
}

/// Lists them.
pub fn list(roots: &Roots, options: &Options, unread: &mut Vec<Unread>) -> Nics {
    // Only the running machine can be asked by socket; a captured tree has its files.
    let ethtool = roots.is_machine().then(Ethtool::open).transpose().unwrap_or_else(|error| {
        let why = format!("{error}: permanent addresses and port speeds are not known");
        unread.push(Unread { what: "network socket".into(), why });
        None
    });
    let mut addresses = if roots.is_machine() { addresses() } else { Default::default() };
    let (mut found, mut hidden): (Vec<(u64, Interface)>, Vec<Value>) = Default::default();
    for name in roots.entries("/sys/class/net").into_iter().filter(|name| is_listed(roots, name)) {
        let index = roots.number(format!("/sys/class/net/{name}/ifindex")).unwrap_or(u64::MAX);
        let (ipv4_address, ipv6_address) = addresses.remove(&name).unwrap_or_default();
        let Some(interface) = read(roots, ethtool.as_ref(), name.clone()) else {
            unread.push(Unread { what: format!("/sys/class/net/{name}/address"), why: "no hardware address".into() });
            continue;
        };
        if options.hide_fa_macs && interface.mac_address.as_deref().is_some_and(|mac| mac.starts_with("fa:")) {
            tracing::warn!(interface = %name, "left out: its MAC begins with fa: and the configuration says so");
            let why = "left out: its MAC begins with fa: and the configuration says so";
            hidden.push(json!({"name": name, "mac_address": interface.mac_address, "reason": why}));
            unread.push(Unread { what: format!("interface {name}"), why: why.into() });
            continue;
        }
        found.push((index, Interface { ipv4_address, ipv6_address, ..interface }));
    }
    found.sort_by(|one, other| (one.0, &one.1.name).cmp(&(other.0, &other.1.name)));
    Nics { shown: found.into_iter().map(|(_, interface)| interface).collect(), hidden }
}

fn is_listed(roots: &Roots, name: &str) -> bool {
    let has = |what: &str| roots.exists(format!("/sys/class/net/{name}/{what}"));
    let is_vlan = name.split_once('.').is_some_and(|(_, id)| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()));
    has("device") || has("bonding") || (is_vlan && has("address"))
}

fn read(roots: &Roots, ethtool: Option<&Ethtool>, name: String) -> Option<Interface> {
    let folder = format!("/sys/class/net/{name}");
    let permanent = ethtool.and_then(|ethtool| ethtool.permanent_address(&name)).map(|bytes| colons(&bytes));
    let address = permanent.or_else(|| roots.text(format!("{folder}/address")))?.to_ascii_lowercase();
    let is_infiniband = roots.number(format!("{folder}/type")) == Some(INFINIBAND) || address.len() == 59;
    let guid = is_infiniband.then(|| address.get(36..)).flatten().filter(|guid| guid.len() == 23);
    // The bytes 0 to 2 and 5 to 7 of the GUID.
    let short = guid.and_then(|guid| Some(format!("{}{}", guid.get(..9)?, guid.get(15..)?)));
    let negotiated = roots.number(format!("{folder}/speed")).filter(|&speed| speed > 0 && speed < u64::from(u32::MAX));
    let vendor = roots.text(format!("{folder}/device/vendor"));
    let is_mellanox = vendor.as_deref() == Some(MELLANOX);
    Some(Interface {
        client_id: guid.filter(|_| is_mellanox).map(|guid| format!("{INFINIBAND_CLIENT_ID}{guid}")),
        mac_address: Some(short.unwrap_or(address)),
        has_carrier: Some(roots.flag(format!("{folder}/carrier")).unwrap_or(false)),
        vendor,
        product: roots.text(format!("{folder}/device/device")),
        speed_mbps: ethtool.and_then(|ethtool| ethtool.fastest(&name)).or(negotiated),
        pci_address: roots.link_name(format!("{folder}/device")),
        driver: roots.link_name(format!("{folder}/device/driver")),
        name,
        ..Interface::default()
    })
}

fn colons(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}
