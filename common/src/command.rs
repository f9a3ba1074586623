//! A command of the agent: its start, its status, its outcome.
//!
//! Agent-protocol sections 5 and 6.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// Body of `POST /v1/commands/`.
#[derive(Clone, Serialize, Deserialize)]
pub struct CommandRequest {
    /// `<extension>.<name>`.
    pub name: String,
    /// Named arguments; `{}` when there are none.
    pub params: Map<String, Value>,
}

impl fmt::Debug for CommandRequest {
    /// Leaves the values of arguments out: passwords, config drives, the node's record.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.params.keys().collect();
        f.debug_struct("CommandRequest").field("name", &self.name).field("params", &names).finish()
    }
}

/// Where a command stands. The words are the wire's (section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandStatus {
    /// At work.
    #[serde(rename = "RUNNING")]
    Running,
    /// Ended well.
    #[serde(rename = "SUCCEEDED")]
    Succeeded,
    /// Ended badly; see the error.
    #[serde(rename = "FAILED")]
    Failed,
    /// The hardware managers are not those the step was planned for. Read under both names, written under the old one.
    #[serde(rename = "CLEAN_VERSION_MISMATCH", alias = "VERSION_MISMATCH")]
    VersionMismatch,
}

/// One entry of the agent's list (section 6.1). `command_params` is never sent: it would leak secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandResult {
    /// UUID of this run.
    pub id: String,
    /// Short name, without the extension. (The reference puts the full name when a sync command fails.)
    pub command_name: String,
    /// Where it stands.
    pub command_status: CommandStatus,
    /// Null, or what went wrong.
    #[serde(default)]
    pub command_error: Option<CommandError>,
    /// Null, an object, or `{"result": text}`.
    #[serde(default)]
    pub command_result: Option<Value>,
}

impl CommandResult {
    /// The name without its extension, whichever form the peer sent.
    pub fn short_name(&self) -> &str {
        self.command_name.rsplit('.').next().unwrap_or(&self.command_name)
    }
}

/// [`CommandError::kind`] of a command that an agent of the same boot ran when it was stopped. An extension: the reference does
/// not survive a restart of its agent.
pub const AGENT_RESTARTED: &str = "AgentRestarted";

/// Error object of a failed command (section 6.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandError {
    /// Class of the error, for example `CleaningError`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// An HTTP-like number.
    #[serde(default)]
    pub code: u16,
    /// What kind of failure, constant per type.
    #[serde(default)]
    pub message: String,
    /// What exactly happened.
    #[serde(default)]
    pub details: String,
}

impl CommandError {
    /// What a person should read: the details, else the message, else the type.
    pub fn text(&self) -> &str {
        [&self.details, &self.message, &self.kind]
            .into_iter()
            .find(|text| !text.is_empty())
            .map_or("unknown error", |text| text.as_str())
    }
}

/// Answer of `GET /v1/commands/`, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CommandList {
    /// Every command since the agent started.
    pub commands: Vec<CommandResult>,
}

/// Error body of the agent's HTTP API (section 5).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// `Client` below 500, else `Server`.
    pub faultcode: String,
    /// The text.
    pub faultstring: String,
}

/// `GET /v1/status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Seconds since 1970.
    pub started_at: f64,
    /// Version of the agent.
    pub version: String,
}
