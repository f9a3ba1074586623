//! Power and management: the two traits that every machine has, what they are opened with, and the one error of all drivers.
//!
//! What a machine may lack has a body that says so ([`DriverError::Lacks`]); the caller names the hardware type.

use crate::model::power::{BootDevice, BootMode, IndicatorState, MediaDevice, PowerState, PowerTarget};
use crate::model::secret_map::SecretMap;
use async_trait::async_trait;
use serde_json::{Map, Value};
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
    /// The same; `None`: a simulated machine that nobody has switched yet, which has no state.
    async fn known_state(&self) -> Result<Option<PowerState>, DriverError> {
        self.state().await.map(Some)
    }
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

/// A light on the machine (rest-api section 8.2, indicators).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indicator {
    /// What it is on: `chassis`, `system`, `disk`, `power`, `nic`.
    pub component: String,
    /// Unique on its component.
    pub name: String,
    /// It can only be read.
    pub readonly: bool,
    /// What it can show.
    pub states: Vec<IndicatorState>,
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
    /// The sentence for a device that is not among the supported ones.
    fn refuse_boot_device(&self, device: &str) -> DriverError {
        DriverError::Invalid(format!("Invalid boot device {device} specified."))
    }
    /// Non-maskable interrupt.
    async fn inject_nmi(&self) -> Result<(), DriverError> {
        Err(DriverError::Lacks("inject_nmi"))
    }
    /// How it boots now.
    async fn boot_mode(&self) -> Result<BootMode, DriverError> {
        Err(DriverError::Lacks("get_boot_mode"))
    }
    /// Has it boot another way from now on.
    async fn set_boot_mode(&self, _mode: BootMode) -> Result<(), DriverError> {
        Err(DriverError::Lacks("set_boot_mode"))
    }
    /// UEFI secure boot is on.
    async fn secure_boot(&self) -> Result<bool, DriverError> {
        Err(DriverError::Lacks("get_secure_boot_state"))
    }
    /// Switches UEFI secure boot.
    async fn set_secure_boot(&self, _on: bool) -> Result<(), DriverError> {
        Err(DriverError::Lacks("set_secure_boot_state"))
    }
    /// The lights.
    async fn indicators(&self) -> Result<Vec<Indicator>, DriverError> {
        Err(DriverError::Lacks("get_supported_indicators"))
    }
    /// What a light shows.
    async fn indicator(&self, _component: &str, _name: &str) -> Result<IndicatorState, DriverError> {
        Err(DriverError::Lacks("get_indicator_state"))
    }
    /// Switches a light. The state is a client's word: unknown ones are refused here.
    async fn set_indicator(&self, _component: &str, _name: &str, _state: &str) -> Result<(), DriverError> {
        Err(DriverError::Lacks("set_indicator_state"))
    }
    /// The virtual media devices as the API shows them: `media_types`, `inserted`, `image`.
    async fn virtual_media(&self) -> Result<Vec<Map<String, Value>>, DriverError> {
        Err(DriverError::Lacks("get_virtual_media"))
    }
    /// Images can be inserted at all: asked before one is fetched for it.
    fn takes_images(&self) -> bool {
        false
    }
    /// Inserts an image that the BMC fetches from `url`.
    async fn attach_virtual_media(&self, _device: MediaDevice, _url: &str) -> Result<(), DriverError> {
        Err(DriverError::Lacks("attach_virtual_media"))
    }
    /// Takes images out; `None`: all.
    async fn detach_virtual_media(&self, _devices: Option<&[MediaDevice]>) -> Result<(), DriverError> {
        Err(DriverError::Lacks("detach_virtual_media"))
    }
    /// Who made the machine, for `properties.vendor`.
    async fn vendor(&self) -> Result<String, DriverError> {
        Err(DriverError::Lacks("detect_vendor"))
    }
    /// `OK`, `Warning`, `Critical`.
    async fn health(&self) -> Result<String, DriverError> {
        Err(DriverError::Lacks("get_node_health"))
    }
}

/// An opened driver.
#[derive(Clone)]
pub struct Driver {
    /// Power.
    pub power: Arc<dyn Power>,
    /// Boot device and more; `None`: no driver of this interface is built yet.
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
    /// The interface has no such function; [`DriverError::of`] makes it a sentence about the hardware type.
    #[error("the driver does not support {0} (disabled or not implemented)")]
    Lacks(&'static str),
    /// The BMC does not answer, refuses the credentials or the command, or did not reach the state in time.
    #[error("{0}")]
    Failed(String),
}

impl DriverError {
    /// The contract's sentence for what a hardware type does not support (rest-api section 2.2).
    pub fn unsupported(hardware_type: &str, what: &str) -> Self {
        DriverError::Unsupported(format!(
            "Driver {hardware_type} does not support {what} (disabled or not implemented)."
        ))
    }

    /// With the hardware type in the sentence about a function that is missing.
    pub fn of(self, hardware_type: &str) -> Self {
        match self {
            DriverError::Lacks(function) => Self::unsupported(hardware_type, function),
            other => other,
        }
    }
}
