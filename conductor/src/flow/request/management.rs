//! What a BMC manages beside power: boot device, NMI, indicator lights (rest-api section 8.2).

use super::{Caller, Conductor, RequestError, find, sign};
use crate::claim::Claim;
use crate::driver::traits::{BootSetting, DriverError, Indicator, Management};
use crate::flow::{let_go, machine};
use crate::model::history::Severity;
use crate::model::node::{InterfaceKind, Node};
use crate::model::power::{BootDevice, IndicatorState};
use std::future::Future;
use std::sync::Arc;

/// The node's management, opened; driver_info was checked with it.
pub(super) fn management(conductor: &Conductor, node: &Node) -> Result<Arc<dyn Management>, RequestError> {
    let target = machine::target(conductor, node);
    Ok(conductor.drivers.management(&node.driver, node.interface(InterfaceKind::Management), &target)?)
}

/// A refusal about the hardware type of this node.
pub(super) fn refusal(node: &Node, error: DriverError) -> RequestError {
    error.of(&node.driver).into()
}

/// Takes the node, has the BMC do something, and notes in the timeline that it was done.
async fn change<F>(
    conductor: &Arc<Conductor>,
    node: &Node,
    caller: &Caller,
    done: String,
    work: F,
) -> Result<(), RequestError>
where
    F: Future<Output = Result<(), DriverError>>,
{
    let mut claim = Claim::take_patiently(&conductor.holder, node.uuid, &done).await?;
    sign(&mut claim.node, caller);
    let outcome = work.await;
    let saved = if outcome.is_ok() {
        claim.note(Severity::Info, "management", done);
        claim.save().await
    } else {
        Ok(())
    };
    let_go(conductor, claim).await;
    outcome.map_err(|error| refusal(node, error))?;
    Ok(saved?)
}

/// `GET management/boot_device`. Needs no lease (defect 24 of the reference).
///
/// # Errors
/// Unsupported, or the BMC does not answer.
pub async fn boot_device(conductor: &Arc<Conductor>, ident: &str) -> Result<BootSetting, RequestError> {
    let node = find(conductor, ident).await?;
    management(conductor, &node)?.boot_device().await.map_err(|error| refusal(&node, error))
}

/// `PUT management/boot_device`; `device` is the client's word.
///
/// # Errors
/// Unsupported device, a held node, or the BMC does not answer.
pub async fn set_boot_device(
    conductor: &Arc<Conductor>,
    ident: &str,
    device: &str,
    persistent: bool,
    caller: &Caller,
) -> Result<(), RequestError> {
    let node = find(conductor, ident).await?;
    let management = management(conductor, &node)?;
    let known = management.supported_boot_devices();
    let Some(device) = known.iter().copied().find(|known| known.name() == device) else {
        let shown: String = device.chars().take(64).collect();
        return Err(management.refuse_boot_device(&shown).into());
    };
    let how = if persistent { "persistently" } else { "once" };
    let done = format!("boot device set to {device}, {how}");
    change(conductor, &node, caller, done, management.set_boot_device(device, persistent)).await
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
    change(conductor, &node, caller, "NMI injected".into(), management.inject_nmi()).await
}

/// `GET management/indicators`.
///
/// # Errors
/// Unsupported, or the BMC does not answer.
pub async fn indicators(conductor: &Arc<Conductor>, ident: &str) -> Result<Vec<Indicator>, RequestError> {
    let node = find(conductor, ident).await?;
    management(conductor, &node)?.indicators().await.map_err(|error| refusal(&node, error))
}

/// Name and component of `led@system`.
fn parts(light: &str) -> Result<(&str, &str), RequestError> {
    let shown: String = light.chars().take(255).collect();
    light.split_once('@').ok_or_else(|| RequestError::Invalid(format!("Malformed indicator name \"{shown}\"")))
}

/// `GET management/indicators/{light}`. Needs no lease (defect 24 of the reference).
///
/// # Errors
/// Unknown light, unsupported, or the BMC does not answer.
pub async fn indicator(conductor: &Arc<Conductor>, ident: &str, light: &str) -> Result<IndicatorState, RequestError> {
    let node = find(conductor, ident).await?;
    let (name, component) = parts(light)?;
    let management = management(conductor, &node)?;
    management.indicator(component, name).await.map_err(|error| refusal(&node, error))
}

/// `PUT management/indicators/{light}`.
///
/// # Errors
/// Unknown light or state, one that can only be read, unsupported, a held node, or the BMC does not answer.
pub async fn set_indicator(
    conductor: &Arc<Conductor>,
    ident: &str,
    light: &str,
    state: &str,
    caller: &Caller,
) -> Result<(), RequestError> {
    let node = find(conductor, ident).await?;
    let (name, component) = parts(light)?;
    let management = management(conductor, &node)?;
    let shown: String = state.chars().take(32).collect();
    let done = format!("indicator {name}@{component} set to {shown}");
    change(conductor, &node, caller, done, management.set_indicator(component, name, state)).await
}
