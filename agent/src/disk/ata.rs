//! ATA disks behind the kernel's SCSI translation: what IDENTIFY DEVICE says about security, and the security commands.
//!
//! Layouts: ACS-4 sections 4.18 (security), 7.13 (IDENTIFY DEVICE), 7.33-7.38; ATA PASS-THROUGH (16): SAT-5 section 12.2.

use super::error::FirmwareError;
use super::sense;
use crate::sys::orders::{Data, Orders};
use crate::sys::text::clean_or_none;
use std::time::Duration;

/// Bytes of a data block.
const BLOCK: usize = 512;
/// Bytes of a password.
const PASSWORD: usize = 32;
/// Time for everything but the erase itself; disks may have to spin up.
const SHORT: Duration = Duration::from_secs(30);

/// What IDENTIFY DEVICE tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Words 27-46.
    pub model: Option<String>,
    /// Words 10-19.
    pub serial: Option<String>,
    /// Word 128 and its relatives.
    pub security: Security,
}

/// The security feature set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// There is such a feature set.
    pub supported: bool,
    /// A user password is set.
    pub enabled: bool,
    /// Data cannot be read until a password is given.
    pub locked: bool,
    /// No security command is taken until the next power-up.
    pub frozen: bool,
    /// Too many wrong passwords: none is taken until the next power-up.
    pub expired: bool,
    /// The enhanced erase exists.
    pub enhanced: bool,
    /// The master password can only erase, not unlock.
    pub master_only_erases: bool,
    /// How long an erase takes, by the disk's own word: normal, enhanced.
    pub minutes: (Option<u32>, Option<u32>),
}

impl Identity {
    /// Reads the 512 bytes of the answer.
    ///
    /// # Errors
    /// Why it cannot be one: empty, a packet device, a wrong checksum.
    pub fn parse(answer: &[u8; BLOCK]) -> Result<Self, &'static str> {
        if answer.iter().all(|byte| *byte == answer[0]) {
            return Err("IDENTIFY DEVICE is one byte repeated");
        }
        let word = |at: usize| u16::from_le_bytes([answer[2 * at], answer[2 * at + 1]]);
        if word(0) & 1 << 15 != 0 {
            return Err("IDENTIFY DEVICE is not that of a disk");
        }
        if answer[510] == 0xa5 && answer.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) != 0 {
            return Err("the checksum of IDENTIFY DEVICE is wrong");
        }
        let status = word(128);
        let bit = |at: u32| status & 1 << at != 0;
        // Words 82 and 85 count only with the mark in word 83 (bits 15:14 = 01).
        let also = |at: usize| word(83) >> 14 == 1 && word(at) & 1 << 1 != 0;
        Ok(Self {
            model: text(answer, 27..47),
            serial: text(answer, 10..20),
            security: Security {
                supported: bit(0),
                enabled: bit(0) && (bit(1) || also(85)),
                locked: bit(0) && bit(2),
                frozen: bit(0) && bit(3),
                expired: bit(0) && bit(4),
                enhanced: bit(0) && bit(5),
                master_only_erases: bit(8),
                minutes: (minutes(word(89)), minutes(word(90))),
            },
        })
    }
}

/// Two-minute units; the low byte, or fifteen bits when the uppermost is set. Zero: not said. The largest: more than that.
fn minutes(word: u16) -> Option<u32> {
    let units = if word & 0x8000 != 0 { word & 0x7fff } else { word & 0xff };
    (units > 0).then(|| u32::from(units) * 2)
}

/// ATA texts have the bytes of each word swapped.
fn text(answer: &[u8; BLOCK], words: std::ops::Range<usize>) -> Option<String> {
    let bytes: Vec<u8> = words.flat_map(|at| [answer[2 * at + 1], answer[2 * at]]).collect();
    clean_or_none(&bytes, bytes.len())
}

/// Whose password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The one that locks.
    User,
    /// The one of the factory or of the administrator.
    Master,
}

/// A password, padded with zeroes. Those used here are documented: they are no secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Password(pub [u8; PASSWORD]);

impl Password {
    /// From a text of at most 32 bytes.
    pub const fn of(text: &str) -> Self {
        let mut bytes = [0; PASSWORD];
        let mut at = 0;
        while at < text.len() && at < PASSWORD {
            bytes[at] = text.as_bytes()[at];
            at += 1;
        }
        Self(bytes)
    }
}

