//! The one thread that writes: whatever waits goes into one transaction, each job in a savepoint of its own.
//!
//! A commit costs one fsync however many jobs it holds, so ten thousand heartbeats a second need no more than a few
//! hundred. A job's answer is sent only after the commit: what was promised is on the disk. Hence a transaction takes jobs only
//! for as long as a commit lasts: the first of many need not wait for the last, and while some wait for the disk, others
//! are answered and ask anew.

use super::checkpoint::Signals;
use super::events;
use crate::store::StoreError;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// Jobs in one transaction, at most.
const BATCH: usize = 256;
/// A transaction takes jobs for as long as a commit takes, but at least so long.
const LEAST: Duration = Duration::from_micros(500);
/// Jobs that may wait; callers beyond that wait for room.
const QUEUE: usize = 4096;

type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Job = Box<dyn FnOnce(&Connection) -> Reply + Send>;

/// Handle to the thread. Dropping it ends the thread after what waits is written.
pub struct Writer {
    jobs: SyncSender<Job>,
    newest_event: watch::Receiver<i64>,
}

impl Writer {
    /// Starts the thread on its own connection.
    pub fn spawn(connection: Connection, signals: Signals) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE);
        let (told, newest_event) = watch::channel(events::newest(&connection).unwrap_or(0));
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || run(&connection, &queue, &told, &signals))?;
        Ok(Self { jobs, newest_event })
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
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let outcome = in_savepoint(connection, work);
            Box::new(move |committed| {
                // Nobody listens any more when the caller was cancelled; the write stands all the same.
                let _ = sender.send(committed.and(outcome));
            })
        });
        let gone = || StoreError::Database("the writer has stopped".into());
        let jobs = self.jobs.clone();
        if let Err(std::sync::mpsc::TrySendError::Full(job)) = jobs.try_send(job) {
            tokio::task::spawn_blocking(move || jobs.send(job)).await.map_err(|_| gone())?.map_err(|_| gone())?;
        }
        receiver.await.map_err(|_| gone())?
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

fn run(connection: &Connection, queue: &Receiver<Job>, told: &watch::Sender<i64>, signals: &Signals) {
    // How long a commit takes; the mean of the last few.
    let mut usual = Duration::ZERO;
    while let Ok(first) = queue.recv() {
        let begun = Instant::now();
        if let Err(error) = connection.execute_batch("begin immediate") {
            // Not even a transaction: the disk is full or gone. The job learns it through its own failing savepoint.
            tracing::error!(%error, "the database refuses a transaction");
        }
        let mut replies = vec![first(connection)];
        while replies.len() < BATCH
            && begun.elapsed() < usual.max(LEAST)
            && let Ok(job) = queue.try_recv()
        {
            replies.push(job(connection));
        }
        let ready = Instant::now();
        let committed = if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("commit") };
        if committed.is_err() && !connection.is_autocommit() {
            let _ = connection.execute_batch("rollback");
        }
        usual = (usual * 7 + ready.elapsed()) / 8;
        if committed.is_ok()
            && let Ok(newest) = events::newest(connection)
        {
            told.send_if_modified(|known| std::mem::replace(known, newest) != newest);
        }
        signals.wrote(replies.len());
        let text = committed.err().map(|error| error.to_string());
        for reply in replies {
            reply(text.clone().map_or(Ok(()), |text| Err(StoreError::Database(text))));
        }
        signals.rest(connection);
    }
}
