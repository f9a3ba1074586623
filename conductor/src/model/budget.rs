//! Budgets: so much at once for one key, and as much more in each minute. What is not limited here is limited by nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is left to a key.
struct Left {
    amount: f64,
    at: Instant,
}

/// The counts.
pub struct Budgets<K> {
    /// At once, and as many more in each minute; 0: no limit.
    per_minute: f64,
    /// So many keys are remembered; those that have spent least lately are forgotten first.
    most: usize,
    left: Mutex<HashMap<K, Left>>,
}

impl<K: Copy + Eq + Hash> Budgets<K> {
    /// Of this size each, for no more than `most` keys at a time.
    pub fn new(per_minute: u32, most: usize) -> Self {
        Budgets { per_minute: per_minute.into(), most, left: Mutex::default() }
    }

    /// What the key has left now.
    fn now(&self, left: &Left) -> f64 {
        (left.amount + left.at.elapsed().as_secs_f64() * self.per_minute / 60.0).min(self.per_minute)
    }

    /// May the key spend? Else: after how long.
    ///
    /// # Errors
    /// The time to wait.
    pub fn check(&self, key: K) -> Result<(), Duration> {
        self.asked(&self.left.lock().unwrap_or_else(PoisonError::into_inner), key)
    }

    /// Spends one, also when there is none left.
    pub fn spend(&self, key: K) {
        self.spent(&mut self.left.lock().unwrap_or_else(PoisonError::into_inner), key);
    }

    /// Spends one if there is one; many at the same moment get no more than there is.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take(&self, key: K) -> Result<(), Duration> {
        let mut table = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        self.asked(&table, key)?;
        self.spent(&mut table, key);
        Ok(())
    }

    fn asked(&self, table: &HashMap<K, Left>, key: K) -> Result<(), Duration> {
        match table.get(&key).map(|left| self.now(left)) {
            Some(left) if left < 1.0 && self.per_minute > 0.0 => {
                Err(Duration::from_secs_f64((1.0 - left) * 60.0 / self.per_minute))
            }
            _ => Ok(()),
        }
    }

    fn spent(&self, table: &mut HashMap<K, Left>, key: K) {
        if self.per_minute <= 0.0 {
            return;
        }
        if table.len() >= self.most && !table.contains_key(&key) {
            table.retain(|_, left| self.now(left) < self.per_minute);
            let quiet = table.iter().min_by_key(|(_, left)| left.at).map(|(key, _)| *key);
            if let Some(quiet) = quiet.filter(|_| table.len() >= self.most) {
                table.remove(&quiet);
            }
        }
        let amount = table.get(&key).map_or(self.per_minute, |left| self.now(left));
        table.insert(key, Left { amount: (amount - 1.0).max(0.0), at: Instant::now() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_and_time_gives_it_back() {
        let budgets = Budgets::new(60, 10);
        for _ in 0..60 {
            assert_eq!(budgets.check("a"), Ok(()));
            budgets.spend("a");
        }
        assert!(budgets.check("a").is_err_and(|wait| wait <= Duration::from_secs(1)));
        assert_eq!(budgets.check("b"), Ok(()));
        budgets.left.lock().unwrap().get_mut("a").unwrap().at = Instant::now() - Duration::from_secs(2);
        assert_eq!(budgets.check("a"), Ok(()));
        let unlimited = Budgets::new(0, 10);
        for _ in 0..10 {
            unlimited.spend("a");
        }
        assert_eq!(unlimited.check("a"), Ok(()));
    }

    #[test]
    fn what_is_taken_at_the_same_moment_is_no_more_than_there_is() {
        let budgets = Budgets::new(6, 10);
        let taken = std::thread::scope(|scope| {
            let lanes = [(); 4].map(|()| scope.spawn(|| (0..20).filter(|_| budgets.take("a").is_ok()).count()));
            lanes.map(|lane| lane.join().unwrap()).iter().sum::<usize>()
        });
        assert_eq!(taken, 6);
    }

    #[test]
    fn the_table_is_bounded() {
        let budgets = Budgets::new(1, 100);
        for number in 0..300 {
            budgets.spend(number);
        }
        assert!(budgets.left.lock().unwrap().len() <= 100);
        assert!(budgets.check(299).is_err(), "the newest is remembered");
    }
}