/// A disk that takes ATA commands.
pub struct AtaDisk<'a>(pub &'a dyn Orders);

impl AtaDisk<'_> {
    /// IDENTIFY DEVICE; none: it is no ATA disk.
    ///
    /// # Errors
    /// A hang, an answer that is none.
    pub fn identify(&self) -> Result<Option<Identity>, FirmwareError> {
        let mut answer = [0; BLOCK];
        match self.send(0xec, Data::In(&mut answer), SHORT) {
            Err(FirmwareError::Unknown { .. }) => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Identity::parse(&answer).map(Some).map_err(|why| FirmwareError::garbage(name(0xec), why)),
        }
    }

    /// SECURITY SET PASSWORD: the user's, of level high, so that the master password still unlocks.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn set_password(&self, password: &Password) -> Result<(), FirmwareError> {
        self.send(0xf1, Data::Out(&parameters(Who::User, password, 0)), SHORT)
    }

    /// SECURITY UNLOCK.
    ///
    /// # Errors
    /// A wrong password; each one counts against the five attempts of a power-up.
    pub fn unlock(&self, who: Who, password: &Password) -> Result<(), FirmwareError> {
        self.send(0xf2, Data::Out(&parameters(who, password, 0)), SHORT)
    }

    /// SECURITY DISABLE PASSWORD.
    ///
    /// # Errors
    /// A wrong password.
    pub fn disable_password(&self, who: Who, password: &Password) -> Result<(), FirmwareError> {
        self.send(0xf6, Data::Out(&parameters(who, password, 0)), SHORT)
    }

    /// SECURITY ERASE PREPARE, then SECURITY ERASE UNIT. Blocks until the disk is done, at most `time`.
    ///
    /// # Errors
    /// The disk refuses, or does not end in time.
    pub fn erase(&self, password: &Password, enhanced: bool, time: Duration) -> Result<(), FirmwareError> {
        self.send(0xf3, Data::None, SHORT)?;
        self.send(0xf4, Data::Out(&parameters(Who::User, password, if enhanced { 1 << 1 } else { 0 })), time)
    }

    fn send(&self, command: u8, data: Data<'_>, time: Duration) -> Result<(), FirmwareError> {
        let doing = name(command);
        // Protocol (PIO in 4, PIO out 5, none 3); transfer length in the sector count, in blocks, direction.
        let (protocol, flags, count, wanted) = match &data {
            Data::None => (3, 0x00, 0, 0),
            Data::In(_) => (4, 0x0e, 1, BLOCK),
            Data::Out(_) => (5, 0x06, 1, 0),
        };
        let mut order = [0; 16];
        order[0] = 0x85;
        order[1] = protocol << 1;
        order[2] = flags;
        order[6] = count;
        order[14] = command;
        let reply = self.0.scsi(&order, data, time).map_err(FirmwareError::io(doing))?;
        let Some(sense) = sense::of(&reply) else {
            return if reply.transferred < wanted {
                Err(FirmwareError::garbage(doing, "it is shorter than 512 bytes"))
            } else {
                Ok(())
            };
        };
        match sense.ata {
            // Error or device fault.
            Some((status, error)) if status & 0x21 != 0 => Err(FirmwareError::Refused {
                doing,
                why: format!(
                    "ATA status {status:#04x}, error {error:#04x}{}",
                    if error & 4 != 0 { " (aborted)" } else { "" }
                ),
            }),
            _ if sense.key <= 1 => Ok(()),
            _ if sense.key == sense::ILLEGAL_REQUEST => Err(FirmwareError::Unknown { doing }),
            _ => Err(FirmwareError::Refused { doing, why: sense.words() }),
        }
    }
}

fn parameters(who: Who, password: &Password, flags: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[0] = flags | u8::from(who == Who::Master);
    block[2..2 + PASSWORD].copy_from_slice(&password.0);
    block
}

fn name(command: u8) -> &'static str {
    match command {
        0xec => "IDENTIFY DEVICE",
        0xf1 => "SECURITY SET PASSWORD",
        0xf2 => "SECURITY UNLOCK",
        0xf3 => "SECURITY ERASE PREPARE",
        0xf4 => "SECURITY ERASE UNIT",
        0xf6 => "SECURITY DISABLE PASSWORD",
        _ => "an ATA command",
    }
}

#[cfg(test)]
mod tests;
