//! The agent's list of commands: one at a time, outcomes remembered, a bell when one ends.

use super::machine::lock;
use common::command::{CommandError, CommandResult, CommandStatus};
use rand::RngExt;
use serde_json::Value;
use std::sync::Mutex;
use tokio::sync::{Notify, watch};

/// The list.
pub struct Board {
    entries: Mutex<Vec<CommandResult>>,
    ended: watch::Sender<u64>,
    /// Rings when a command that ran behind has ended.
    pub bell: Notify,
}

/// Another command runs.
pub struct Busy;

impl Board {
    pub fn new() -> Self {
        Self { entries: Mutex::default(), ended: watch::Sender::new(0), bell: Notify::new() }
    }

    /// A new entry that runs.
    pub fn begin(&self, name: &str) -> Result<CommandResult, Busy> {
        let mut entries = lock(&self.entries);
        if entries.iter().any(|entry| entry.command_status == CommandStatus::Running) {
            return Err(Busy);
        }
        let id: [u8; 16] = rand::rng().random();
        let entry = CommandResult {
            id: uuid::Builder::from_random_bytes(id).into_uuid().to_string(),
            command_name: name.rsplit('.').next().unwrap_or(name).to_owned(),
            command_status: CommandStatus::Running,
            command_error: None,
            command_result: None,
        };
        entries.push(entry.clone());
        Ok(entry)
    }

    /// The entry has ended.
    pub fn end(&self, id: &str, outcome: Result<Value, CommandError>) {
        if let Some(entry) = lock(&self.entries).iter_mut().find(|entry| entry.id == id) {
            match outcome {
                Ok(value) => {
                    entry.command_status = CommandStatus::Succeeded;
                    entry.command_result = Some(value);
                }
                Err(error) => {
                    entry.command_status = CommandStatus::Failed;
                    entry.command_error = Some(error);
                }
            }
        }
        self.ended.send_modify(|count| *count += 1);
        self.bell.notify_one();
    }

    pub fn entry(&self, id: &str) -> Option<CommandResult> {
        lock(&self.entries).iter().find(|entry| entry.id == id).cloned()
    }

    pub fn all(&self) -> Vec<CommandResult> {
        lock(&self.entries).clone()
    }

    /// The entry, when it does not run any more; `None` when it was forgotten.
    pub async fn wait(&self, id: &str) -> Option<CommandResult> {
        let mut ended = self.ended.subscribe();
        loop {
            let entry = self.entry(id)?;
            if entry.command_status != CommandStatus::Running {
                return Some(entry);
            }
            ended.changed().await.ok()?;
        }
    }

    /// Memory is lost.
    pub fn forget(&self) {
        lock(&self.entries).clear();
        self.ended.send_modify(|count| *count += 1);
        self.bell.notify_one();
    }
}
