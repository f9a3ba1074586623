//! What a BMC says about its machine, kept in the record: vendor, boot mode, secure boot, health, BIOS settings, firmware
//! components (rest-api sections 8.8 and 8.9). It is read where Ironic reads it: on the way to manageable, before and after
//! cleaning and service, with the power sync. It never fails a flow: what cannot be read stays as it was.

use crate::claim::Claim;
use crate::driver::traits::{DriverError, Management};
use crate::flow::conductor::Conductor;
use crate::flow::machine;
use crate::model::machine_parts::{BiosSetting, FirmwareComponent};
use crate::model::node::{InterfaceKind, Node};
use crate::model::record::Recorded;
use crate::store::records::{Record, RecordChange};
use serde_json::json;
use std::future::Future;
use uuid::Uuid;

/// The words of a health (rest-api 6.1).
const HEALTH: &[&str] = &["OK", "Warning", "Critical"];

/// Readings of one moment; `None`: the driver cannot tell, or could not now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    vendor: Option<String>,
    boot_mode: Option<String>,
    secure_boot: Option<bool>,
    health: Option<String>,
}

/// What a driver does not have is no news; what fails is.
async fn told<T>(node: &Node, what: &str, read: impl Future<Output = Result<T, DriverError>>) -> Option<T> {
    match read.await {
        Ok(value) => Some(value),
        Err(DriverError::Lacks(_) | DriverError::Unsupported(_)) => None,
        Err(error) => {
            tracing::warn!(node = %node.uuid, %error, "{what} could not be read; the record keeps what it has");
            None
        }
    }
}

impl Readings {
    /// Asks the BMC. A vendor does not change: one that is known is not asked for.
    pub async fn take(node: &Node, management: &dyn Management, with_health: bool) -> Readings {
        let knows_vendor = node.properties.text("vendor").is_some_and(|vendor| !vendor.is_empty());
        let vendor = if knows_vendor { None } else { told(node, "the vendor", management.vendor()).await };
        let boot_mode = told(node, "the boot mode", management.boot_mode()).await.map(|mode| mode.name().to_owned());
        let secure_boot = told(node, "secure boot", management.secure_boot()).await;
        let health = if with_health { told(node, "the health", management.health()).await } else { None };
        Readings { vendor, boot_mode, secure_boot, health: health.filter(|word| HEALTH.contains(&word.as_str())) }
    }

    /// The record says something else.
    pub fn are_news(&self, node: &Node) -> bool {
        let mut after = node.clone();
        self.put(&mut after);
        after != *node
    }

    /// Into the record.
    pub fn put(&self, node: &mut Node) {
        if let Some(vendor) = self.vendor.as_deref().filter(|vendor| !vendor.is_empty()) {
            node.properties.insert("vendor".into(), json!(vendor));
        }
        if self.boot_mode.is_some() {
            node.boot_mode.clone_from(&self.boot_mode);
        }
        node.secure_boot = self.secure_boot.or(node.secure_boot);
        if self.health.is_some() {
            node.health.clone_from(&self.health);
        }
    }
}

/// Reads everything but the health; it is saved with whatever the caller saves next.
pub async fn keep(conductor: &Conductor, claim: &mut Claim) {
    let target = machine::target(conductor, &claim.node);
    let name = claim.node.interface(InterfaceKind::Management);
    if let Ok(management) = conductor.drivers.management(&claim.node.driver, name, &target) {
        let node = &claim.node;
        let readings = conductor.aside(Readings::take(node, &*management, false)).await;
        readings.put(&mut claim.node);
    }
    bios(conductor, claim).await;
    firmware(conductor, claim).await;
}

async fn bios(conductor: &Conductor, claim: &mut Claim) {
    let node = &claim.node;
    let Some(parts) = conductor.drivers.parts(InterfaceKind::Bios, node.interface(InterfaceKind::Bios)) else { return };
    let read = conductor.aside(told(node, "the BIOS settings", parts.bios_settings())).await;
    if let Some(Some(settings)) = read {
        replace(claim, settings, |setting: &mut BiosSetting, node| setting.node = node);
    }
}

/// The firmware components alone: after an inspection, while the machine is still on.
pub async fn firmware(conductor: &Conductor, claim: &mut Claim) {
    let (node, kind) = (&claim.node, InterfaceKind::Firmware);
    let Some(parts) = conductor.drivers.parts(kind, node.interface(kind)) else { return };
    let read = conductor.aside(told(node, "the firmware components", parts.firmware_components())).await;
    if let Some(Some(components)) = read {
        replace(claim, components, |component: &mut FirmwareComponent, node| component.node = node);
    }
}

fn replace<T: Recorded>(claim: &mut Claim, mut parts: Vec<T>, of: fn(&mut T, Uuid)) {
    let node = claim.node.uuid;
    parts.iter_mut().for_each(|part| of(part, node));
    match parts.iter().map(Record::of).collect::<Result<_, _>>() {
        Ok(records) => claim.along([RecordChange::Replace(T::KIND, node, records)]),
        Err(error) => tracing::warn!(%node, %error, "what was read cannot be kept"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::traits::BootSetting;
    use crate::model::power::{BootDevice, BootMode};
    use async_trait::async_trait;

    /// Says what it is made of; `None`: fails.
    struct Machine(Option<&'static str>);

    #[async_trait]
    impl Management for Machine {
        fn supported_boot_devices(&self) -> &'static [BootDevice] {
            &[]
        }
        async fn boot_device(&self) -> Result<BootSetting, DriverError> {
            Ok(BootSetting::default())
        }
        async fn set_boot_device(&self, _: BootDevice, _: bool) -> Result<(), DriverError> {
            Ok(())
        }
        async fn vendor(&self) -> Result<String, DriverError> {
            self.0.map(str::to_owned).ok_or_else(|| DriverError::Failed("silent".into()))
        }
        async fn boot_mode(&self) -> Result<BootMode, DriverError> {
            self.0.map(|_| BootMode::Uefi).ok_or_else(|| DriverError::Failed("silent".into()))
        }
        async fn health(&self) -> Result<String, DriverError> {
            self.0.map(str::to_owned).ok_or_else(|| DriverError::Failed("silent".into()))
        }
    }

    #[tokio::test]
    async fn what_is_read_is_kept_and_what_is_not_stays() {
        let mut node = Node { secure_boot: Some(true), health: Some("OK".into()), ..Node::default() };
        let silent = Readings::take(&node, &Machine(None), true).await;
        assert_eq!((silent.are_news(&node), &silent), (false, &Readings::default()));
        let warning = Readings::take(&node, &Machine(Some("Warning")), true).await;
        assert!(warning.are_news(&node));
        warning.put(&mut node);
        assert_eq!(node.properties.text("vendor"), Some("Warning"));
        assert_eq!((node.boot_mode.as_deref(), node.health.as_deref()), (Some("uefi"), Some("Warning")));
        assert_eq!(node.secure_boot, Some(true), "the driver cannot tell");
        assert!(!Readings::take(&node, &Machine(Some("Warning")), true).await.are_news(&node));
        let odd = Readings::take(&node, &Machine(Some("on fire")), true).await;
        assert!(!odd.are_news(&node), "a known vendor is not asked for, and no such health is known");
    }
}
