//! Calls without credentials may fail so often, for each client address: whoever guesses MACs or tokens is slowed down.
//!
//! Only refusals count here, so two hundred agents behind one address, or ten thousand heartbeats a second, are not held up; and
//! a guess that is turned away costs no look into the database. Heartbeats that are accepted count against their node.

use crate::model::budget::Budgets;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// So many addresses are remembered.
const ADDRESSES: usize = 4096;

/// Whence a request came, as far as limits care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// The counts.
pub struct Guesses(Budgets<IpAddr>);

impl Guesses {
    /// With this many failures a minute; 0: no limit.
    pub fn new(per_minute: u32) -> Self {
        Guesses(Budgets::new(per_minute, ADDRESSES))
    }

    /// May the address ask? Else: after how long.
    ///
    /// # Errors
    /// The time to wait.
    pub fn check(&self, peer: Peer) -> Result<(), Duration> {
        self.0.check(network(peer.0))
    }

    /// It asked for what is not there or not its own.
    pub fn failed(&self, peer: Peer) {
        self.0.spend(network(peer.0));
    }
}

/// Whoever has one IPv6 address has all of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer(text.parse().unwrap())
    }

    #[test]
    fn an_address_in_other_words_is_the_same_and_a_network_of_addresses_is_one() {
        let guesses = Guesses::new(1);
        guesses.failed(peer("192.0.2.1"));
        assert!(guesses.check(peer("::ffff:192.0.2.1")).is_err() && guesses.check(peer("192.0.2.2")).is_ok());
        guesses.failed(peer("2001:db8::1"));
        assert!(guesses.check(peer("2001:db8::ffff:2")).is_err() && guesses.check(peer("2001:db8:0:1::1")).is_ok());
    }
}
