//! Instances that live in memory: deploy interface `ramdisk` (rest-api section 17.5). The machine boots them from the network
//! at every start, so their boot entry stays as long as the instance does.

use crate::boot::append_params::{append_params, instance_args};
use crate::boot::directory::{BootEntry, BootFile, Fetched, InstanceFiles};
use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{machine, ramdisk, step_loop};
use crate::model::fsm::State;
use crate::model::node::{InterfaceKind, Node};
use crate::model::power::{BootDevice, PowerTarget};
use common::step::StepKind;
use std::sync::Arc;

/// Words of the instance for its kernel.
const KERNEL_ARGUMENTS: &str = "ramdisk_kernel_arguments";

/// What the instance boots from, as instance_info says.
#[derive(Debug, PartialEq, Eq)]
enum Wanted<'a> {
    Iso(&'a str),
    Kernel { kernel: &'a str, ramdisk: &'a str },
}

/// The node's instance lives in memory.
pub fn is_one(node: &Node) -> bool {
    node.interface(InterfaceKind::Deploy) == "ramdisk"
}

/// Its machine may start it at any time.
pub fn is_there(node: &Node) -> bool {
    let state = matches!(
        node.provision_state,
        State::Deploying
            | State::Active
            | State::Servicing
            | State::ServiceWait
            | State::ServiceHold
            | State::ServiceFailed
            | State::Unrescuing
    );
    is_one(node) && state && !node.flow.ramdisk
}

fn wanted(node: &Node) -> Result<Wanted<'_>, String> {
    let text = |key| node.instance_info.text(key).map(str::trim).filter(|text| !text.is_empty());
    let (iso, source, kernel, ramdisk) = (text("boot_iso"), text("image_source"), text("kernel"), text("ramdisk"));
    match (iso, source, kernel, ramdisk) {
        (Some(_), Some(_), ..) => {
            Err("An 'image_source' and 'boot_iso' parameter may not be specified at the same time.".into())
        }
        (Some(iso), ..) => Ok(Wanted::Iso(iso)),
        (None, _, Some(kernel), Some(ramdisk)) => Ok(Wanted::Kernel { kernel, ramdisk }),
        (None, Some(source), None, None) => {
            let source: String = source.chars().take(255).collect();
            Err(format!("Image {source} is missing the following properties: kernel, ramdisk"))
        }
        _ => {
            let missing: Vec<_> = [("kernel", kernel), ("ramdisk", ramdisk)]
                .iter()
                .filter(|(_, value)| value.is_none())
                .map(|(name, _)| format!("'{name}'"))
                .collect();
            Err(format!(
                "Cannot validate image information for node {} because one or more parameters are missing from its \
                 instance_info and insufficient information is present to boot from a remote volume. Missing are: [{}]",
                node.uuid,
                missing.join(", ")
            ))
        }
    }
}

/// Checks boot interface and instance_info; opens local files, fetches nothing.
///
/// # Errors
/// A text in Ironic's words: what is missing or cannot be used.
pub fn check(conductor: &Conductor, node: &Node) -> Result<(), String> {
    if node.interface(InterfaceKind::Boot) != "ipxe" {
        return Err(
            "Invalid configuration: The boot interface must have the `ramdisk_boot` capability. You are using an \
                    incompatible boot interface."
                .into(),
        );
    }
    entry(conductor, node).map(drop)
}

