//! Boot device and NMI.
//!
//! BMCs differ most here: many refuse the parameters around the boot flags, some drop bits of them. Only a refusal of the
//! flags themselves is an error.

use super::bmc::Bmc;
use super::bridge::Bridge;
use super::command::{
    BOOT_DEVICES, BootOption, Control, boot_flags, boot_setting, control, flags, needs_manufacturer, set_boot_option,
};
use super::error::IpmiError;
use crate::driver::traits::{BootSetting, DriverError, Management};
use crate::model::power::BootDevice;
use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{debug, info};

/// What `ipmi_force_boot_device` remembers for one node while this process runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct ForcedBoot {
    /// The device of every boot.
    device: Option<BootDevice>,
    /// The next boot has a device of its own: leave it alone once.
    skip_once: bool,
}

/// Management of one machine behind one BMC.
pub struct IpmiManagement {
    /// The BMC.
    pub bmc: Arc<Bmc>,
    /// The way to the node's controller.
    pub bridge: Bridge,
    /// For logs.
    pub node_uuid: String,
    /// Boot flags ask for UEFI.
    pub uefi: bool,
    /// Tell the BMC to keep the flags for longer than 60 s.
    pub keep_flags: bool,
    /// Set when the BMC is one that forgets.
    pub forced: Option<Arc<Mutex<ForcedBoot>>>,
}

impl IpmiManagement {
    /// Sets the remembered device for the boot to come; `ipmi_force_boot_device` only.
    pub async fn force_again(&self) -> Result<(), DriverError> {
        let Some(forced) = &self.forced else { return Ok(()) };
        let device = {
            let mut forced = forced.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::take(&mut forced.skip_once) { None } else { forced.device }
        };
        match device {
            Some(device) => self.send_flags(device, false).await,
            None => Ok(()),
        }
    }

    /// Sets an option the boot does not depend on: a refusal is only noted. True if taken.
    async fn try_option(&self, option: BootOption) -> Result<bool, DriverError> {
        let command = set_boot_option(option);
        match self.bmc.call(self.bridge, &command).await {
            Ok(_) => Ok(true),
            Err(IpmiError::Refused { code }) => {
                debug!(node = %self.node_uuid, ?option, code, "boot option not taken by the BMC");
                Ok(false)
            }
            Err(error) => Err(error.of(command.what)),
        }
    }

    async fn send_flags(&self, device: BootDevice, persistent: bool) -> Result<(), DriverError> {
        let manufacturer = if needs_manufacturer(device, self.uefi) {
            self.bmc.manufacturer(self.bridge).await.map_err(|error| error.of("mc info"))?
        } else {
            None
        };
        let Some(bytes) = flags(device, persistent, self.uefi, manufacturer) else { return Err(unsupported(device)) };
        let in_progress = self.try_option(BootOption::Progress(1)).await?;
        if self.keep_flags {
            self.try_option(BootOption::KeepFlags).await?;
        }
        self.try_option(BootOption::Acknowledge).await?;
        let command = set_boot_option(BootOption::Flags(bytes));
        let set = self.bmc.call(self.bridge, &command).await;
        if in_progress {
            if set.is_ok() {
                self.try_option(BootOption::Progress(2)).await?;
            }
            self.try_option(BootOption::Progress(0)).await?;
        }
        set.map_err(|error| error.of(command.what))?;
        info!(node = %self.node_uuid, bmc = %self.bmc.access().address, %device, persistent, "boot device set");
        Ok(())
    }

    async fn read_flags(&self) -> Result<BootSetting, DriverError> {
        let command = boot_flags();
        let answer = self.bmc.call(self.bridge, &command).await.map_err(|error| error.of(command.what))?;
        boot_setting(&answer).ok_or_else(|| IpmiError::Malformed.of(command.what))
    }
}

fn unsupported(device: BootDevice) -> DriverError {
    let known: Vec<_> = BOOT_DEVICES.iter().map(|device| device.name()).collect();
    DriverError::Invalid(format!("Invalid boot device {device} specified. IPMI knows {}", known.join(", ")))
}

#[async_trait]
impl Management for IpmiManagement {
    fn supported_boot_devices(&self) -> &'static [BootDevice] {
        BOOT_DEVICES
    }

    async fn boot_device(&self) -> Result<BootSetting, DriverError> {
        if let Some(forced) = &self.forced {
            let forced = *forced.lock().unwrap_or_else(PoisonError::into_inner);
            if let (Some(device), false) = (forced.device, forced.skip_once) {
                return Ok(BootSetting { device: Some(device), persistent: Some(true) });
            }
        }
        self.read_flags().await
    }

    async fn set_boot_device(&self, device: BootDevice, persistent: bool) -> Result<(), DriverError> {
        if !BOOT_DEVICES.contains(&device) {
            return Err(unsupported(device));
        }
        let Some(forced) = &self.forced else {
            self.send_flags(device, persistent).await?;
            return self.note_mismatch(device, persistent).await;
        };
        // Such a BMC need not support "persistent": each boot gets a one-time order.
        self.send_flags(device, false).await?;
        let mut forced = forced.lock().unwrap_or_else(PoisonError::into_inner);
        if persistent {
            *forced = ForcedBoot { device: Some(device), skip_once: false };
        } else {
            forced.skip_once = true;
        }
        Ok(())
    }

    async fn inject_nmi(&self) -> Result<(), DriverError> {
        let command = control(Control::Diagnostic);
        self.bmc.call(self.bridge, &command).await.map_err(|error| error.of(command.what))?;
        Ok(())
    }
}

impl IpmiManagement {
    /// Reads back what was set. A difference is only logged: ipmi_sim and some BMCs obey and report something else.
    async fn note_mismatch(&self, device: BootDevice, persistent: bool) -> Result<(), DriverError> {
        match self.read_flags().await {
            Ok(read) if read.device == Some(device) && read.persistent == Some(persistent) => {}
            Ok(read) => {
                info!(node = %self.node_uuid, %device, persistent, ?read, "the BMC reads back another boot device")
            }
            Err(error) => info!(node = %self.node_uuid, %error, "the boot device cannot be read back"),
        }
        Ok(())
    }
}
