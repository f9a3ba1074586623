//! Steps of cleaning, deployment and service: names, priorities, arguments, and the commands that carry them.
//!
//! Agent-protocol section 8, rest-api section 7.2.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// Which of the three flows a step belongs to; decides the words on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepKind {
    /// Automated and manual cleaning.
    Clean,
    /// Deployment and rebuild.
    Deploy,
    /// Service of an active node.
    Service,
}

impl StepKind {
    /// `clean`, `deploy`, `service`.
    pub fn word(self) -> &'static str {
        match self {
            StepKind::Clean => "clean",
            StepKind::Deploy => "deploy",
            StepKind::Service => "service",
        }
    }

    /// `clean.get_clean_steps` and so on.
    pub fn get_command(self) -> String {
        let word = self.word();
        format!("{word}.get_{word}_steps")
    }

    /// `clean.execute_clean_step` and so on.
    pub fn execute_command(self) -> String {
        let word = self.word();
        format!("{word}.execute_{word}_step")
    }
}

/// A step as an agent offers it, and as a conductor stores and sends it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub step: String,
    /// Which interface of the node it belongs to: deploy, raid, ...
    pub interface: String,
    /// 0 means: only when asked for by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// The conductor reboots the machine after success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reboot_requested: Option<bool>,
    /// May be interrupted by an abort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abortable: Option<bool>,
    /// Declared arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argsinfo: Option<BTreeMap<String, ArgInfo>>,
    /// Arguments of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Map<String, Value>>,
    /// Everything else a peer sent (requires_ramdisk, order ...), kept for the echo.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl fmt::Debug for Step {
    /// Leaves the values of arguments out: they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args: Vec<&String> = self.args.iter().flat_map(Map::keys).collect();
        f.debug_struct("Step")
            .field("step", &self.step)
            .field("interface", &self.interface)
            .field("priority", &self.priority)
            .field("args", &args)
            .finish_non_exhaustive()
    }
}

/// What an argument is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgInfo {
    /// For people.
    #[serde(default)]
    pub description: String,
    /// The step fails without it.
    #[serde(default)]
    pub required: bool,
}

/// Result of `*.get_*_steps`, generic over the key that holds the map: use [`OfferedSteps::to_value`] and [`OfferedSteps::from_value`].
#[derive(Clone, Debug, PartialEq)]
pub struct OfferedSteps {
    /// Manager class name to its steps.
    pub steps: BTreeMap<String, Vec<Step>>,
    /// Manager name to version; opaque, compared as a whole.
    pub hardware_manager_version: BTreeMap<String, String>,
}

impl OfferedSteps {
    /// The object on the wire: `{"<kind>_steps": .., "hardware_manager_version": ..}`.
    pub fn to_value(&self, kind: StepKind) -> Value {
        serde_json::json!({
            format!("{}_steps", kind.word()): self.steps,
            "hardware_manager_version": self.hardware_manager_version,
        })
    }

    /// Reads what [`OfferedSteps::to_value`] writes.
    ///
    /// # Errors
    /// A missing key or a step without `step` and `interface`: the text says which.
    pub fn from_value(kind: StepKind, value: &Value) -> Result<Self, String> {
        let key = format!("{}_steps", kind.word());
        let part = |name: &str| value.get(name).cloned().ok_or_else(|| format!("the agent's answer has no `{name}`"));
        Ok(Self {
            steps: serde_json::from_value(part(&key)?).map_err(|cause| format!("`{key}`: {cause}"))?,
            hardware_manager_version: serde_json::from_value(part("hardware_manager_version")?)
                .map_err(|cause| format!("`hardware_manager_version`: {cause}"))?,
        })
    }
}

/// Rank of an interface among steps of equal priority, highest first (agent-protocol 10.2).
pub fn interface_rank(interface: &str) -> u8 {
    match interface {
        "vendor" => 8,
        "power" => 7,
        "management" => 6,
        "firmware" => 5,
        "deploy" => 4,
        "bios" => 3,
        "raid" => 2,
        "network" => 1,
        _ => 0,
    }
}
