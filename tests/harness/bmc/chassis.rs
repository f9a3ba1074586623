//! What a BMC switches: the machine behind it.

use std::sync::{Arc, Mutex};

/// A machine as its BMC sees it. Called from the BMC's task: return at once, do long work elsewhere.
pub trait Chassis: Send + Sync {
    /// Is it on?
    fn is_on(&self) -> bool;
    /// Switch on.
    fn on(&self);
    /// Switch off, hard.
    fn off(&self);
    /// Off, then on.
    fn cycle(&self);
    /// Reset without switching off.
    fn reset(&self);
    /// Press the ACPI power button.
    fn soft(&self);
    /// Non-maskable interrupt.
    fn nmi(&self) {}
    /// Boot flags (System Boot Options, parameter 5).
    fn boot_flags(&self) -> [u8; 5];
    /// Sets them.
    fn set_boot_flags(&self, flags: [u8; 5]);
}

/// A machine that is nothing but its state. Clones are the same machine.
#[derive(Clone, Default)]
pub struct MemoryChassis(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    on: bool,
    flags: [u8; 5],
    cycles: u32,
    nmis: u32,
    deaf: bool,
    off_looks: u32,
}

impl MemoryChassis {
    fn with<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        act(&mut self.0.lock().expect("no test panics while it holds the chassis"))
    }

    /// How often the machine was cycled or reset.
    pub fn cycles(&self) -> u32 {
        self.with(|memory| memory.cycles)
    }

    /// How many NMIs it got.
    pub fn nmis(&self) -> u32 {
        self.with(|memory| memory.nmis)
    }

    /// An operating system that does not hear the power button.
    pub fn goes_deaf(&self) {
        self.with(|memory| memory.deaf = true);
    }
}

impl Chassis for MemoryChassis {
    fn is_on(&self) -> bool {
        self.with(|memory| {
            if memory.off_looks > 0 {
                memory.off_looks -= 1;
                return false;
            }
            memory.on
        })
    }
    fn on(&self) {
        self.with(|memory| memory.on = true);
    }
    fn off(&self) {
        self.with(|memory| memory.on = false);
    }
    fn cycle(&self) {
        // Off for as long as somebody looks twice, as real machines are for a second.
        self.with(|memory| {
            memory.cycles += 1;
            memory.off_looks = 2;
        });
    }
    fn reset(&self) {
        self.with(|memory| memory.cycles += 1);
    }
    fn soft(&self) {
        self.with(|memory| memory.on = memory.on && memory.deaf);
    }
    fn nmi(&self) {
        self.with(|memory| memory.nmis += 1);
    }
    fn boot_flags(&self) -> [u8; 5] {
        self.with(|memory| memory.flags)
    }
    fn set_boot_flags(&self, flags: [u8; 5]) {
        self.with(|memory| memory.flags = flags);
    }
}
