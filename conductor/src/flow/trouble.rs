//! How a piece of a flow ends: moved on, rests, failed, or lost the node.

use crate::claim::ClaimError;
use crate::driver::traits::DriverError;
use crate::model::fsm::Refused;
use crate::store::StoreError;

/// A piece ended well and saved what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// Decide again.
    On,
    /// Nothing to do until the next knock.
    Rest,
}

/// A piece did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The flow fails; the text becomes last_error.
    #[error("{0}")]
    Fail(String),
    /// A person asked to stop after the step that has ended; the text becomes last_error.
    #[error("{0}")]
    Aborted(String),
    /// The work cannot be saved: the lease was taken over, or the database failed. The flow goes on from the last save.
    #[error(transparent)]
    Lost(StoreError),
}

impl Trouble {
    /// A failure with what was being done in front.
    pub fn within(self, what: &str) -> Self {
        match self {
            Trouble::Fail(text) => Trouble::Fail(format!("{what}: {text}")),
            other => other,
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Trouble::Lost(error)
    }
}

impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Self {
        Trouble::Fail(refused.to_string())
    }
}

impl From<ClaimError> for Trouble {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Store(error) => Trouble::Lost(error),
            ClaimError::Refused(refused) => refused.into(),
        }
    }
}

impl From<DriverError> for Trouble {
    fn from(error: DriverError) -> Self {
        Trouble::Fail(error.to_string())
    }
}
