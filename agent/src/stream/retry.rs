//! The one retry policy of downloads: a bounded number of attempts, a pause, a deadline.

use super::error::FetchError;
use super::request::DownloadRules;
use std::time::{Duration, Instant};

/// An attempt that moved at least so many bytes was not in vain and costs nothing: a large image over a bad line may
/// break often. Progress is bounded by the size of the image, so the number of attempts stays bounded too.
pub const WORTHWHILE: u64 = 16 << 20;

/// Attempts left.
#[derive(Debug)]
pub struct Budget {
    allowed: u32,
    spent: u32,
    pause: Duration,
    deadline: Option<Instant>,
    seconds: u64,
}

impl Budget {
    /// A fresh one; its clock starts now, if that of the rules has not begun.
    pub fn new(rules: &DownloadRules) -> Self {
        Self {
            allowed: rules.retries.saturating_add(1),
            spent: 0,
            pause: rules.pause,
            deadline: rules.ends(),
            seconds: rules.whole.map_or(0, |whole| whole.as_secs()),
        }
    }

    /// Records a failed attempt that brought `moved` new bytes. Returns the pause before the next one.
    ///
    /// # Errors
    /// [`FetchError::GaveUp`] when this was the last, [`FetchError::OutOfTime`] when the pause would outlast the deadline.
    pub fn spend(&mut self, failure: FetchError, moved: u64) -> Result<Duration, FetchError> {
        self.spent = if moved >= WORTHWHILE { 0 } else { self.spent + 1 };
        if self.spent >= self.allowed {
            return Err(FetchError::GaveUp { attempts: self.spent, last: Box::new(failure) });
        }
        if self.deadline.is_some_and(|deadline| Instant::now() + self.pause >= deadline) {
            return Err(self.out_of_time());
        }
        tracing::warn!(failed = %failure, attempt = self.spent, of = self.allowed, "download interrupted, trying again");
        Ok(self.pause)
    }

    /// When everything must be over.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The error for a passed deadline.
    pub fn out_of_time(&self) -> FetchError {
        FetchError::OutOfTime { seconds: self.seconds }
    }
}
