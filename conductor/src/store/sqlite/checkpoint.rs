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
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

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

/// A write of zeroes, bytes. The kernel keeps what one write brought in one piece of its memory, and looks at all of a piece
/// whenever a page of it is written anew: with pieces of megabytes that was a tenth of the work of a commit.
const PAGE: usize = 4096;

/// What both ends see.
#[derive(Debug, Default)]
struct State {
    /// Jobs that were committed so far.
    written: AtomicUsize,
    /// The checkpointer sleeps until something is written.
    sleeps: AtomicBool,
    /// The writer moves the last of the log. Only one can move at a time: meanwhile the checkpointer does not.
    begin_anew: AtomicBool,
}

/// The writer's end of the checkpointer; dropping it ends the thread.
#[derive(Debug)]
pub struct Signals {
    state: Arc<State>,
    bell: SyncSender<()>,
}

impl Signals {
    /// So many jobs were committed.
    pub fn wrote(&self, jobs: usize) {
        let before = self.state.written.fetch_add(jobs, Ordering::SeqCst);
        if self.state.sleeps.swap(false, Ordering::SeqCst) || before / MANY != (before + jobs) / MANY {
            let _ = self.bell.try_send(()); // it rings already, or there is nobody to hear it
        }
    }

    /// Between two transactions: moves the last of the log if it should begin anew with the next one.
    pub fn rest(&self, connection: &Connection) {
        if self.state.begin_anew.load(Ordering::SeqCst) {
            move_on(connection);
            self.state.begin_anew.store(false, Ordering::SeqCst);
        }
    }
}

/// Starts the thread on a connection of its own.
///
/// # Errors
/// When there can be no more threads.
pub fn spawn(connection: Connection, file: &Path) -> std::io::Result<Signals> {
    let (bell, heard) = sync_channel(1);
    let state = Arc::<State>::default();
    let (log, seen) = (log_of(file), Arc::clone(&state));
    let run = move || run(&connection, &log, &seen, &heard);
    std::thread::Builder::new().name("store-checkpoint".into()).spawn(run)?;
    Ok(Signals { state, bell })
}

fn run(connection: &Connection, log: &Path, state: &State, bell: &Receiver<()>) {
    let (mut moved, mut at) = (0, Instant::now());
    loop {
        state.sleeps.store(true, Ordering::SeqCst);
        if state.written.load(Ordering::SeqCst) == moved && bell.recv().is_err() {
            return;
        }
        if state.written.load(Ordering::SeqCst).wrapping_sub(moved) < MANY
            && bell.recv_timeout(LATEST.saturating_sub(at.elapsed())) == Err(RecvTimeoutError::Disconnected)
        {
            return;
        }
        if state.begin_anew.load(Ordering::SeqCst) {
            moved = state.written.load(Ordering::SeqCst);
            continue;
        }
        if let Err(error) = lengthen(connection, log) {
            tracing::debug!(%error, "the database's log is as long as it is");
        }
        (moved, at) = (state.written.load(Ordering::SeqCst), Instant::now());
        if move_on(connection) > LONG {
            state.begin_anew.store(true, Ordering::SeqCst);
        }
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
        zeroes.chunks(PAGE).try_for_each(|page| file.write_all(page))?;
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

    #[test]
    fn a_long_log_begins_anew_when_the_writer_moves_the_last_of_it_between_two_transactions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let (writer, other) = (schema::open(&path).unwrap(), schema::open(&path).unwrap());
        writer.execute_batch("create table things (thing blob)").unwrap();
        let write = |number: i64| {
            let many = "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?1)
                insert into things select zeroblob(4000) from n";
            writer.execute(many, [number]).unwrap();
        };
        let beginnings = || {
            let mut header = [0; 16];
            File::open(log_of(&path)).unwrap().read_exact(&mut header).unwrap();
            u32::from_be_bytes(header[12..].try_into().unwrap())
        };
        let (bell, _heard) = sync_channel(1);
        let signals = Signals { state: Arc::default(), bell };
        write(LONG + 100);
        let before = beginnings();
        // As when somebody writes while the log is moved: its last pages stay. A reader of the moment before keeps them here.
        let reader = schema::open(&path).unwrap();
        reader.execute_batch("begin; select count(*) from things").unwrap();
        write(1);
        assert!(move_on(&other) > LONG);
        reader.execute_batch("commit").unwrap();
        write(1);
        signals.rest(&writer);
        write(1);
        assert_eq!(beginnings(), before, "nobody wanted it");
        signals.state.begin_anew.store(true, Ordering::SeqCst);
        signals.rest(&writer);
        write(1);
        assert_eq!(beginnings(), before + 1);
        assert!(move_on(&other) < 20 && !signals.state.begin_anew.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn what_is_written_is_moved_by_the_thread() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let store = SqliteStore::open(&path, 3).unwrap();
        let made = store.create_node(Node::new(Uuid::new_v4(), "fake-hardware")).await.unwrap();
        // The file alone, without its log, has the node soon.
        let copy = folder.path().join("copy");
        let begun = Instant::now();
        loop {
            std::fs::copy(&path, &copy).unwrap();
            let alone = Connection::open(&copy).unwrap();
            let there = alone.query_row("select 1 from nodes where uuid = ?1", [made.uuid.to_string()], |_| Ok(()));
            if there.is_ok() {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{there:?}");
            std::thread::sleep(LATEST / 20); // no event tells of it
        }
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
