//! Where this machine's BMC is on the network: its addresses and MAC, asked in band (IPMI 2.0 section 23.2, errata 7).

use crate::sys::ipmi::{InBandBmc, IpmiDevice};
use crate::sys::sysfs::{Roots, Unread};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// Time for one answer. A BMC answers in milliseconds; a dead one costs this once, as nothing more is asked then.
const PATIENCE: Duration = Duration::from_secs(3);
/// Channels that can be LANs.
const CHANNELS: std::ops::RangeInclusive<u8> = 1..=11;
/// Most addresses looked at in one table of a channel.
const MAX_ADDRESSES: u8 = 16;

/// Network function and command of *Get LAN Configuration Parameters*.
const TRANSPORT: u8 = 0x0c;
const GET_LAN_PARAMETER: u8 = 0x02;
/// Its parameters.
const IP_ADDRESS: u8 = 3;
const MAC_ADDRESS: u8 = 5;
const IPV6_ENABLES: u8 = 51;
const IPV6_STATUS: u8 = 55;
const IPV6_STATIC: u8 = 56;
const IPV6_DYNAMIC: u8 = 59;
/// *Node busy*: the same request may succeed at once.
const BUSY: u8 = 0xc0;

/// The wire's three values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bmc {
    /// IPv4; `0.0.0.0` = a BMC without address; `None` = no BMC, or one that could not be asked.
    pub address: Option<String>,
    /// IPv6; `::/0` = none configured.
    pub v6_address: Option<String>,
    /// Lower case; `None` = unknown.
    pub mac: Option<String>,
}

/// Asks the BMC, once in the life of this process: its address does not change under a deploy.
pub fn read(roots: &Roots, unread: &mut Vec<Unread>) -> Bmc {
    static KNOWN: OnceLock<Bmc> = OnceLock::new();
    if let Some(known) = KNOWN.get().filter(|_| roots.is_machine()) {
        return known.clone();
    }
    let Some(device) = device(roots) else { return Bmc::default() };
    let asked = IpmiDevice::open(&roots.path(&device), PATIENCE).and_then(|mut bmc| interview(&mut bmc));
    match asked {
        Ok(bmc) if roots.is_machine() => KNOWN.get_or_init(|| bmc).clone(),
        Ok(bmc) => bmc,
        Err(error) => {
            let why = match error.kind() {
                ErrorKind::PermissionDenied => "permission denied: run as root to see the BMC's address".to_owned(),
                _ => format!("the BMC could not be asked: {error}"),
            };
            unread.push(Unread { what: device.display().to_string(), why });
            Bmc::default()
        }
    }
}

/// The IPMI device, by any of its historic names.
fn device(roots: &Roots) -> Option<PathBuf> {
    let plain =
        roots.entries("/dev").into_iter().filter(|name| name.starts_with("ipmi")).map(|name| format!("/dev/{name}"));
    let inside = |folder: &'static str| roots.entries(folder).into_iter().map(move |name| format!("{folder}/{name}"));
    let names = plain.chain(inside("/dev/ipmi")).chain(inside("/dev/ipmidev"));
    names.map(PathBuf::from).find(|path| roots.is_character_device(path))
}

/// Goes through the channels: the first IPv4 address, the first IPv6 address, and the MAC of the first channel that
/// has either.
///
/// # Errors
/// The BMC does not answer; channels and parameters it does not have are no error.
pub fn interview(bmc: &mut dyn InBandBmc) -> io::Result<Bmc> {
    let mut found = Bmc { address: None, v6_address: None, mac: None };
    for channel in CHANNELS {
        let Some(bytes) = parameter(bmc, channel, IP_ADDRESS, 0)? else { continue };
        let v4 = ipv4(&bytes);
        let v6 = v6_address(bmc, channel)?;
        if found.mac.is_none() && (v4.is_some() || v6.is_some()) {
            found.mac = parameter(bmc, channel, MAC_ADDRESS, 0)?.and_then(|bytes| mac(&bytes));
        }
        found.address = found.address.or(v4.map(|v4| v4.to_string()));
        found.v6_address = found.v6_address.or(v6.map(|v6| v6.to_string()));
        if found.address.is_some() && found.v6_address.is_some() && found.mac.is_some() {
            break;
        }
    }
    found.address.get_or_insert("0.0.0.0".into());
    found.v6_address.get_or_insert("::/0".into());
    Ok(found)
}

