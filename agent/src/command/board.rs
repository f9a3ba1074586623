//! The list of results: oldest first, never reordered, at most one RUNNING (agent-protocol section 6.3).
//!
//! The reference keeps everything for ever. Here the list is bounded without a reader noticing: large texts are kept for the newest
//! entry only, and beyond [`MAX_ENTRIES`] an old entry goes if a newer one has its name, so that each name that was ever run stays visible.

use super::call::Failure;
use super::refused::Refused;
use crate::sys::progress::Progress;
use crate::sys::under_way::UnderWay;
use common::command::{AGENT_RESTARTED, CommandResult, CommandStatus};
use serde_json::{Map, Value, json};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Entries kept.
const MAX_ENTRIES: usize = 1000;

/// Longest text in the result of any entry but the newest.
const MAX_OLD_TEXT: usize = 64 * 1024;

/// The list.
pub struct Board {
    entries: Mutex<Vec<Entry>>,
    /// Counts changes, so that waiters look again.
    changes: watch::Sender<u64>,
    /// An answer has left.
    left: Condvar,
}

struct Entry {
    result: CommandResult,
    progress: Option<Progress>,
    answered: bool,
}

impl Default for Board {
    fn default() -> Self {
        Self { entries: Mutex::default(), changes: watch::Sender::new(0), left: Condvar::new() }
    }
}

impl Board {
    /// The busy rule: looks at the newest entry only.
    pub fn check_idle(&self) -> Result<(), Refused> {
        match self.entries().last() {
            Some(last) if last.result.command_status == CommandStatus::Running => {
                Err(Refused::Busy(last.result.command_name.clone()))
            }
            _ => Ok(()),
        }
    }

    /// An async command got its place.
    pub fn accept(&self, id: &str, name: &str, progress: Progress) -> CommandResult {
        let result = CommandResult {
            id: id.to_owned(),
            command_name: name.to_owned(),
            command_status: CommandStatus::Running,
            command_error: None,
            command_result: None,
        };
        self.push(Entry { result: result.clone(), progress: Some(progress), answered: false });
        result
    }

    /// An accepted command that could not be started after all.
    pub fn withdraw(&self, id: &str) {
        self.entries().retain(|entry| entry.result.id != id);
        self.changed();
    }

    /// An async command has ended.
    pub fn finish(&self, id: &str, outcome: Result<Value, Failure>) {
        if let Some(entry) = self.entries().iter_mut().find(|entry| entry.result.id == id) {
            entry.progress = None;
            fill(&mut entry.result, outcome);
        }
        self.changed();
    }

    /// A command that an earlier agent of this boot did not bring to a good end: what it did is not known.
    pub fn interrupted(&self, lost: &UnderWay) {
        let step = lost.step.as_deref().map(|step| format!(" ({step})")).unwrap_or_default();
        let details = format!(
            "the agent was restarted while it ran {}{step}: what that did is not known to be whole. Start it again; look at the machine's console and memory if it happens again",
            lost.command
        );
        let failure = Failure::typed(AGENT_RESTARTED, 500, "The agent was restarted", details);
        let mut result = result_of(&lost.command, Err(failure));
        result.id.clone_from(&lost.id);
        self.push(Entry { result, progress: None, answered: false });
    }

    /// A sync command has been run.
    pub fn record(&self, name: &str, outcome: Result<Value, Failure>) -> CommandResult {
        let result = result_of(name, outcome);
        self.push(Entry { result: result.clone(), progress: None, answered: false });
        result
    }

    /// Asks what runs to stop.
    pub fn cancel(&self) {
        self.entries().iter().filter_map(|entry| entry.progress.as_ref()).for_each(Progress::cancel);
    }

    /// Every result.
    pub fn list(&self) -> Vec<CommandResult> {
        self.entries().iter().map(Entry::show).collect()
    }

    /// One result.
    pub fn get(&self, id: &str) -> Result<CommandResult, Refused> {
        let found = self.entries().iter().find(|entry| entry.result.id == id).map(Entry::show);
        found.ok_or_else(|| Refused::NoResult(id.chars().take(64).collect()))
    }

    /// One result, once it is no longer RUNNING.
    pub async fn ended(&self, id: &str) -> Result<CommandResult, Refused> {
        let mut changes = self.changes.subscribe();
        loop {
            let result = self.get(id)?;
            if result.command_status != CommandStatus::Running {
                return Ok(result);
            }
            if changes.changed().await.is_err() {
                return Ok(result); // the sender lives in self: cannot happen
            }
        }
    }

    /// The answer with this result has left.
    pub fn answered(&self, id: &str) {
        if let Some(entry) = self.entries().iter_mut().rev().find(|entry| entry.result.id == id) {
            entry.answered = true;
        }
        self.left.notify_all();
    }