/// The boot entry and the files that are served with it.
fn entry(conductor: &Conductor, node: &Node) -> Result<(BootEntry, InstanceFiles), String> {
    let mut files = InstanceFiles::new();
    let mut take = |key: &str, reference: &str, file: BootFile| -> Result<Fetched, String> {
        let (fetched, kept) = conductor.images.boot_file(key, reference).map_err(|error| error.to_string())?;
        files.extend(kept.map(|kept| (file, kept)));
        Ok(fetched)
    };
    let entry = match wanted(node)? {
        Wanted::Iso(iso) => BootEntry::Iso(take("boot_iso", iso, BootFile::Iso)?),
        Wanted::Kernel { kernel, ramdisk } => BootEntry::Instance {
            kernel: take("kernel", kernel, BootFile::Kernel)?,
            ramdisk: take("ramdisk", ramdisk, BootFile::Ramdisk)?,
            arguments: {
                let own =
                    |map: &crate::model::secret_map::SecretMap| map.text("kernel_append_params").map(str::to_owned);
                let (driver, instance) = (own(&node.driver_info), own(&node.instance_info));
                append_params(&conductor.config.pxe.kernel_append_params, driver.as_deref(), instance.as_deref())
                    .and_then(|append| instance_args(&append, node.instance_info.text(KERNEL_ARGUMENTS)))
                    .map_err(|error| error.to_string())?
            },
        },
    };
    Ok((entry, files))
}

/// Puts the instance into the boot directory. Also called at start, for every node that has one.
///
/// # Errors
/// As [`check`], and what the directory says.
pub async fn offer(conductor: &Conductor, node: &Node) -> Result<(), String> {
    let (entry, files) = entry(conductor, node)?;
    let macs = ramdisk::boot_macs(conductor, node).await?;
    conductor.boot.set_with(node.uuid, macs, entry, files).map_err(|error| error.to_string())
}

/// Has the machine boot the instance from the network now and at every start.
///
/// # Errors
/// [`Trouble::Fail`]: what the instance lacks, or a BMC that does not answer.
pub async fn boot(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<(), Trouble> {
    offer(conductor, &claim.node).await.map_err(Trouble::Fail)?;
    machine::set_boot_device(conductor, claim, BootDevice::Pxe, true).await?;
    let on = if claim.node.disable_power_off { PowerTarget::Reboot } else { PowerTarget::On };
    machine::set_power(conductor, claim, on).await
}

/// The deploy step: nothing is written, the instance is started.
///
/// # Errors
/// As [`boot`].
pub async fn deploy(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    if !claim.node.disable_power_off {
        machine::set_power(conductor, claim, PowerTarget::Off).await?;
    }
    boot(conductor, claim).await?;
    step_loop::finish(claim, StepKind::Deploy)?;
    claim.save().await?;
    Ok(Moved::On)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(info: Value) -> Node {
        let mut node = Node::default();
        for (key, value) in info.as_object().unwrap() {
            node.instance_info.insert(key.clone(), value.clone());
        }
        node
    }

    #[test]
    fn an_instance_is_an_iso_or_a_kernel_with_its_ramdisk() {
        assert_eq!(wanted(&node(json!({"boot_iso": " http://a/b.iso "}))), Ok(Wanted::Iso("http://a/b.iso")));
        let both = node(json!({"kernel": "file:///k", "ramdisk": "file:///r", "image_source": "x"}));
        assert_eq!(wanted(&both), Ok(Wanted::Kernel { kernel: "file:///k", ramdisk: "file:///r" }));
        for (info, words) in [
            (json!({"boot_iso": "a", "image_source": "b"}), "may not be specified at the same time"),
            (
                json!({"image_source": "http://a/b"}),
                "Image http://a/b is missing the following properties: kernel, ramdisk",
            ),
            (json!({"kernel": "file:///k"}), "Missing are: ['ramdisk']"),
            (json!({"boot_iso": ""}), "Missing are: ['kernel', 'ramdisk']"),
        ] {
            let error = wanted(&node(info)).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn its_machine_may_start_it_while_nothing_else_runs_there() {
        let mut node = node(json!({}));
        node.interfaces.insert(InterfaceKind::Deploy, "ramdisk".into());
        for (state, there) in [(State::Active, true), (State::Available, false), (State::Rescue, false)] {
            node.provision_state = state;
            assert_eq!(is_there(&node), there, "{state}");
        }
        (node.provision_state, node.flow.ramdisk) = (State::ServiceWait, true);
        assert!(!is_there(&node));
    }
}
