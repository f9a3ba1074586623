//! A node: the record of one machine (rest-api section 6.1).

use super::capabilities::capabilities;
use super::flow_note::FlowNote;
use super::fsm::State;
use super::named::named;
use super::power::{PowerChange, PowerState};
use super::secret_map::SecretMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use uuid::Uuid;

named! {
    /// The kinds of interface a hardware type is made of, in the order of a validate answer (rest-api section 8.1); vendor last.
    InterfaceKind {
        /// How it boots the ramdisk.
        Boot = "boot",
        /// How an image gets to the disk.
        Deploy = "deploy",
        /// Boot device and more.
        Management = "management",
        /// Tenant networks.
        Network = "network",
        /// On and off.
        Power = "power",
        /// Firmware settings.
        Bios = "bios",
        /// Serial or graphical console.
        Console = "console",
        /// Firmware versions.
        Firmware = "firmware",
        /// What the machine has.
        Inspect = "inspect",
        /// Arrays.
        Raid = "raid",
        /// Rescue ramdisk.
        Rescue = "rescue",
        /// Remote volumes.
        Storage = "storage",
        /// What is left.
        Vendor = "vendor",
    }
}

impl InterfaceKind {
    /// Those that a validate answer shows: all but vendor.
    pub fn validated() -> impl Iterator<Item = InterfaceKind> {
        Self::ALL.iter().copied().filter(|kind| *kind != InterfaceKind::Vendor)
    }
}

/// The record. Times are UTC; `None` is shown as null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Creation order; the store's own key.
    #[serde(skip)]
    pub id: i64,
    /// Grows with every change; the store fills it.
    #[serde(skip)]
    pub revision: i64,
    /// Who holds it, if anybody (the store fills it; `reservation` in the API).
    #[serde(skip)]
    pub reservation: Option<Reservation>,
    /// Its identity.
    pub uuid: Uuid,
    /// Unique, optional.
    pub name: Option<String>,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// Last change by a person or a flow.
    pub updated_at: Option<Timestamp>,
    /// Hardware type.
    pub driver: String,
    /// Which implementation serves each kind.
    pub interfaces: BTreeMap<InterfaceKind, String>,
    /// How to reach the BMC; holds secrets.
    pub driver_info: SecretMap,
    /// The conductor's scratch space (rest-api section 17.12); holds the agent token.
    pub driver_internal_info: SecretMap,
    /// Operator's facts about the machine.
    pub properties: SecretMap,
    /// What to deploy; holds secrets.
    pub instance_info: SecretMap,
    /// Anything.
    pub extra: Map<String, Value>,
    /// Static network data for the ramdisk.
    pub network_data: Map<String, Value>,
    /// Unique.
    pub instance_uuid: Option<String>,
    /// 1.104.
    pub instance_name: Option<String>,
    /// Where it is.
    pub provision_state: State,
    /// Where it is going.
    pub target_provision_state: Option<State>,
    /// Last move.
    pub provision_updated_at: Option<Timestamp>,
    /// Last reading.
    pub power_state: Option<PowerState>,
    /// A power change under way; shown as [`Node::power_to_come`].
    pub target_power_state: Option<PowerChange>,
    /// Last failure, for people.
    pub last_error: Option<String>,
    /// Hands off.
    pub maintenance: bool,
    /// Why.
    pub maintenance_reason: Option<String>,
    /// Set by the conductor with maintenance.
    pub fault: Option<String>,
    /// The clean step in progress, `{}` when none.
    pub clean_step: Map<String, Value>,
    /// The deploy step in progress.
    pub deploy_step: Map<String, Value>,
    /// The service step in progress.
    pub service_step: Map<String, Value>,
    /// Null: the option decides.
    pub automated_clean: Option<bool>,
    /// Cannot be undeployed, rebuilt, deleted.
    pub protected: bool,
    /// Why.
    pub protected_reason: Option<String>,
    /// Leaves after its next cleaning.
    pub retired: bool,
    /// Why.
    pub retired_reason: Option<String>,
    /// Never off, only reboots.
    pub disable_power_off: bool,
    /// Scheduling label.
    pub resource_class: Option<String>,
    /// Never null.
    pub conductor_group: String,
    /// Multi-tenancy.
    pub owner: Option<String>,
    /// Multi-tenancy.
    pub lessee: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Label.
    pub shard: Option<String>,
    /// UUID of the parent.
    pub parent_node: Option<String>,
    /// Legacy grouping.
    pub chassis_uuid: Option<String>,
    /// Traits.
    pub traits: Vec<String>,
    /// Applied RAID configuration.
    pub raid_config: Map<String, Value>,
    /// Wanted RAID configuration.
    pub target_raid_config: Map<String, Value>,
    /// `uefi` or `bios` as read from the BMC.
    pub boot_mode: Option<String>,
    /// As read from the BMC.
    pub secure_boot: Option<bool>,
    /// OK, Warning, Critical.
    pub health: Option<String>,
    /// Console wanted.
    pub console_enabled: bool,
    /// Set on entry to inspecting.
    pub inspection_started_at: Option<Timestamp>,
    /// Set on success.
    pub inspection_finished_at: Option<Timestamp>,
    /// 1.52: the allocation that has the node. It ends when the node no longer names it.
    pub allocation_uuid: Option<String>,
    /// Where a busy flow is, beyond what Ironic's fields say. Not shown.
    pub flow: FlowNote,
}

