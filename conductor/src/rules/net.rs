//! Addresses and networks as the operator `in-net` reads them.

use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: its address, how many leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `2001:db8::/32`, or one address.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, mask) = text.trim().split_once('/').map_or((text.trim(), None), |(a, mask)| (a, Some(mask)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match mask {
            None => most,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= most)?
            }
            Some(mask) => mask_length(mask.parse().ok()?)?,
        };
        Some(Network { address, prefix })
    }

    /// The address lies in the network. One of the other family never does.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                u32::from(a).checked_shr(32 - u32::from(self.prefix)).unwrap_or(0)
                    == u32::from(b).checked_shr(32 - u32::from(self.prefix)).unwrap_or(0)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                u128::from(a).checked_shr(128 - u32::from(self.prefix)).unwrap_or(0)
                    == u128::from(b).checked_shr(128 - u32::from(self.prefix)).unwrap_or(0)
            }
            _ => false,
        }
    }
}

/// Bits of `255.255.0.0`, or of its reverse `0.0.255.255`.
fn mask_length(mask: IpAddr) -> Option<u8> {
    let (bits, width): (u128, u32) = match mask {
        IpAddr::V4(mask) => (u128::from(u32::from(mask)) << 96, 32),
        IpAddr::V6(mask) => (u128::from(mask), 128),
    };
    let count = |bits: u128| -> Option<u8> {
        let ones = bits.leading_ones().min(width);
        let rest = if ones == 128 { 0 } else { bits << ones };
        (rest == 0).then(|| u8::try_from(ones).ok()).flatten()
    };
    let reverse = if width == 32 { !bits & (u128::from(u32::MAX) << 96) } else { !bits };
    count(bits).or_else(|| count(reverse))
}

/// An address as text, or as a number.
pub fn address(value: &Value) -> Option<IpAddr> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => {
            let number = number.as_u64()?;
            Some(u32::try_from(number).map_or_else(
                |_| IpAddr::V6(Ipv6Addr::from(u128::from(number))),
                |number| IpAddr::V4(Ipv4Addr::from(number)),
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lies(address: &str, network: &str) -> Option<bool> {
        Some(Network::parse(network)?.contains(address.parse().ok()?))
    }

    #[test]
    fn networks_of_both_families() {
        assert_eq!(lies("10.1.2.3", "10.0.0.0/8"), Some(true));
        assert_eq!(lies("10.1.2.3", "10.9.9.9/8"), Some(true), "host bits do not matter");
        assert_eq!(lies("11.1.2.3", "10.0.0.0/255.0.0.0"), Some(false));
        assert_eq!(lies("10.1.2.3", "10.0.0.0/0.255.255.255"), Some(true));
        assert_eq!(lies("10.1.2.3", "0.0.0.0/0"), Some(true));
        assert_eq!(lies("10.1.2.3", "10.1.2.3"), Some(true));
        assert_eq!(lies("2001:db8::1", "2001:db8::/32"), Some(true));
        assert_eq!(lies("2001:db9::1", "2001:db8::/ffff:ffff::"), Some(false));
        assert_eq!(lies("10.1.2.3", "::/0"), Some(false));
        for wrong in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/255.0.255.0", "x/8", "::/129", "10.0.0.0/-1"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn an_address_lies_in_every_network_around_it(bits: u32, prefix in 0u8..=32) {
            let address = Ipv4Addr::from(bits);
            let network = Network::parse(&format!("{address}/{prefix}")).unwrap();
            proptest::prop_assert!(network.contains(address.into()));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-f.:/x]{0,24}") {
            let _ = Network::parse(&text);
        }
    }
}
