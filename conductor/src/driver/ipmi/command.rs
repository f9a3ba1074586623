//! The commands this driver sends, and their answers as facts (IPMI 2.0 sections 18, 20, 22 and 28). Pure.

use super::message::netfn;
use crate::driver::traits::BootSetting;
use crate::model::power::{BootDevice, PowerState};

/// A command ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What it does, for messages.
    pub what: &'static str,
    /// Network function.
    pub netfn: u8,
    /// Number.
    pub number: u8,
    /// Data.
    pub data: Vec<u8>,
    /// A repetition could do harm: when the answer is lost, give up instead of sending it again.
    pub once: bool,
}

const fn command(what: &'static str, netfn: u8, number: u8, data: Vec<u8>) -> Command {
    Command { what, netfn, number, data, once: false }
}

/// Chassis Control actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Hard off.
    Down,
    /// On.
    Up,
    /// Off, pause, on.
    Cycle,
    /// Diagnostic interrupt, NMI.
    Diagnostic,
    /// ACPI power button.
    Soft,
}

/// Does something to the power.
pub fn control(action: Control) -> Command {
    let (what, number) = match action {
        Control::Down => ("chassis power off", 0),
        Control::Up => ("chassis power on", 1),
        Control::Cycle => ("chassis power cycle", 2),
        Control::Diagnostic => ("chassis power diag", 4),
        Control::Soft => ("chassis power soft", 5),
    };
    // A second NMI would interrupt the crash dump that the first one started.
    let once = action == Control::Diagnostic;
    Command { once, ..command(what, netfn::CHASSIS, 0x02, vec![number]) }
}

/// Asks for the power state.
pub fn status() -> Command {
    command("chassis power status", netfn::CHASSIS, 0x01, Vec::new())
}

/// The answer to [`status`]; `None` when it is too short.
pub fn power_state(answer: &[u8]) -> Option<PowerState> {
    let current = answer.first()?;
    Some(if current & 1 == 1 { PowerState::On } else { PowerState::Off })
}

/// Asks who made the BMC.
pub fn device_id() -> Command {
    command("mc info", netfn::APP, 0x01, Vec::new())
}

/// IANA number of the manufacturer in the answer to [`device_id`].
pub fn manufacturer(answer: &[u8]) -> Option<u32> {
    let &[low, middle, high] = answer.get(6..)?.first_chunk::<3>()?;
    Some(u32::from_le_bytes([low, middle, high & 0x0f, 0]))
}

/// What a person typed. Never repeated: what it does is unknown.
pub fn raw(netfn: u8, number: u8, data: Vec<u8>) -> Command {
    Command { once: true, ..command("raw", netfn, number, data) }
}

/// Resets the BMC itself, warm or cold.
pub fn mc_reset(warm: bool) -> Command {
    let (what, number) = if warm { ("bmc reset warm", 0x03) } else { ("bmc reset cold", 0x02) };
    Command { once: true, ..command(what, netfn::APP, number, Vec::new()) }
}

/// Raises the session's level.
pub fn privilege(level: u8) -> Command {
    command("session privilege level", netfn::APP, 0x3b, vec![level])
}

/// Ends the session.
pub fn close(session: u32) -> Command {
    Command { once: true, ..command("session close", netfn::APP, 0x3c, session.to_le_bytes().to_vec()) }
}

/// Parameters of System Boot Options (table 28-14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootOption {
    /// 0: a change begins (1), takes effect (2), is complete (0).
    Progress(u8),
    /// 3: keep the boot flags although no power command follows within 60 s.
    KeepFlags,
    /// 4: the boot flags were taken note of by the firmware last time.
    Acknowledge,
    /// 5: the boot flags themselves.
    Flags([u8; 5]),
}

/// Sets one of them.
pub fn set_boot_option(option: BootOption) -> Command {
    let (what, data) = match option {
        BootOption::Progress(step) => ("chassis bootparam set 0", vec![0, step]),
        BootOption::KeepFlags => ("chassis bootparam set 3", vec![3, 0x08]),
        BootOption::Acknowledge => ("chassis bootparam set 4", vec![4, 0x01, 0x01]),
        BootOption::Flags(flags) => {
            let mut data = vec![5];
            data.extend_from_slice(&flags);
            ("chassis bootdev", data)
        }
    };
    command(what, netfn::CHASSIS, 0x08, data)
}

