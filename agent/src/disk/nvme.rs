//! NVMe controllers: what they can erase, what an erase would reach, format and sanitize.
//!
//! Layouts: NVM Express base specification 2.0, sections 5.14 (format), 5.17 (identify), 5.24 (sanitize), 5.16.1.25 (its log).

use super::error::FirmwareError;
use crate::sys::orders::{AdminOrder, Orders};
use std::time::Duration;

/// Bytes of every identify answer.
const IDENTIFY: usize = 4096;
/// Bytes of the sanitize log that are read.
const LOG: usize = 512;
const SHORT: Duration = Duration::from_secs(60);
/// Longest a format may take. Crypto erase takes seconds; overwriting a large namespace may take the better part of it.
const FORMAT: Duration = Duration::from_secs(4 * 3600);
/// Between two looks at the progress of a sanitize.
const LOOK: Duration = Duration::from_secs(2);
/// Longest sanitize when the controller does not say how long it takes.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// Looks that may fail one after another.
const SILENT: u32 = 30;
/// All namespaces, or none in particular.
const ALL: u32 = u32::MAX;

/// A sanitize operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sanitize {
    /// The key is thrown away.
    Crypto,
    /// The cells are erased.
    Block,
    /// Everything is overwritten by the controller.
    Overwrite,
}

impl Sanitize {
    fn action(self) -> u32 {
        match self {
            Self::Block => 2,
            Self::Overwrite => 3,
            Self::Crypto => 4,
        }
    }
}

/// What a controller says about erasing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// The Format NVM order exists.
    pub can_format: bool,
    /// A format changes all namespaces, not only the one it names.
    pub format_hits_all: bool,
    /// A secure erase as part of a format erases all namespaces.
    pub erase_hits_all: bool,
    /// Erasing by throwing the key away is possible as part of a format.
    pub format_crypto: bool,
    /// Sanitize operations, by SANICAP.
    pub sanitize: Vec<Sanitize>,
    /// Namespaces that exist in the subsystem, as far as the controller tells; some may not be attached to this machine.
    pub allocated: Option<usize>,
}

impl Abilities {
    /// Reads OACS (bytes 256-257), SANICAP (328-331) and FNA (524) of an identify-controller answer.
    pub fn parse(answer: &[u8; IDENTIFY]) -> Self {
        let oacs = u16::from_le_bytes([answer[256], answer[257]]);
        let (sanicap, fna) = (answer[328], answer[524]);
        let kinds = [(Sanitize::Crypto, 1 << 0), (Sanitize::Block, 1 << 1), (Sanitize::Overwrite, 1 << 2)];
        Self {
            can_format: oacs & 1 << 1 != 0,
            format_hits_all: fna & 1 << 0 != 0,
            erase_hits_all: fna & 1 << 1 != 0,
            format_crypto: fna & 1 << 2 != 0,
            sanitize: kinds.into_iter().filter(|(_, bit)| sanicap & bit != 0).map(|(kind, _)| kind).collect(),
            allocated: None,
        }
    }

    /// A format with erase reaches every namespace.
    pub fn hits_all(&self) -> bool {
        self.format_hits_all || self.erase_hits_all
    }
}

/// The numbers in a namespace list: ascending, ended by a zero.
fn list_length(answer: &[u8; IDENTIFY]) -> usize {
    answer.chunks_exact(4).take_while(|entry| entry.iter().any(|byte| *byte != 0)).count()
}

/// Command dword 10 of a format that keeps block size and protection of the namespace and erases: FLBAS (byte 26) and DPS
/// (byte 29) of an identify-namespace answer.
fn format_dword(answer: &[u8; IDENTIFY], crypto: bool) -> u32 {
    let (flbas, protection) = (answer[26], answer[29]);
    let block_format = u32::from(flbas & 0x0f);
    let block_format_high = u32::from(flbas >> 5 & 0b11);
    let metadata_in_line = u32::from(flbas >> 4 & 1);
    let protection_kind = u32::from(protection & 0b111);
    let protection_first = u32::from(protection >> 3 & 1);
    let erase = if crypto { 2 } else { 1 };
    block_format
        | metadata_in_line << 4
        | protection_kind << 5
        | protection_first << 8
        | erase << 9
        | block_format_high << 12
}

