//! Whatever writes: what waits goes into one transaction, each job in a savepoint of its own.
//!
//! A commit costs one fsync however many jobs it holds, so ten thousand heartbeats a second need no more than a few
//! hundred. A job's answer is sent only after the commit: what was promised is on the disk. Hence a transaction takes jobs only
//! for as long as a commit lasts: the first of many need not wait for the last, and while some wait for the disk, others
//! are answered and ask anew.
//!
//! One thread does this. A job that comes alone is written where it is: where the disk is quick, to wake the thread and to
//! be woken by it lasts longer than the commit. With two jobs at a time, or a slow disk, everything goes through the thread.

use super::checkpoint::Signals;
use super::events;
use crate::store::StoreError;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// Jobs in one transaction, at most.
const BATCH: usize = 256;
/// A transaction takes jobs for as long as a commit takes, but at least so long.
const LEAST: Duration = Duration::from_micros(500);
/// Jobs that may wait; callers beyond that wait for room.
const QUEUE: usize = 4096;
/// A commit that takes longer is no work for a thread that serves requests.
const QUICK: Duration = Duration::from_micros(400);
/// So many transactions of one job each, one after the other: jobs come alone.
const ALONE: usize = 8;

type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Job = Box<dyn FnOnce(&Connection) -> Reply + Send>;

/// Handle to the thread. Dropping it ends the thread after what waits is written.
pub struct Writer {
    jobs: SyncSender<Job>,
    shared: Arc<Shared>,
    newest_event: watch::Receiver<i64>,
}

/// What the thread and the callers share.
struct Shared {
    pen: Mutex<Pen>,
    /// Jobs on their way to the thread and in its hands: nobody overtakes them.
    waiting: AtomicUsize,
}

/// What is needed to write; whoever has it writes.
struct Pen {
    connection: Connection,
    signals: Signals,
    told: watch::Sender<i64>,
    /// How long a commit takes; the mean of the last few.
    usual: Duration,
    /// How many of the last transactions, one after the other, had one job.
    alone: usize,
}

impl Writer {
    /// Starts the thread on its own connection.
    pub fn spawn(connection: Connection, signals: Signals) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE);
        let (told, newest_event) = watch::channel(events::newest(&connection).unwrap_or(0));
        let pen = Pen { connection, signals, told, usual: Duration::ZERO, alone: 0 };
        let shared = Arc::new(Shared { pen: Mutex::new(pen), waiting: AtomicUsize::new(0) });
        let seen = Arc::clone(&shared);
        std::thread::Builder::new().name("store-writer".into()).spawn(move || run(&seen, &queue))?;
        Ok(Self { jobs, shared, newest_event })
    }

    /// The newest line of the event log; changes after the commit that brought it.
    pub fn newest_event(&self) -> watch::Receiver<i64> {
        self.newest_event.clone()
    }

    /// Runs `work` in a savepoint and answers after the commit. An error of `work` undoes only its own changes.
    pub async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        if let Some(mut pen) = self.shared.pen_of_one() {
            let mut outcome = None;
            let committed = pen.transaction(|connection| {
                outcome = Some(in_savepoint(connection, work));
                1
            });
            pen.signals.rest(&pen.connection);
            return committed.map_err(StoreError::Database).and(outcome.unwrap_or_else(|| Err(gone())));
        }
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let outcome = in_savepoint(connection, work);
            Box::new(move |committed| {
                // Nobody listens any more when the caller was cancelled; the write stands all the same.
                let _ = sender.send(committed.and(outcome));
            })
        });
        let jobs = self.jobs.clone();
        self.shared.waiting.fetch_add(1, Ordering::SeqCst);
        if let Err(TrySendError::Full(job)) = jobs.try_send(job) {
            tokio::task::spawn_blocking(move || jobs.send(job)).await.map_err(|_| gone())?.map_err(|_| gone())?;
        }
        receiver.await.map_err(|_| gone())?
    }
}

