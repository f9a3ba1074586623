//! `agent` power of `manual-management`: a person switches the machine, nothing here can.

use super::traits::{DriverError, Power, Target};
use crate::model::power::{PowerState, PowerTarget};
use async_trait::async_trait;
use std::time::Duration;

/// Tells what the store holds and switches nothing.
pub struct ManualPower {
    stored: Option<PowerState>,
}

impl ManualPower {
    /// With the stored state.
    pub fn new(target: &Target) -> Self {
        Self { stored: target.stored_power }
    }
}

#[async_trait]
impl Power for ManualPower {
    async fn state(&self) -> Result<PowerState, DriverError> {
        self.stored.ok_or_else(|| {
            DriverError::Unsupported(
                "the power interface 'agent' cannot tell the power state of a machine whose agent was never heard: set \
                 power_interface to 'fake' to keep the state by hand"
                    .into(),
            )
        })
    }

    async fn set(&self, want: PowerTarget, _timeout: Duration) -> Result<(), DriverError> {
        if self.stored == Some(want.end()) && matches!(want, PowerTarget::On | PowerTarget::Off) {
            return Ok(());
        }
        Err(DriverError::Unsupported(format!(
            "the power interface 'agent' cannot do '{want}': switch the machine by hand, or set power_interface to \
             'fake' to have the order taken as done"
        )))
    }

    fn supported(&self) -> &'static [PowerTarget] {
        &[]
    }

    fn is_simulated(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::ManualPower;
    use crate::driver::traits::{Power, Target};
    use crate::model::power::{PowerState, PowerTarget};
    use std::time::Duration;

    #[tokio::test]
    async fn it_tells_the_stored_state_and_refuses_to_change_it() {
        let open = |stored_power| {
            ManualPower::new(&Target {
                node_uuid: "a".into(),
                driver_info: Default::default(),
                uefi: true,
                stored_power,
            })
        };
        assert_eq!(open(Some(PowerState::On)).state().await.unwrap(), PowerState::On);
        assert!(open(None).state().await.unwrap_err().to_string().contains("'fake'"));
        assert!(open(Some(PowerState::On)).set(PowerTarget::On, Duration::ZERO).await.is_ok());
        assert!(open(Some(PowerState::On)).set(PowerTarget::Reboot, Duration::ZERO).await.is_err());
    }
}
