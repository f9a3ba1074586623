//! An NVMe controller with several namespaces: format and sanitize (NVM Express base specification 2.0).

use super::{Faults, Firmware, fill, timed_out};
use crate::sys::orders::{AdminOrder, AdminReply};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The controller.
pub struct NvmeController {
    pub namespaces: Vec<PathBuf>,
    /// Namespaces of the subsystem that are not attached to this machine.
    pub unseen: usize,
    /// Format NVM exists.
    pub can_format: bool,
    /// Bits as in byte 524.
    pub fna: u8,
    /// Bits as in byte 328.
    pub sanicap: u8,
    /// Bits 2:0 of the sanitize status, and the action that runs.
    pub state: u8,
    pub action: u32,
    /// 65536ths done, and those done in each two seconds.
    pub done: u32,
    pub pace: u32,
    /// The sanitize fails when so much is done.
    pub fails_at: Option<u32>,
    /// FLBAS and DPS of every namespace: a format must repeat them.
    pub layout: (u8, u8),
    pub faults: Faults,
    /// Opcodes as they came, with dword 10.
    pub seen: Vec<(u8, u32)>,
}

impl NvmeController {
    /// Everything there is, by namespace.
    pub fn new(namespaces: &[&std::path::Path]) -> Self {
        Self {
            namespaces: namespaces.iter().map(|path| path.to_path_buf()).collect(),
            unseen: 0,
            can_format: true,
            fna: 0b100,
            sanicap: 0b111,
            state: 0,
            action: 0,
            done: 0,
            pace: 32768,
            fails_at: None,
            layout: (0x01, 0),
            faults: Faults::default(),
            seen: Vec::new(),
        }
    }

    fn identify(&self, what: u32, namespace: u32) -> Option<[u8; 4096]> {
        let mut answer = [0; 4096];
        match what {
            0 if namespace >= 1 && namespace as usize <= self.namespaces.len() => {
                (answer[26], answer[29]) = self.layout;
                answer[0] = 1;
            }
            1 => {
                answer[4..8].copy_from_slice(b"SERI");
                answer[256] = if self.can_format { 2 } else { 0 };
                answer[328] = self.sanicap;
                answer[524] = self.fna;
            }
            0x02 | 0x10 => {
                let count = self.namespaces.len() + if what == 0x10 { self.unseen } else { 0 };
                for at in 0..count {
                    answer[at * 4..at * 4 + 4].copy_from_slice(&(at as u32 + 1).to_le_bytes());
                }
            }
            _ => return None,
        }
        Some(answer)
    }

    fn format(&mut self, namespace: u32, dword: u32) -> u16 {
        let erase = dword >> 9 & 7;
        if !self.can_format {
            return 0x001;
        }
        if dword & 0xf != u32::from(self.layout.0 & 0xf) || dword >> 4 & 1 != u32::from(self.layout.0 >> 4 & 1) {
            return 0x10a;
        }
        if !(erase == 1 || (erase == 2 && self.fna & 4 != 0)) {
            return 0x002;
        }
        if self.faults.lies != Some(0x80) {
            let all = self.fna & 0b11 != 0;
            for (at, path) in self.namespaces.iter().enumerate() {
                if all || at as u32 + 1 == namespace {
                    fill(path, erase == 2);
                }
            }
        }
        0
    }

    fn sanitize(&mut self, dword: u32) -> u16 {
        let action = dword & 7;
        let has = match action {
            1 => {
                self.state = 0;
                return 0;
            }
            2 => self.sanicap & 2,
            3 => self.sanicap & 4,
            4 => self.sanicap & 1,
            _ => 0,
        };
        if has == 0 || (action == 3 && dword >> 4 & 0xf == 0) {
            return 0x002;
        }
        if self.faults.lies != Some(0x84) {
            (self.state, self.action, self.done) = (2, action, 0);
        }
        0
    }
}

impl Firmware for NvmeController {
    fn admin(&mut self, order: &AdminOrder, data: &mut [u8]) -> io::Result<AdminReply> {
        self.seen.push((order.opcode, order.cdw10));
        if self.faults.hangs == Some(order.opcode) {
            return timed_out();
        }
        let refused = |status| Ok(AdminReply { status, result: 0 });
        if self.faults.aborts == Some(order.opcode) {
            return refused(0x007);
        }
        match order.opcode {
            0x06 => match self.identify(order.cdw10, order.namespace) {
                _ if self.faults.garbage == Some(0x06) => data.fill(0xff),
                Some(answer) => data.copy_from_slice(&answer),
                None => return refused(0x002),
            },
            0x02 if order.cdw10 & 0xff == 0x81 && order.namespace == u32::MAX => {
                if self.sanicap == 0 {
                    return refused(0x109);
                }
                assert_eq!((order.cdw10 >> 16) as usize * 4 + 4, data.len(), "the length in dwords, less one");
                data.fill(0);
                let share = if self.state == 2 { self.done.min(65535) as u16 } else { 0xffff };
                data[0..2].copy_from_slice(&share.to_le_bytes());
                data[2] = self.state;
                data[8..20].copy_from_slice(&[0xff; 12]);
            }
            0x80 if self.state == 2 => return refused(0x01d),
            0x80 => return refused(self.format(order.namespace, order.cdw10)),
            0x84 if self.state == 2 => return refused(0x01d),
            0x84 => return refused(self.sanitize(order.cdw10)),
            _ => return refused(0x001),
        }
        refused(0)
    }

    fn passes(&mut self, time: Duration) {
        if self.state == 2 {
            self.done += self.pace * (time.as_millis() / 2000) as u32;
            if self.fails_at.is_some_and(|at| self.done >= at) {
                self.state = 3;
            } else if self.done >= 65536 {
                self.namespaces.iter().for_each(|path| fill(path, self.action == 4));
                self.state = 1;
            }
        }
    }
}
