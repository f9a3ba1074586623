//! Why a command was not accepted, in the words of the contract (agent-protocol section 5). Nothing is recorded then.

/// The `Display` text is the `faultstring`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `foo` instead of `foo.bar`.
    #[error("Invalid command: Command name must be of the form <extension>.<name>")]
    NoDot,
    /// The extension has no such command.
    #[error("Invalid command: Unknown command: {0}")]
    UnknownCommand(String),
    /// `poll.set_node_info` is for agents that nobody tells which node they are.
    #[error("Invalid command: this agent asks its conductor which node it is; set_node_info is for standalone agents")]
    NotStandalone,
    /// Arguments that cannot be right.
    #[error("Invalid command parameters: {0}")]
    Params(String),
    /// No such extension.
    #[error("Not found: Extension with id {0} not found.")]
    NoExtension(String),
    /// No such result.
    #[error("Not found: Command Result with id {0} not found.")]
    NoResult(String),
    /// The newest command still runs.
    #[error("Agent is busy: executing command {0}")]
    Busy(String),
    /// The agent itself is in trouble.
    #[error("{0}")]
    Internal(String),
}

impl Refused {
    /// The HTTP status.
    pub fn code(&self) -> u16 {
        match self {
            Self::NoDot | Self::UnknownCommand(_) | Self::NotStandalone | Self::Params(_) => 400,
            Self::NoExtension(_) | Self::NoResult(_) => 404,
            Self::Busy(_) => 409,
            Self::Internal(_) => 500,
        }
    }
}