fn gone() -> StoreError {
    StoreError::Database("the writer has stopped".into())
}

impl Shared {
    fn pen(&self) -> MutexGuard<'_, Pen> {
        // Jobs that panic are caught: what is poisoned is as good as it was.
        self.pen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pen for a job that comes alone: nobody has it, nobody waits for it, and the disk is quick.
    fn pen_of_one(&self) -> Option<MutexGuard<'_, Pen>> {
        let pen = match self.pen.try_lock() {
            Ok(pen) => pen,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let is_alone = pen.alone >= ALONE && pen.usual < QUICK;
        (is_alone && self.waiting.load(Ordering::SeqCst) == 0).then_some(pen)
    }
}

fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let step = |sql: &str| connection.prepare_cached(sql)?.execute([]).map(|_| ());
    step("savepoint job")?;
    // A job that panics is one failed write; the thread serves everybody.
    let outcome = catch_unwind(AssertUnwindSafe(|| work(connection))).unwrap_or_else(|_| {
        tracing::error!("a write failed in its own code and was undone");
        Err(StoreError::Database("a write failed in its own code and was undone; see the log".into()))
    });
    if outcome.is_err() {
        step("rollback to job")?;
    }
    step("release job")?;
    outcome
}

impl Pen {
    /// One transaction of what `fill` writes, which says how many jobs that were.
    fn transaction(&mut self, fill: impl FnOnce(&Connection) -> usize) -> Result<(), String> {
        let connection = &self.connection;
        if let Err(error) = connection.execute_batch("begin immediate") {
            // Not even a transaction: the disk is full or gone. The job learns it through its own failing savepoint.
            tracing::error!(%error, "the database refuses a transaction");
        }
        let jobs = fill(connection);
        let ready = Instant::now();
        let committed = if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("commit") };
        if committed.is_err() && !connection.is_autocommit() {
            let _ = connection.execute_batch("rollback");
        }
        self.usual = (self.usual * 7 + ready.elapsed()) / 8;
        self.alone = if jobs == 1 { self.alone.saturating_add(1) } else { 0 };
        if committed.is_ok()
            && let Ok(newest) = events::newest(connection)
        {
            self.told.send_if_modified(|known| std::mem::replace(known, newest) != newest);
        }
        self.signals.wrote(jobs);
        committed.map_err(|error| error.to_string())
    }
}

