//! `fake` power and management: no machine at all. The power state lives in the store, the boot device in this process.

use super::traits::{BootSetting, DriverError, Management, Power, Target};
use crate::model::power::{BootDevice, PowerState, PowerTarget};
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Power that does what it is told. A node whose state was never stored counts as off.
pub struct FakePower {
    state: Mutex<PowerState>,
}

impl FakePower {
    /// Starts with what the store holds.
    pub fn new(target: &Target) -> Self {
        Self { state: Mutex::new(target.stored_power.unwrap_or(PowerState::Off)) }
    }
}

#[async_trait]
impl Power for FakePower {
    async fn state(&self) -> Result<PowerState, DriverError> {
        Ok(*self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn set(&self, want: PowerTarget, _timeout: Duration) -> Result<(), DriverError> {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = want.end();
        Ok(())
    }

    fn supported(&self) -> &'static [PowerTarget] {
        PowerTarget::ALL
    }

    fn is_simulated(&self) -> bool {
        true
    }
}

/// Boot devices of all fake nodes of this process. Ironic's fake always answers "pxe, not persistent"; so does this one
/// until something is set.
#[derive(Clone, Default)]
pub struct FakeBoot {
    settings: Arc<Mutex<HashMap<String, BootSetting>>>,
}

/// Management of one fake node.
pub struct FakeManagement {
    boot: FakeBoot,
    node_uuid: String,
}

impl FakeManagement {
    /// For a node.
    pub fn new(boot: &FakeBoot, target: &Target) -> Self {
        Self { boot: boot.clone(), node_uuid: target.node_uuid.clone() }
    }
}

const DEVICES: &[BootDevice] =
    &[BootDevice::Pxe, BootDevice::Disk, BootDevice::Cdrom, BootDevice::Bios, BootDevice::Safe];

#[async_trait]
impl Management for FakeManagement {
    fn supported_boot_devices(&self) -> &'static [BootDevice] {
        DEVICES
    }

    async fn boot_device(&self) -> Result<BootSetting, DriverError> {
        let settings = self.boot.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let unset = BootSetting { device: Some(BootDevice::Pxe), persistent: Some(false) };
        Ok(settings.get(&self.node_uuid).copied().unwrap_or(unset))
    }

    async fn set_boot_device(&self, device: BootDevice, persistent: bool) -> Result<(), DriverError> {
        if !DEVICES.contains(&device) {
            return Err(DriverError::Invalid(format!("Invalid boot device {device} specified.")));
        }
        let setting = BootSetting { device: Some(device), persistent: Some(persistent) };
        self.boot.settings.lock().unwrap_or_else(PoisonError::into_inner).insert(self.node_uuid.clone(), setting);
        Ok(())
    }

    async fn inject_nmi(&self) -> Result<(), DriverError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{FakeBoot, FakeManagement, FakePower};
    use crate::driver::traits::{Management, Power, Target};
    use crate::model::power::{BootDevice, PowerState, PowerTarget};
    use std::time::Duration;

    fn target(node: &str, stored_power: Option<PowerState>) -> Target {
        Target { node_uuid: node.into(), driver_info: Default::default(), uefi: true, stored_power }
    }

    #[tokio::test]
    async fn power_starts_from_the_store_and_follows_orders() {
        assert_eq!(FakePower::new(&target("a", None)).state().await.unwrap(), PowerState::Off);
        let power = FakePower::new(&target("a", Some(PowerState::On)));
        assert_eq!(power.state().await.unwrap(), PowerState::On);
        power.set(PowerTarget::SoftOff, Duration::ZERO).await.unwrap();
        assert_eq!(power.state().await.unwrap(), PowerState::Off);
        assert!(power.is_simulated());
    }

    #[tokio::test]
    async fn each_node_keeps_its_boot_device_between_openings() {
        let boot = FakeBoot::default();
        let open = |node| FakeManagement::new(&boot, &target(node, None));
        open("a").set_boot_device(BootDevice::Disk, true).await.unwrap();
        assert_eq!(open("a").boot_device().await.unwrap().device, Some(BootDevice::Disk));
        assert_eq!(open("b").boot_device().await.unwrap().device, Some(BootDevice::Pxe));
        assert!(open("a").set_boot_device(BootDevice::Floppy, true).await.is_err());
    }
}
