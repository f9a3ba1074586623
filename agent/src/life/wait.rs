//! Things to wait for before there is anything to say: an interface, an address, a disk. Each wait has an end, and then only warns.

use super::Machine;
use super::events::Events;
use crate::config::Config;
use common::inventory::Interface;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Patience for the first interface (ipa-features section 1, row 9).
const INTERFACE_TIME: Duration = Duration::from_secs(60);

/// Waits until `there` holds, looking after each piece of news; false when `patience` ran out.
async fn until(events: &mut Events, patience: Duration, mut there: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    loop {
        if there() {
            return true;
        }
        if timeout_at(end, events.next()).await.is_err() {
            return there();
        }
    }
}

/// Any interface with a MAC.
pub async fn for_interface(events: &mut Events, machine: &impl Machine) {
    if !until(events, INTERFACE_TIME, || !macs(machine).is_empty()).await {
        tracing::warn!(
            seconds = INTERFACE_TIME.as_secs(),
            "no network interface has appeared; is its driver in the ramdisk?"
        );
    }
}

/// Any disk. Storage controllers may take long; the conductor will ask for disks at once.
pub async fn for_disk(config: &Config, machine: &impl Machine) {
    let patience = config.disk_wait_delay.saturating_mul(config.disk_wait_attempts);
    if patience.is_zero() || machine.has_disk() {
        return;
    }
    tracing::info!(seconds = patience.as_secs(), "waiting for a disk");
    if !until(&mut Events::of_devices(), patience, || machine.has_disk()).await {
        tracing::warn!("no disk has appeared; is the driver of its controller in the ramdisk?");
    }
}

/// IPv4 on the interface that booted, or on all (ipa-features section 14). Without BOOTIF and without "all" there is nothing to wait for.
pub async fn for_dhcp(config: &Config, events: &mut Events, machine: &impl Machine) {
    let booted = config.bootif.as_deref().map(boot_mac);
    if config.inspection_dhcp_wait.is_zero() || (booted.is_none() && !config.inspection_dhcp_all) {
        return;
    }
    let has_address = |interface: &Interface| interface.ipv4_address.is_some();
    let there = || {
        let interfaces = machine.interfaces();
        match (&booted, config.inspection_dhcp_all) {
            (_, true) => interfaces.iter().filter(|interface| interface.has_carrier == Some(true)).all(has_address),
            (Some(mac), _) => {
                interfaces.iter().any(|interface| interface.mac_address.as_ref() == Some(mac) && has_address(interface))
            }
            (None, _) => true,
        }
    };
    if !until(events, config.inspection_dhcp_wait, there).await {
        tracing::warn!(seconds = config.inspection_dhcp_wait.as_secs(), "DHCP has not finished; inspecting without");
    }
}

/// All MACs, lower case.
pub fn macs(machine: &impl Machine) -> Vec<String> {
    machine.interfaces().into_iter().filter_map(|interface| interface.mac_address).collect()
}

/// `01-AA-BB-..` (pxelinux) or `aa:bb:..` (iPXE) as a MAC.
fn boot_mac(bootif: &str) -> String {
    let text = bootif.to_ascii_lowercase().replace('-', ":");
    // Six octets, or the hardware type before them.
    let after_type = text.get(3..).filter(|_| text.len() == 20);
    after_type.map_or_else(|| text.clone(), String::from)
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_forms_of_bootif() {
        assert_eq!(super::boot_mac("01-52-54-00-AA-BB-01"), "52:54:00:aa:bb:01");
        assert_eq!(super::boot_mac("52:54:00:aa:bb:01"), "52:54:00:aa:bb:01");
        let strange = format!("ab€{}", "x".repeat(15));
        assert_eq!(super::boot_mac(&strange), strange);
    }
}
