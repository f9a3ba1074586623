//! What tokens proved, for a while: bounded, by digests with a key of this process, so that memory holds no token.

use super::Proof;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A token as the cache knows it.
pub type Key = [u8; 32];

/// One answer.
struct Entry {
    /// `None`: the token is worth nothing.
    proof: Option<Proof>,
    /// Ask again from here on.
    until: Instant,
    /// The token's own end.
    expires: Option<Timestamp>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<Key, Entry>,
    /// Oldest first. May name entries that are gone.
    order: VecDeque<Key>,
}

/// The answers.
pub struct Cache {
    secret: [u8; 32],
    time: Duration,
    size: usize,
    kept: Mutex<Kept>,
}

impl Cache {
    /// Keeps `size` answers for `time`; no time: none.
    pub fn new(time: Duration, size: usize) -> Self {
        Cache { secret: rand::random(), time, size, kept: Mutex::default() }
    }

    /// What the cache calls a token; `kind` tells apart what the same token was asked for.
    pub fn key(&self, token: &str, kind: u8) -> Key {
        Sha256::new().chain_update(self.secret).chain_update([kind]).chain_update(token).finalize().into()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `Some(None)`: known to be worth nothing. A token that has run out since is not known.
    pub fn get(&self, key: &Key) -> Option<Option<Proof>> {
        let kept = self.kept();
        let entry = kept.entries.get(key)?;
        let over = entry.until <= Instant::now() || entry.expires.is_some_and(|end| end <= Timestamp::now());
        (!over).then(|| entry.proof.clone())
    }

    /// Remembers an answer.
    pub fn put(&self, key: Key, proof: Option<Proof>, expires: Option<Timestamp>) {
        if self.time.is_zero() || self.size == 0 {
            return;
        }
        let entry = Entry { proof, until: Instant::now() + self.time, expires };
        let mut kept = self.kept();
        if kept.entries.insert(key, entry).is_none() {
            kept.order.push_back(key);
        }
        while kept.order.len() > self.size {
            if let Some(oldest) = kept.order.pop_front() {
                kept.entries.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(user: &str) -> Option<Proof> {
        Some(Proof { user: Some(user.into()), ..Proof::default() })
    }

    #[test]
    fn answers_are_bounded_in_number_and_time() {
        let cache = Cache::new(Duration::from_secs(60), 2);
        for name in ["a", "b", "c"] {
            cache.put(cache.key(name, 0), proof(name), None);
        }
        assert_eq!(cache.get(&cache.key("a", 0)), None, "the oldest is gone");
        assert_eq!(cache.get(&cache.key("c", 0)), Some(proof("c")));
        assert_eq!(cache.get(&cache.key("c", 1)), None, "asked for something else");
        cache.put(cache.key("c", 0), None, None);
        assert_eq!(cache.get(&cache.key("c", 0)), Some(None));
        let past = Timestamp::now() - jiff::SignedDuration::from_secs(1);
        cache.put(cache.key("d", 0), proof("d"), Some(past));
        assert_eq!(cache.get(&cache.key("d", 0)), None, "it has run out");
        let none = Cache::new(Duration::ZERO, 2);
        none.put(none.key("a", 0), proof("a"), None);
        assert_eq!(none.get(&none.key("a", 0)), None);
    }
}
