//! Who has which address: decisions only. Time is given, nothing is saved here.
//!
//! The key is the MAC alone: firmware, iPXE, ramdisk and the installed system send different client identifiers, and a
//! machine that changes its address between them is lost on the way (pains.md 7).

use super::pool::Pool;
use common::mac::Mac;
use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

/// Seconds an offer is kept for its client.
const OFFER_TIME: u64 = 60;
/// Seconds an address is left alone after a client found somebody else using it.
const DECLINE_TIME: u64 = 600;

/// One machine's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Unix seconds; kept afterwards too, while nobody else needs the address.
    pub until: u64,
    /// Acknowledged, not only offered.
    pub bound: bool,
}

/// All leases.
#[derive(Debug)]
pub struct LeaseBook {
    pool: Pool,
    leases: BTreeMap<Mac, Lease>,
    owners: HashMap<Ipv4Addr, Mac>,
    declined: HashMap<Ipv4Addr, u64>,
}

impl LeaseBook {
    /// An empty book.
    pub fn new(pool: Pool) -> Self {
        Self { pool, leases: BTreeMap::new(), owners: HashMap::new(), declined: HashMap::new() }
    }

    /// Takes over a saved lease; one outside the pool, or of an address that is taken, is forgotten.
    pub fn restore(&mut self, mac: Mac, address: Ipv4Addr, until: u64) {
        if self.pool.has(address) && !self.owners.contains_key(&address) {
            self.put(mac, Lease { address, until, bound: true });
        }
    }

    /// An address for this machine: its own, else the wanted one, else a free one, else the longest expired one.
    pub fn offer(&mut self, mac: Mac, wanted: Option<Ipv4Addr>, now: u64) -> Option<Ipv4Addr> {
        if let Some(lease) = self.leases.get_mut(&mac) {
            if !lease.bound || lease.until < now + OFFER_TIME {
                lease.until = lease.until.max(now + OFFER_TIME);
            }
            return Some(lease.address);
        }
        let free = |book: &Self, ip: Ipv4Addr| !book.owners.contains_key(&ip) && !book.is_declined(ip, now);
        let address = wanted
            .filter(|&ip| self.pool.has(ip) && free(self, ip))
            .or_else(|| self.pool.places_of(mac).find(|&ip| free(self, ip)))
            .or_else(|| self.longest_expired(now))?;
        self.put(mac, Lease { address, until: now + OFFER_TIME, bound: false });
        Some(address)
    }

    /// Gives the address for good. False when it is not this machine's to have.
    pub fn bind(&mut self, mac: Mac, address: Ipv4Addr, now: u64, seconds: u32) -> bool {
        let free = self.pool.has(address) && !self.is_declined(address, now);
        match (self.leases.get(&mac), self.owners.get(&address)) {
            (Some(lease), _) if lease.address == address => {}
            (None, None) if free => {} // we forgot, the client did not
            _ => return false,
        }
        self.put(mac, Lease { address, until: now + u64::from(seconds), bound: true });
        true
    }

    /// The machine does not take the offer: another server's was better.
    pub fn drop_offer(&mut self, mac: Mac) {
        if self.leases.get(&mac).is_some_and(|lease| !lease.bound) {
            self.remove(mac);
        }
    }

    /// The machine gives its address back; it gets the same one again if nobody needed it. True if anything changed.
    pub fn release(&mut self, mac: Mac, address: Ipv4Addr, now: u64) -> bool {
        match self.leases.get_mut(&mac) {
            Some(lease) if lease.address == address => {
                lease.until = now;
                true
            }
            _ => false,
        }
    }

    /// Somebody else uses the machine's address. Only an address it was given counts, and never more than a quarter of
    /// the pool at once: a hostile client must not empty it.
    pub fn decline(&mut self, mac: Mac, address: Ipv4Addr, now: u64) -> bool {
        if self.leases.get(&mac).is_none_or(|lease| lease.address != address) {
            return false;
        }
        self.remove(mac);
        self.declined.retain(|_, until| *until > now);
        if self.declined.len() < (self.pool.size() / 4).max(1) as usize {
            self.declined.insert(address, now + DECLINE_TIME);
        }
        true
    }

    /// The machine's present address.
    pub fn address_of(&self, mac: Mac, now: u64) -> Option<Ipv4Addr> {
        self.leases.get(&mac).filter(|lease| lease.bound && lease.until >= now).map(|lease| lease.address)
    }

    /// What is worth saving.
    pub fn bound(&self) -> impl Iterator<Item = (Mac, Lease)> {
        self.leases.iter().filter(|(_, lease)| lease.bound).map(|(&mac, &lease)| (mac, lease))
    }

