//! The traits every driver is made of, and the one error they share.

use crate::model::power::{BootDevice, PowerState, PowerTarget};
use crate::model::secret_map::SecretMap;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// What a driver is opened with. Facts of one node, not the record.
#[derive(Clone, Debug)]
pub struct Target {
    /// For logs.
    pub node_uuid: String,
    /// Addresses and credentials, checked by the driver that is opened.
    pub driver_info: SecretMap,
    /// Boot flags should ask for UEFI.
    pub uefi: bool,
    /// The power state the store holds: fake and manual drivers have no other source.
    pub stored_power: Option<PowerState>,
}

/// Power of one machine.
#[async_trait]
pub trait Power: Send + Sync {
    /// What the BMC reports now.
    async fn state(&self) -> Result<PowerState, DriverError>;
    /// Returns when the BMC *reports* the wanted state, not when it takes the order; fails after `timeout`.
    /// Can be called twice: a machine that is already there is a success (a reboot reboots again).
    async fn set(&self, want: PowerTarget, timeout: Duration) -> Result<(), DriverError>;
    /// What [`Power::set`] takes.
    fn supported(&self) -> &'static [PowerTarget];
    /// The state outlives this process only in the store (fake): the caller saves what it set.
    fn is_simulated(&self) -> bool {
        false
    }
}

/// What the next boot uses. `None` = the BMC cannot tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootSetting {
    /// The device.
    pub device: Option<BootDevice>,
    /// For every boot, not only the next.
    pub persistent: Option<bool>,
}

/// Boot device and what else a BMC manages.
#[async_trait]
pub trait Management: Send + Sync {
    /// What [`Management::set_boot_device`] takes.
    fn supported_boot_devices(&self) -> &'static [BootDevice];
    /// The present setting.
    async fn boot_device(&self) -> Result<BootSetting, DriverError>;
    /// Sets it; calling twice does no harm.
    async fn set_boot_device(&self, device: BootDevice, persistent: bool) -> Result<(), DriverError>;
    /// Non-maskable interrupt.
    async fn inject_nmi(&self) -> Result<(), DriverError>;
}

/// An opened driver. `management` is `None` for hardware that has none (manual-management's `noop`).
#[derive(Clone)]
pub struct Driver {
    /// Power.
    pub power: Arc<dyn Power>,
    /// Boot device and more.
    pub management: Option<Arc<dyn Management>>,
}

/// Why a driver could not do what it was asked. Texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// driver_info lacks something or holds a value that cannot be used: HTTP 400.
    #[error("{0}")]
    Invalid(String),
    /// Not supported by this driver or this BMC: HTTP 400.
    #[error("{0}")]
    Unsupported(String),
    /// The BMC does not answer, refuses the credentials or the command, or did not reach the state in time.
    #[error("{0}")]
    Failed(String),
}
