//! Commands: which there are, one at a time, what became of them, and a bell that rings when one ends.
//!
//! Agent-protocol sections 5 to 7. Every failure of a command is an error object in its result; only a command that was not
//! accepted is [`Refused`]. This room knows nothing of HTTP or heartbeats: `http` hands requests in, `life` waits for the bell.

mod board;
mod call;
mod ending;
mod facts;
mod flow;
mod power;
mod redact;
mod refused;
mod rescue;
mod standby;
mod steps;
mod table;

pub use ending::Ending;
pub use facts::{Facts, TokenNews};
pub use power::{End, Power};
pub use refused::Refused;

use crate::sys::boot_memory::BootMemory;
use crate::sys::under_way::UnderWay;
use crate::vmedia;
use board::Board;
use call::{Call, Failure};
use common::command::{CommandList, CommandRequest, CommandResult, CommandStatus};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use table::{Kind, Row};
use tokio::sync::{Notify, watch};

/// The room's one object. Cheap to clone.
#[derive(Clone)]
pub struct Commands(Arc<Inner>);

struct Inner {
    board: Board,
    /// Held while a sync command runs and while an async one starts: further requests wait their turn (section 5).
    turn: tokio::sync::Mutex<()>,
    bell: Notify,
    facts: Facts,
    power: Power,
    /// `/etc`, where the ramdisk waits for the rescue user's password.
    etc: PathBuf,
    /// One bundle of logs at a time may be made beside a running command.
    beside: tokio::sync::Mutex<()>,
    /// What a command has asked for, until nothing of the command is left.
    asked: Mutex<Option<Ending>>,
    ending: watch::Sender<Option<Ending>>,
}

impl Commands {
    /// An empty list; the conductor takes it as the sign of a fresh boot (section 6.3 rule 5).
    pub fn new(facts: Facts, power: Power) -> Self {
        Self::with_etc(facts, power, "/etc".into())
    }

    /// The same with another folder in place of `/etc` (sandboxes, tests).
    pub fn with_etc(facts: Facts, power: Power, etc: PathBuf) -> Self {
        let (board, turn, beside, bell) = (Board::default(), Default::default(), Default::default(), Notify::new());
        let (asked, ending) = (Mutex::default(), watch::Sender::new(None));
        Self(Arc::new(Inner { board, turn, bell, facts, power, etc, beside, asked, ending }))
    }

    /// Lists what an earlier agent of this boot did not bring to a good end, so that nobody takes it for done.
    pub fn recall(&self) {
        if let Some(lost) = UnderWay::recall(crate::tls::RUN_DIR.as_ref()) {
            tracing::warn!(command = lost.command, step = lost.step, "an earlier agent was stopped while it ran this");
            self.0.board.interrupted(&lost);
        }
    }

    /// Whether a rescue ended here before: then nothing may be served, the machine is its tenant's.
    pub fn was_rescued(&self) -> bool {
        self.0.etc.join(rescue::MARKER).exists()
    }

