//! How a disk is erased: the fastest way that is sound, decided without touching it. One table, read from top to bottom:
//!
//! | What | When | Reach |
//! |---|---|---|
//! | NVMe format, crypto | FNA has it | the namespace, or all by FNA |
//! | NVMe sanitize, crypto | SANICAP has it | the whole subsystem |
//! | NVMe format, user data | OACS has format | as above |
//! | NVMe sanitize, block | SANICAP has it | the whole subsystem |
//! | NVMe sanitize, overwrite | SANICAP has it, and there is no format | the whole subsystem |
//! | ATA security erase, enhanced or normal | IDENTIFY word 128 | the disk |
//! | SCSI sanitize, crypto or block | the device lists the order | the disk |
//! | discard, then zeroes by the device | both are its own orders; zeroes are wanted, one random pass at most | the disk |
//! | overwriting | always | the disk |
//!
//! Where a secure erase exists and cannot be had (frozen by the firmware, would reach a kept namespace, failed),
//! `agent_enable_discard_erase` (off) lets a discard of everything stand for it: the disk's own, secure if it has that, and only
//! if all that is read back afterwards is zero where marks were written before. It is weaker, so people must ask for it.
//!
//! An NVMe disk whose controller has none of these, or does not tell, is an error, as with the reference: it was to erase itself.
//!
//! What reaches a namespace that is to be kept, or one that this machine does not see, is passed over. When nothing else of
//! the controller's own is left that is an error and not silently an overwrite; as with every trouble of a secure erase,
//! `agent_continue_if_secure_erase_failed` decides.
//!
//! Discard alone is never enough (it is advice; `queue/discard_zeroes_data` is no promise any more), but zeroing by the
//! device's own order is a promise. Who asks for three passes wants them written.

use super::ata::Identity;
use super::ata_erase::{Way, way};
use super::error::DiskError;
use super::facts::Disk;
use super::{nvme, scsi};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Whether SCSI disks may sanitize themselves; Ironic has no such switch.
const SCSI_SWITCH: &str = "agent_enable_scsi_sanitize";

/// What the conductor asks for (`driver_internal_info`, agent-protocol section 18).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Random passes.
    pub iterations: u64,
    /// Zeroes at the end.
    pub zeroize: bool,
    /// Overwrite when the device's own erase fails.
    pub continue_if_failed: bool,
    /// Use NVMe format and sanitize.
    pub nvme: bool,
    /// Use the ATA security erase.
    pub ata: bool,
    /// Use the SCSI sanitize (a switch of our own).
    pub scsi: bool,
    /// Where a secure erase cannot be had, a discard that leaves zeroes is taken for one.
    pub discard: bool,
    /// Disks at the same time.
    pub concurrency: usize,
    /// Pass over read-only devices; else they are an error.
    pub skip_read_only: bool,
}

impl Options {
    /// Reads them from the node; missing and null ones have the reference's defaults, `discard` the site's
    /// (`ipa-enable-discard-erase`).
    ///
    /// # Errors
    /// A value of the wrong type, or values that would erase nothing.
    pub fn of(node: &Map<String, Value>, discard: bool) -> Result<Self, DiskError> {
        // What is our own no conductor sends: people write it into driver_info.
        let place = |name: &str| if name == SCSI_SWITCH { "driver_info" } else { "driver_internal_info" };
        let value = |name: &str| node.get(place(name))?.get(name).filter(|value| !value.is_null());
        let wrong = |name: &str, value: &Value| {
            DiskError::Request(format!("{}.{name} is {value}; it cannot be used", place(name)))
        };
        let flag = |name: &str, default: bool| match value(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(other) => Err(wrong(name, other)),
        };
        let number = |name: &str, default: u64| match value(name) {
            None => Ok(default),
            Some(value) => match value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()) {
                Some(number) if number <= 1000 => Ok(number),
                _ => Err(wrong(name, value)),
            },
        };
        let options = Self {
            iterations: number("agent_erase_devices_iterations", 1)?,
            zeroize: flag("agent_erase_devices_zeroize", true)?,
            // The old name counts only where the new one is not said.
            continue_if_failed: flag(
                "agent_continue_if_secure_erase_failed",
                flag("agent_continue_if_ata_erase_failed", false)?,
            )?,
            nvme: flag("agent_enable_nvme_secure_erase", true)?,
            ata: flag("agent_enable_ata_secure_erase", true)?,
            scsi: flag(SCSI_SWITCH, true)?,
            discard: flag("agent_enable_discard_erase", discard)?,
            concurrency: usize::try_from(number("disk_erasure_concurrency", 1)?.max(1)).unwrap_or(1),
            skip_read_only: flag("agent_erase_skip_read_only", false)?,
        };
        if options.iterations == 0 && !options.zeroize {
            return Err(DiskError::Request(
                "agent_erase_devices_iterations is 0 and agent_erase_devices_zeroize is false: nothing would be erased"
                    .into(),
            ));
        }
        Ok(options)
    }

    /// Passes over the whole disk when it is written over.
    pub fn passes(&self) -> u64 {
        self.iterations + u64::from(self.zeroize)
    }
}

