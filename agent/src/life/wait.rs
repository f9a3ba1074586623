//! Things to wait for before there is anything to say: an interface, an address, a disk. Each wait has an end, and then only warns.

use super::Machine;
use super::events::Events;
use crate::config::Config;
use common::inventory::Interface;
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Patience for the first interface (ipa-features section 1, row 9).
const INTERFACE_TIME: Duration = Duration::from_secs(60);

/// Waits until `there` holds, looking after each piece of news; false when `patience` ran out.
pub(super) async fn until(events: &mut Events, patience: Duration, mut there: impl FnMut() -> bool) -> bool {
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

/// The disk that the node's root device hints mean: it may be the last to appear (ipa-features 6, row "Node cache change").
pub async fn for_root_disk(config: &Config, machine: &impl Machine, node: &Map<String, Value>) {
    let patience = config.disk_wait_delay.saturating_mul(config.disk_wait_attempts);
    if patience.is_zero() || machine.has_root_disk(node) {
        return;
    }
    tracing::info!(seconds = patience.as_secs(), "waiting for the disk that the root device hints mean");
    if !until(&mut Events::of_devices(), patience, || machine.has_root_disk(node)).await {
        tracing::warn!("no disk fits the node's root device hints yet; going on, a deployment would fail");
    }
}

/// An address on the interface that booted, or on all with a cable, or (nobody says which one booted) on any: the conductor makes
/// ports of interfaces that have one (ipa-features section 14). The reference is started when the network is up; this agent sooner.
pub async fn for_dhcp(config: &Config, events: &mut Events, machine: &impl Machine) {
    if config.inspection_dhcp_wait.is_zero() {
        return;
    }
    let booted = config.bootif.as_deref().map(boot_mac);
    let there = || {
        let interfaces = machine.interfaces();
        match (&booted, config.inspection_dhcp_all) {
            (_, true) => {
                interfaces.iter().filter(|nic| nic.has_carrier == Some(true)).all(|nic| nic.ipv4_address.is_some())
            }
            (Some(mac), _) => {
                interfaces.iter().any(|nic| nic.mac_address.as_ref() == Some(mac) && nic.ipv4_address.is_some())
            }
            (None, _) => interfaces.iter().any(has_address),
        }
    };
    if !until(events, config.inspection_dhcp_wait, there).await {
        tracing::warn!(seconds = config.inspection_dhcp_wait.as_secs(), "DHCP has not finished; inspecting without");
    }
}

/// IPv4, or an IPv6 address that reaches beyond the link.
fn has_address(nic: &Interface) -> bool {
    nic.ipv4_address.is_some() || nic.ipv6_address.as_deref().is_some_and(|address| !address.starts_with("fe80:"))
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
