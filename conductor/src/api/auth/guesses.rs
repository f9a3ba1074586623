//! Calls without credentials may fail so often, for each client address: whoever guesses MACs or tokens is slowed down.
//!
//! Only refusals count. Agents that are known may call as often as they like, so two hundred behind one address, or ten
//! thousand heartbeats a second, are not held up; and a guess that is turned away costs no look into the database.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many addresses are remembered; those that have behaved longest are forgotten first.
const ADDRESSES: usize = 4096;

/// Whence a request came, as far as limits care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// What is left to an address.
struct Left {
    failures: f64,
    at: Instant,
}

/// The counts.
pub struct Guesses {
    /// At once, and as many more in each minute; 0: no limit.
    per_minute: f64,
    left: Mutex<HashMap<IpAddr, Left>>,
}

impl Guesses {
    /// With this many failures a minute.
    pub fn new(per_minute: u32) -> Self {
        Guesses { per_minute: per_minute.into(), left: Mutex::default() }
    }

    /// What the address has left now.
    fn now(&self, left: &Left) -> f64 {
        (left.failures + left.at.elapsed().as_secs_f64() * self.per_minute / 60.0).min(self.per_minute)
    }

    /// May the address ask? Else: after how long.
    ///
    /// # Errors
    /// The time to wait.
    pub fn check(&self, peer: Peer) -> Result<(), Duration> {
        let table = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        match table.get(&network(peer.0)).map(|left| self.now(left)) {
            Some(left) if left < 1.0 && self.per_minute > 0.0 => {
                Err(Duration::from_secs_f64((1.0 - left) * 60.0 / self.per_minute))
            }
            _ => Ok(()),
        }
    }

    /// It asked for what is not there or not its own.
    pub fn failed(&self, peer: Peer) {
        if self.per_minute <= 0.0 {
            return;
        }
        let address = network(peer.0);
        let mut table = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= ADDRESSES && !table.contains_key(&address) {
            table.retain(|_, left| self.now(left) < self.per_minute);
            let quiet = table.iter().min_by_key(|(_, left)| left.at).map(|(address, _)| *address);
            if let Some(quiet) = quiet.filter(|_| table.len() >= ADDRESSES) {
                table.remove(&quiet);
            }
        }
        let failures = table.get(&address).map_or(self.per_minute, |left| self.now(left));
        table.insert(address, Left { failures: (failures - 1.0).max(0.0), at: Instant::now() });
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
    fn failures_are_counted_for_each_address_and_forgiven_with_time() {
        let guesses = Guesses::new(60);
        let (bad, good) = (peer("192.0.2.1"), peer("192.0.2.2"));
        for _ in 0..60 {
            assert_eq!(guesses.check(bad), Ok(()));
            guesses.failed(bad);
        }
        assert!(guesses.check(bad).is_err_and(|wait| wait <= Duration::from_secs(1)));
        assert!(guesses.check(peer("::ffff:192.0.2.1")).is_err(), "the same address in other words");
        assert_eq!(guesses.check(good), Ok(()));
        guesses.left.lock().unwrap().get_mut(&bad.0).unwrap().at = Instant::now() - Duration::from_secs(2);
        assert_eq!(guesses.check(bad), Ok(()));
        let never = Guesses::new(0);
        for _ in 0..10 {
            never.failed(bad);
        }
        assert_eq!(never.check(bad), Ok(()));
    }

    #[test]
    fn a_network_of_addresses_is_one_and_the_table_is_bounded() {
        let guesses = Guesses::new(1);
        guesses.failed(peer("2001:db8::1"));
        assert!(guesses.check(peer("2001:db8::ffff:2")).is_err() && guesses.check(peer("2001:db8:0:1::1")).is_ok());
        for number in 0..u32::try_from(ADDRESSES).unwrap() + 100 {
            guesses.failed(Peer(IpAddr::V4(number.into())));
        }
        assert!(guesses.left.lock().unwrap().len() <= ADDRESSES);
    }
}
