//! The language of inspection rules (rest-api section 12): what a rule may say, whether its conditions hold, what its
//! actions change. Nothing here waits, saves or calls out: `flow` brings the facts and carries the effects away.
//!
//! The meaning of every word is the reference's, down to how values are printed and compared
//! (`tests/fixtures/inspection_rules.json` holds answers of the real program). Everything is bounded: texts, loops,
//! regular expressions, because what rules look at comes from machines nobody trusts yet.

pub mod actions;
pub mod args;
pub mod built_in;
pub mod context;
pub mod effect;
pub mod format;
pub mod net;
pub mod node_field;
pub mod operators;
pub mod pattern;
pub mod port_field;
pub mod rule;
pub mod run;
pub mod schema;
pub mod stored;
pub mod tree;
pub mod value;

#[cfg(test)]
mod differential;

/// Most bytes that all texts of one inspection may grow to, loops included.
pub const MAX_TEXT: usize = 16 * 1024 * 1024;

/// Most turns of all loops of one rule.
pub const MAX_TURNS: usize = 10_000;

/// Why a rule was refused, could not be evaluated, or ended the inspection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The action `fail`: the text is the rule's own.
    #[error("Failed to inspect hardware. Reason: {0}")]
    Told(String),
    /// A condition cannot be answered.
    #[error("Inspection rule condition check failed. Reason: {0}")]
    Condition(String),
    /// An action cannot be done.
    #[error("Inspection rule action execution failed. Reason: {0}")]
    Action(String),
    /// Arguments do not fit the operator or the action; the text is the reference's.
    #[error("{0}")]
    Arguments(String),
    /// A bound of this program was reached.
    #[error("the rule is too expensive: {0}")]
    Bound(String),
}
