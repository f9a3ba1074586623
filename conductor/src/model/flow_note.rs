//! Where a busy flow is, beyond what Ironic's fields of a node say.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a flow waits for, when it is not the agent's work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// This time; kept here so that a restart neither forgets nor prolongs it.
    Until(Timestamp),
    /// The agent's next heartbeat.
    NextBeat,
    /// Something that no knock brings: only a person or the time-out ends it.
    Outside,
}

/// A flow's own bookkeeping, saved with the node so that a restart goes on where it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowNote {
    /// Which piece of the flow was finished last, by the flow's own names.
    pub stage: String,
    /// The agent command that carries the present step, once the agent answered with its id.
    pub command: Option<String>,
    /// The id of the last command whose outcome was recorded.
    pub last_command: Option<String>,
    /// When the present wait began or was last fed by a heartbeat; its deadline counts from here.
    pub waiting_since: Option<Timestamp>,
    /// What is being waited for, for people.
    pub waiting_for: Option<String>,
    /// When the present step began.
    pub step_started_at: Option<Timestamp>,
    /// Attempts at the present piece that failed in a way worth trying again.
    pub attempts: u32,
    /// What the present wait state waits for beside the agent.
    pub pause: Option<Pause>,
    /// When the step of the parent began that was done here last: a parent that begins it again leaves this node out.
    pub parent_step: Option<Timestamp>,
    /// A person asked to stop, and was told that it will be done; the text says what is stopped.
    pub abort: Option<String>,
    /// This flow has booted the ramdisk: whoever ends it must end the ramdisk.
    pub ramdisk: bool,
    /// An inspection left its ramdisk running, and nothing has ended that boot since: its agent is there, or about to call.
    pub kept: bool,
    /// The request that set the flow going.
    pub request_id: Option<String>,
    /// Who asked.
    pub user: Option<String>,
    /// The project that he asked for.
    pub project: Option<String>,
}
