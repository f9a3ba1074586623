//! Moves what is written from the log into the file, beside the writer: nobody waits for it. And gives the log its length
//! before it needs it.
//!
//! SQLite does the first by itself inside whichever commit fills the log, and every request of that moment waits for two syncs
//! of the disk and some megabytes of copying. A disk that is given much at once lets everybody wait, too: little is moved at a
//! time. The log begins anew only when all of it was moved in a moment in which nobody writes, so the writer is asked to move
//! the last of it, which is next to nothing then.
//!
//! The second makes a commit one flush of the disk: a file that grows has its new length written and flushed as well. SQLite
//! reads the log up to the first frame whose checksum does not fit (its file format, "The Write-Ahead Log"): zeroes behind it
//! are no frames.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Between two looks at what was written.
const PAUSE: Duration = Duration::from_millis(20);
/// So many jobs are moved at once: some hundred pages.
const MANY: usize = 200;
/// Fewer are moved after this time.
const LATEST: Duration = Duration::from_secs(1);
/// A log of so many pages of 4096 bytes should begin anew.
const LONG: i64 = 2048;
/// How long the log is made, bytes: some seconds of a busy site.
const RESERVE: u64 = 32 * 1024 * 1024;
/// How much longer at a time, bytes: the writer waits meanwhile, some milliseconds.
const PIECE: u64 = 4 * 1024 * 1024;

/// What the writer and the checkpointer tell each other.
#[derive(Debug, Default)]
pub struct Signals {
    written: AtomicUsize,
    begin_anew: AtomicBool,
}

impl Signals {
    /// So many jobs were committed.
    pub fn wrote(&self, jobs: usize) {
        self.written.fetch_add(jobs, Ordering::Relaxed);
    }

    /// Between two transactions: moves the last of the log if it should begin anew with the next one.
    pub fn rest(&self, connection: &Connection) {
        if self.begin_anew.swap(false, Ordering::Relaxed) {
            move_on(connection);
        }
    }
}

/// Handle to the thread. Dropping it ends the thread.
pub struct Checkpointer {
    _alive: Sender<()>,
}

impl Checkpointer {
    /// Starts the thread on a connection of its own.
    pub fn spawn(connection: Connection, file: &Path, signals: Arc<Signals>) -> std::io::Result<Self> {
        let (alive, ended) = channel::<()>();
        let log = log_of(file);
        let run = move || {
            let (mut moved, mut at) = (0, Instant::now());
            while ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                let written = signals.written.load(Ordering::Relaxed);
                let waiting = written.wrapping_sub(moved);
                if waiting == 0 || (waiting < MANY && at.elapsed() < LATEST) {
                    continue;
                }
                if let Err(error) = lengthen(&connection, &log) {
                    tracing::debug!(%error, "the database's log is as long as it is");
                }
                if move_on(&connection) > LONG {
                    signals.begin_anew.store(true, Ordering::Relaxed);
                }
                (moved, at) = (written, Instant::now());
            }
        };
        std::thread::Builder::new().name("store-checkpoint".into()).spawn(run)?;
        Ok(Self { _alive: alive })
    }
}

/// Moves what can be moved without waiting for anybody. Returns how long the log is, in pages.
fn move_on(connection: &Connection) -> i64 {
    connection.query_row("pragma wal_checkpoint(passive)", [], |row| row.get(1)).unwrap_or_else(|error| {
        tracing::warn!(%error, "the database's log could not be emptied; trying again");
        0
    })
}

fn log_of(file: &Path) -> PathBuf {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Writes zeroes behind the log's end, one piece. The writer's lock is held: nobody else writes there meanwhile.
fn lengthen(connection: &Connection, log: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let short = |file: &File| file.metadata().map(|facts| facts.len()).map(|length| (1..RESERVE).contains(&length));
    let mut file = OpenOptions::new().write(true).open(log)?;
    if !short(&file)? {
        return Ok(());
    }
    let lock = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    if short(&file)? {
        let end = file.seek(SeekFrom::End(0))?;
        let zeroes = vec![0; usize::try_from(PIECE.min(RESERVE - end))?];
        file.write_all(&zeroes)?;
        file.sync_all()?;
    }
    Ok(lock.rollback()?)
}

#[cfg(test)]
mod tests {
    use super::super::SqliteStore;
    use super::*;
    use crate::model::node::Node;
    use crate::store::Store;
    use crate::store::sqlite::schema;
    use std::io::Read;
    use uuid::Uuid;

    #[tokio::test]
    async fn a_busy_log_begins_anew_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let store = SqliteStore::open(&path, 3).unwrap();
        let header = || {
            let mut header = [0; 16];
            File::open(log_of(&path)).unwrap().read_exact(&mut header).unwrap();
            header[12..].to_vec() // counts how often it began
        };
        let mut seen = std::collections::BTreeSet::new();
        let begun = Instant::now();
        while seen.len() < 3 {
            let make = |_| store.create_node(Node::new(Uuid::new_v4(), "fake-hardware"));
            futures_util::future::try_join_all((0..64).map(make)).await.unwrap();
            seen.insert(header());
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not begin anew");
        }
        let length = std::fs::metadata(log_of(&path)).unwrap().len();
        assert!(
            length < u64::from(schema::LOG_PAGES) * 4096,
            "it grew to {length} bytes: SQLite itself began it anew, in a commit"
        );
    }

    #[tokio::test]
    async fn a_longer_log_holds_the_same_records_also_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("db"), folder.path().join("copy"));
        let store = SqliteStore::open(&path, 3).unwrap();
        let make = async || store.create_node(Node::new(Uuid::new_v4(), "fake-hardware")).await.unwrap().uuid;
        let mut made = vec![make().await];
        let (connection, log) = (schema::open(&path).unwrap(), log_of(&path));
        let length = || std::fs::metadata(&log).unwrap().len();
        let before = length();
        while length() < RESERVE {
            let known = length();
            lengthen(&connection, &log).unwrap();
            assert!(length() > known && length() - known <= PIECE);
            made.push(make().await);
        }
        assert!(before > 0 && length() == RESERVE);
        lengthen(&connection, &log).unwrap();
        assert_eq!(length(), RESERVE, "long enough");
        // As a kill leaves it: the log was never moved into the file.
        std::fs::copy(&path, &copy).unwrap();
        std::fs::copy(&log, log_of(&copy)).unwrap();
        let store = SqliteStore::open(&copy, 3).unwrap();
        for node in &made {
            assert_eq!(store.node(&node.to_string()).await.unwrap().uuid, *node);
        }
        assert!(lengthen(&connection, &folder.path().join("no-log")).is_err());
    }
}
