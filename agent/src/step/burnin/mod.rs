//! Burn-in: work that is checked, for as long as asked, to find hardware that fails under load (ipa-features 23).
//!
//! The reference runs stress-ng, fio and gpu_burn. Here processor, memory, disks and network are loaded by the agent itself, so that the
//! ramdisk stays small; the node's settings (`driver_info.agent_burnin_*`) and their defaults are the reference's.

mod cpu;
mod disk;
mod gpu;
mod memory;
mod network;
mod report;
pub mod settings;
pub mod wire;

use super::{StepContext, StepError};
use crate::sys::progress::Progress;
use common::step::{Step, StepKind};
use serde_json::Value;
use settings::Settings;
use std::time::{Duration, Instant};

/// Why a burn-in ended badly.
#[derive(Debug, thiserror::Error)]
pub enum BurnIn {
    /// The settings cannot be used.
    #[error("{0}")]
    Settings(String),
    /// The hardware, or what it was tried with, failed.
    #[error("{0}")]
    Failed(String),
    /// A disk that must not be touched, or none.
    #[error(transparent)]
    Disk(#[from] crate::disk::error::DiskError),
}

type Run = fn(&Settings<'_>, &StepContext) -> Result<(), BurnIn>;

/// Step `burnin_cpu`.
pub fn cpu(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    run(kind, step, context, cpu::run)
}

/// Step `burnin_memory`.
pub fn memory(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    run(kind, step, context, memory::run)
}

/// Step `burnin_disk`: what is on the disks is lost.
pub fn disk(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    run(kind, step, context, disk::run)
}

/// Step `burnin_network`.
pub fn network(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    run(kind, step, context, network::run)
}

/// Step `burnin_gpu`.
pub fn gpu(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    run(kind, step, context, gpu::run)
}

fn run(kind: StepKind, step: &Step, context: &StepContext, burn: Run) -> Result<Value, StepError> {
    let settings = Settings::of(&context.node);
    burn(&settings, context).map(|()| Value::Null).map_err(|error| match error {
        BurnIn::Settings(why) => StepError::cleaning(why),
        BurnIn::Failed(why) => StepError {
            kind: "CommandExecutionError",
            code: 500,
            message: "Command execution failed",
            details: format!("{}: {why}", step.step),
        },
        BurnIn::Disk(error) => StepError::disk(kind, &step.step, true, &error),
    })
}

/// Runs the work of every entry on a thread of its own and gives what became of each, in their order.
pub(super) fn together<T: Send, R: Send>(
    entries: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> Result<R, BurnIn> + Sync,
) -> Vec<Result<R, BurnIn>> {
    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = entries.into_iter().map(|entry| scope.spawn(move || work(entry))).collect();
        let died = |_| Err(BurnIn::Failed("a worker died".into()));
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(died)).collect()
    })
}

/// Until when, and whether somebody said stop.
pub struct Until<'a> {
    end: Option<Instant>,
    progress: &'a Progress,
}

impl<'a> Until<'a> {
    /// `None`: no end by time.
    pub fn after(time: Option<Duration>, progress: &'a Progress) -> Self {
        Self { end: time.and_then(|time| Instant::now().checked_add(time)), progress }
    }

    /// The time is over.
    pub fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// Stop or go on?
    ///
    /// # Errors
    /// The order to stop is a failure: nobody may take an interrupted burn-in for a passed one.
    pub fn go_on(&self) -> Result<bool, BurnIn> {
        match self.progress.is_cancelled() {
            true => Err(BurnIn::Failed("stopped before its end".into())),
            false => Ok(!self.is_over()),
        }
    }
}

#[cfg(test)]
mod tests;
