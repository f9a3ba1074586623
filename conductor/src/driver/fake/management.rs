//! `fake` management: boots from the network whatever one sets, and has two lights, one of them for looking only.

use super::delay::Delay;
use crate::driver::traits::{BootSetting, DriverError, Indicator, Management};
use crate::model::power::{BootDevice, IndicatorState};
use async_trait::async_trait;

/// Management of a fake node.
pub struct FakeManagement {
    delay: Delay,
}

impl FakeManagement {
    /// Takes as long as `delay` says for each call.
    pub fn new(delay: Delay) -> Self {
        Self { delay }
    }
}

/// Component, name, readonly, states.
const LIGHTS: &[(&str, &str, bool, &[IndicatorState])] = &[
    ("chassis", "led-0", true, &[IndicatorState::Off, IndicatorState::On]),
    ("system", "led", false, &[IndicatorState::Blinking, IndicatorState::Off, IndicatorState::On]),
];

#[async_trait]
impl Management for FakeManagement {
    fn supported_boot_devices(&self) -> &'static [BootDevice] {
        &[BootDevice::Pxe]
    }

    async fn boot_device(&self) -> Result<BootSetting, DriverError> {
        self.delay.pass().await;
        Ok(BootSetting { device: Some(BootDevice::Pxe), persistent: Some(false) })
    }

    async fn set_boot_device(&self, device: BootDevice, _persistent: bool) -> Result<(), DriverError> {
        self.delay.pass().await;
        if device == BootDevice::Pxe { Ok(()) } else { Err(self.refuse_boot_device(device.name())) }
    }

    async fn indicators(&self) -> Result<Vec<Indicator>, DriverError> {
        self.delay.pass().await;
        let light = |&(component, name, readonly, states): &(&str, &str, bool, &[IndicatorState])| Indicator {
            component: component.into(),
            name: name.into(),
            readonly,
            states: states.to_vec(),
        };
        Ok(LIGHTS.iter().map(light).collect())
    }

    async fn indicator(&self, component: &str, name: &str) -> Result<IndicatorState, DriverError> {
        self.delay.pass().await;
        let wrong = |what: &str, word: &str| Err(DriverError::Invalid(format!("Invalid {what} {word} specified.")));
        if !LIGHTS.iter().any(|light| light.0 == component) {
            return wrong("component", component);
        }
        match LIGHTS.iter().any(|light| (light.0, light.1) == (component, name)) {
            true => Ok(IndicatorState::On),
            false => wrong("indicator", name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Delay, FakeManagement, Management};
    use crate::model::power::{BootDevice, BootMode, IndicatorState};

    #[tokio::test]
    async fn it_boots_from_the_network_only() {
        let fake = FakeManagement::new(Delay::default());
        fake.set_boot_device(BootDevice::Pxe, true).await.unwrap();
        assert_eq!(fake.boot_device().await.unwrap().persistent, Some(false), "as Ironic's fake");
        let error = fake.set_boot_device(BootDevice::Disk, true).await.unwrap_err();
        assert_eq!(error.to_string(), "Invalid boot device disk specified.");
    }

    #[tokio::test]
    async fn its_lights_are_on_and_none_can_be_switched() {
        let fake = FakeManagement::new(Delay::default());
        assert_eq!(fake.indicators().await.unwrap().len(), 2);
        assert_eq!(fake.indicator("system", "led").await.unwrap(), IndicatorState::On);
        let text = |error: super::DriverError| error.of("fake-hardware").to_string();
        assert_eq!(text(fake.indicator("zz", "led").await.unwrap_err()), "Invalid component zz specified.");
        assert_eq!(text(fake.indicator("system", "zz").await.unwrap_err()), "Invalid indicator zz specified.");
        assert_eq!(
            text(fake.set_indicator("system", "led", "on").await.unwrap_err()),
            "Driver fake-hardware does not support set_indicator_state (disabled or not implemented)."
        );
        assert!(text(fake.set_boot_mode(BootMode::Uefi).await.unwrap_err()).contains("set_boot_mode"));
    }
}
