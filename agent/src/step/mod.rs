//! Every step this agent offers, as a table, and how one is run.

use crate::sys::progress::Progress;
use common::command::CommandError;
use common::step::{OfferedSteps, Step, StepKind};
use serde_json::{Map, Value};

/// What a step may know. Borrowed for one run; steps run on a thread of their own and may block.
pub struct StepContext {
    /// The node as the conductor sent it with the command (agent-protocol 8.4). Keys may be missing.
    pub node: Map<String, Value>,
    /// The node's ports as sent.
    pub ports: Vec<Value>,
    /// Where progress goes.
    pub progress: Progress,
    /// Rules for downloads, from look-up, kernel line and configuration.
    pub rules: Rules,
}

/// What the operator allows; filled by `life` from kernel line, configuration and look-up.
#[derive(Clone, Debug)]
pub struct Rules {
    /// MD5 digests are acceptable.
    pub md5_enabled: bool,
    /// Skip the comparison of declared and found format.
    pub disable_deep_image_inspection: bool,
    /// Formats that may be written.
    pub permitted_image_formats: Vec<String>,
    /// Do not verify HTTPS servers (`ipa-insecure`).
    pub insecure: bool,
    /// PEM file with CA certificates; none: the system's bundle.
    pub ca_file: Option<std::path::PathBuf>,
    /// Lowest TLS version for downloads, `1.2` or `1.3`.
    pub tls_min_version: String,
    /// Connect and per-read time-out of a download, seconds (`ipa-image-download-connection-timeout`).
    pub download_timeout: u64,
    /// Attempts after the first (`ipa-image-download-connection-retries`).
    pub download_retries: u32,
    /// Seconds between attempts (`ipa-image-download-connection-retry-interval`).
    pub download_retry_interval: u64,
    /// Seconds for the whole download, 0 = no limit (`ipa-image-download-max-duration`).
    pub download_max_duration: u64,
    /// `--allow-erase`: devices that may be destroyed although `/` is not a ramdisk.
    pub allow_erase: Vec<std::path::PathBuf>,
    /// The shared-filesystem guard (`ipa-guard-special-filesystems`).
    pub guard_special_filesystems: bool,
    /// Where to look for the EFI variables; tests point it elsewhere.
    pub efivars: std::path::PathBuf,
}

/// Why a step failed, with the wire's error type (agent-protocol 6.2).
#[derive(Debug, thiserror::Error)]
#[error("{details}")]
pub struct StepError {
    /// `ImageWriteError`, `BlockDeviceEraseError`, ...
    pub kind: &'static str,
    /// HTTP-like code.
    pub code: u16,
    /// The type's constant message.
    pub message: &'static str,
    /// What happened and what to do.
    pub details: String,
}

impl From<StepError> for CommandError {
    fn from(error: StepError) -> Self {
        CommandError {
            kind: error.kind.into(),
            code: error.code,
            message: error.message.into(),
            details: error.details,
        }
    }
}

/// The steps offered for `kind`, with the version map that every later call must repeat.
pub fn offered(kind: StepKind) -> OfferedSteps {
    let _ = kind;
    OfferedSteps { steps: Default::default(), hardware_manager_version: Default::default() }
}

/// Runs one offered step; refuses names that are not offered for `kind` and arguments that are not declared.
///
/// # Errors
/// [`StepError`]; an unknown step is `HardwareManagerMethodNotFound`.
pub fn execute(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    let _ = (kind, context);
    Err(StepError {
        kind: "HardwareManagerMethodNotFound",
        code: 500,
        message: "Could not find method",
        details: format!("Could not find method: {}", step.step),
    })
}
