//! A node: the record of one machine (rest-api section 6.1).

use super::fsm::State;
use super::named::named;
use super::power::{PowerState, PowerTarget};
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// A power change under way (the word of a [`super::power::PowerTarget`]); shown as [`Node::power_to_come`].
    pub target_power_state: Option<String>,
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

/// What a flow waits for, when it is not the agent's work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// This time; kept here so that a restart neither forgets nor prolongs it.
    Until(Timestamp),
    /// The agent's next heartbeat.
    NextBeat,
    /// Something that no knock brings: only a person or the time-out ends it.
    Outside,
}

/// A flow's own bookkeeping, saved with the node so that a restart goes on where it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowNote {
    /// Which piece of the flow was finished last, by the flow's own names.
    pub stage: String,
    /// The agent command that carries the present step, once the agent answered with its id.
    pub command: Option<String>,
    /// The id of the last command whose outcome was recorded.
    pub last_command: Option<String>,
    /// When the present wait began or was last fed by a heartbeat; its deadline counts from here.
    pub waiting_since: Option<Timestamp>,
    /// What is being waited for, for people.
    pub waiting_for: Option<String>,
    /// When the present step began.
    pub step_started_at: Option<Timestamp>,
    /// Attempts at the present piece that failed in a way worth trying again.
    pub attempts: u32,
    /// What the present wait state waits for beside the agent.
    pub pause: Option<Pause>,
    /// When the step of the parent began that was done here last: a parent that begins it again leaves this node out.
    pub parent_step: Option<Timestamp>,
    /// A person asked to stop, and was told that it will be done; the text says what is stopped.
    pub abort: Option<String>,
    /// Another node's flow switches this machine and does so again after a restart. Means something only while
    /// `target_power_state` is set.
    pub switched_by_other: bool,
    /// This flow has booted the ramdisk: whoever ends it must end the ramdisk.
    pub ramdisk: bool,
    /// An inspection left its ramdisk running, and nothing has ended that boot since: its agent is there, or about to call.
    pub kept: bool,
    /// The request that set the flow going.
    pub request_id: Option<String>,
    /// Who asked.
    pub user: Option<String>,
}

impl Default for Node {
    fn default() -> Self {
        Node {
            id: 0,
            revision: 0,
            reservation: None,
            uuid: Uuid::nil(),
            name: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: None,
            driver: String::new(),
            interfaces: BTreeMap::new(),
            driver_info: SecretMap::default(),
            driver_internal_info: SecretMap::default(),
            properties: SecretMap::default(),
            instance_info: SecretMap::default(),
            extra: Map::new(),
            network_data: Map::new(),
            instance_uuid: None,
            instance_name: None,
            provision_state: State::Enroll,
            target_provision_state: None,
            provision_updated_at: None,
            power_state: None,
            target_power_state: None,
            last_error: None,
            maintenance: false,
            maintenance_reason: None,
            fault: None,
            clean_step: Map::new(),
            deploy_step: Map::new(),
            service_step: Map::new(),
            automated_clean: None,
            protected: false,
            protected_reason: None,
            retired: false,
            retired_reason: None,
            disable_power_off: false,
            resource_class: None,
            conductor_group: String::new(),
            owner: None,
            lessee: None,
            description: None,
            shard: None,
            parent_node: None,
            chassis_uuid: None,
            traits: Vec::new(),
            raid_config: Map::new(),
            target_raid_config: Map::new(),
            boot_mode: None,
            secure_boot: None,
            health: None,
            console_enabled: false,
            inspection_started_at: None,
            inspection_finished_at: None,
            allocation_uuid: None,
            flow: FlowNote::default(),
        }
    }
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
        self.target_power_state.as_deref().and_then(PowerTarget::from_name).map(PowerTarget::end)
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

/// Capabilities as an object, as JSON text or as `key:value,key:value` (agent-protocol section 8.4).
pub fn capabilities(value: Option<&Value>) -> BTreeMap<String, String> {
    let from_map = |map: &Map<String, Value>| {
        map.iter()
            .map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect()
    };
    match value {
        Some(Value::Object(map)) => from_map(map),
        Some(Value::String(text)) => match serde_json::from_str::<Map<String, Value>>(text) {
            Ok(map) => from_map(&map),
            Err(_) => text
                .split(',')
                .filter_map(|pair| pair.split_once(':'))
                .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
                .collect(),
        },
        _ => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn capabilities_are_read_in_all_three_forms() {
        for form in [json!({"boot_mode": "uefi"}), json!("{\"boot_mode\":\"uefi\"}"), json!("boot_mode:uefi, a:b")] {
            assert_eq!(capabilities(Some(&form))["boot_mode"], "uefi");
        }
    }

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
        let to_come = |word: Option<&str>| {
            Node { target_power_state: word.map(str::to_owned), ..Node::default() }.power_to_come()
        };
        assert_eq!(to_come(None), None);
        for (word, end) in [
            ("power on", PowerState::On),
            ("rebooting", PowerState::On),
            ("soft rebooting", PowerState::On),
            ("power off", PowerState::Off),
            ("soft power off", PowerState::Off),
        ] {
            assert_eq!(to_come(Some(word)), Some(end), "{word}");
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
