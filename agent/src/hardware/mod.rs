//! What this machine has, as the wire wants it. Reads only; whatever cannot be read is noted and left empty.

pub mod block;
pub mod bmc;
mod boot;
mod cpu;
pub mod inspection;
mod memory;
mod nic;
pub mod pci;
mod smbios;

use crate::sys::child::Program;
pub use crate::sys::sysfs::{Roots, Unread};
use common::inventory::{Interface, Inventory};
use std::time::Duration;

/// What an operator may change about the inventory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Do not ask the BMC (`agent_skip_bmc_detect`).
    pub skip_bmc: bool,
    /// Leave out interfaces whose MAC begins `fa:`, as the reference does; it hides every virtual NIC of Neutron.
    pub hide_fa_macs: bool,
}

/// The inventory of the machine below `roots`, and what could not be read for it.
pub fn inventory(roots: &Roots) -> (Inventory, Vec<Unread>) {
    inventory_with(roots, &Options::default())
}

/// Like [`inventory`], as an operator wants it.
pub fn inventory_with(roots: &Roots, options: &Options) -> (Inventory, Vec<Unread>) {
    let mut unread = Vec::new();
    let firmware = smbios::read(roots, &mut unread);
    let bmc = if options.skip_bmc { bmc::Bmc::default() } else { bmc::read(roots, &mut unread) };
    let inventory = Inventory {
        interfaces: nic::list(roots, options, &mut unread),
        cpu: cpu::read(roots, &firmware, &mut unread),
        disks: block::list(roots),
        memory: memory::read(roots, &firmware, &mut unread),
        bmc_address: bmc.address,
        bmc_v6address: bmc.v6_address,
        system_vendor: firmware.vendor,
        boot: boot::read(roots),
        hostname: Some(roots.text("/proc/sys/kernel/hostname").unwrap_or_default()),
        bmc_mac: bmc.mac,
        other: serde_json::Map::new(),
    };
    (inventory, unread)
}

/// Only the interfaces: what look-up asks for, without the slow rest.
pub fn interfaces(roots: &Roots, options: &Options) -> Vec<Interface> {
    nic::list(roots, options, &mut Vec::new())
}

/// Loads what the kernel needs to show the BMC. For the ramdisk, before the first inventory; failures do not matter:
/// the modules may be built in, and most machines have only one of the interfaces.
pub fn prepare() {
    for module in ["ipmi_msghandler", "ipmi_devintf", "ipmi_si"] {
        match Program::new("modprobe").args(["-q", module]).time_limit(Duration::from_secs(10)).succeed() {
            Ok(_) => tracing::debug!(module, "loaded"),
            Err(error) => tracing::debug!(module, %error, "not loaded"),
        }
    }
}

#[cfg(test)]
mod tests;
