//! What a BMC knows of the machine's firmware: its settings and its components, read as a whole.

use super::traits::DriverError;
use crate::model::machine_parts::{BiosSetting, FirmwareComponent};
use async_trait::async_trait;

/// Reads them; `None`: there is nothing to tell beyond what is kept.
#[async_trait]
pub trait Parts: Send + Sync {
    /// All settings that the machine has now.
    async fn bios_settings(&self) -> Result<Option<Vec<BiosSetting>>, DriverError> {
        Err(DriverError::Lacks("cache_bios_settings"))
    }
    /// All components that the machine has now.
    async fn firmware_components(&self) -> Result<Option<Vec<FirmwareComponent>>, DriverError> {
        Err(DriverError::Lacks("cache_firmware_components"))
    }
}