    fn is_declined(&self, address: Ipv4Addr, now: u64) -> bool {
        self.declined.get(&address).is_some_and(|&until| until > now)
    }

    fn longest_expired(&mut self, now: u64) -> Option<Ipv4Addr> {
        let expired =
            self.leases.iter().filter(|(_, lease)| lease.until < now && !self.is_declined(lease.address, now));
        let (&mac, &lease) = expired.min_by_key(|(_, lease)| lease.until)?;
        self.remove(mac);
        Some(lease.address)
    }

    fn put(&mut self, mac: Mac, lease: Lease) {
        self.remove(mac);
        self.owners.insert(lease.address, mac);
        self.leases.insert(mac, lease);
    }

    fn remove(&mut self, mac: Mac) {
        if let Some(lease) = self.leases.remove(&mac) {
            self.owners.remove(&lease.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
    use std::collections::HashSet;

    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    fn mac(last: u8) -> Mac {
        Mac([0x52, 0x54, 0, 0, 0, last])
    }

    fn book(first: u8, last: u8) -> LeaseBook {
        LeaseBook::new(Pool::new(ip(first), ip(last), ip(1), Ipv4Addr::new(255, 255, 255, 0), &[]).unwrap())
    }

    #[test]
    fn a_machine_keeps_its_address_through_offer_renewal_release_and_expiry() {
        let mut book = book(100, 110);
        let address = book.offer(mac(1), None, 0).unwrap();
        assert_eq!(book.address_of(mac(1), 0), None, "an offer is not a lease");
        assert!(book.bind(mac(1), address, 1, 600));
        assert_eq!(book.address_of(mac(1), 600), Some(address));
        assert_eq!(book.offer(mac(1), Some(ip(105)), 2), Some(address), "the wish of a holder does not count");
        assert!(book.release(mac(1), address, 10));
        assert_eq!(book.offer(mac(1), None, 5000), Some(address));
    }

    #[test]
    fn a_full_pool_takes_the_longest_expired_and_nothing_else() {
        let mut book = book(100, 101);
        for n in 1..=2 {
            let address = book.offer(mac(n), None, 0).unwrap();
            assert!(book.bind(mac(n), address, 0, 100 * u32::from(n)));
        }
        assert_eq!(book.offer(mac(3), None, 50), None);
        let first = book.address_of(mac(1), 0).unwrap();
        assert_eq!(book.offer(mac(3), None, 150), Some(first));
        assert!(!book.bind(mac(1), first, 151, 600), "the old holder must ask anew");
    }

    #[test]
    fn an_address_in_use_by_a_stranger_rests_but_declining_cannot_empty_the_pool() {
        let mut book = book(100, 103);
        let address = book.offer(mac(1), None, 0).unwrap();
        assert!(!book.decline(mac(2), address, 0), "not its address");
        assert!(book.decline(mac(1), address, 0));
        let next = book.offer(mac(1), Some(address), 1).unwrap();
        assert_ne!(next, address);
        for now in 2..100 {
            let address = book.offer(mac(1), None, now).expect("the pool is never empty for one machine");
            book.decline(mac(1), address, now);
        }
        assert_eq!(book.offer(mac(1), Some(address), DECLINE_TIME + 200), Some(address));
    }

    #[test]
    fn a_forgotten_lease_can_be_renewed_and_a_strange_one_not() {
        let mut book = book(100, 103);
        assert!(book.bind(mac(1), ip(102), 0, 600), "the book was lost, the client remembers");
        assert!(!book.bind(mac(2), ip(102), 0, 600));
        assert!(!book.bind(mac(2), ip(99), 0, 600) && !book.bind(mac(2), ip(1), 0, 600));
    }

    proptest! {
        #[test]
        fn no_address_ever_has_two_owners(events in vec((0..5u8, 0..12u8, 95..110u8, 0..400u64), 0..200)) {
            let (mut book, mut now) = (book(100, 107), 0);
            for (event, who, last, later) in events {
                now += later;
                let who = mac(who);
                match event {
                    0 => { book.offer(who, Some(ip(last)), now); }
                    1 => { book.bind(who, ip(last), now, 300); }
                    2 => { book.release(who, ip(last), now); }
                    3 => { book.decline(who, ip(last), now); }
                    _ => book.drop_offer(who),
                }
                let given: Vec<_> = book.leases.values().map(|lease| lease.address).collect();
                prop_assert_eq!(given.iter().collect::<HashSet<_>>().len(), given.len());
                prop_assert_eq!(book.owners.len(), given.len());
                prop_assert!(given.iter().all(|&ip| book.pool.has(ip)));
            }
        }
    }
}
