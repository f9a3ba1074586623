//! `fake` firmware: takes its time to look, and finds what is kept already.

use super::delay::Delay;
use crate::driver::parts::Parts;
use crate::driver::traits::DriverError;
use crate::model::machine_parts::{BiosSetting, FirmwareComponent};
use async_trait::async_trait;

/// Settings and components of a fake machine: only its steps change them.
pub struct FakeParts(pub Delay);

#[async_trait]
impl Parts for FakeParts {
    async fn bios_settings(&self) -> Result<Option<Vec<BiosSetting>>, DriverError> {
        self.0.pass().await;
        Ok(None)
    }

    async fn firmware_components(&self) -> Result<Option<Vec<FirmwareComponent>>, DriverError> {
        self.0.pass().await;
        Ok(None)
    }
}