/// What a disk's firmware said about itself; empty where nothing was asked or nothing usable came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// NVMe.
    pub nvme: Option<nvme::Abilities>,
    /// An NVMe controller that did not tell, and why.
    pub unknown: Option<String>,
    /// ATA.
    pub ata: Option<Identity>,
    /// SCSI.
    pub scsi: scsi::Abilities,
}

/// A way to erase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The controller formats the namespace.
    NvmeFormat {
        /// The key is thrown away, else the user data erased.
        crypto: bool,
        /// Every namespace is reached.
        all: bool,
    },
    /// The subsystem sanitizes itself.
    NvmeSanitize(nvme::Sanitize),
    /// The disk erases itself.
    AtaSecurity {
        /// With the enhanced erase.
        enhanced: bool,
    },
    /// The disk sanitizes itself.
    ScsiSanitize(scsi::Sanitize),
    /// The device releases everything, and reads as zeroes afterwards; stands for a secure erase that cannot be had.
    Discard,
    /// The device releases and zeroes everything by its own orders.
    DiscardAndZero,
    /// Written over.
    Overwrite,
}

impl Method {
    /// As proofs call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NvmeFormat { crypto: true, .. } => "nvme-format-crypto",
            Self::NvmeFormat { crypto: false, .. } => "nvme-format-user-data",
            Self::NvmeSanitize(nvme::Sanitize::Crypto) => "nvme-sanitize-crypto",
            Self::NvmeSanitize(nvme::Sanitize::Block) => "nvme-sanitize-block",
            Self::NvmeSanitize(nvme::Sanitize::Overwrite) => "nvme-sanitize-overwrite",
            Self::AtaSecurity { enhanced: true } => "ata-security-erase-enhanced",
            Self::AtaSecurity { enhanced: false } => "ata-security-erase",
            Self::ScsiSanitize(scsi::Sanitize::Crypto) => "scsi-sanitize-crypto",
            Self::ScsiSanitize(scsi::Sanitize::Block) => "scsi-sanitize-block",
            Self::Discard => "discard",
            Self::DiscardAndZero => "discard-and-zero",
            Self::Overwrite => "overwrite",
        }
    }

    /// Every namespace behind the controller is reached: they are erased together, by one order.
    pub fn reaches_controller(self) -> bool {
        matches!(self, Self::NvmeFormat { all: true, .. } | Self::NvmeSanitize(_))
    }

    /// The device does it by itself, and a failure is one of "secure erase".
    pub fn is_secure(self) -> bool {
        !matches!(self, Self::Discard | Self::DiscardAndZero | Self::Overwrite)
    }
}

