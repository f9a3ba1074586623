//! SCSI disks: who they are, whether they sanitize, and sanitizing with progress.
//!
//! Layouts: INQUIRY and vital product data SPC-5 sections 6.7 and 7.7; REPORT SUPPORTED OPERATION CODES SPC-5 section 6.35;
//! SANITIZE SBC-4 section 5.31; progress by REQUEST SENSE SBC-4 section 4.11.
//!
//! UNMAP is not sent from here. It is advice: a device may leave parts of a range as they are, whatever it says about
//! reading zeroes (LBPRZ). WRITE SAME with its unmap bit is an order, and the kernel's BLKZEROOUT sends just that to a disk
//! with LBPRZ; see `overwrite::zero_out`.

use super::error::FirmwareError;
use super::sense::{self, NOT_READY, Sense};
use crate::sys::orders::{Data, Orders};
use std::time::Duration;

const SHORT: Duration = Duration::from_secs(30);
/// Between two looks at the progress.
const LOOK: Duration = Duration::from_secs(2);
/// Longest sanitize: crypto takes seconds, blocks minutes.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// How long no progress may be made, by the device's own figures.
const STUCK: Duration = Duration::from_secs(2 * 3600);
/// Looks that may fail one after another while the device is busy with itself.
const SILENT: u32 = 30;

/// A way to sanitize. (Overwriting by the device is not used: it takes as long as our own passes, cannot be stopped, and
/// goes on after a power loss.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sanitize {
    /// The key is thrown away.
    Crypto,
    /// The cells are erased.
    Block,
}

impl Sanitize {
    fn service_action(self) -> u8 {
        match self {
            Self::Block => 2,
            Self::Crypto => 3,
        }
    }
}

/// What a SCSI device said about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// An ATA disk behind a translation (vendor `ATA`, or page 89h).
    pub ata: bool,
    /// SANITIZE, crypto.
    pub sanitize_crypto: bool,
    /// SANITIZE, block.
    pub sanitize_block: bool,
}

/// A disk that takes SCSI commands.
pub struct ScsiDisk<'a>(pub &'a dyn Orders);

/// How a sanitize stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Idle,
    Running(Option<u16>),
    Failed,
}

