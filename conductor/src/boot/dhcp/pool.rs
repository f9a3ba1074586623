//! The range of addresses a DHCP server gives, checked against its network.

use common::mac::Mac;
use std::net::Ipv4Addr;

/// Largest pool.
const MAX_ADDRESSES: u32 = 65_536;

/// The addresses to give.
#[derive(Clone, Debug)]
pub struct Pool {
    first: u32,
    last: u32,
    taken: Vec<Ipv4Addr>,
}

/// The pool cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPool {
    /// Wrong order or too large.
    #[error(
        "the DHCP range {0} to {1} is empty or has more than {MAX_ADDRESSES} addresses; correct [dhcp]range_start, range_end"
    )]
    Range(Ipv4Addr, Ipv4Addr),
    /// Not in one network with the server.
    #[error(
        "the DHCP range {0} to {1} is not in the network of {2} with netmask {3}; correct [dhcp]range_start, range_end, netmask"
    )]
    Network(Ipv4Addr, Ipv4Addr, Ipv4Addr, Ipv4Addr),
}

impl Pool {
    /// From `first` to `last`; the server's own and other `taken` addresses are never given, nor the network's first and
    /// last.
    pub fn new(
        first: Ipv4Addr,
        last: Ipv4Addr,
        server: Ipv4Addr,
        netmask: Ipv4Addr,
        taken: &[Ipv4Addr],
    ) -> Result<Self, BadPool> {
        let (from, to, mask) = (u32::from(first), u32::from(last), u32::from(netmask));
        if from > to || to - from >= MAX_ADDRESSES {
            return Err(BadPool::Range(first, last));
        }
        let network = u32::from(server) & mask;
        let contiguous = mask.leading_ones() + mask.trailing_zeros() == 32;
        if !contiguous || from & mask != network || to & mask != network {
            return Err(BadPool::Network(first, last, server, netmask));
        }
        let mut taken = taken.to_vec();
        taken.extend([server, Ipv4Addr::from(network), Ipv4Addr::from(network | !mask)]);
        Ok(Self { first: from, last: to, taken })
    }

    /// The address may be given.
    pub(super) fn has(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&u32::from(address)) && !self.taken.contains(&address)
    }

    /// How many there are, taken ones included.
    pub(super) fn size(&self) -> u32 {
        self.last - self.first + 1
    }

    /// All addresses, from one that depends on the MAC: machines keep their place without any record.
    pub(super) fn places_of(&self, mac: Mac) -> impl Iterator<Item = Ipv4Addr> {
        let seed = mac.0.iter().fold(2_166_136_261u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
        let (first, size) = (self.first, self.size());
        (0..size).map(move |step| Ipv4Addr::from(first + (seed % size + step) % size)).filter(|&ip| self.has(ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    #[test]
    fn pools_lie_in_the_servers_network_and_skip_what_is_taken() {
        let mask = Ipv4Addr::new(255, 255, 255, 0);
        assert!(Pool::new(ip(20), ip(10), ip(1), mask, &[]).is_err());
        assert!(Pool::new(ip(20), Ipv4Addr::new(10, 0, 1, 20), ip(1), mask, &[]).is_err());
        assert!(Pool::new(ip(20), ip(30), Ipv4Addr::new(10, 1, 0, 1), mask, &[]).is_err());
        assert!(Pool::new(ip(20), ip(30), ip(1), Ipv4Addr::new(255, 0, 255, 0), &[]).is_err());
        let pool = Pool::new(ip(0), ip(3), ip(1), mask, &[ip(2)]).unwrap();
        assert_eq!(pool.places_of(Mac([2, 0, 0, 0, 0, 1])).collect::<Vec<_>>(), vec![ip(3)]);
    }
}
