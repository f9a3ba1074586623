//! A SCSI disk with SANITIZE (SBC-4).

use super::{Faults, Firmware, check_condition, fill, give, timed_out};
use crate::sys::orders::{Data, ScsiReply};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Idle,
    /// Service action, 65536ths done.
    Sanitizing(u8, u32),
    Failed,
}

/// The disk.
pub struct ScsiDrive {
    pub file: PathBuf,
    /// Service actions of SANITIZE it has: 2 block, 3 crypto.
    pub sanitizes: Vec<u8>,
    pub state: State,
    /// 65536ths of a sanitize in each two seconds.
    pub pace: u32,
    /// The sanitize fails when so much is done.
    pub fails_at: Option<u32>,
    /// The next command is answered with a unit attention.
    pub attention: bool,
    pub faults: Faults,
    /// Operation codes as they came.
    pub seen: Vec<u8>,
}

impl ScsiDrive {
    /// With block and crypto.
    pub fn new(file: &std::path::Path) -> Self {
        Self {
            file: file.to_path_buf(),
            sanitizes: vec![2, 3],
            state: State::Idle,
            pace: 16384,
            fails_at: None,
            attention: false,
            faults: Faults::default(),
            seen: Vec::new(),
        }
    }
}

impl Firmware for ScsiDrive {
    fn scsi(&mut self, command: &[u8], data: Data<'_>) -> io::Result<ScsiReply> {
        let code = command[0];
        self.seen.push(code);
        if self.faults.hangs == Some(code) {
            return timed_out();
        }
        if self.faults.aborts == Some(code) {
            return Ok(check_condition(0x0b, (0, 0), None));
        }
        if std::mem::take(&mut self.attention) {
            return Ok(check_condition(6, (0x29, 0), None));
        }
        let short = self.faults.short == Some(code);
        Ok(match code {
            0x12 if command[1] == 1 => give(data, &[0, 0, 0, 3, 0, 0x80, 0x83], short),
            0x12 => {
                let mut inquiry = [0; 96];
                inquiry[8..16].copy_from_slice(b"MODEL   ");
                give(data, &inquiry, short)
            }
            0x03 => {
                let reply = match self.state {
                    State::Idle => check_condition(0, (0, 0), None),
                    State::Sanitizing(_, done) => check_condition(2, (4, 0x1b), Some(done.min(65535) as u16)),
                    State::Failed => check_condition(3, (0x31, 3), None),
                };
                give(data, &reply.sense, short)
            }
            0xa3 => {
                let known = command[3] == 0x48 && self.sanitizes.contains(&command[5]);
                give(data, &[0, if known { 3 } else { 1 }, 0, 10], short)
            }
            // Exit failure mode.
            0x48 if command[1] & 0x1f == 0x1f => {
                self.state = State::Idle;
                ScsiReply::default()
            }
            0x48 if !matches!(self.state, State::Sanitizing(..)) && self.sanitizes.contains(&(command[1] & 0x1f)) => {
                if self.faults.lies != Some(0x48) {
                    self.state = State::Sanitizing(command[1] & 0x1f, 0);
                }
                ScsiReply::default()
            }
            _ => check_condition(5, (0x20, 0), None),
        })
    }

    fn passes(&mut self, time: Duration) {
        if let State::Sanitizing(action, done) = self.state {
            let done = done + self.pace * (time.as_millis() / 2000) as u32;
            self.state = State::Sanitizing(action, done);
            if self.fails_at.is_some_and(|at| done >= at) {
                self.state = State::Failed;
            } else if done >= 65536 {
                fill(&self.file, action == 3);
                self.state = State::Idle;
            }
        }
    }
}
