//! Inspection: boot the ramdisk, wait for what it found, keep it (rest-api section 17.7).

use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::inspection_rules::{self, RulesFailed};
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{machine, ramdisk};
use crate::model::fsm::Event;
use crate::model::history::Severity;
use crate::model::node::InterfaceKind;
use crate::model::plan::ARRIVED;
use crate::model::port::Port;
use crate::model::power::PowerTarget;
use crate::policy::Visible;
use crate::store::{Page, PortFilter, StoreError};
use common::heartbeat::InspectionData;
use common::inventory::Inventory;
use common::mac::Mac;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Boots the ramdisk and waits. `fake` has nothing to look at and ends at once.
pub async fn start(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    conductor.store.drop_arrival(claim.node.uuid).await?;
    if claim.node.interface(InterfaceKind::Inspect) == "fake" {
        machine::fake_delay(conductor, &claim.node, InterfaceKind::Inspect).await;
        machine::forget_agent(&mut claim.node);
        return done(claim).await;
    }
    ramdisk::boot(conductor, claim, ramdisk::Purpose::Inspection).await?;
    claim.node.flow.waiting_for = Some("the ramdisk to send the inventory".into());
    claim.step(Event::Wait)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// The data are here.
pub async fn take(claim: &mut Claim) -> Result<Moved, Trouble> {
    claim.node.flow.stage = ARRIVED.into();
    claim.step(Event::Resume)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// Runs the hooks ramdisk-error, validate-interfaces, ports, architecture; the rules; keeps the inventory; switches off.
pub async fn finish(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    let uuid = claim.node.uuid;
    let failed = |text: String| Trouble::Fail(format!("Failed to finish inspection: {text}"));
    let value = conductor
        .store
        .arrival(uuid)
        .await?
        .ok_or_else(|| failed("the data that arrived are gone; inspect again".into()))?;
    let data: InspectionData = serde_json::from_value(value).map_err(|error| failed(error.to_string()))?;
    if let Some(error) = &data.error {
        return Err(failed(format!("the ramdisk reported: {error}")));
    }
    let inventory = &data.inventory;
    let macs = usable_macs(inventory, &conductor.config.inspector.add_ports);
    if inventory.interfaces.is_empty() {
        return Err(failed("no network interface with a valid MAC address was reported".into()));
    }
    add_ports(conductor, claim, &macs).await?;
    let Some(architecture) = inventory.cpu.architecture.clone().filter(|text| !text.is_empty()) else {
        return Err(failed("the inventory has no cpu.architecture".into()));
    };
    claim.node.properties.insert("cpu_arch".into(), json!(architecture));
    if let Some(mode) = &inventory.boot.current_boot_mode {
        claim.node.boot_mode = Some(mode.clone());
    }
    let inventory = serde_json::to_value(&data.inventory).unwrap_or(Value::Null);
    let mut plugin_data = Value::Object(data.plugin_data);
    inspection_rules::apply(conductor, claim, &inventory, &mut plugin_data).await.map_err(|error| match error {
        RulesFailed::Failed(text) => failed(text),
        RulesFailed::Store(error) => error.into(),
    })?;
    keep(conductor, claim, &inventory, plugin_data).await?;
    if conductor.config.inspector.power_off && !claim.node.disable_power_off {
        machine::set_power(conductor, claim, PowerTarget::Off).await?;
    }
    conductor.boot.remove(uuid);
    machine::forget_agent(&mut claim.node);
    done(claim).await?;
    conductor.store.drop_arrival(uuid).await?;
    Ok(Moved::On)
}

async fn done(claim: &mut Claim) -> Result<Moved, Trouble> {
    claim.node.inspection_finished_at = Some(Timestamp::now());
    claim.node.inspection_started_at = None;
    claim.node.flow.stage.clear();
    claim.step(Event::Done)?;
    claim.save().await?;
    Ok(Moved::On)
}

async fn keep(
    conductor: &Conductor,
    claim: &Claim,
    inventory: &Value,
    mut plugin_data: Value,
) -> Result<(), StoreError> {
    // Logs are large and may hold anything: they are not part of what API users read.
    if let Value::Object(map) = &mut plugin_data {
        map.remove("logs");
    }
    conductor.store.put_inventory(claim.node.uuid, inventory, &plugin_data).await
}

/// Which NICs become ports (`[inspector]add_ports`): all, active, pxe (else active), disabled.
fn usable_macs(inventory: &Inventory, rule: &str) -> Vec<Mac> {
    let boot_nic = inventory.boot.pxe_interface.as_deref().and_then(boot_mac);
    let valid = |wanted: &dyn Fn(&common::inventory::Interface, Mac) -> bool| -> Vec<Mac> {
        inventory
            .interfaces
            .iter()
            .filter_map(|nic| nic.mac_address.as_deref()?.parse().ok().map(|mac| (nic, mac)))
            .filter(|(nic, mac)| nic.name != "lo" && wanted(nic, *mac))
            .map(|(_, mac)| mac)
            .collect()
    };
    let active = || valid(&|nic, _| nic.ipv4_address.is_some() || nic.ipv6_address.is_some());
    match (rule, boot_nic) {
        ("disabled", _) => Vec::new(),
        ("all", _) => valid(&|_, _| true),
        ("pxe", Some(boot)) => valid(&|_, mac| mac == boot),
        _ => active(),
    }
}

/// `BOOTIF` as iPXE (`aa:bb:..`) or pxelinux (`01-aa-bb-..`) writes it.
fn boot_mac(text: &str) -> Option<Mac> {
    let text = text.trim();
    let text = if text.len() == 20 { text.get(3..)? } else { text };
    text.parse().ok()
}

async fn add_ports(conductor: &Arc<Conductor>, claim: &mut Claim, macs: &[Mac]) -> Result<(), Trouble> {
    let filter = PortFilter { node: Some(claim.node.uuid), ..PortFilter::default() };
    let known: BTreeSet<Mac> = conductor
        .store
        .ports(&Visible::Everything, &filter, &Page::default())
        .await?
        .into_iter()
        .map(|port| port.address)
        .collect();
    for mac in macs.iter().filter(|mac| !known.contains(mac)) {
        match conductor.store.create_port(Port::new(claim.node.uuid, *mac)).await {
            Ok(_) => claim.note(Severity::Info, "inspection", format!("port {mac} created")),
            Err(StoreError::Duplicate(text)) => claim.note(Severity::Error, "inspection", text),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_nics_are_read_in_both_forms() {
        let mac = "52:54:00:aa:bb:01".parse().ok();
        assert_eq!(boot_mac("52:54:00:aa:bb:01"), mac);
        assert_eq!(boot_mac("01-52-54-00-aa-bb-01"), mac);
        assert_eq!(boot_mac("ä1-52-54-00-aa-bb-01"), None);
    }

    #[test]
    fn ports_follow_the_rule_and_fall_back_to_active_nics() {
        let mut inventory: Inventory = serde_json::from_value(json!({"interfaces": [
            {"name": "a", "mac_address": "52:54:00:00:00:01", "ipv4_address": "192.0.2.1"},
            {"name": "b", "mac_address": "52:54:00:00:00:02"},
            {"name": "c", "mac_address": "nonsense"}]}))
        .unwrap();
        let count = |inventory: &Inventory, rule| usable_macs(inventory, rule).len();
        assert_eq!(["all", "active", "pxe", "disabled"].map(|rule| count(&inventory, rule)), [2, 1, 1, 0]);
        inventory.boot.pxe_interface = Some("01-52-54-00-00-00-02".into());
        assert_eq!(usable_macs(&inventory, "pxe"), ["52:54:00:00:00:02".parse().unwrap()]);
    }
}
