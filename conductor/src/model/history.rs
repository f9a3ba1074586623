//! One line of a node's timeline (rest-api section 8.2, history).

use super::event::Move;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How grave it is, by the contract's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Severity {
    /// Something went well or merely happened.
    #[serde(rename = "INFO")]
    Info,
    /// Something failed.
    #[serde(rename = "ERROR")]
    Error,
}

/// Type of the line that a person's call for maintenance leaves, and nothing else.
pub const MAINTENANCE: &str = "maintenance";

/// The record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Its identity.
    pub uuid: Uuid,
    /// When.
    pub created_at: Timestamp,
    /// How grave.
    pub severity: Severity,
    /// What happened, full text.
    pub event: String,
    /// `provision`, `step`, `power`, `heartbeat` ...
    pub event_type: String,
    /// Who asked, if a person did.
    #[serde(default)]
    pub user: Option<String>,
    /// The project that he asked for (1.113).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Which conductor wrote it.
    pub conductor: String,
    /// Provision state when it was written (1.115).
    #[serde(default)]
    pub state: Option<String>,
    /// Target when it was written (1.115).
    #[serde(default)]
    pub target_provision_state: Option<String>,
    /// How long what ended here took (1.115).
    #[serde(default)]
    pub duration_seconds: Option<f64>,
    /// Proof of what the line tells: document, signature, certificate (see `common::erase_proof`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<serde_json::Value>,
    /// The move that this line tells of; goes into the event log, not into the history.
    #[serde(skip)]
    pub moved: Option<Move>,
}
