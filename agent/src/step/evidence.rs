//! What a step that erases did, left for whoever makes the proof of it.

use crate::disk::proof::{Outcome, now};
use common::erase_proof::{EraseProof, FORMAT};
use std::sync::{Mutex, PoisonError};

/// Empty unless the step erased something.
#[derive(Debug, Default)]
pub struct Evidence(Mutex<Option<(u64, Outcome)>>);

impl Evidence {
    /// The step has erased; it began at this second.
    pub fn leave(&self, started_at: u64, outcome: Outcome) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((started_at, outcome));
    }

    /// The document for this run of this step, if there is something to prove.
    pub fn document(&self, node_uuid: &str, command_id: &str, step: &str) -> Option<EraseProof> {
        let (started_at, outcome) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(EraseProof {
            format: FORMAT.into(),
            node_uuid: node_uuid.into(),
            command_id: command_id.into(),
            step: step.into(),
            agent_version: crate::VERSION.into(),
            started_at,
            ended_at: now(),
            disks: outcome.disks,
            passed_over: outcome.passed_over,
        })
    }
}
