//! Moves what is written from the log into the file, beside the writer: nobody waits for it.
//!
//! SQLite does this by itself inside whichever commit fills the log, and every request of that moment waits for two syncs
//! of the disk and some megabytes of copying.

use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Between two looks at the log.
const PAUSE: Duration = Duration::from_secs(1);
/// A shorter log is not worth the work, bytes.
const LOG: u64 = 4 * 1024 * 1024;

/// Handle to the thread. Dropping it ends the thread.
pub struct Checkpointer {
    _alive: Sender<()>,
}

impl Checkpointer {
    /// Starts the thread on a connection of its own.
    pub fn spawn(connection: Connection, file: &Path) -> std::io::Result<Self> {
        let (alive, ended) = channel::<()>();
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        let log = PathBuf::from(log);
        let run = move || {
            let mut seen = 0;
            while ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                let length = std::fs::metadata(&log).map_or(0, |facts| facts.len());
                // The file keeps its length when the log begins again at its head: what grows or is long is looked at.
                if length < LOG && length == seen {
                    continue;
                }
                seen = length;
                let done = connection.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()));
                if let Err(error) = done {
                    tracing::warn!(%error, "the database's log could not be emptied; trying again");
                }
            }
        };
        std::thread::Builder::new().name("store-checkpoint".into()).spawn(run)?;
        Ok(Self { _alive: alive })
    }
}
