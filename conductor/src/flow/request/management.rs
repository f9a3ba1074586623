//! Boot device and NMI (rest-api section 8.2).

use super::{Caller, Conductor, RequestError, find};
use crate::claim::Claim;
use crate::driver::traits::{BootSetting, Management};
use crate::flow::{let_go, machine};
use crate::model::history::Severity;
use crate::model::node::{InterfaceKind, Node};
use crate::model::power::BootDevice;
use std::sync::Arc;

fn management(conductor: &Conductor, node: &Node) -> Result<Arc<dyn Management>, RequestError> {
    machine::open(conductor, node)?.management.ok_or_else(|| {
        RequestError::Invalid(format!(
            "Driver {} does not support management with the interface {} (disabled or not implemented).",
            node.driver,
            node.interface(InterfaceKind::Management)
        ))
    })
}

/// `GET management/boot_device`. Needs no lease (defect 24 of the reference).
///
/// # Errors
/// Unsupported, or the BMC does not answer.
pub async fn boot_device(conductor: &Arc<Conductor>, ident: &str) -> Result<BootSetting, RequestError> {
    let node = find(conductor, ident).await?;
    Ok(management(conductor, &node)?.boot_device().await?)
}

/// `PUT management/boot_device`.
///
/// # Errors
/// Unsupported device, a held node, or the BMC does not answer.
pub async fn set_boot_device(
    conductor: &Arc<Conductor>,
    ident: &str,
    device: BootDevice,
    persistent: bool,
    caller: &Caller,
) -> Result<(), RequestError> {
    let node = find(conductor, ident).await?;
    let management = management(conductor, &node)?;
    if !management.supported_boot_devices().contains(&device) {
        let known: Vec<_> = management.supported_boot_devices().iter().map(|device| device.name()).collect();
        return Err(RequestError::Invalid(format!(
            "Invalid boot device {device} specified; this driver supports {}",
            known.join(", ")
        )));
    }
    let mut claim = Claim::take_patiently(&conductor.holder, node.uuid, "set boot device").await?;
    super::sign(&mut claim.node, caller);
    let done = management.set_boot_device(device, persistent).await;
    if done.is_ok() {
        let how = if persistent { "persistently" } else { "once" };
        claim.note(Severity::Info, "management", format!("boot device set to {device}, {how}"));
        claim.save().await?;
    }
    let_go(conductor, claim).await;
    Ok(done?)
}

/// `GET management/boot_device/supported`.
///
/// # Errors
/// Unsupported.
pub async fn supported_boot_devices(conductor: &Arc<Conductor>, ident: &str) -> Result<Vec<BootDevice>, RequestError> {
    let node = find(conductor, ident).await?;
    Ok(management(conductor, &node)?.supported_boot_devices().to_vec())
}

/// `PUT management/inject_nmi`.
///
/// # Errors
/// Unsupported, a held node, or the BMC does not answer.
pub async fn inject_nmi(conductor: &Arc<Conductor>, ident: &str, caller: &Caller) -> Result<(), RequestError> {
    let node = find(conductor, ident).await?;
    let management = management(conductor, &node)?;
    let mut claim = Claim::take_patiently(&conductor.holder, node.uuid, "inject NMI").await?;
    super::sign(&mut claim.node, caller);
    let done = management.inject_nmi().await;
    if done.is_ok() {
        claim.note(Severity::Info, "management", "NMI injected");
        claim.save().await?;
    }
    let_go(conductor, claim).await;
    Ok(done?)
}
