//! `fake` power: does what it is told. The state lives in the store.

use super::delay::Delay;
use crate::driver::traits::{DriverError, Power, Target};
use crate::model::power::{PowerState, PowerTarget};
use async_trait::async_trait;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Power that does what it is told. A node whose state was never stored has none, and counts as off where one is needed.
pub struct FakePower {
    state: Mutex<Option<PowerState>>,
    delay: Delay,
}

impl FakePower {
    /// Starts with what the store holds.
    pub fn new(target: &Target, delay: Delay) -> Self {
        Self { state: Mutex::new(target.stored_power), delay }
    }
}

#[async_trait]
impl Power for FakePower {
    async fn state(&self) -> Result<PowerState, DriverError> {
        Ok(self.known_state().await?.unwrap_or(PowerState::Off))
    }

    async fn known_state(&self) -> Result<Option<PowerState>, DriverError> {
        self.delay.pass().await;
        Ok(*self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn set(&self, want: PowerTarget, _timeout: Duration) -> Result<(), DriverError> {
        self.delay.pass().await;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(want.end());
        Ok(())
    }

    fn supported(&self) -> &'static [PowerTarget] {
        PowerTarget::ALL
    }

    fn is_simulated(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Delay, FakePower};
    use crate::driver::traits::{Power, Target};
    use crate::model::power::{PowerState, PowerTarget};
    use std::time::Duration;

    fn open(stored_power: Option<PowerState>, delay: &str) -> FakePower {
        let target = Target { node_uuid: "a".into(), driver_info: Default::default(), uefi: true, stored_power };
        FakePower::new(&target, Delay::parse(delay).unwrap())
    }

    #[tokio::test]
    async fn power_starts_from_the_store_and_follows_orders() {
        assert_eq!(open(None, "").state().await.unwrap(), PowerState::Off);
        assert_eq!(open(None, "").known_state().await.unwrap(), None);
        let power = open(Some(PowerState::On), "");
        assert_eq!(power.state().await.unwrap(), PowerState::On);
        power.set(PowerTarget::SoftOff, Duration::ZERO).await.unwrap();
        assert_eq!(power.state().await.unwrap(), PowerState::Off);
        assert!(power.is_simulated());
    }

    #[tokio::test(start_paused = true)]
    async fn orders_take_as_long_as_the_option_says() {
        let begin = tokio::time::Instant::now();
        open(None, "7").set(PowerTarget::On, Duration::ZERO).await.unwrap();
        assert_eq!(begin.elapsed().as_secs(), 7);
    }
}