/// The sanitize log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// 65536ths that are done; meaningful while one runs.
    pub progress: u16,
    /// Bits 2:0 of the status: 0 never, 1 and 4 done, 2 running, 3 failed.
    pub state: u8,
    /// Seconds the controller expects: crypto, block, overwrite.
    seconds: [Option<u32>; 3],
}

impl Log {
    /// Reads the log page; none: it is not of this device generation (all ones).
    pub fn parse(page: &[u8; LOG]) -> Self {
        let half = |at: usize| u16::from_le_bytes([page[at], page[at + 1]]);
        let word = |at: usize| {
            let value = u32::from_le_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]);
            (value != u32::MAX && value != 0).then_some(value)
        };
        Self { progress: half(0), state: (half(2) & 7) as u8, seconds: [word(16), word(12), word(8)] }
    }

    /// What the controller expects.
    pub fn estimate(&self, how: Sanitize) -> Option<Duration> {
        let at = match how {
            Sanitize::Crypto => 0,
            Sanitize::Block => 1,
            Sanitize::Overwrite => 2,
        };
        self.seconds[at].map(|seconds| Duration::from_secs(u64::from(seconds)))
    }
}

/// An NVMe namespace that takes admin commands.
pub struct NvmeDisk<'a>(pub &'a dyn Orders);

