//! Power states, power targets, boot devices and what else a BMC switches, by Ironic's names.

use super::named::named;
use serde::{Deserialize, Serialize};

named! {
    /// What a BMC reports.
    PowerState { /// Runs.
        On = "power on", /// Stands.
        Off = "power off", /// The BMC gave no usable answer.
        Error = "error" }
}

named! {
    /// What a person or a flow wants (rest-api section 7.1).
    PowerTarget { /// On.
        On = "power on", /// Hard off.
        Off = "power off", /// Hard reset, or on when off.
        Reboot = "rebooting", /// Ask the system, wait.
        SoftOff = "soft power off", /// Ask the system, wait, then on.
        SoftReboot = "soft rebooting" }
}

/// A power change under way, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PowerChange {
    /// The node's own: it goes on after a restart.
    Own(PowerTarget),
    /// Of another node's flow, which switches this machine again after a restart.
    Lent {
        /// Where to.
        lent: PowerTarget,
    },
}

impl PowerChange {
    /// What is wanted of the machine.
    pub fn target(self) -> PowerTarget {
        match self {
            PowerChange::Own(target) | PowerChange::Lent { lent: target } => target,
        }
    }

    /// Another node's flow is at it.
    pub fn is_lent(self) -> bool {
        matches!(self, PowerChange::Lent { .. })
    }
}

/// How the text about a power change that failed begins (rest-api 17.13).
pub const POWER_FAILED: &str = "Failed to change power state to";

impl PowerTarget {
    /// The change in the words of a failure.
    pub fn shown(self) -> String {
        let end = self.end().name();
        if end == self.name() { format!("'{end}'") } else { format!("'{end}' by '{}'", self.name()) }
    }

    /// The state that the machine must have in the end.
    pub fn end(self) -> PowerState {
        match self {
            PowerTarget::On | PowerTarget::Reboot | PowerTarget::SoftReboot => PowerState::On,
            PowerTarget::Off | PowerTarget::SoftOff => PowerState::Off,
        }
    }
}

named! {
    /// What a machine boots from next (Ironic's boot devices).
    BootDevice { /// Network.
        Pxe = "pxe", /// First disk.
        Disk = "disk", /// CD, also virtual.
        Cdrom = "cdrom", /// Firmware set-up.
        Bios = "bios", /// Disk, safe mode.
        Safe = "safe", /// Wireless, of no use here.
        Wanboot = "wanboot", /// UEFI HTTP boot.
        UefiHttp = "uefihttp", /// Floppy, also virtual.
        Floppy = "floppy" }
}

named! {
    /// How firmware starts what it boots (Ironic's boot modes).
    BootMode { /// Legacy.
        Bios = "bios", /// UEFI.
        Uefi = "uefi" }
}

named! {
    /// What an indicator light shows.
    IndicatorState { /// Off.
        Off = "off", /// On.
        On = "on", /// Blinks.
        Blinking = "blinking", /// The BMC cannot tell.
        Unknown = "unknown" }
}

named! {
    /// What an image can be inserted as; in the order in which refusals list them.
    MediaDevice { /// Disk.
        Disk = "disk", /// CD.
        Cdrom = "cdrom", /// Floppy.
        Floppy = "floppy" }
}