fn run(shared: &Shared, queue: &Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let mut pen = shared.pen();
        let begun = Instant::now();
        let time = pen.usual.max(LEAST);
        let mut replies = Vec::new();
        let committed = pen.transaction(|connection| {
            replies.push(first(connection));
            while replies.len() < BATCH
                && begun.elapsed() < time
                && let Ok(job) = queue.try_recv()
            {
                replies.push(job(connection));
            }
            replies.len()
        });
        shared.waiting.fetch_sub(replies.len(), Ordering::SeqCst);
        for reply in replies {
            reply(committed.clone().map_err(StoreError::Database));
        }
        pen.signals.rest(&pen.connection);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{checkpoint, schema};
    use super::*;
    use futures_util::FutureExt;
    use std::thread;

    fn writer() -> (Writer, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let connection = schema::open(&path).unwrap();
        schema::migrate(&connection).unwrap();
        connection.execute_batch("create table things (thing integer)").unwrap();
        let signals = checkpoint::spawn(schema::open(&path).unwrap(), &path).unwrap();
        (Writer::spawn(connection, signals).unwrap(), folder)
    }

    impl Writer {
        /// As after many jobs that came alone, on a disk whose commits take so long.
        fn lonely(&self, usual: Duration) {
            let mut pen = self.shared.pen();
            (pen.alone, pen.usual) = (ALONE, usual);
        }

        /// On which thread a job of now is written.
        async fn place(&self) -> thread::ThreadId {
            self.run(|_| Ok(thread::current().id())).await.unwrap()
        }
    }

    fn put(connection: &Connection, thing: i64) -> Result<(), StoreError> {
        connection.execute("insert into things values (?1)", [thing])?;
        Ok(())
    }

    fn things(connection: &Connection) -> Result<Vec<i64>, StoreError> {
        let mut statement = connection.prepare("select thing from things order by rowid")?;
        Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    #[tokio::test]
    async fn a_job_that_comes_alone_is_written_where_it_is_and_nobody_is_overtaken() {
        let (writer, _folder) = writer();
        let here = thread::current().id();
        assert_ne!(writer.place().await, here, "nobody knows yet whether it is alone");
        writer.lonely(Duration::ZERO);
        assert_eq!(writer.place().await, here);
        writer.lonely(QUICK);
        assert_ne!(writer.place().await, here, "a slow disk holds up no requests");
        writer.lonely(Duration::ZERO);
        writer.shared.pen().alone = ALONE - 1;
        assert_ne!(writer.place().await, here, "there were several a moment ago");
        for number in 0..200 {
            writer.lonely(Duration::ZERO);
            // Somebody else writes; a caller comes, and is cancelled. What he wanted is written before what comes after it.
            let other = writer.shared.pen();
            assert!(writer.run(move |connection| put(connection, number)).now_or_never().is_none());
            drop(other);
            let seen = writer.run(|connection| things(connection)).await.unwrap();
            assert_eq!(seen.len(), number as usize + 1);
        }
    }

    #[tokio::test]
    async fn alone_or_not_an_error_undoes_its_own_job_and_a_panic_is_an_error() {
        let (writer, _folder) = writer();
        for usual in [Duration::ZERO, QUICK] {
            let failing = |connection: &Connection| {
                put(connection, 1)?;
                Err::<(), _>(StoreError::NotFound("it".into()))
            };
            writer.lonely(usual);
            assert!(matches!(writer.run(failing).await, Err(StoreError::NotFound(_))));
            writer.lonely(usual);
            let broken = writer.run(|connection| -> Result<(), StoreError> {
                put(connection, 2)?;
                panic!("a fault of a job")
            });
            assert!(matches!(broken.await, Err(StoreError::Database(_))));
            writer.lonely(usual);
            writer.run(|connection| put(connection, 3)).await.unwrap();
        }
        assert_eq!(writer.run(things).await.unwrap(), [3, 3]);
        // A transaction that cannot be committed is an error of the job, and nothing of it stays.
        let deferred = "create table parents (id integer primary key);
            create table children (parent integer references parents (id) deferrable initially deferred)";
        writer.run(|connection| Ok(connection.execute_batch(deferred)?)).await.unwrap();
        for usual in [Duration::ZERO, QUICK] {
            writer.lonely(usual);
            let orphan = |connection: &Connection| Ok(connection.execute("insert into children values (7)", [])?);
            assert!(matches!(writer.run(orphan).await, Err(StoreError::Database(_))), "{usual:?}");
        }
        let count = |connection: &Connection| {
            Ok(connection.query_row("select count(*) from children", [], |row| row.get::<_, i64>(0))?)
        };
        assert_eq!(writer.run(count).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn many_at_a_time_are_all_written_and_events_are_told_of() {
        let (writer, _folder) = writer();
        let mut newest = writer.newest_event();
        for round in 0..20 {
            writer.lonely(Duration::ZERO);
            let jobs = (0..50).map(|number| writer.run(move |connection| put(connection, round * 50 + number)));
            futures_util::future::try_join_all(jobs).await.unwrap();
        }
        let mut all = writer.run(things).await.unwrap();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
        for usual in [Duration::ZERO, QUICK] {
            writer.lonely(usual);
            let insert = "insert into events (at, kind, doc) values (0, 'node.create', '{}')";
            writer.run(|connection| Ok(connection.execute(insert, [])?)).await.unwrap();
            assert!(newest.has_changed().unwrap());
            newest.mark_unchanged();
        }
        assert_eq!(*newest.borrow(), 2);
    }
}