/// Chooses for one disk. `going` holds the kernel names of everything that is to be erased.
///
/// # Errors
/// A secure erase exists but must not be used or cannot, and overwriting instead was not allowed.
pub fn choose(
    disk: &Disk,
    abilities: &Abilities,
    options: &Options,
    going: &BTreeSet<String>,
) -> Result<Method, DiskError> {
    let secure = secure(disk, abilities, options, going).or_else(|why| {
        let reason = format!("{}: {why}", disk.path.display());
        if options.discard && disk.discards {
            tracing::warn!("{reason}; discarding everything instead, as agent_enable_discard_erase allows");
            return Ok(Some(Method::Discard));
        }
        if !options.continue_if_failed {
            return Err(DiskError::Erase(reason));
        }
        tracing::warn!("{reason}; overwriting instead");
        Ok(None)
    });
    let by_device = disk.zeroes_itself && options.zeroize && options.iterations <= 1;
    let plain = if by_device { Method::DiscardAndZero } else { Method::Overwrite };
    secure.map(|method| method.unwrap_or(plain))
}

const NOTHING: &str = "its controller has neither format nor sanitize. Set agent_enable_nvme_secure_erase to false, or agent_continue_if_secure_erase_failed to true, to have it overwritten instead";

/// The device's own erase, if it has one and it may be used. The error says why it must not.
fn secure(
    disk: &Disk,
    abilities: &Abilities,
    options: &Options,
    going: &BTreeSet<String>,
) -> Result<Option<Method>, String> {
    if let Some(nvme) = abilities.nvme.as_ref().filter(|_| options.nvme) {
        return by_nvme(disk, nvme, going);
    }
    if let Some(why) = abilities.unknown.as_ref().filter(|_| options.nvme) {
        return Err(format!(
            "what its controller can erase is not known ({why}). Clean again, or replace it; agent_continue_if_secure_erase_failed has it overwritten instead"
        ));
    }
    if let Some(identity) = abilities.ata.as_ref().filter(|_| options.ata)
        && let Way::Erase { enhanced } = way(&identity.security).map_err(|state| state.to_string())?
    {
        return Ok(Some(Method::AtaSecurity { enhanced }));
    }
    let sanitizes = [
        (abilities.scsi.sanitize_crypto, scsi::Sanitize::Crypto),
        (abilities.scsi.sanitize_block, scsi::Sanitize::Block),
    ];
    let sanitize = sanitizes.into_iter().find(|(can, _)| *can && options.scsi);
    Ok(sanitize.map(|(_, how)| Method::ScsiSanitize(how)))
}

fn by_nvme(disk: &Disk, can: &nvme::Abilities, going: &BTreeSet<String>) -> Result<Option<Method>, String> {
    let sanitize = |how: nvme::Sanitize| can.sanitize.contains(&how).then_some(Method::NvmeSanitize(how));
    let format = |crypto: bool| {
        (can.can_format && (can.format_crypto || !crypto)).then_some(Method::NvmeFormat { crypto, all: can.hits_all() })
    };
    let ladder = [
        format(true),
        sanitize(nvme::Sanitize::Crypto),
        format(false),
        sanitize(nvme::Sanitize::Block),
        sanitize(nvme::Sanitize::Overwrite).filter(|_| !can.can_format),
    ];
    // Writing over flash reaches only the cells that are mapped now: nobody asked for that.
    if ladder.iter().all(Option::is_none) {
        return Err(NOTHING.into());
    }
    let Some(others) = in_the_way(disk, can, going) else { return Ok(ladder.into_iter().flatten().next()) };
    match ladder.into_iter().flatten().find(|method| !method.reaches_controller()) {
        Some(method) => Ok(Some(method)),
        None => Err(format!(
            "not erased by its controller, which would also erase {others}. Set agent_enable_nvme_secure_erase to false to have it overwritten instead"
        )),
    }
}

/// What else lies behind the controller that must stay, in words.
fn in_the_way(disk: &Disk, can: &nvme::Abilities, going: &BTreeSet<String>) -> Option<String> {
    let kept: Vec<&str> = disk.namespaces.iter().filter(|name| !going.contains(*name)).map(String::as_str).collect();
    if !kept.is_empty() {
        return Some(format!("{}, which is to be kept", kept.join(", ")));
    }
    let unseen = can.allocated?.saturating_sub(disk.namespaces.len().max(1));
    (unseen > 0).then(|| format!("{unseen} namespaces that this machine does not see"))
}

#[cfg(test)]
mod tests;
