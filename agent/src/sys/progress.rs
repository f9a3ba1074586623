//! How far a long piece of work has come: written by the worker, read by whoever shows it.

use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Shared between the thread that works and the command list that shows it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Progress(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    done: AtomicU64,
    total: AtomicU64,
    cancelled: AtomicBool,
    text: Mutex<String>,
}

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            text: Mutex::new(String::new()),
        }))
    }
}

impl Progress {
    /// What is being done now; also goes to the log.
    pub fn say(&self, text: impl Into<String>) {
        let text = text.into();
        tracing::info!(progress = %text);
        *self.0.text.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = text;
    }

    /// Bytes of the whole work, 0 = unknown; starts counting from zero.
    pub fn expect(&self, total: u64) {
        self.0.total.store(total, Ordering::Relaxed);
        self.0.done.store(0, Ordering::Relaxed);
    }

    /// So many more bytes are done.
    pub fn advance(&self, bytes: u64) {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes done so far.
    pub fn done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// Asks the worker to stop at the next safe point.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// The worker should stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }

    /// `{"text", "bytes", "total_bytes", "percent", "bytes_per_second", "seconds"}` for a command's result while it runs.
    pub fn to_value(&self) -> Value {
        let done = self.done();
        let total = self.0.total.load(Ordering::Relaxed);
        let seconds = self.0.started.elapsed().as_secs_f64();
        let percent = (total > 0).then(|| done.saturating_mul(100).checked_div(total).unwrap_or(0).min(100));
        json!({
            "text": *self.0.text.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
            "bytes": done,
            "total_bytes": (total > 0).then_some(total),
            "percent": percent,
            "bytes_per_second": if seconds > 0.0 { (done as f64 / seconds) as u64 } else { 0 },
            "seconds": (seconds * 10.0).round() / 10.0,
        })
    }
}