    /// Returns once the answer with this result has left, or after `patience`. Blocks its thread.
    pub fn wait_until_answered(&self, id: &str, patience: Duration) {
        let here = |entries: &mut Vec<Entry>| entries.iter().rev().any(|entry| entry.result.id == id && entry.answered);
        let waited = self.left.wait_timeout_while(self.entries(), patience, |entries| !here(entries));
        if waited.is_ok_and(|(_, time)| time.timed_out()) {
            tracing::warn!(id, "the answer to this command has not left");
        }
    }

    /// Every result goes: after it nobody is served.
    pub fn clear(&self) {
        self.entries().clear();
    }

    fn push(&self, entry: Entry) {
        let mut entries = self.entries();
        if let Some(before) = entries.last_mut() {
            drop_long_texts(&mut before.result.command_result);
        }
        entries.push(entry);
        if entries.len() > MAX_ENTRIES {
            let repeated = (0..entries.len() - 1).find(|&at| {
                let name = &entries[at].result.command_name;
                entries[at + 1..].iter().any(|later| later.result.command_name == *name)
            });
            // There are far fewer names than entries, so one is always repeated.
            entries.remove(repeated.unwrap_or(0));
        }
        drop(entries);
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// The result; while the command runs, with its progress (an extension: readers look at results of ended commands only).
    fn show(&self) -> CommandResult {
        let mut result = self.result.clone();
        if let Some(progress) = &self.progress {
            result.command_result = Some(json!({ "progress": progress.to_value() }));
        }
        result
    }
}

/// The result of a command that has ended.
pub fn result_of(name: &str, outcome: Result<Value, Failure>) -> CommandResult {
    let mut result = CommandResult {
        id: uuid::Uuid::new_v4().to_string(),
        command_name: name.to_owned(),
        command_status: CommandStatus::Succeeded,
        command_error: None,
        command_result: None,
    };
    fill(&mut result, outcome);
    result
}

fn fill(result: &mut CommandResult, outcome: Result<Value, Failure>) {
    match outcome {
        Ok(value) => {
            result.command_status = CommandStatus::Succeeded;
            result.command_result = (!value.is_null()).then_some(value);
        }
        Err(failure) => {
            result.command_status = failure.status;
            result.command_error = Some(failure.error);
        }
    }
}

/// Log bundles are megabytes; nobody asks for them once a newer command has run.
fn drop_long_texts(result: &mut Option<Value>) {
    let Some(Value::Object(map)) = result else { return };
    let long: Map<String, Value> = map
        .iter()
        .filter_map(|(key, value)| Some((key, value.as_str()?.len())))
        .filter(|(_, length)| *length > MAX_OLD_TEXT)
        .map(|(key, length)| (key.clone(), format!("dropped: {length} bytes, newer commands were run").into()))
        .collect();
    map.extend(long);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded_and_no_name_ever_disappears() {
        let board = Board::default();
        board.record("execute_clean_step", Ok(Value::Null));
        for _ in 0..MAX_ENTRIES + 50 {
            board.record("get_clean_steps", Ok(Value::Null));
        }
        let list = board.list();
        assert_eq!(list.len(), MAX_ENTRIES);
        assert_eq!(list[0].command_name, "execute_clean_step", "else the conductor takes us for freshly booted");
    }

    #[test]
    fn what_was_interrupted_is_listed_as_failed_under_its_old_id() {
        let board = Board::default();
        let lost = UnderWay::of("7", "execute_clean_step", Some("erase_devices"));
        board.interrupted(&lost);
        let [told] = &board.list()[..] else { panic!("one entry") };
        assert_eq!((told.id.as_str(), told.command_status), ("7", CommandStatus::Failed));
        let error = told.command_error.as_ref().unwrap();
        assert_eq!(error.kind, AGENT_RESTARTED);
        assert!(error.details.contains("restarted while it ran execute_clean_step (erase_devices)"), "{error:?}");
        board.check_idle().unwrap();
    }

    #[test]
    fn long_texts_stay_only_in_the_newest_entry() {
        let board = Board::default();
        let logs = json!({ "system_logs": "x".repeat(MAX_OLD_TEXT + 1) });
        let first = board.record("collect_system_logs", Ok(logs.clone()));
        assert_eq!(board.get(&first.id).unwrap().command_result, Some(logs));
        board.record("sync", Ok(Value::Null));
        let text = board.get(&first.id).unwrap().command_result.unwrap().to_string();
        assert!(text.contains("dropped: 65537 bytes"), "{text}");
    }

    #[test]
    fn a_running_command_shows_progress_and_makes_the_agent_busy() {
        let board = Board::default();
        let progress = Progress::default();
        board.accept("1", "execute_clean_step", progress.clone());
        progress.expect(200);
        progress.advance(50);
        let shown = board.get("1").unwrap();
        assert_eq!(shown.command_result.unwrap()["progress"]["percent"], 25);
        assert_eq!(board.check_idle(), Err(Refused::Busy("execute_clean_step".into())));
        board.finish("1", Ok(Value::Null));
        assert_eq!(board.get("1").unwrap().command_result, None);
        board.check_idle().unwrap();
    }
}
