//! What only the kernel's network interface can say: permanent addresses, supported speeds, IP addresses.

use nix::ifaddrs::getifaddrs;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

/// `SIOCETHTOOL` of `linux/sockios.h`.
mod order {
    nix::ioctl_readwrite_bad!(ethtool, 0x8946, nix::libc::ifreq);
}

/// Numbers from `linux/ethtool.h`.
const GET_PERMANENT_ADDRESS: u32 = 0x20;
const GET_LINK_SETTINGS: u32 = 0x4c;
/// Words before the link mode masks in `struct ethtool_link_settings`.
const SETTINGS_WORDS: usize = 12;
/// Most words of one mask that a kernel may ask for.
const MAX_MASK_WORDS: usize = 127;

/// Fastest first: speed in Mbit/s and the link mode bits that have it.
const SPEEDS: [(u64, &[std::ops::RangeInclusive<usize>]); 14] = [
    (800_000, &[93..=97]),
    (400_000, &[69..=73, 85..=89]),
    (200_000, &[62..=66, 80..=84]),
    (100_000, &[36..=39, 57..=61, 75..=79]),
    (56_000, &[27..=30]),
    (50_000, &[34..=35, 40..=40, 52..=56]),
    (40_000, &[23..=26]),
    (25_000, &[31..=33]),
    (20_000, &[21..=22]),
    (10_000, &[12..=12, 18..=20, 42..=46]),
    (5_000, &[48..=48]),
    (2_500, &[15..=15, 47..=47]),
    (1_000, &[4..=5, 17..=17, 41..=41, 68..=68]),
    (100, &[2..=3, 67..=67, 90..=91]),
];

/// A socket to ask about interfaces with; needs no privilege.
#[derive(Debug)]
pub struct Ethtool {
    socket: OwnedFd,
}

impl Ethtool {
    /// Opens it.
    ///
    /// # Errors
    /// As from `socket(2)`.
    pub fn open() -> std::io::Result<Ethtool> {
        let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        Ok(Ethtool { socket })
    }

    /// The address burnt into the hardware, whatever the interface uses now; `None` if it has none.
    pub fn permanent_address(&self, interface: &str) -> Option<Vec<u8>> {
        // command, size, then up to 32 bytes
        let mut words = [0u32; 10];
        words[0] = GET_PERMANENT_ADDRESS;
        words[1] = 32;
        self.ask(interface, &mut words)?;
        let size = usize::try_from(words[1]).ok()?.min(32);
        let bytes: Vec<u8> = words.get(2..)?.iter().flat_map(|word| word.to_ne_bytes()).take(size).collect();
        bytes.iter().any(|&byte| byte != 0).then_some(bytes)
    }

    /// The fastest speed that the port supports, Mbit/s.
    pub fn fastest(&self, interface: &str) -> Option<u64> {
        // The kernel first says how many words its masks have (as a negative number), then fills them.
        let mut words = [0u32; SETTINGS_WORDS + 3 * MAX_MASK_WORDS];
        words[0] = GET_LINK_SETTINGS;
        self.ask(interface, &mut words)?;
        let wanted = words[3].to_ne_bytes()[3].cast_signed().checked_neg().filter(|&count| count > 0)?;
        words = [0; SETTINGS_WORDS + 3 * MAX_MASK_WORDS];
        words[0] = GET_LINK_SETTINGS;
        words[3] = u32::from_ne_bytes([0, 0, 0, wanted.cast_unsigned()]);
        self.ask(interface, &mut words)?;
        fastest_of(words.get(SETTINGS_WORDS..SETTINGS_WORDS + usize::try_from(wanted).ok()?)?)
    }

    /// `words` must be as large as the command that its first word names can fill.
    fn ask(&self, interface: &str, words: &mut [u32]) -> Option<()> {
        let name = interface.as_bytes();
        if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains(&0) {
            return None;
        }
        // SAFETY: ifreq is plain data for which all zeroes is valid.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (place, byte) in request.ifr_name.iter_mut().zip(name) {
            *place = byte.cast_signed();
        }
        request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
        // SAFETY: the request and the buffer it points at outlive the call; both callers above give room for the
        // largest answer of their command.
        unsafe { order::ethtool(self.socket.as_raw_fd(), &raw mut request) }.ok().map(drop)
    }
}

/// The fastest speed in a mask of link modes.
pub fn fastest_of(mask: &[u32]) -> Option<u64> {
    let has = |bit: usize| mask.get(bit / 32).is_some_and(|word| word & (1 << (bit % 32)) != 0);
    let found = SPEEDS.iter().find(|(_, modes)| modes.iter().any(|modes| modes.clone().any(has)));
    found.map(|(speed, _)| *speed).or_else(|| (has(0) || has(1)).then_some(10))
}

/// First IPv4 and first IPv6 address of every interface; link-local IPv6 with its scope (`fe80::1%eth0`).
pub fn addresses() -> BTreeMap<String, (Option<String>, Option<String>)> {
    let mut known: BTreeMap<String, (Option<String>, Option<String>)> = BTreeMap::new();
    for (interface, address) in all_addresses() {
        let entry = known.entry(interface.clone()).or_default();
        match address {
            IpAddr::V4(v4) => {
                entry.0.get_or_insert(v4.to_string());
            }
            IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                entry.1.get_or_insert(format!("{v6}%{interface}"));
            }
            IpAddr::V6(v6) => {
                entry.1.get_or_insert(v6.to_string());
            }
        }
    }
    known
}

/// Every address of every interface, in the kernel's order.
pub fn all_addresses() -> Vec<(String, IpAddr)> {
    let Ok(list) = getifaddrs() else { return Vec::new() };
    let address = |storage: nix::sys::socket::SockaddrStorage| {
        let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    list.filter_map(|entry| Some((entry.interface_name, address(entry.address?)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::{Ethtool, addresses, fastest_of};

    #[test]
    fn the_fastest_mode_of_a_mask_counts() {
        assert_eq!(fastest_of(&[]), None);
        assert_eq!(fastest_of(&[0b11_1111]), Some(1000));
        assert_eq!(fastest_of(&[1 | 1 << 12]), Some(10_000));
        assert_eq!(fastest_of(&[1 << 31 | 1, 1]), Some(25_000));
        assert_eq!(fastest_of(&[0, 0, 1 << (93 - 64)]), Some(800_000));
        assert_eq!(fastest_of(&[1]), Some(10));
    }

    #[test]
    fn loopback_has_no_permanent_address_and_bad_names_are_refused() {
        let ethtool = Ethtool::open().unwrap();
        for name in ["lo", "", "a-name-that-is-far-too-long", "nul\0"] {
            assert_eq!((ethtool.permanent_address(name), ethtool.fastest(name)), (None, None), "{name}");
        }
        assert_eq!(addresses().get("lo").and_then(|both| both.0.as_deref()), Some("127.0.0.1"));
    }
}
