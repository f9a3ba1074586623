//! Why a command to a BMC failed, inside this room; people see it as a [`DriverError`].

use super::completion;
use crate::driver::traits::DriverError;
use crate::figures;

/// A failed command.
#[derive(Debug, thiserror::Error)]
pub enum IpmiError {
    /// The name cannot be resolved or there is no way to the address.
    #[error("{0}")]
    Address(String),
    /// No usable answer in the time allowed.
    #[error("{0}")]
    Silent(String),
    /// The BMC does not let us in.
    #[error("{0}")]
    Login(String),
    /// The BMC answered with a completion code.
    #[error("{}", completion::text(*code))]
    Refused {
        /// The completion code.
        code: u8,
    },
    /// The BMC answered something that is not what the command gives.
    #[error("the BMC's answer is too short to be one: update its firmware")]
    Malformed,
}

impl IpmiError {
    /// For figures.
    fn kind(&self) -> &'static str {
        match self {
            IpmiError::Address(_) => "address",
            IpmiError::Silent(_) => "silent",
            IpmiError::Login(_) => "login",
            IpmiError::Refused { .. } => "refused",
            IpmiError::Malformed => "malformed",
        }
    }

    /// The error people see; `what` names the command.
    pub fn of(self, what: &str) -> DriverError {
        let text = format!("IPMI call failed: {what}: {self}");
        figures::bmc_error("ipmi", self.kind());
        match self {
            IpmiError::Refused { code } if completion::is_unsupported(code) => DriverError::Unsupported(text),
            _ => DriverError::Failed(text),
        }
    }
}
