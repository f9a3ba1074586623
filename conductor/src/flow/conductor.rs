//! What every request and every knock shares: options, store, drivers, boot directory, agents, workers.

use crate::agent_client::AgentClient;
use crate::boot::directory::BootDirectory;
use crate::boot::images::service::ImageService;
use crate::claim::Holder;
use crate::config::Config;
use crate::driver::registry::Registry;
use crate::model::budget::Budgets;
use crate::store::Store;
use std::cell::RefCell;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

tokio::task_local! {
    /// The worker that the present piece of work occupies.
    static WORKER: RefCell<Option<OwnedSemaphorePermit>>;
}

/// Nodes whose agents' heartbeats are counted at the same time.
const NODES_HEARD: usize = 65_536;

/// One conductor.
pub struct Conductor {
    /// Options.
    pub config: Arc<Config>,
    /// Nodes and ports.
    pub store: Arc<dyn Store>,
    /// Name of this conductor.
    pub host: String,
    /// This start of it.
    pub process: Uuid,
    /// Claims of this process.
    pub holder: Arc<Holder>,
    /// Hardware types and open BMC sessions.
    pub drivers: Registry,
    /// What each machine boots now.
    pub boot: BootDirectory,
    /// Instance images: checked, fetched, served.
    pub images: ImageService,
    /// Where this conductor keeps files.
    pub data_dir: PathBuf,
    /// Calls to agents.
    pub agents: AgentClient,
    /// Machines are discovered one at a time: the same one is not enrolled twice.
    pub discovery: tokio::sync::Mutex<()>,
    /// How often each node's agent may call.
    pub beats: Budgets<Uuid>,
    /// Room for streams of events.
    pub event_seats: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Conductor {
    /// Puts the parts together.
    pub fn new(
        config: Arc<Config>,
        store: Arc<dyn Store>,
        drivers: Registry,
        boot: BootDirectory,
        images: ImageService,
        data_dir: PathBuf,
    ) -> Self {
        Self {
            host: config.host(),
            process: Uuid::new_v4(),
            holder: Arc::new(Holder::new(Arc::clone(&store), &config)),
            agents: AgentClient::new(config.agent.command_timeout.duration(), config.agent.max_command_attempts),
            discovery: tokio::sync::Mutex::default(),
            beats: Budgets::new(config.api.agent_beats_per_minute, NODES_HEARD),
            event_seats: Arc::new(Semaphore::new(config.events.max_streams)),
            workers: Arc::new(Semaphore::new(config.conductor.workers_pool_size.max(1))),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            config,
            store,
            drivers,
            boot,
            images,
            data_dir,
        }
    }

    /// A worker is free.
    pub fn has_worker(&self) -> bool {
        !self.stop.is_cancelled() && self.workers.available_permits() > 0
    }

    /// Runs `work` behind, when a worker is free; work that was begun ends before the process does.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let workers = Arc::clone(&self.workers);
        self.tasks.spawn(async move {
            // The semaphore is never closed.
            let worker = workers.acquire_owned().await.ok();
            WORKER.scope(RefCell::new(worker), work).await;
        });
    }

    /// Waits for something that is not work (a simulated delay, say): the node stays held, but the worker serves others.
    pub async fn aside<T>(&self, wait: impl Future<Output = T>) -> T {
        let worker = WORKER.try_with(|worker| worker.borrow_mut().take()).ok().flatten();
        if worker.is_none() {
            return wait.await;
        }
        drop(worker);
        let waited = wait.await;
        let worker = Arc::clone(&self.workers).acquire_owned().await.ok();
        let _ = WORKER.try_with(|own| *own.borrow_mut() = worker);
        waited
    }

    /// Does `work` after a while, unless the process is to end before. Nobody relies on it: what has a deadline keeps it in
    /// the store.
    pub fn later(&self, pause: Duration, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => work.await,
            }
        });
    }

    /// The process is to end: no flow takes another piece.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Resolves when the process is to end.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Ends: pieces that run get `graceful_shutdown_timeout`; flows go on where they are after the next start.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        let patience = self.config.conductor.graceful_shutdown_timeout.duration();
        if tokio::time::timeout(patience, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "some work did not end in time; it goes on after the next start");
        }
    }
}