impl ScsiDisk<'_> {
    /// Asks who it is. Questions that it refuses are answered with no.
    ///
    /// # Errors
    /// A device that does not answer INQUIRY.
    pub fn abilities(&self) -> Result<Abilities, FirmwareError> {
        let inquiry = self.read(&[0x12, 0, 0, 0, 96, 0], 96, "INQUIRY")?;
        let Some(vendor) = inquiry.get(8..16) else {
            return Err(FirmwareError::garbage("INQUIRY", "it is shorter than 16 bytes"));
        };
        if inquiry[0] & 0x1f != 0 {
            return Ok(Abilities::default()); // no direct access device
        }
        let ata = vendor.trim_ascii_end() == b"ATA" || self.pages()?.contains(&0x89);
        let has = |action: Sanitize| if ata { Ok(false) } else { self.knows_sanitize(action) };
        Ok(Abilities { ata, sanitize_crypto: has(Sanitize::Crypto)?, sanitize_block: has(Sanitize::Block)? })
    }

    /// The list of vital product data pages; a refusal is an empty list.
    fn pages(&self) -> Result<Vec<u8>, FirmwareError> {
        match self.read(&[0x12, 1, 0, 0, 255, 0], 255, "INQUIRY page 00h") {
            Ok(page) => Ok(page_list(&page).to_vec()),
            Err(FirmwareError::Unknown { .. } | FirmwareError::Refused { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn knows_sanitize(&self, action: Sanitize) -> Result<bool, FirmwareError> {
        // One command, by operation code and service action.
        let order = [0xa3, 0x0c, 3, 0x48, 0, action.service_action(), 0, 0, 0, 64, 0, 0];
        match self.read(&order, 64, "REPORT SUPPORTED OPERATION CODES") {
            Ok(answer) => Ok(is_supported(&answer)),
            Err(FirmwareError::Unknown { .. } | FirmwareError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sanitizes and waits for the end. `told` hears the share that is done, in percent.
    ///
    /// # Errors
    /// The device refuses, fails, or does not end.
    pub fn sanitize(&self, how: Sanitize, told: &dyn Fn(u64)) -> Result<(), FirmwareError> {
        // Immediately back; unrestricted exit, so that a failed one does not leave the disk useless.
        let order = [0x48, 0x80 | 0x20 | how.service_action(), 0, 0, 0, 0, 0, 0, 0, 0];
        self.plain(&order, "SANITIZE")?;
        self.wait(told).map(|_| ())
    }

    /// Waits while a sanitize runs, whoever began it (one goes on after a power loss). `true`: one ran. After one that
    /// failed the device is told to leave its failure mode.
    ///
    /// # Errors
    /// It failed, or does not end.
    pub fn wait(&self, told: &dyn Fn(u64)) -> Result<bool, FirmwareError> {
        let (mut waited, mut still, mut silent, mut last, mut ran) = (Duration::ZERO, Duration::ZERO, 0, None, false);
        loop {
            match self.standing() {
                Ok(Standing::Idle) => return Ok(ran),
                Ok(Standing::Failed) => {
                    let left = self.plain(&[0x48, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0], "SANITIZE (exit failure mode)");
                    let then = left.map_or_else(|error| format!("; it stays unusable: {error}"), |()| String::new());
                    return Err(FirmwareError::State(format!("the device reports that its sanitize failed{then}")));
                }
                Ok(Standing::Running(share)) => {
                    (ran, silent) = (true, 0);
                    if let Some(share) = share {
                        told(u64::from(share) * 100 / 65536);
                    }
                    if share != last {
                        (last, still) = (share, Duration::ZERO);
                    }
                }
                Err(error) => {
                    silent += 1;
                    if silent > SILENT {
                        return Err(error);
                    }
                }
            }
            if waited > LONGEST || still > STUCK {
                return Err(FirmwareError::State(format!(
                    "the sanitize does not end ({} minutes, the last {} without progress); it may go on after a restart",
                    waited.as_secs() / 60,
                    still.as_secs() / 60
                )));
            }
            self.0.pause(LOOK);
            waited += LOOK;
            still += LOOK;
        }
    }

    fn standing(&self) -> Result<Standing, FirmwareError> {
        let mut data = [0; 252];
        let reply = self
            .0
            .scsi(&[0x03, 0, 0, 0, 252, 0], Data::In(&mut data), SHORT)
            .map_err(FirmwareError::io("REQUEST SENSE"))?;
        let sense = match sense::of(&reply) {
            Some(sense) => sense,
            None => Sense::parse(&data[..reply.transferred.min(data.len())]),
        };
        Ok(match (sense.key, sense.code) {
            (NOT_READY, (0x04, 0x1b)) => Standing::Running(sense.progress),
            (_, (0x31, 0x03)) => Standing::Failed,
            _ => Standing::Idle,
        })
    }

    fn plain(&self, order: &[u8], doing: &'static str) -> Result<(), FirmwareError> {
        let reply = self.0.scsi(order, Data::None, SHORT).map_err(FirmwareError::io(doing))?;
        refusal(sense::of(&reply), doing)
    }

    fn read(&self, order: &[u8], length: usize, doing: &'static str) -> Result<Vec<u8>, FirmwareError> {
        let mut data = vec![0; length];
        let mut reply = self.0.scsi(order, Data::In(&mut data), SHORT).map_err(FirmwareError::io(doing))?;
        if sense::of(&reply).is_some_and(|sense| sense.key == 6) {
            // Unit attention: something happened since the last command, which this one only reports. Ask again.
            reply = self.0.scsi(order, Data::In(&mut data), SHORT).map_err(FirmwareError::io(doing))?;
        }
        refusal(sense::of(&reply), doing)?;
        data.truncate(reply.transferred);
        Ok(data)
    }
}

fn refusal(sense: Option<Sense>, doing: &'static str) -> Result<(), FirmwareError> {
    match sense {
        None => Ok(()),
        Some(sense) if sense.key == 1 => Ok(()),
        Some(sense) if sense.key == sense::ILLEGAL_REQUEST => Err(FirmwareError::Unknown { doing }),
        Some(sense) => Err(FirmwareError::Refused { doing, why: sense.words() }),
    }
}

/// The page codes in page 00h.
fn page_list(page: &[u8]) -> &[u8] {
    match page {
        [_, 0, high, low, list @ ..] => &list[..list.len().min(usize::from(u16::from_be_bytes([*high, *low])))],
        _ => &[],
    }
}

/// One-command answer of REPORT SUPPORTED OPERATION CODES: 3 is "as in the standard".
fn is_supported(answer: &[u8]) -> bool {
    answer.len() >= 4 && answer[1] & 7 == 3
}

#[cfg(test)]
mod tests;
