//! Ending the ramdisk: flush everything, then power off or restart the machine.
//!
//! The kernel is asked directly, and only where `/` is a ramdisk: an agent tried on a workstation must not switch it off.
//! Elsewhere a program named with `--power-program` is run instead, or the command fails.

use super::call::Failure;
use crate::hardware::{Roots, block};
use crate::sys::block::{Access, BlockDevice};
use crate::sys::child::Program;
use crate::sys::{clock, link, ramdisk};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// How long a power program may take.
const PROGRAM_TIME: Duration = Duration::from_secs(60);

/// How long disks may take to write what is in memory.
const FLUSH_TIME: Duration = Duration::from_secs(50);

/// How power is switched.
#[derive(Clone, Debug)]
pub enum Power {
    /// By the kernel, if this is a ramdisk.
    Kernel,
    /// By this program, with the argument `poweroff` or `reboot`.
    Program(PathBuf),
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Off.
    PowerOff,
    /// Restart, into the installed system if the conductor arranged for it.
    Reboot,
}

impl End {
    /// What the kernel's system request key is for it (`Documentation/admin-guide/sysrq.rst`).
    fn key(self) -> &'static str {
        match self {
            End::PowerOff => "o",
            End::Reboot => "b",
        }
    }

    fn word(self) -> &'static str {
        match self {
            End::PowerOff => "poweroff",
            End::Reboot => "reboot",
        }
    }
}

impl Power {
    /// Whether [`Power::end`] may be tried at all.
    ///
    /// # Errors
    /// It may not: `/` is no ramdisk, and no program is named.
    pub fn check(&self) -> Result<(), Failure> {
        match self {
            Power::Program(_) => Ok(()),
            Power::Kernel if ramdisk::root_is_ramdisk() => Ok(()),
            Power::Kernel => Err(failed(
                "refused: `/` is not a ramdisk, so this is not a deploy ramdisk and the machine stays on; start the agent with --power-program to name a program instead".into(),
            )),
        }
    }

    /// Powers off or restarts. With the kernel this does not return when it works.
    ///
    /// # Errors
    /// As [`Power::check`]; the kernel's, or the program's.
    pub fn end(&self, end: End) -> Result<(), Failure> {
        self.check()?;
        match self {
            Power::Kernel => {
                let mode = match end {
                    End::PowerOff => nix::sys::reboot::RebootMode::RB_POWER_OFF,
                    End::Reboot => nix::sys::reboot::RebootMode::RB_AUTOBOOT,
                };
                if let Err(cause) = clock::keep() {
                    tracing::warn!(error = %cause, "the hardware clock was not set");
                }
                let Err(cause) = nix::sys::reboot::reboot(mode);
                tracing::error!(error = %cause, "the kernel refused to {}; trying the system request key", end.word());
                let pressed =
                    fs::write("/proc/sys/kernel/sysrq", "1").and_then(|()| fs::write("/proc/sysrq-trigger", end.key()));
                Err(failed(match pressed {
                    Ok(()) => {
                        format!("the kernel refused to {}: {cause}; the system request key was pressed", end.word())
                    }
                    Err(key) => format!("the kernel refused to {}: {cause}; the system request key: {key}", end.word()),
                }))
            }
            Power::Program(program) => run(program, end.word()),
        }
    }

    /// Sets every network interface down. Another program than the kernel gets the argument `lockdown`.
    ///
    /// # Errors
    /// As [`Power::check`]; an interface that stays up is only logged, the others must go down.
    pub fn lock_down(&self) -> Result<(), Failure> {
        self.check()?;
        if let Power::Program(program) = self {
            return run(program, "lockdown");
        }
        let names = link::names().map_err(|cause| Failure::execution(format!("no list of interfaces: {cause}")))?;
        for name in names {
            match link::set_down(&name) {
                Ok(()) => tracing::info!(interface = %name, "set down"),
                Err(cause) => tracing::error!(interface = %name, error = %cause, "could not be set down"),
            }
        }
        Ok(())
    }
}

/// Writes everything that is only in memory (agent-protocol 7.3). In a ramdisk the page cache is emptied and every disk flushed;
/// elsewhere only the disks in `ours` are, the rest of the machine is not for us to disturb.
///
/// # Errors
/// A dead disk can hold `sync` for ever; then this gives up after [`FLUSH_TIME`].
pub fn flush(ours: Vec<PathBuf>) -> Result<(), Failure> {
    let (tell, told) = mpsc::channel();
    let work = move || {
        nix::unistd::sync();
        let mut disks = ours;
        if ramdisk::root_is_ramdisk() {
            disks.extend(block::list(&Roots::machine()).into_iter().map(|disk| PathBuf::from(disk.name)));
            if let Err(cause) = std::fs::write("/proc/sys/vm/drop_caches", "3") {
                tracing::info!(error = %cause, "the page cache was not emptied");
            }
        }
        for disk in disks {
            if let Err(cause) = BlockDevice::open(&disk, Access::Read).and_then(|device| device.drop_cache()) {
                tracing::warn!(disk = %disk.display(), error = %cause, "the disk was not flushed");
            }
        }
        let _ = tell.send(());
    };
    std::thread::Builder::new()
        .name("flush".into())
        .spawn(work)
        .map_err(|cause| Failure::execution(cause.to_string()))?;
    told.recv_timeout(FLUSH_TIME).map_err(|_| {
        Failure::execution(format!("a disk did not take its data within {} s; it may be dead", FLUSH_TIME.as_secs()))
    })
}

fn run(program: &Path, word: &str) -> Result<(), Failure> {
    let done = Program::new(program).arg(word).time_limit(PROGRAM_TIME).succeed();
    done.map(|_| ()).map_err(|cause| failed(format!("`{} {word}`: {cause}", program.display())))
}

fn failed(details: String) -> Failure {
    Failure::typed("SystemRebootError", 500, "Error rebooting system", details)
}
