//! `noop` management: the boot order of the machine is right already, network first, then disk. Nothing is sent anywhere.

use super::traits::{BootSetting, DriverError, Management};
use crate::model::power::BootDevice;
use async_trait::async_trait;

/// Takes orders that the boot order fulfils by itself.
pub struct NoopManagement;

const DEVICES: &[BootDevice] = &[BootDevice::Pxe, BootDevice::Disk];

#[async_trait]
impl Management for NoopManagement {
    fn supported_boot_devices(&self) -> &'static [BootDevice] {
        DEVICES
    }

    async fn boot_device(&self) -> Result<BootSetting, DriverError> {
        Ok(BootSetting { device: Some(BootDevice::Pxe), persistent: Some(true) })
    }

    async fn set_boot_device(&self, device: BootDevice, _persistent: bool) -> Result<(), DriverError> {
        if DEVICES.contains(&device) { Ok(()) } else { Err(self.refuse_boot_device(device.name())) }
    }

    fn refuse_boot_device(&self, device: &str) -> DriverError {
        DriverError::Invalid(format!("Invalid boot device {device} specified, supported are pxe, disk."))
    }
}

#[cfg(test)]
mod tests {
    use super::{Management, NoopManagement};
    use crate::model::power::BootDevice;

    #[tokio::test]
    async fn it_takes_network_and_disk_and_nothing_else() {
        assert!(NoopManagement.set_boot_device(BootDevice::Disk, true).await.is_ok());
        let error = NoopManagement.set_boot_device(BootDevice::Cdrom, true).await.unwrap_err();
        assert_eq!(error.to_string(), "Invalid boot device cdrom specified, supported are pxe, disk.");
        let error = NoopManagement.inject_nmi().await.unwrap_err().of("manual-management");
        assert_eq!(
            error.to_string(),
            "Driver manual-management does not support inject_nmi (disabled or not implemented)."
        );
    }
}