/// Asks for the boot flags.
pub fn boot_flags() -> Command {
    command("chassis bootparam get 5", netfn::CHASSIS, 0x09, vec![5, 0, 0])
}

/// Boot devices by their selector in the second flag byte, bits 5 to 2.
const SELECTORS: &[(BootDevice, u8)] = &[
    (BootDevice::Pxe, 1),
    (BootDevice::Disk, 2),
    (BootDevice::Safe, 3),
    (BootDevice::Cdrom, 5),
    (BootDevice::Bios, 6),
];

/// What can be asked for.
pub const BOOT_DEVICES: &[BootDevice] =
    &[BootDevice::Pxe, BootDevice::Disk, BootDevice::Cdrom, BootDevice::Bios, BootDevice::Safe];

/// "Primary remote media" of the specification; Supermicro boards take it for the UEFI disk.
const REMOTE_MEDIA: u8 = 9;
/// Manufacturers whose boards need [`REMOTE_MEDIA`] to boot a disk under UEFI (Supermicro's two numbers).
const REMOTE_MEDIA_IS_DISK: &[u32] = &[10_876, 47_488];

/// Does the way a disk is asked for depend on the manufacturer?
pub fn needs_manufacturer(device: BootDevice, uefi: bool) -> bool {
    uefi && device == BootDevice::Disk
}

/// The five bytes of parameter 5; `None` for a device IPMI cannot ask for.
pub fn flags(device: BootDevice, persistent: bool, uefi: bool, manufacturer: Option<u32>) -> Option<[u8; 5]> {
    let &(_, mut selector) = SELECTORS.iter().find(|(known, _)| *known == device)?;
    if needs_manufacturer(device, uefi) && manufacturer.is_some_and(|number| REMOTE_MEDIA_IS_DISK.contains(&number)) {
        selector = REMOTE_MEDIA;
    }
    Some([0x80 | u8::from(persistent) << 6 | u8::from(uefi) << 5, selector << 2, 0, 0, 0])
}

/// The answer to [`boot_flags`]. The "valid" bit is not held to: ipmi_sim and old BMCs never set it.
pub fn boot_setting(answer: &[u8]) -> Option<BootSetting> {
    let &[_version, _parameter, first, second] = answer.first_chunk::<4>()?;
    let selector = second >> 2 & 0x0f;
    let device = SELECTORS.iter().find(|(_, number)| *number == selector).map(|(device, _)| *device);
    let device = device.or((selector == REMOTE_MEDIA).then_some(BootDevice::Disk));
    Some(BootSetting { device, persistent: Some(first & 0x40 != 0) })
}

#[cfg(test)]
mod tests {
    use super::{BOOT_DEVICES, boot_setting, flags, manufacturer, power_state};
    use crate::driver::traits::BootSetting;
    use crate::model::power::BootDevice;
    use proptest::prelude::{any, proptest};

    #[test]
    fn flags_are_those_of_the_specification() {
        assert_eq!(flags(BootDevice::Pxe, false, false, None), Some([0x80, 0x04, 0, 0, 0]));
        assert_eq!(flags(BootDevice::Disk, true, false, None), Some([0xc0, 0x08, 0, 0, 0]));
        assert_eq!(flags(BootDevice::Cdrom, false, true, None), Some([0xa0, 0x14, 0, 0, 0]));
        assert_eq!(flags(BootDevice::Disk, true, true, Some(10_876)), Some([0xe0, 0x24, 0, 0, 0]));
        assert_eq!(flags(BootDevice::Disk, true, false, Some(10_876)), Some([0xc0, 0x08, 0, 0, 0]));
        assert_eq!(flags(BootDevice::UefiHttp, false, true, None), None);
    }

    #[test]
    fn what_is_set_reads_back() {
        for &device in BOOT_DEVICES {
            for persistent in [false, true] {
                let [first, second, ..] = flags(device, persistent, true, Some(47_488)).unwrap();
                let answer = [1, 5, first, second, 0, 0, 0];
                let setting = BootSetting { device: Some(device), persistent: Some(persistent) };
                assert_eq!(boot_setting(&answer), Some(setting));
            }
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_a_fact_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let _ = (boot_setting(&bytes), manufacturer(&bytes), power_state(&bytes));
        }
    }
}
