//! One log line, and one text for the command's result, every few seconds.

use super::error::StreamError;
use crate::sys::progress::Progress;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(5);
const MIB: f64 = 1024.0 * 1024.0;

/// Counts bytes of one activity into a [`Progress`].
pub struct Ticker<'a> {
    progress: &'a Progress,
    doing: String,
    total: u64,
    started: Instant,
    last: Instant,
}

impl<'a> Ticker<'a> {
    /// Begins an activity of `total` bytes, 0 if nobody knows.
    pub fn new(progress: &'a Progress, doing: impl Into<String>, total: u64) -> Self {
        let doing = doing.into();
        progress.expect(total);
        progress.say(doing.clone());
        let now = Instant::now();
        Self { progress, doing, total, started: now, last: now }
    }

    /// So many more bytes are done.
    ///
    /// # Errors
    /// [`StreamError::Cancelled`] when somebody asked to stop.
    pub fn advance(&mut self, bytes: u64) -> Result<(), StreamError> {
        self.progress.advance(bytes);
        if self.progress.is_cancelled() {
            return Err(StreamError::Cancelled);
        }
        if self.last.elapsed() >= EVERY {
            self.last = Instant::now();
            let done = self.progress.done();
            let rate = done as f64 / MIB / self.started.elapsed().as_secs_f64().max(0.001);
            let share = match done.saturating_mul(100).checked_div(self.total) {
                Some(percent) => format!("{}% of {:.0} MiB", percent.min(100), self.total as f64 / MIB),
                None => format!("{:.0} MiB", done as f64 / MIB),
            };
            self.progress.say(format!("{}: {share}, {rate:.0} MiB/s", self.doing));
        }
        Ok(())
    }
}
