//! Inspection: boot the ramdisk, wait for what it found, keep it (rest-api section 17.7).

use crate::claim::Claim;
use crate::driver::traits::DriverError;
use crate::flow::conductor::Conductor;
use crate::flow::inspection_rules::{self, RulesFailed};
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{fast_track, machine, ramdisk, readings};
use crate::model::fsm::{Event, State};
use crate::model::history::Severity;
use crate::model::node::{InterfaceKind, Node};
use crate::model::plan::{ARRIVED, KEPT, START};
use crate::model::port::Port;
use crate::model::power::{BootDevice, PowerTarget};
use crate::policy::Visible;
use crate::store::records::RecordChange;
use crate::store::{Page, PortFilter, StoreError};
use common::heartbeat::InspectionData;
use common::inventory::Inventory;
use common::mac::Mac;
use serde_json::{Value, json};
use std::sync::Arc;

/// Boots the ramdisk and waits. `fake` has nothing to look at and ends at once.
pub async fn start(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    conductor.store.drop_arrival(claim.node.uuid).await?;
    if claim.node.interface(InterfaceKind::Inspect) == "fake" {
        machine::fake_delay(conductor, &claim.node, InterfaceKind::Inspect).await;
        machine::forget_agent(&mut claim.node);
        return done(claim).await;
    }
    match managed(conductor, &claim.node).await {
        Ok(()) => ramdisk::boot(conductor, claim, ramdisk::Purpose::Inspection).await?,
        Err(error) if conductor.config.inspector.require_managed_boot => return Err(Trouble::Fail(error.to_string())),
        Err(error) => {
            claim.note(Severity::Info, "inspection", format!("the machine is booted by somebody else: {error}"));
            boot_unmanaged(conductor, claim).await?;
        }
    }
    claim.node.flow.waiting_for = Some("the ramdisk to send the inventory".into());
    claim.step(Event::Wait)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// The node's boot is managed here: the ramdisk can be told that it is to inspect.
///
/// # Errors
/// What is missing, in Ironic's words.
pub async fn managed(conductor: &Conductor, node: &Node) -> Result<(), DriverError> {
    if node.interface(InterfaceKind::Boot) != "ipxe" {
        return Err(DriverError::unsupported(&node.driver, "validate_inspection"));
    }
    let lacks = |text: String| {
        DriverError::Unsupported(format!("Insufficient information provided for managed inspection: {text}"))
    };
    ramdisk::files(conductor, node).map_err(lacks)?;
    ramdisk::boot_macs(conductor, node).await.map(drop).map_err(lacks)
}

/// From the network, whatever is there: it must boot the ramdisk and tell it where the data go.
async fn boot_unmanaged(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<(), Trouble> {
    machine::forget_agent(&mut claim.node);
    let never_off = claim.node.disable_power_off;
    if !never_off {
        machine::set_power(conductor, claim, PowerTarget::Off).await?;
    }
    machine::set_boot_device(conductor, claim, BootDevice::Pxe, false).await?;
    machine::set_power(conductor, claim, if never_off { PowerTarget::Reboot } else { PowerTarget::On }).await
}

/// The data are here.
pub async fn take(claim: &mut Claim) -> Result<Moved, Trouble> {
    claim.node.flow.stage = ARRIVED.into();
    claim.step(Event::Resume)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// Runs the hooks ramdisk-error, validate-interfaces, ports, architecture, and the rules. The node, its ports and the
/// inventory are kept by one save: a process that dies before it has changed nothing, and rules see the same again.
pub async fn finish(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    match keep(conductor, claim).await {
        Err(Trouble::Fail(text)) if claim.node.provision_state == State::Enroll => {
            // A machine that was discovered stays where it is; its record says what was wrong.
            claim.note(Severity::Error, "inspection", text.clone());
            claim.node.last_error = Some(text);
            claim.node.flow.stage = START.into();
            claim.along([RecordChange::DropArrival(claim.node.uuid)]);
            claim.save().await?;
            Ok(Moved::Rest)
        }
        other => other,
    }
}

async fn keep(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
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
    let mut ports = FoundPorts::look(conductor, claim, &macs).await?;
    let Some(architecture) = inventory.cpu.architecture.clone().filter(|text| !text.is_empty()) else {
        claim.along(ports.changes());
        return Err(failed("the inventory has no cpu.architecture".into()));
    };
    claim.node.properties.insert("cpu_arch".into(), json!(architecture));
    if let Some(mode) = &inventory.boot.current_boot_mode {
        claim.node.boot_mode = Some(mode.clone());
    }
    let inventory = serde_json::to_value(&data.inventory).unwrap_or(Value::Null);
    let mut plugin_data = Value::Object(data.plugin_data);
    let before = claim.node.clone();
    let applied = inspection_rules::apply(conductor, claim, &inventory, &mut plugin_data, &mut ports.all).await;
    claim.along(ports.changes());
    applied.map_err(|error| match error {
        RulesFailed::Failed(text) => failed(text),
        RulesFailed::Store(error) => error.into(),
    })?;
    // Logs are large and may hold anything: they are not part of what API users read.
    if let Value::Object(map) = &mut plugin_data {
        map.remove("logs");
    }
    claim.along([RecordChange::PutInventory(uuid, inventory, plugin_data), RecordChange::DropArrival(uuid)]);
    // Whoever discovers a machine leaves it on: its BMC is not known.
    claim.node.flow.stage = if claim.node.provision_state == State::Enroll { START.into() } else { KEPT.into() };
    match claim.save().await {
        Ok(()) => Ok(Moved::On),
        // A rule gave a port the name of another: what cannot be saved must not hold the node for ever.
        Err(StoreError::Duplicate(text)) => {
            claim.node = before;
            Err(failed(text))
        }
        Err(error) => Err(error.into()),
    }
}

/// Switches off, unless the ramdisk stays for what comes next, and becomes manageable.
pub async fn end(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    readings::firmware(conductor, claim).await;
    let keeps = fast_track::keeps_inspected(conductor, &claim.node);
    if !keeps && conductor.config.inspector.power_off && !claim.node.disable_power_off {
        machine::set_power(conductor, claim, PowerTarget::Off).await?;
    }
    conductor.boot.remove(claim.node.uuid);
    if !keeps {
        machine::forget_agent(&mut claim.node);
    }
    claim.node.flow.kept = keeps;
    done(claim).await
}

async fn done(claim: &mut Claim) -> Result<Moved, Trouble> {
    claim.node.flow.stage.clear();
    claim.step(Event::Done)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// Which NICs become ports (`[inspector]add_ports`): all, active, pxe (else active), disabled.
pub fn usable_macs(inventory: &Inventory, rule: &str) -> Vec<Mac> {
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

/// The ports of a node: those it has, and those that the inspection found.
struct FoundPorts {
    /// As they are kept.
    kept: Vec<Port>,
    /// The same, then the new ones; rules may change both.
    all: Vec<Port>,
}

impl FoundPorts {
    /// What is new among these addresses; the node's history says what comes of them.
    async fn look(conductor: &Conductor, claim: &mut Claim, macs: &[Mac]) -> Result<Self, StoreError> {
        let list = async |filter| conductor.store.ports(&Visible::Everything, &filter, &Page::default()).await;
        let node = claim.node.uuid;
        let kept = list(PortFilter { node: Some(node), ..PortFilter::default() }).await?;
        let mut all = kept.clone();
        for mac in macs {
            if all.iter().any(|port| port.address == *mac) {
                continue;
            }
            if list(PortFilter { address: Some(*mac), ..PortFilter::default() }).await?.is_empty() {
                claim.note(Severity::Info, "inspection", format!("port {mac} created"));
                all.push(Port::new(node, *mac));
            } else {
                let text = format!("A port with MAC address {mac} already exists.");
                claim.note(Severity::Error, "inspection", text);
            }
        }
        Ok(FoundPorts { kept, all })
    }

    /// What is to be written.
    fn changes(self) -> Vec<RecordChange> {
        let (kept, mut all) = (self.kept, self.all);
        let new = all.split_off(kept.len());
        let changed = all.into_iter().zip(kept).filter(|(port, kept)| port != kept);
        changed
            .map(|(port, _)| RecordChange::SavePort(Box::new(port)))
            .chain(new.into_iter().map(|port| RecordChange::NewPort(Box::new(port))))
            .collect()
    }
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