/// Who holds a node, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Host name of the conductor.
    pub owner: String,
    /// What it does.
    pub reason: String,
    /// When it must be renewed.
    pub until: Timestamp,
}

impl Node {
    /// A node as `POST /v1/nodes` makes it; the store sets id and times.
    pub fn new(uuid: Uuid, driver: impl Into<String>) -> Self {
        Node { uuid, driver: driver.into(), ..Node::default() }
    }

    /// The implementation that serves `kind`, empty when none is set.
    pub fn interface(&self, kind: InterfaceKind) -> &str {
        self.interfaces.get(&kind).map_or("", String::as_str)
    }

    /// The times of an inspection follow its moves: begun at each entry, finished by success alone (rest-api section 17.7).
    pub fn time_inspection(&mut self, from: State, to: State, now: Timestamp) {
        let inspected = matches!(from, State::Inspecting | State::InspectWait);
        match to {
            State::Inspecting => (self.inspection_started_at, self.inspection_finished_at) = (Some(now), None),
            State::Manageable if inspected => {
                (self.inspection_started_at, self.inspection_finished_at) = (None, Some(now));
            }
            State::InspectFailed if inspected => self.inspection_started_at = None,
            _ => {}
        }
    }

    /// Where the power change under way leads to: what is shown as `target_power_state`. The record keeps the order itself,
    /// so that a reset can go on as a reset.
    pub fn power_to_come(&self) -> Option<PowerState> {
        self.target_power_state.map(|change| change.target().end())
    }

    /// `uefi` or `bios` as the operator or the BMC says (agent-protocol section 21 order, ipa-features section 21).
    /// `None`: nobody said.
    pub fn wanted_boot_mode(&self) -> Option<String> {
        let capability = |map: &SecretMap| capabilities(map.get("capabilities")).remove("boot_mode");
        let word = self.instance_info.text("deploy_boot_mode").map(str::to_owned);
        word.or_else(|| capability(&self.instance_info))
            .or_else(|| capability(&self.properties))
            .or_else(|| self.driver_internal_info.text("deploy_boot_mode").map(str::to_owned))
            .or_else(|| self.boot_mode.clone())
            .filter(|mode| mode == "uefi" || mode == "bios")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_inspection_has_a_beginning_until_it_ends_and_an_end_only_when_it_succeeded() {
        let mut node = Node::default();
        let mut moved = |from, to, second| {
            node.time_inspection(from, to, Timestamp::from_second(second).unwrap());
            (node.inspection_started_at, node.inspection_finished_at)
        };
        let at = |second| Timestamp::from_second(second).ok();
        assert_eq!(moved(State::Manageable, State::Inspecting, 1), (at(1), None));
        assert_eq!(moved(State::Inspecting, State::InspectWait, 2), (at(1), None));
        assert_eq!(moved(State::InspectWait, State::Inspecting, 3), (at(3), None), "the data are here");
        assert_eq!(moved(State::Inspecting, State::Manageable, 4), (None, at(4)));
        assert_eq!(moved(State::Manageable, State::Cleaning, 5), (None, at(4)), "other flows leave it alone");
        assert_eq!(moved(State::Cleaning, State::Manageable, 6), (None, at(4)));
        assert_eq!(moved(State::Manageable, State::Inspecting, 7), (at(7), None));
        assert_eq!(moved(State::InspectWait, State::InspectFailed, 8), (None, None), "aborted, or silent for too long");
        assert_eq!(moved(State::InspectFailed, State::Manageable, 9), (None, None));
    }

    #[test]
    fn a_power_change_is_shown_as_the_state_it_leads_to() {
        let read = |kept: Value| serde_json::from_value::<Node>(json!({"target_power_state": kept})).unwrap();
        assert_eq!(read(Value::Null).power_to_come(), None);
        for (word, end) in [
            ("power on", PowerState::On),
            ("rebooting", PowerState::On),
            ("soft rebooting", PowerState::On),
            ("power off", PowerState::Off),
            ("soft power off", PowerState::Off),
        ] {
            for (kept, is_lent) in [(json!(word), false), (json!({"lent": word}), true)] {
                let node = read(kept.clone());
                assert_eq!(node.power_to_come(), Some(end), "{word}");
                assert_eq!(node.target_power_state.map(PowerChange::is_lent), Some(is_lent));
                assert_eq!(json!(node)["target_power_state"], kept);
            }
        }
    }

    #[test]
    fn a_node_survives_the_store_s_json() {
        let mut node = Node::new(Uuid::new_v4(), "ipmi");
        node.interfaces.insert(InterfaceKind::Power, "ipmitool".into());
        node.driver_info.insert("ipmi_password".into(), json!("x"));
        node.flow.stage = "prepared".into();
        let text = serde_json::to_string(&node).unwrap();
        assert_eq!(serde_json::from_str::<Node>(&text).unwrap(), node);
    }
}
