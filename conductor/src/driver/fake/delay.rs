//! How long fake interfaces take: the options of Ironic's `[fake]` section.

use crate::model::node::InterfaceKind;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// A length of time, or a range that is drawn from with the short ones more likely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    shortest: Duration,
    longest: Duration,
}

/// Longest delay that is taken; more would hold the node for a day.
const LONGEST: u64 = 24 * 3600;

impl Delay {
    /// `""`, `"5"` or `"1,60"`: whole seconds.
    ///
    /// # Errors
    /// A text that says what the value must look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no delay: give whole seconds, as in 5, or a range, as in 1,60");
        let seconds = |part: &str| match part.trim().parse::<u64>() {
            Ok(seconds) if seconds <= LONGEST => Ok(Duration::from_secs(seconds)),
            _ => Err(wrong()),
        };
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let (shortest, longest) = match text.split_once(',') {
            Some((shortest, longest)) => (seconds(shortest)?, seconds(longest)?),
            None => (seconds(text)?, seconds(text)?),
        };
        if shortest > longest { Err(wrong()) } else { Ok(Self { shortest, longest }) }
    }

    /// A length for one call; `chance` is evenly drawn from 0 to 1.
    fn draw(self, chance: f64) -> Duration {
        // Triangular, its peak at the short end.
        let span = self.longest - self.shortest;
        self.shortest + span.mul_f64(1.0 - (1.0 - chance.clamp(0.0, 1.0)).sqrt())
    }

    /// Takes as long as it says.
    pub async fn pass(self) {
        if self.longest.is_zero() {
            return;
        }
        let (high, _) = Uuid::new_v4().as_u64_pair();
        tokio::time::sleep(self.draw((high >> 16) as f64 / (1u64 << 48) as f64)).await;
    }
}

/// The delay of each kind of interface.
#[derive(Clone, Debug, Default)]
pub struct FakeDelays(pub BTreeMap<InterfaceKind, Delay>);

impl FakeDelays {
    /// Of one kind; none when it was not set.
    pub fn of(&self, kind: InterfaceKind) -> Delay {
        self.0.get(&kind).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Delay;
    use std::time::Duration;

    #[test]
    fn delays_are_read_as_ironic_writes_them() {
        assert_eq!(Delay::parse("").unwrap(), Delay::default());
        assert_eq!(Delay::parse("5").unwrap().draw(0.7), Duration::from_secs(5));
        for wrong in ["a", "-1", "5,1", "1,2,3", "99999999999", "1.5"] {
            assert!(Delay::parse(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn ranges_are_kept_and_lean_to_the_short_end() {
        let range = Delay::parse(" 1 , 11").unwrap();
        assert_eq!((range.draw(0.0).as_secs(), range.draw(1.0).as_secs()), (1, 11));
        assert!(range.draw(0.5) < Duration::from_secs(6), "half of all calls end in the first third");
    }

    #[tokio::test(start_paused = true)]
    async fn time_passes() {
        let begin = tokio::time::Instant::now();
        Delay::default().pass().await;
        assert!(begin.elapsed().is_zero());
        Delay::parse("2,4").unwrap().pass().await;
        assert!((2..=4).contains(&begin.elapsed().as_secs()));
    }
}