impl NvmeDisk<'_> {
    /// What the controller can do.
    ///
    /// # Errors
    /// A controller that does not answer.
    pub fn abilities(&self) -> Result<Abilities, FirmwareError> {
        let answer = self.identify(1, 0, "Identify (controller)")?;
        if answer.iter().all(|byte| *byte == answer[0]) {
            return Err(FirmwareError::garbage("Identify (controller)", "it is one byte repeated"));
        }
        let mut abilities = Abilities::parse(&answer);
        // All namespaces of the subsystem (2.0: with namespace management), else the active ones.
        let lists = [(0x10, "Identify (allocated namespaces)"), (0x02, "Identify (active namespaces)")];
        abilities.allocated =
            lists.iter().find_map(|(what, doing)| self.identify(*what, 0, doing).ok()).map(|list| list_length(&list));
        Ok(abilities)
    }

    /// Erases the namespace (and others, if [`Abilities::hits_all`]), keeping its block size. Blocks until done.
    ///
    /// # Errors
    /// The controller refuses or does not end.
    pub fn format(&self, crypto: bool) -> Result<(), FirmwareError> {
        let namespace = self.0.namespace().map_err(FirmwareError::io("asking for the number of the namespace"))?;
        let now = self.identify(0, namespace, "Identify (namespace)")?;
        let order = AdminOrder { opcode: 0x80, namespace, cdw10: format_dword(&now, crypto), cdw11: 0, time: FORMAT };
        self.run(&order, &mut [], "Format NVM")
    }

    /// Sanitizes the whole subsystem: every namespace behind the controller. `told` hears the share that is done in percent.
    ///
    /// # Errors
    /// The controller refuses, fails, or does not end.
    pub fn sanitize(&self, how: Sanitize, told: &dyn Fn(u64)) -> Result<(), FirmwareError> {
        let longest = self.log()?.estimate(how).map_or(LONGEST, |time| (time * 2 + LONGEST / 12).min(LONGEST * 2));
        // One pass; unrestricted exit, so that a failed one does not leave the subsystem useless.
        let passes = if how == Sanitize::Overwrite { 1 << 4 } else { 0 };
        let order =
            AdminOrder { opcode: 0x84, cdw10: how.action() | 1 << 3 | passes, time: SHORT, ..Default::default() };
        self.run(&order, &mut [], "Sanitize")?;
        if self.wait(longest, told)? {
            return Ok(());
        }
        // It never ran: a controller that says yes and does nothing.
        Err(FirmwareError::garbage("Sanitize", "the log tells of no sanitize"))
    }

    /// Waits while a sanitize runs, whoever began it (one goes on after a power loss). `true`: the last one ended well.
    /// After one that failed the controller is told to leave its failure mode.
    ///
    /// # Errors
    /// It failed, or does not end.
    fn wait(&self, longest: Duration, told: &dyn Fn(u64)) -> Result<bool, FirmwareError> {
        let (mut waited, mut silent) = (Duration::ZERO, 0);
        loop {
            match self.log() {
                Ok(log) => match log.state {
                    2 => {
                        silent = 0;
                        told(u64::from(log.progress) * 100 / 65536);
                    }
                    3 => {
                        let order = AdminOrder { opcode: 0x84, cdw10: 1, time: SHORT, ..Default::default() };
                        let left = self.run(&order, &mut [], "Sanitize (exit failure mode)");
                        let then =
                            left.map_or_else(|error| format!("; it stays unusable: {error}"), |()| String::new());
                        return Err(FirmwareError::State(format!(
                            "the controller reports that its sanitize failed{then}"
                        )));
                    }
                    state => return Ok(state == 1 || state == 4),
                },
                Err(error) => {
                    silent += 1;
                    if silent > SILENT {
                        return Err(error);
                    }
                }
            }
            if waited > longest {
                return Err(FirmwareError::State(format!(
                    "the sanitize does not end ({} minutes); it goes on after a restart",
                    waited.as_secs() / 60
                )));
            }
            self.0.pause(LOOK);
            waited += LOOK;
        }
    }

    /// Waits for a sanitize that an interrupted run left behind. `true`: there was one.
    ///
    /// # Errors
    /// It failed, or does not end.
    pub fn settle(&self, told: &dyn Fn(u64)) -> Result<bool, FirmwareError> {
        match self.log() {
            Ok(log) if log.state == 2 || log.state == 3 => self.wait(LONGEST, told).map(|_| true),
            Ok(_) | Err(FirmwareError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn log(&self) -> Result<Log, FirmwareError> {
        let mut page = [0; LOG];
        let dwords = (LOG / 4 - 1) as u32;
        let order = AdminOrder { opcode: 0x02, namespace: ALL, cdw10: 0x81 | dwords << 16, cdw11: 0, time: SHORT };
        self.run(&order, &mut page, "Get Log Page (sanitize status)")?;
        Ok(Log::parse(&page))
    }

    fn identify(&self, what: u32, namespace: u32, doing: &'static str) -> Result<[u8; IDENTIFY], FirmwareError> {
        let mut answer = [0; IDENTIFY];
        let order = AdminOrder { opcode: 0x06, namespace, cdw10: what, cdw11: 0, time: SHORT };
        self.run(&order, &mut answer, doing)?;
        Ok(answer)
    }

    fn run(&self, order: &AdminOrder, data: &mut [u8], doing: &'static str) -> Result<(), FirmwareError> {
        let reply = self.0.admin(order, data).map_err(FirmwareError::io(doing))?;
        match reply.status {
            0 => Ok(()),
            status => {
                Err(FirmwareError::Refused { doing, why: format!("NVMe status {status:#05x}{}", meaning(status)) })
            }
        }
    }
}

/// The statuses that people will meet.
fn meaning(status: u16) -> &'static str {
    match status {
        0x001 => " (invalid order)",
        0x002 => " (invalid field)",
        0x006 => " (internal error)",
        0x007 => " (aborted)",
        0x00b => " (invalid namespace or format)",
        0x00c => " (order sequence error)",
        0x01c => " (a sanitize failed before)",
        0x01d => " (a sanitize is running)",
        0x020 => " (the namespace is write protected)",
        0x10a => " (invalid format)",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
