//! What the timeline of a held node tells: notes, and the moves that a node makes.

use super::Claim;
use crate::figures;
use crate::model::event::Move;
use crate::model::fsm::{self, Event, Refused, State};
use crate::model::history::{HistoryEntry, Severity};
use jiff::Timestamp;
use uuid::Uuid;

/// Longest `last_error` and history text (rest-api section 17.13).
const TEXT_MAX: usize = 4096;

impl Claim {
    /// Writes a line into the node's timeline with the next save.
    pub fn note(&mut self, severity: Severity, kind: &str, text: impl Into<String>) {
        self.note_with(severity, kind, text, None);
    }

    /// As [`Claim::note`], with the time that what ended took, in seconds.
    pub fn note_with(&mut self, severity: Severity, kind: &str, text: impl Into<String>, seconds: Option<f64>) {
        let event = clip(text.into());
        let node = &self.node;
        match severity {
            Severity::Info => {
                tracing::info!(node = %node.uuid, state = %node.provision_state, request_id = node.flow.request_id.as_deref(), "{event}")
            }
            Severity::Error => {
                tracing::warn!(node = %node.uuid, state = %node.provision_state, request_id = node.flow.request_id.as_deref(), "{event}")
            }
        }
        self.timeline.push(HistoryEntry {
            uuid: Uuid::new_v4(),
            created_at: Timestamp::now(),
            severity,
            event,
            event_type: kind.into(),
            user: node.flow.user.clone(),
            project: node.flow.project.clone(),
            conductor: self.holder.host.clone(),
            state: Some(node.provision_state.name().into()),
            target_provision_state: node.target_provision_state.map(|state| state.name().into()),
            duration_seconds: seconds,
            proof: None,
            moved: None,
        });
    }

    /// As [`Claim::note`], of type `erase`, with a proof that goes with the line.
    pub fn note_proof(&mut self, text: impl Into<String>, proof: serde_json::Value) {
        self.note(Severity::Info, "erase", text);
        if let Some(line) = self.timeline.last_mut() {
            line.proof = Some(proof);
        }
    }

    /// Makes the move in the record: state, target, times, and a line in the timeline. The caller saves.
    ///
    /// # Errors
    /// [`Refused`] when the table has no such row.
    pub fn step(&mut self, event: Event) -> Result<(), Refused> {
        let (from, from_target) = (self.node.provision_state, self.node.target_provision_state);
        let to = fsm::next(from, event)?;
        let now = Timestamp::now();
        let seconds =
            self.node.provision_updated_at.map(|since| (now - since).total(jiff::Unit::Second).unwrap_or(0.0));
        let keeps_manual_target = self.node.target_provision_state == Some(State::Manageable)
            && matches!(from, State::Cleaning | State::CleanWait | State::CleanHold);
        self.node.provision_state = to;
        self.node.provision_updated_at = Some(now);
        self.node.time_inspection(from, to, now);
        self.node.target_provision_state = match to.target() {
            Some(State::Available) if keeps_manual_target => Some(State::Manageable),
            target => target,
        };
        if to.is_wait() {
            self.node.flow.waiting_since = Some(now);
        } else if !to.is_busy() {
            self.node.flow.waiting_since = None;
            self.node.flow.waiting_for = None;
        }
        if let Some(seconds) = seconds {
            figures::state_left(from.name(), seconds);
        }
        self.note_with(Severity::Info, "provision", format!("{from} -> {to} ({event})"), seconds);
        let to_target = self.node.target_provision_state;
        if let Some(line) = self.timeline.last_mut() {
            line.moved = Some(Move { from, from_target, to, to_target, event });
        }
        Ok(())
    }
}

/// Cuts a text to what `last_error` may hold.
pub fn clip(mut text: String) -> String {
    if text.len() > TEXT_MAX {
        let end = (0..=TEXT_MAX - 3).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let text = clip("ä".repeat(5000));
        assert!(text.len() <= TEXT_MAX && text.ends_with("..."));
    }
}