/// The data of one parameter; `None` if the BMC has no such channel or parameter.
fn parameter(bmc: &mut dyn InBandBmc, channel: u8, number: u8, set: u8) -> io::Result<Option<Vec<u8>>> {
    let mut answer = Vec::new();
    for _ in 0..3 {
        answer = bmc.ask(TRANSPORT, GET_LAN_PARAMETER, &[channel, number, set, 0])?;
        if answer.first() != Some(&BUSY) {
            break;
        }
    }
    // completion code, parameter revision, data
    Ok(match answer.as_slice() {
        [0, _revision, data @ ..] => Some(data.to_vec()),
        _ => None,
    })
}

fn v6_address(bmc: &mut dyn InBandBmc, channel: u8) -> io::Result<Option<Ipv6Addr>> {
    // 1 = IPv6 only, 2 = both; a BMC from before the errata has no such parameter.
    if !matches!(parameter(bmc, channel, IPV6_ENABLES, 0)?.as_deref(), Some([1 | 2, ..])) {
        return Ok(None);
    }
    let status = parameter(bmc, channel, IPV6_STATUS, 0)?.unwrap_or_default();
    let count = |at: usize| status.get(at).copied().unwrap_or(1).min(MAX_ADDRESSES);
    for set in 0..count(1) {
        let bytes = parameter(bmc, channel, IPV6_DYNAMIC, set)?;
        if let Some(address) = bytes.and_then(|bytes| dynamic_ipv6(&bytes)) {
            return Ok(Some(address));
        }
    }
    for set in 0..count(0) {
        let bytes = parameter(bmc, channel, IPV6_STATIC, set)?;
        if let Some(address) = bytes.and_then(|bytes| static_ipv6(&bytes)) {
            return Ok(Some(address));
        }
    }
    Ok(None)
}

fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    let address = Ipv4Addr::from(*bytes.first_chunk::<4>()?);
    (!address.is_unspecified()).then_some(address)
}

fn mac(bytes: &[u8]) -> Option<String> {
    let mac = common::mac::Mac(*bytes.first_chunk::<6>()?);
    (mac.0 != [0; 6] && mac.0 != [0xff; 6]).then(|| mac.to_string())
}

/// Set selector, source, address, prefix length, status. Sources 1 and 2 are SLAAC and DHCPv6; status 0 is active.
fn dynamic_ipv6(bytes: &[u8]) -> Option<Ipv6Addr> {
    let [_, source, rest @ ..] = bytes else { return None };
    matches!(source & 0x0f, 1 | 2).then(|| active_ipv6(rest)).flatten()
}

/// The same, with bit 7 of the source saying that the entry is enabled.
fn static_ipv6(bytes: &[u8]) -> Option<Ipv6Addr> {
    let [_, source, rest @ ..] = bytes else { return None };
    (source & 0x80 != 0).then(|| active_ipv6(rest)).flatten()
}

