//! Steps that interfaces run from here, out of band or by talking to their BMC: the tables, and what a step came to.
//!
//! The engine that walks the lists is in `flow`; it asks [`super::registry::Registry`] which steps a node's interfaces
//! have and has one run. Steps of the agent are not here.

use super::traits::DriverError;
use crate::model::machine_parts::{BiosSetting, FirmwareComponent};
use crate::model::node::InterfaceKind;
use async_trait::async_trait;
use common::step::{ArgInfo, Step};
use serde_json::{Map, Value, json};

/// The flows that have steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepFlow {
    /// Automated and manual cleaning.
    Clean,
    /// Deployment and rebuild.
    Deploy,
    /// Service of an active node.
    Service,
    /// Checks on the way to manageable.
    Verify,
}

/// A declared argument: name, meaning, required.
pub type Arg = (&'static str, &'static str, bool);

/// One row of an interface's table.
#[derive(Clone, Copy, Debug)]
pub struct StepRow {
    /// Which flow may run it.
    pub flow: StepFlow,
    /// Its name.
    pub name: &'static str,
    /// 0: only when asked for by name.
    pub priority: i64,
    /// An abort need not wait for its end.
    pub abortable: bool,
    /// It needs the ramdisk to run.
    pub requires_ramdisk: bool,
    /// Its arguments.
    pub args: &'static [Arg],
}

impl StepRow {
    /// As lists keep it (rest-api section 17.4).
    pub fn step(&self, kind: InterfaceKind) -> Step {
        let info = |&(name, description, required): &Arg| {
            (name.to_owned(), ArgInfo { description: description.into(), required })
        };
        let mut other = Map::new();
        if matches!(self.flow, StepFlow::Clean | StepFlow::Service) {
            other.insert("requires_ramdisk".into(), json!(self.requires_ramdisk));
        }
        Step {
            step: self.name.into(),
            interface: kind.name().into(),
            priority: Some(self.priority),
            reboot_requested: None,
            abortable: Some(self.abortable).filter(|_| self.flow != StepFlow::Verify),
            argsinfo: (!self.args.is_empty()).then(|| self.args.iter().map(info).collect()),
            args: None,
            other,
        }
    }
}

/// What a step came to, beside having ended well.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepDone {
    /// It goes on by itself: the node waits for a heartbeat or a poll.
    pub waits: bool,
    /// All BIOS settings that the machine has now, when the step changed them.
    pub bios: Option<Vec<BiosSetting>>,
    /// All firmware components that the machine has now, when the step changed them.
    pub firmware: Option<Vec<FirmwareComponent>>,
    /// The RAID configuration that the machine has now, when the step changed it.
    pub raid_config: Option<Map<String, Value>>,
}

/// Runs the steps of one interface of one node.
#[async_trait]
pub trait Steps: Send + Sync {
    /// Runs a step of the table; may be called again when the process died under it.
    ///
    /// # Errors
    /// [`DriverError`]; the step has failed.
    async fn run(&self, step: &str, args: &Map<String, Value>) -> Result<StepDone, DriverError>;
}

/// No such step: a list that was made by another version, or by hand.
pub fn unknown(kind: InterfaceKind, step: &str) -> DriverError {
    DriverError::Invalid(format!("the {kind} interface of this node has no step '{step}'; ask for another or upgrade"))
}