    /// Sets every network interface down.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn lock_down(&self) -> Result<(), String> {
        self.0.power.lock_down().map_err(|failure| failure.text().to_owned())
    }

    /// Forgets every secret of this boot, in memory and in files; nothing can be served after it.
    pub fn forget(&self) {
        self.0.facts.forget();
        self.0.board.clear();
        if let Err(cause) = BootMemory::erase(crate::tls::RUN_DIR.as_ref()) {
            tracing::warn!(error = %cause, folder = crate::tls::RUN_DIR, "key and token of this boot were not removed");
        }
        if let Err(cause) = vmedia::forget() {
            tracing::warn!(error = %cause, "the configuration from virtual media was not removed");
        }
    }

    /// For a command that is to be the last one. Told to [`Commands::ended`] when the command's own thread has let go of what it
    /// was given.
    fn end(&self, ending: Ending) {
        *self.asked() = Some(ending);
    }

    fn is_ending(&self) -> bool {
        self.asked().is_some()
    }

    fn asked(&self) -> MutexGuard<'_, Option<Ending>> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of a command's thread.
    fn let_go(&self, call: Call) {
        drop(call);
        if let Some(ending) = *self.asked() {
            self.0.ending.send_replace(Some(ending));
        }
    }

    /// Returns when a command has asked for the end of serving. Its answer may still be under way.
    pub async fn ended(&self) -> Ending {
        let mut ending = self.0.ending.subscribe();
        match ending.wait_for(Option::is_some).await.map(|ending| *ending) {
            Ok(Some(ending)) => ending,
            _ => std::future::pending().await, // the sender lives in self: cannot happen
        }
    }

    /// What is known about node, token and rules.
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// Runs a command: a sync one to its end, an async one to its start, or to its end with `wait`.
    ///
    /// # Errors
    /// [`Refused`]: nothing was run and nothing is recorded.
    pub async fn run(&self, request: CommandRequest, wait: bool) -> Result<CommandResult, Refused> {
        let commands = self.clone();
        // A task of its own: a caller that hangs up must not take the record of the command with it.
        let started = tokio::spawn(async move { commands.start(request).await }).await;
        let result = started.map_err(|cause| Refused::Internal(cause.to_string()))??;
        match wait && result.command_status == CommandStatus::Running {
            true => self.0.board.ended(&result.id).await,
            false => Ok(result),
        }
    }

    async fn start(&self, request: CommandRequest) -> Result<CommandResult, Refused> {
        let (extension, name) = request.name.split_once('.').ok_or(Refused::NoDot)?;
        if self.0.board.check_idle().is_err()
            && let Ok(row) = table::find(extension, name)
            && row.beside
        {
            return self.beside(row, request).await;
        }
        let turn = self.0.turn.lock().await;
        // Busy comes before everything else, for every command, harmless ones too (section 6.3 rule 2).
        self.0.board.check_idle()?;
        let row = table::find(extension, name)?;
        (row.check)(&request.params)?;
        tracing::info!(command = %request.name, "command accepted");
        match row.kind {
            Kind::Sync => {
                let outcome = self.outcome(row, request).await?;
                let result = self.0.board.record(row.name, outcome);
                drop(turn);
                Ok(result)
            }
            Kind::Async => {
                let id = uuid::Uuid::new_v4().to_string();
                let step = request.params.get("step").and_then(|step| step["step"].as_str());
                UnderWay::note(crate::tls::RUN_DIR.as_ref(), &id, row.name, step);
                let call = self.call(request, id.clone());
                let accepted = self.0.board.accept(&id, row.name, call.progress.clone());
                let commands = self.clone();
                let work = move || {
                    let outcome = carry_out(row, &call);
                    if outcome.is_ok() {
                        UnderWay::is_done(crate::tls::RUN_DIR.as_ref());
                    }
                    commands.0.board.finish(&call.id, outcome);
                    // A heartbeat of a machine that is about to go would only be taken for one that stays.
                    if !commands.is_ending() {
                        commands.0.bell.notify_one();
                    }
                    commands.let_go(call);
                };
                if let Err(cause) = spawn(row.name, work) {
                    self.0.board.withdraw(&id);
                    return Err(cause);
                }
                Ok(accepted)
            }
        }
    }

    /// A command that is harmless while another one runs. Its result is told and not listed: the newest entry of the list must
    /// stay the one that runs, or the conductor would take that one for lost.
    async fn beside(&self, row: &'static Row, request: CommandRequest) -> Result<CommandResult, Refused> {
        let Ok(_turn) = self.0.beside.try_lock() else { return Err(Refused::Busy(row.name.into())) };
        (row.check)(&request.params)?;
        tracing::info!(command = %request.name, "command accepted beside the one that runs");
        Ok(board::result_of(row.name, self.outcome(row, request).await?))
    }

    /// Runs a command to its end on a thread of its own.
    async fn outcome(&self, row: &'static Row, request: CommandRequest) -> Result<Result<Value, Failure>, Refused> {
        let call = self.call(request, uuid::Uuid::new_v4().to_string());
        let (tell, told) = tokio::sync::oneshot::channel();
        let commands = self.clone();
        spawn(row.name, move || {
            let outcome = carry_out(row, &call);
            commands.let_go(call);
            let _ = tell.send(outcome);
        })?;
        told.await.map_err(|_| Refused::Internal("the command's thread went away".into()))
    }

    fn call(&self, request: CommandRequest, id: String) -> Call {
        let progress = Default::default();
        Call { id, params: request.params, progress, agent: self.clone() }
    }

    /// Every result, oldest first.
    pub fn list(&self) -> CommandList {
        CommandList { commands: self.0.board.list() }
    }

    /// One result; with `wait` not before the command has ended.
    ///
    /// # Errors
    /// [`Refused::NoResult`].
    pub async fn get(&self, id: &str, wait: bool) -> Result<CommandResult, Refused> {
        match wait {
            true => self.0.board.ended(id).await,
            false => self.0.board.get(id),
        }
    }

    /// An async command is at work.
    pub fn is_busy(&self) -> bool {
        self.0.board.check_idle().is_err()
    }

    /// Returns when an async command has ended since the last return.
    pub async fn bell(&self) {
        self.0.bell.notified().await;
    }

    /// Asks a running command to stop at its next safe point: the process ends.
    pub fn cancel(&self) {
        self.0.board.cancel();
    }

    /// Told by `http` when the answer that carries result `id` has left; a power-off waits for it.
    pub fn answered(&self, id: &str) {
        self.0.board.answered(id);
    }
}

/// Runs the body of a command; whatever happens, an outcome comes out.
fn carry_out(row: &Row, call: &Call) -> Result<Value, Failure> {
    let begun = std::time::Instant::now();
    let outcome =
        catch_unwind(AssertUnwindSafe(|| (row.run)(call))).unwrap_or_else(|panic| Err(Failure::panicked(&*panic)));
    let seconds = begun.elapsed().as_secs_f64();
    match &outcome {
        Ok(_) => tracing::info!(command = row.name, seconds, "command succeeded"),
        Err(failure) => tracing::error!(command = row.name, seconds, error = failure.text(), "command failed"),
    }
    // Text is wrapped (section 6.1); async commands put their name before it.
    outcome.map(|value| match (value, row.kind) {
        (Value::String(text), Kind::Async) => json!({ "result": format!("{}: {text}", row.name) }),
        (Value::String(text), Kind::Sync) => json!({ "result": text }),
        (value, _) => value,
    })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Refused> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map(|_| ()).map_err(|cause| Refused::Internal(format!("no thread for the command: {cause}")))
}

#[cfg(test)]
mod tests;
