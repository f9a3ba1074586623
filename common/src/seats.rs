//! Seats of a service: so many for one address, so many in all. Whoever asks from one place keeps nobody else out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The seats and who has how many.
pub struct Seats {
    in_all: usize,
    per_address: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A seat; free again when it is dropped.
pub struct Seat {
    seats: Arc<Seats>,
    address: IpAddr,
}

impl Seats {
    /// All free.
    pub fn new(in_all: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { in_all, per_address, taken: Mutex::default() })
    }

    /// A seat for this address. `None`: it has enough, or there are no more.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&address).copied().unwrap_or_default();
        if own >= self.per_address || taken.values().sum::<usize>() >= self.in_all {
            return None;
        }
        taken.insert(address, own + 1);
        Some(Seat { seats: Arc::clone(self), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_its_share_and_all_have_what_there_is() {
        let seats = Seats::new(3, 2);
        let (one, two): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let first = seats.take(one).unwrap();
        let _second = seats.take(one).unwrap();
        assert!(seats.take(one).is_none(), "its share");
        let _third = seats.take(two).unwrap();
        assert!(seats.take(two).is_none(), "all of them");
        drop(first);
        let _again = seats.take(two).unwrap();
        assert!(seats.take(one).is_none());
    }
}
