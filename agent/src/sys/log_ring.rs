//! The last part of our own log, kept in memory so that it can be sent with the log bundle.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tracing_subscriber::fmt::MakeWriter;

/// Bytes kept.
const CAPACITY: usize = 2 << 20;

/// A bounded log; clones share it. Give one to `tracing_subscriber::fmt::layer().with_writer(...)`.
#[derive(Clone, Debug)]
pub struct LogRing {
    lines: Arc<Mutex<Lines>>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Lines {
    bytes: VecDeque<u8>,
    lost: u64,
}

impl LogRing {
    /// Keeps the last `capacity` bytes.
    pub fn new(capacity: usize) -> LogRing {
        LogRing { lines: Arc::default(), capacity }
    }

    /// The ring of this process.
    pub fn of_this_process() -> LogRing {
        static RING: OnceLock<LogRing> = OnceLock::new();
        RING.get_or_init(|| LogRing::new(CAPACITY)).clone()
    }

    /// What it holds; begins with a note when older lines were dropped.
    pub fn contents(&self) -> Vec<u8> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::with_capacity(lines.bytes.len() + 64);
        if lines.lost > 0 {
            all.extend(format!("({} older bytes were dropped)\n", lines.lost).bytes());
        }
        all.extend(&lines.bytes);
        all
    }

    fn push(&self, text: &[u8]) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = text.get(text.len().saturating_sub(self.capacity)..).unwrap_or_default();
        let mut over = (lines.bytes.len() + kept.len()).saturating_sub(self.capacity);
        if over > 0 {
            // Whole lines go, so that the first one left can be read.
            let rest = lines.bytes.iter().skip(over).position(|&byte| byte == b'\n');
            let held = lines.bytes.len();
            over = rest.map_or(held, |rest| over + rest + 1).min(held);
            lines.bytes.drain(..over);
        }
        lines.lost += (over + text.len() - kept.len()) as u64;
        lines.bytes.extend(kept);
    }
}

impl Write for LogRing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogRing {
    type Writer = LogRing;

    fn make_writer(&'a self) -> LogRing {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::LogRing;
    use std::io::Write;

    #[test]
    fn old_lines_go_whole_and_memory_stays_bounded() {
        let ring = LogRing::new(100);
        for number in 0..1000 {
            writeln!(ring.clone(), "line {number}").unwrap();
        }
        let text = String::from_utf8(ring.contents()).unwrap();
        assert!(text.starts_with('(') && text.contains("older bytes were dropped"), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("line ")), "{text}");
        assert!(text.ends_with("line 999\n") && text.len() < 160);
        writeln!(ring.clone(), "{}", "x".repeat(1000)).unwrap();
        assert!(ring.contents().len() < 160);
    }

    #[test]
    fn it_takes_what_tracing_writes() {
        let ring = LogRing::new(1000);
        let subscriber = tracing_subscriber::fmt().with_writer(ring.clone()).with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, || tracing::warn!(disk = "sda", "slow"));
        assert!(String::from_utf8(ring.contents()).unwrap().contains("slow disk=\"sda\""));
    }
}
