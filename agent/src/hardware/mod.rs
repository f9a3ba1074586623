//! What this machine has, as the wire wants it. Reads only; whatever cannot be read is noted and left empty.

pub mod benchmark;
pub mod block;
pub mod bmc;
mod boot;
pub mod cpu;
pub mod dmi;
pub mod extra;
pub mod health;
pub mod inspection;
pub mod lldp;
mod memory;
mod multipath;
mod nic;
pub mod numa;
pub mod pci;
pub mod smbios;
pub mod usb;
mod vlan;

use crate::sys::child::Program;
pub use crate::sys::sysfs::{Roots, Unread};
use common::inventory::{Interface, Inventory};
use std::time::Duration;

/// What an operator may change about the inventory.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Do not ask the BMC (`agent_skip_bmc_detect`).
    pub skip_bmc: bool,
    /// Leave out interfaces whose MAC begins `fa:`, as the reference does; it hides every virtual NIC of Neutron.
    pub hide_fa_macs: bool,
    /// The inventory tells what switches say (`ipa-collect-lldp`).
    pub collect_lldp: bool,
    /// Silence after which nothing more is expected of switches (`ipa-lldp-timeout`).
    pub lldp_patience: Duration,
    /// Listening to switches ends after it, whatever comes; none: after three times the silence.
    pub lldp_most: Option<Duration>,
    /// VLAN interfaces to make (`ipa-enable-vlan-interfaces`).
    pub vlans: Vec<String>,
    /// What the `extra-hardware` collector measures (`ipa-inspection-benchmarks`).
    pub benchmarks: Vec<benchmark::Benchmark>,
}

/// Key of the inventory, an addition of ours: interfaces that the configuration hides, with the reason.
pub const HIDDEN_INTERFACES: &str = "hidden_interfaces";

/// Everything seen in one look.
#[derive(Debug)]
pub struct Seen {
    /// As the wire has it.
    pub inventory: Inventory,
    /// What could not be read, and why.
    pub unread: Vec<Unread>,
    /// What switches said, if anybody listened.
    pub heard: Option<lldp::Heard>,
}

/// The inventory of the machine below `roots`, and what could not be read for it.
pub fn inventory(roots: &Roots) -> (Inventory, Vec<Unread>) {
    inventory_with(roots, &Options::default())
}

/// Like [`inventory`], as an operator wants it.
pub fn inventory_with(roots: &Roots, options: &Options) -> (Inventory, Vec<Unread>) {
    let seen = look(roots, options, options.collect_lldp);
    (seen.inventory, seen.unread)
}

/// Looks at everything; `listen` also to the switches, which takes half a minute. Makes the VLAN interfaces of `options`.
pub fn look(roots: &Roots, options: &Options, listen: bool) -> Seen {
    let mut unread = Vec::new();
    let firmware = smbios::read(roots, &mut unread);
    let bmc = if options.skip_bmc { bmc::Bmc::default() } else { bmc::read(roots, &mut unread) };
    let mut nics = nic::list(roots, options, &mut unread);
    // Only the running machine hears and can be changed.
    let heard = (listen && roots.is_machine()).then(|| {
        let names: Vec<String> = nics.shown.iter().map(|nic| nic.name.clone()).collect();
        let linked = |name: &str| nics.shown.iter().any(|nic| nic.name == name && nic.has_carrier == Some(true));
        let patience = lldp::Patience { silence: options.lldp_patience, most: options.lldp_most };
        lldp::listen(&names, linked, patience, &mut unread)
    });
    if roots.is_machine() && !options.vlans.is_empty() {
        let pairs = vlan::wanted(&options.vlans, &nics.shown, heard.as_ref(), &mut unread);
        vlan::make(&pairs, &mut unread);
        if !pairs.is_empty() {
            nics = nic::list(roots, options, &mut Vec::new());
        }
    }
    for nic in nics.shown.iter_mut().filter(|_| options.collect_lldp) {
        nic.lldp = heard.as_ref().and_then(|heard| heard.get(&nic.name).cloned());
    }
    let mut other = serde_json::Map::new();
    other.extend(health::read(roots).map(|health| (health::KEY.to_owned(), health)));
    if !nics.hidden.is_empty() {
        other.insert(HIDDEN_INTERFACES.into(), nics.hidden.into());
    }
    let inventory = Inventory {
        interfaces: nics.shown,
        cpu: cpu::read(roots, &firmware, &mut unread),
        disks: block::list(roots),
        memory: memory::read(roots, &firmware, &mut unread),
        bmc_address: bmc.address,
        bmc_v6address: bmc.v6_address,
        system_vendor: firmware.vendor,
        boot: boot::read(roots),
        hostname: Some(roots.text("/proc/sys/kernel/hostname").unwrap_or_default()),
        bmc_mac: bmc.mac,
        other,
    };
    Seen { inventory, unread, heard }
}

/// Only the interfaces: what look-up asks for, without the slow rest.
pub fn interfaces(roots: &Roots, options: &Options) -> Vec<Interface> {
    nic::list(roots, options, &mut Vec::new()).shown
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
    // Sessions to the disk that the firmware booted from, where the ramdisk has the program: it may have two paths, too.
    if multipath::run("iscsistart", &["-f"]) {
        multipath::run("iscsistart", &["-b"]);
    }
    multipath::start(&Roots::machine());
}

#[cfg(test)]
mod tests;
