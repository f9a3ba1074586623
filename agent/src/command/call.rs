//! One run of a command: what it was given, what it may use, how it fails.

use super::Commands;
use crate::step::{StepContext, StepError};
use crate::sys::progress::Progress;
use common::command::{CommandError, CommandStatus};
use serde_json::{Map, Value};

/// What a command's body gets.
pub struct Call {
    /// The id of its result.
    pub id: String,
    /// Arguments as sent.
    pub params: Map<String, Value>,
    /// Shown in the result while the command runs.
    pub progress: Progress,
    /// The agent it belongs to.
    pub agent: Commands,
}

impl Call {
    /// What a step may know when the command itself names no node: the one of the look-up.
    pub fn context(&self) -> StepContext {
        let facts = self.agent.facts();
        let (node, rules) = (facts.node(), facts.rules());
        StepContext { node, ports: vec![], progress: self.progress.clone(), rules, evidence: Default::default() }
    }
}

/// How a command failed: the status word and the error object.
#[derive(Debug)]
pub struct Failure {
    /// `FAILED`, or `CLEAN_VERSION_MISMATCH`.
    pub status: CommandStatus,
    /// Section 6.2.
    pub error: CommandError,
}

impl Failure {
    /// An error of no other type.
    pub fn execution(details: impl Into<String>) -> Self {
        Self::typed("CommandExecutionError", 500, "Command execution failed", details)
    }

    /// An error of a type of section 6.2.
    pub fn typed(kind: &str, code: u16, message: &str, details: impl Into<String>) -> Self {
        let error = CommandError { kind: kind.into(), code, message: message.into(), details: details.into() };
        Self { status: CommandStatus::Failed, error }
    }

    /// A bug of ours.
    pub fn panicked(panic: &(dyn std::any::Any + Send)) -> Self {
        Self::execution(format!("the agent's code panicked: {}", panic_text(panic)))
    }

    /// What a person reads.
    pub fn text(&self) -> &str {
        self.error.text()
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        Self { status: CommandStatus::Failed, error: error.into() }
    }
}

/// The text of a panic, if it has one.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text")
}
