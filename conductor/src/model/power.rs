//! Power states, power targets and boot devices, by Ironic's names.

use super::named::named;

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

impl PowerTarget {
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