fn active_ipv6(bytes: &[u8]) -> Option<Ipv6Addr> {
    let address = Ipv6Addr::from(*bytes.first_chunk::<16>()?);
    let active = bytes.get(17).is_some_and(|status| status & 0x0f == 0);
    (active && !address.is_unspecified() && !address.is_unicast_link_local()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::{BUSY, Bmc, interview};
    use crate::sys::ipmi::InBandBmc;
    use proptest::prelude::{any, proptest};
    use std::collections::BTreeMap;
    use std::io;

    /// Answers from a table of (channel, parameter, set).
    #[derive(Default)]
    struct Table {
        data: BTreeMap<(u8, u8, u8), Vec<u8>>,
        busy: usize,
        silent: bool,
        asked: usize,
    }

    impl InBandBmc for Table {
        fn ask(&mut self, function: u8, command: u8, data: &[u8]) -> io::Result<Vec<u8>> {
            assert_eq!((function, command, data.len()), (0x0c, 0x02, 4));
            self.asked += 1;
            if self.silent {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if self.busy > 0 {
                self.busy -= 1;
                return Ok(vec![BUSY]);
            }
            let known = self.data.get(&(data[0], data[1], data[2]));
            Ok(known.map_or(vec![0xcc], |known| [&[0, 0x11], known.as_slice()].concat()))
        }
    }

    fn v6(set: u8, source: u8, last: u8, status: u8) -> Vec<u8> {
        let mut entry = vec![set, source, 0x20, 0x01, 0x0d, 0xb8];
        entry.resize(17, 0);
        entry.extend([last, 64, status]);
        entry
    }

    #[test]
    fn the_first_channel_with_an_address_counts() {
        let mut table = Table { busy: 2, ..Table::default() };
        table.data.insert((1, 3, 0), vec![0, 0, 0, 0]);
        table.data.insert((1, 5, 0), vec![2, 2, 2, 2, 2, 2]);
        table.data.insert((8, 3, 0), vec![198, 51, 100, 21]);
        table.data.insert((8, 5, 0), vec![0xd0, 0x8e, 0x79, 0xaa, 0x00, 0x17]);
        let bmc = interview(&mut table).unwrap();
        assert_eq!(bmc.address.as_deref(), Some("198.51.100.21"));
        assert_eq!(bmc.v6_address.as_deref(), Some("::/0"));
        assert_eq!(bmc.mac.as_deref(), Some("d0:8e:79:aa:00:17"));
    }

    #[test]
    fn a_bmc_without_addresses_is_not_no_bmc() {
        let bmc = interview(&mut Table::default()).unwrap();
        assert_eq!(bmc, Bmc { address: Some("0.0.0.0".into()), v6_address: Some("::/0".into()), mac: None });
    }

    #[test]
    fn ipv6_must_be_enabled_active_and_routable_and_dynamic_ones_go_first() {
        let mut table = Table::default();
        table.data.insert((1, 3, 0), vec![0, 0, 0, 0]);
        table.data.insert((1, 5, 0), vec![2, 0, 0, 0, 0, 1]);
        table.data.insert((1, 55, 0), vec![1, 3, 0]);
        table.data.insert((1, 59, 0), v6(0, 1, 1, 4)); // deprecated
        table.data.insert((1, 59, 1), v6(1, 0, 2, 0)); // no source
        table.data.insert((1, 59, 2), v6(2, 2, 3, 0));
        table.data.insert((1, 56, 0), v6(0, 0x80, 9, 0));
        assert_eq!(interview(&mut table).unwrap().v6_address.as_deref(), Some("::/0"), "IPv6 is not enabled");
        table.data.insert((1, 51, 0), vec![2]);
        let bmc = interview(&mut table).unwrap();
        assert_eq!(bmc.v6_address.as_deref(), Some("2001:db8::3"));
        assert_eq!(bmc.mac.as_deref(), Some("02:00:00:00:00:01"), "a channel with IPv6 only has a MAC too");
        table.data.remove(&(1, 59, 2));
        assert_eq!(interview(&mut table).unwrap().v6_address.as_deref(), Some("2001:db8::9"));
        table.data.insert((1, 56, 0), v6(0, 0x00, 9, 0));
        assert_eq!(interview(&mut table).unwrap().v6_address.as_deref(), Some("::/0"), "the static one is disabled");
    }

    #[test]
    fn a_silent_bmc_is_asked_once() {
        let mut table = Table { silent: true, ..Table::default() };
        assert!(interview(&mut table).is_err());
        assert_eq!(table.asked, 1);
    }

    struct Anything(Vec<u8>);

    impl InBandBmc for Anything {
        fn ask(&mut self, _: u8, _: u8, _: &[u8]) -> io::Result<Vec<u8>> {
            Ok(self.0.clone())
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_nothing_loops(mut bytes: Vec<u8>, good in any::<bool>()) {
            if good && !bytes.is_empty() { bytes[0] = 0; }
            let bmc = interview(&mut Anything(bytes)).unwrap();
            assert!(bmc.address.is_some() && bmc.v6_address.is_some());
        }
    }
}
