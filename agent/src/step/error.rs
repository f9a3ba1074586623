//! The wire's names for what can go wrong (agent-protocol 6.2 and 8.2).

use super::StepError;
use crate::disk::error::DiskError;
use common::step::StepKind;

impl StepError {
    /// Anything a step did not foresee, in the words of section 8.2; `class` names the kind of mistake.
    pub fn unexpected(kind: StepKind, step: &str, class: &str, cause: &str) -> Self {
        let (name, message) = match kind {
            StepKind::Clean => ("CleaningError", "Clean step failed"),
            StepKind::Deploy => ("DeploymentError", "Deploy step failed"),
            StepKind::Service => ("ServicingError", "Service step failed"),
        };
        let details = format!("Unexpected exception performing {} step {step}. {class}: {cause}", kind.word());
        Self { kind: name, code: 500, message, details }
    }

    /// What a step was asked for makes no sense, in the type that the reference has for it whatever the kind of step.
    pub fn cleaning(details: String) -> Self {
        Self { kind: "CleaningError", code: 500, message: "Clean step failed", details }
    }

    /// A failure of the disk room while `step` ran.
    pub fn disk(kind: StepKind, step: &str, erasing: bool, error: &DiskError) -> Self {
        let details = error.to_string();
        let (name, code, message) = match error {
            DiskError::Request(_) => return Self::unexpected(kind, step, "ValueError", &details),
            DiskError::NotFound(_) => {
                ("DeviceNotFound", 404, "Error finding the disk or partition device to deploy the image onto")
            }
            DiskError::Protected { .. } => ("ProtectedDeviceError", 500, "Protected device located, cleaning aborted."),
            DiskError::Raid(_) => ("SoftwareRAIDError", 500, "Software RAID caused unknown error"),
            DiskError::Boot(_) => ("CommandExecutionError", 500, "Command execution failed"),
            DiskError::Erase(_) => ERASE,
            DiskError::Refused(_) | DiskError::Io { .. } if erasing => ERASE,
            DiskError::Refused(_) | DiskError::Io { .. } => {
                ("BlockDeviceError", 500, "Block device caused unknown error")
            }
        };
        Self { kind: name, code, message, details }
    }
}

const ERASE: (&str, u16, &str) = ("BlockDeviceEraseError", 500, "Error erasing block device");
