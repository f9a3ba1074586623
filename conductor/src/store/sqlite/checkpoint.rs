//! Moves what is written from the log into the file, beside the writer: nobody waits for it. And gives the log its length
//! before it needs it.
//!
//! SQLite does the first by itself inside whichever commit fills the log, and every request of that moment waits for two syncs
//! of the disk and some megabytes of copying. The second makes a commit one flush of the disk: a file that grows has its new
//! length written and flushed as well. SQLite reads the log up to the first frame whose checksum does not fit (its file
//! format, "The Write-Ahead Log"): zeroes behind it are no frames.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Between two looks at the log: what is left for the commit that fills it is what was written since.
const PAUSE: Duration = Duration::from_millis(250);
/// How long the log is made, bytes: some seconds of a busy site.
const RESERVE: u64 = 32 * 1024 * 1024;
/// How much longer at a time, bytes: the writer waits meanwhile, some milliseconds.
const PIECE: u64 = 4 * 1024 * 1024;

/// Handle to the thread. Dropping it ends the thread.
pub struct Checkpointer {
    _alive: Sender<()>,
}

impl Checkpointer {
    /// Starts the thread on a connection of its own.
    pub fn spawn(connection: Connection, file: &Path) -> std::io::Result<Self> {
        let (alive, ended) = channel::<()>();
        let log = log_of(file);
        let run = move || {
            let mut seen = None;
            while ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                // Changes when another connection has committed.
                let version: Option<i64> = connection.pragma_query_value(None, "data_version", |row| row.get(0)).ok();
                if version.is_some() && version == seen {
                    continue;
                }
                seen = version;
                if let Err(error) = lengthen(&connection, &log) {
                    tracing::debug!(%error, "the database's log is as long as it is");
                }
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
    use uuid::Uuid;

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
