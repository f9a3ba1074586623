//! Booting the deploy ramdisk on the node at hand, and ending it.

use crate::boot::append_params::{RamdiskWords, append_params, ramdisk_args};
use crate::boot::directory::BootEntry;
use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::Trouble;
use crate::flow::{fast_track, machine};
use crate::model::node::{InterfaceKind, Node};
use crate::model::power::{BootDevice, PowerTarget};
use crate::policy::Visible;
use crate::store::{Page, PortFilter};
use common::mac::Mac;
use std::path::PathBuf;
use std::sync::Arc;
use url::Url;

/// What the ramdisk is booted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Steps: the agent looks its node up and beats.
    Steps,
    /// Inspection: the agent sends what the machine has.
    Inspection,
    /// Rescue: as for steps, from the rescue files when the node has any.
    Rescue,
}

/// A ramdisk can run on this node: its deploy interface works with one.
pub fn is_possible(node: &Node) -> bool {
    !matches!(node.interface(InterfaceKind::Deploy), "fake" | "noop")
}

/// Makes the machine boot the ramdisk: directory entry, boot device, power. Runs twice without harm: it boots again.
///
/// # Errors
/// [`Trouble::Fail`] says what the node or the configuration lacks.
pub async fn boot(conductor: &Arc<Conductor>, claim: &mut Claim, purpose: Purpose) -> Result<(), Trouble> {
    // Both are saved before the machine is reset: one that boots while its BMC is still waited for must find no old token,
    // and whoever ends the flow must end the ramdisk.
    machine::forget_agent(&mut claim.node);
    claim.node.flow.ramdisk = true;
    if claim.node.interface(InterfaceKind::Boot) == "ipxe" {
        offer(conductor, &claim.node, purpose).await.map_err(Trouble::Fail)?;
        machine::set_boot_device(conductor, claim, BootDevice::Pxe, false).await?;
    }
    machine::fake_delay(conductor, &claim.node, InterfaceKind::Boot).await;
    machine::set_power(conductor, claim, PowerTarget::Reboot).await
}

/// Puts the node's entry into the boot directory. Also called at start, for every node whose ramdisk may still boot.
///
/// # Errors
/// A text that says what is missing and where to set it.
pub async fn offer(conductor: &Conductor, node: &Node, purpose: Purpose) -> Result<(), String> {
    let (kernel, ramdisk) = files_for(conductor, node, purpose)?;
    let api = api_url(conductor)?;
    let callback = api.join("v1/continue_inspection").map_err(|error| error.to_string())?;
    let append = append_params(
        &conductor.config.pxe.kernel_append_params,
        node.driver_info.text("kernel_append_params"),
        node.instance_info.text("kernel_append_params"),
    )
    .map_err(|error| error.to_string())?;
    let words = RamdiskWords {
        // An inspected machine whose ramdisk stays on has somebody to call.
        api_url: (purpose != Purpose::Inspection || fast_track::is_wanted(conductor, node)).then_some(&api),
        inspection_callback_url: (purpose == Purpose::Inspection).then_some(&callback),
        ..RamdiskWords::default()
    };
    let arguments = ramdisk_args(&append, &words).map_err(|error| error.to_string())?;
    let macs = boot_macs(conductor, node).await?;
    conductor
        .boot
        .set(node.uuid, macs, BootEntry::Ramdisk { kernel, ramdisk, arguments })
        .map_err(|error| error.to_string())
}

/// Lets the machine boot its own disk, should it ask the network all the same.
///
/// # Errors
/// What the directory says.
pub async fn offer_local_disk(conductor: &Conductor, node: &Node) -> Result<(), String> {
    let macs = boot_macs(conductor, node).await?;
    conductor.boot.set(node.uuid, macs, BootEntry::LocalDisk).map_err(|error| error.to_string())
}

/// The address that agents and machines reach this API at.
///
/// # Errors
/// A text that names the option.
pub fn api_url(conductor: &Conductor) -> Result<Url, String> {
    let text = match (&conductor.config.api.public_endpoint, &conductor.config.boot.provisioning_address) {
        (Some(endpoint), _) => endpoint.clone(),
        (None, Some(address)) => format!("http://{}:{}", bracketed(address), conductor.config.api.port),
        (None, None) => {
            return Err("the machine cannot be told where the API is: set [boot] provisioning_address (or [api] public_endpoint)".into());
        }
    };
    let text = format!("{}/", text.trim_end_matches('/').trim_end_matches("/v1"));
    Url::parse(&text).map_err(|error| format!("`{text}` is not a URL: {error}"))
}

fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

/// The NICs that the machine may boot from.
///
/// # Errors
/// There is none; or the store's.
pub async fn boot_macs(conductor: &Conductor, node: &Node) -> Result<Vec<Mac>, String> {
    let filter = PortFilter { node: Some(node.uuid), ..PortFilter::default() };
    let ports = conductor
        .store
        .ports(&Visible::Everything, &filter, &Page::default())
        .await
        .map_err(|error| error.to_string())?;
    let macs: Vec<Mac> = ports.iter().filter(|port| port.pxe_enabled).map(|port| port.address).collect();
    if macs.is_empty() {
        return Err(format!(
            "node {} has no port with pxe_enabled, so its network boot cannot be recognised: create one with the MAC address of its boot NIC",
            node.uuid
        ));
    }
    Ok(macs)
}

/// Kernel and ramdisk of a node: driver_info, else the options.
///
/// # Errors
/// A text in Ironic's words that names what is missing.
pub fn files(conductor: &Conductor, node: &Node) -> Result<(PathBuf, PathBuf), String> {
    files_for(conductor, node, Purpose::Steps)
}

/// As [`files`]; a rescue uses driver_info's `rescue_kernel` and `rescue_ramdisk` before those of the deployment.
///
/// # Errors
/// As [`files`].
pub fn files_for(conductor: &Conductor, node: &Node, purpose: Purpose) -> Result<(PathBuf, PathBuf), String> {
    let deploy = &conductor.config.deploy;
    let own = |name: &str| node.driver_info.text(name).filter(|_| purpose == Purpose::Rescue);
    let kernel = own("rescue_kernel").or(node.driver_info.text("deploy_kernel")).or(deploy.deploy_kernel.as_deref());
    let ramdisk =
        own("rescue_ramdisk").or(node.driver_info.text("deploy_ramdisk")).or(deploy.deploy_ramdisk.as_deref());
    let missing: Vec<_> = [("deploy_kernel", kernel), ("deploy_ramdisk", ramdisk)]
        .into_iter()
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| format!("'{name}'"))
        .collect();
    match (kernel, ramdisk) {
        (Some(kernel), Some(ramdisk)) => Ok((local_file(kernel)?, local_file(ramdisk)?)),
        _ => Err(format!(
            "Cannot validate PXE bootloader. Some parameters were missing in node's driver_info. Missing are: [{}]. Set them there or in [deploy]",
            missing.join(", ")
        )),
    }
}

fn local_file(reference: &str) -> Result<PathBuf, String> {
    let path = reference.strip_prefix("file://").unwrap_or(reference);
    let path = PathBuf::from(path);
    if !path.is_absolute() {
        return Err(format!(
            "`{reference}`: kernel and ramdisk are named by an absolute path or a file:// URL on the conductor's machine"
        ));
    }
    match std::fs::metadata(&path) {
        Ok(facts) if facts.is_file() => Ok(path),
        Ok(_) => Err(format!("`{}` is not a file", path.display())),
        Err(error) => Err(format!("`{}` cannot be read: {error}", path.display())),
    }
}
