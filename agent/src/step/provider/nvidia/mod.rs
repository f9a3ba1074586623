//! NVIDIA (Mellanox) network adapters: firmware images and firmware settings, by the maker's own tools.
//!
//! The arithmetic of InfiniBand addresses is the inventory's (`hardware::nic`).

mod settings;
pub mod tools;
pub mod update;

use super::{BuiltIn, MAINLINE, NONE};
use crate::step::offer::{Args, Offer};
use crate::step::{StepContext, StepError};
use crate::sys::mask::mask_secrets;
use crate::sys::sysfs::Roots;
use common::step::{Step, StepKind};
use serde_json::Value;
use tools::Tools;

/// PCI vendor.
const VENDOR: &str = "0x15b3";

pub(super) const MANAGER: BuiltIn = BuiltIn {
    class: "MellanoxDeviceHardwareManager",
    name: "MellanoxDeviceHardwareManager",
    version: "1",
    level,
    offers: STEPS,
    initialize: |_, _| {},
};

static STEPS: &[Offer] = &[
    Offer {
        args: Args::Declared(&[(
            "images",
            "A list of firmware images, each a map: url (http, https, file), checksum, checksumType (sha256, sha512), \
             componentFlavor (the PSID of the adapter), version",
            true,
        )]),
        ..firmware("update_nvidia_nic_firmware_image", images)
    },
    Offer {
        args: Args::Declared(&[(
            "settings",
            "A list of settings, each a map: deviceID (PCI device), globalConfig, function0Config, function1Config \
             (maps of mstconfig's parameters to values)",
            true,
        )]),
        ..firmware("update_nvidia_nic_firmware_settings", configure)
    },
];

/// Interrupted firmware updates leave adapters that do not start: never abortable.
const fn firmware(name: &'static str, run: fn(StepKind, &Step, &StepContext) -> Result<Value, StepError>) -> Offer {
    Offer {
        clean: Some(0),
        deploy: Some(0),
        service: Some(0),
        reboot_requested: true,
        never_abort: true,
        ..Offer::new(name, "deploy", run).reaches_anything()
    }
}

fn level(roots: &Roots) -> u8 {
    let vendor = |name: &String| roots.text(format!("/sys/class/net/{name}/device/vendor"));
    let found = roots.entries("/sys/class/net").iter().any(|name| vendor(name).as_deref() == Some(VENDOR));
    if found { MAINLINE } else { NONE }
}

fn images(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    update::run(&Tools::of_the_ramdisk(kind, &step.step), argument(step, "images"), context)
}

fn configure(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    settings::run(&Tools::of_the_ramdisk(kind, &step.step), argument(step, "settings"), context)
}

fn argument<'a>(step: &'a Step, name: &str) -> &'a Value {
    step.args.as_ref().and_then(|args| args.get(name)).unwrap_or(&Value::Null)
}

/// One of the types that the reference has for these steps.
/// What was given, for a refusal.
fn shown(text: &str) -> String {
    mask_secrets(text).chars().take(500).collect()
}

fn wrong(kind: &'static str, details: String) -> StepError {
    StepError { kind, code: 500, message: "An error occurred", details }
}

#[cfg(test)]
mod tests;
