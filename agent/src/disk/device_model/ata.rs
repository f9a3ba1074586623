//! An ATA disk behind a SCSI translation, with the security feature set of ACS-4.

use super::{Faults, Firmware, check_condition, fill, give, timed_out, write};
use crate::sys::orders::{Data, ScsiReply};
use std::io;
use std::path::PathBuf;

/// Attempts between two power-ups.
const ATTEMPTS: u8 = 5;

/// The disk.
pub struct AtaDrive {
    pub file: PathBuf,
    /// The feature set exists.
    pub supported: bool,
    /// The enhanced erase exists.
    pub enhanced: bool,
    /// The user's password, if one is set.
    pub user: Option<[u8; 32]>,
    pub master: [u8; 32],
    /// Level "maximum": the master password only erases.
    pub maximum: bool,
    pub locked: bool,
    pub frozen: bool,
    pub attempts: u8,
    /// Words 89 and 90.
    pub times: (u16, u16),
    pub faults: Faults,
    /// ATA commands as they came.
    pub seen: Vec<u8>,
    prepared: bool,
}

impl AtaDrive {
    /// In SEC1, with the enhanced erase.
    pub fn new(file: &std::path::Path) -> Self {
        Self {
            file: file.to_path_buf(),
            supported: true,
            enhanced: true,
            user: None,
            master: [b'm'; 32],
            maximum: false,
            locked: false,
            frozen: false,
            attempts: ATTEMPTS,
            times: (15, 1),
            faults: Faults::default(),
            seen: Vec::new(),
            prepared: false,
        }
    }

    /// Off and on.
    pub fn power_cycle(&mut self) {
        self.locked = self.user.is_some();
        (self.frozen, self.prepared, self.attempts) = (false, false, ATTEMPTS);
    }

    fn identity(&self) -> [u8; 512] {
        let mut words = [0_u16; 256];
        let text = |words: &mut [u16], text: &str| {
            let padded = format!("{text:<width$}", width = words.len() * 2);
            for (word, pair) in words.iter_mut().zip(padded.as_bytes().chunks(2)) {
                *word = u16::from_be_bytes([pair[0], pair[1]]);
            }
        };
        words[0] = 0x0040;
        text(&mut words[10..20], "MODEL-SERIAL-1");
        text(&mut words[27..47], "MODEL DISK");
        (words[83], words[84], words[87]) = (0x4000, 0x4000, 0x4000);
        if self.supported {
            words[82] = 2;
            words[85] = if self.user.is_some() { 2 } else { 0 };
            (words[89], words[90]) = self.times;
            let bits = [
                true,
                self.user.is_some(),
                self.locked,
                self.frozen,
                self.attempts == 0,
                self.enhanced,
                false,
                false,
                self.maximum && self.user.is_some(),
            ];
            words[128] = bits.iter().enumerate().map(|(at, bit)| u16::from(*bit) << at).sum();
        }
        words[255] = 0x00a5;
        let mut answer = [0; 512];
        answer.chunks_mut(2).zip(words).for_each(|(pair, word)| pair.copy_from_slice(&word.to_le_bytes()));
        let sum = answer.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        answer[511] = 0_u8.wrapping_sub(sum);
        answer
    }

    /// `true`: done; `false`: aborted.
    fn security(&mut self, command: u8, block: &[u8]) -> bool {
        let prepared = std::mem::take(&mut self.prepared);
        if !self.supported || self.frozen {
            return false;
        }
        let password: [u8; 32] = block.get(2..34).map_or([0; 32], |bytes| bytes.try_into().unwrap());
        let is_master = block.first().is_some_and(|byte| byte & 1 != 0);
        let fits_user = self.user == Some(password) && !is_master;
        let fits_master = is_master && self.master == password;
        match command {
            0xf1 if self.locked => false,
            0xf1 if is_master => {
                self.master = password;
                true
            }
            0xf1 => {
                (self.user, self.maximum) = (Some(password), block[1] & 1 != 0);
                true
            }
            0xf2 if !self.locked || self.attempts == 0 => false,
            0xf2 if fits_user || (fits_master && !self.maximum) => {
                (self.locked, self.attempts) = (false, ATTEMPTS);
                true
            }
            0xf2 => {
                self.attempts -= 1;
                false
            }
            0xf3 => {
                self.prepared = true;
                true
            }
            0xf4 => {
                let enhanced = block[0] & 2 != 0;
                if !prepared || !(fits_user || fits_master) || (enhanced && !self.enhanced) {
                    return false;
                }
                if self.faults.power_loss.take_if(|code| *code == 0xf4).is_some() {
                    write(&self.file, 1 << 20, 0);
                    self.power_cycle();
                    return false;
                }
                if self.faults.lies != Some(0xf4) {
                    fill(&self.file, enhanced);
                    (self.user, self.locked) = (None, false);
                }
                true
            }
            0xf6 if self.locked => false,
            0xf6 if fits_user || (fits_master && !self.maximum) => {
                if self.faults.lies != Some(0xf6) {
                    self.user = None;
                }
                true
            }
            _ => false,
        }
    }
}

/// Sense with the ATA return descriptor, as after a command that was aborted.
fn aborted() -> ScsiReply {
    let mut sense = vec![0x72, 0x0b, 0, 0, 0, 0, 0, 14];
    sense.extend([9, 12, 0, 0x04, 0, 0, 0, 0, 0, 0, 0, 0, 0xe0, 0x51]);
    ScsiReply { status: 2, sense, transferred: 0 }
}

impl Firmware for AtaDrive {
    fn scsi(&mut self, command: &[u8], data: Data<'_>) -> io::Result<ScsiReply> {
        if command[0] == 0x12 {
            let mut inquiry = [0; 96];
            inquiry[8..16].copy_from_slice(b"ATA     ");
            return Ok(give(data, &inquiry, self.faults.short == Some(0x12)));
        }
        if command[0] != 0x85 {
            return Ok(check_condition(5, (0x20, 0), None));
        }
        let code = command[14];
        self.seen.push(code);
        if self.faults.hangs == Some(code) {
            return timed_out();
        }
        if self.faults.aborts == Some(code) {
            self.prepared = false;
            return Ok(aborted());
        }
        if code == 0xec {
            let answer = if self.faults.garbage == Some(0xec) { [0xff; 512] } else { self.identity() };
            return Ok(give(data, &answer, self.faults.short == Some(0xec)));
        }
        // The direction and the length in the command must be those of the command.
        let (protocol, length_flags) = (command[1] >> 1, command[2]);
        let block = match data {
            Data::Out(block) if protocol == 5 && length_flags == 0x06 && command[6] == 1 => block.to_vec(),
            Data::None if protocol == 3 && code == 0xf3 => Vec::new(),
            _ => return Ok(check_condition(5, (0x24, 0), None)),
        };
        let loses_power = self.faults.power_loss == Some(code);
        let done = self.security(code, &block);
        if loses_power {
            return Err(io::Error::other("the adapter gave up: the device is gone"));
        }
        Ok(if done { ScsiReply::default() } else { aborted() })
    }
}
