//! One row of the table of steps: where a step is offered, what it takes, what runs it.

use super::reach::Reach;
use super::{StepContext, StepError};
use common::step::{ArgInfo, Step, StepKind};
use serde_json::{Map, Value};

/// A step as a row.
pub(super) struct Offer {
    /// Its name on the wire.
    pub name: &'static str,
    /// The node's interface it belongs to: `deploy`, `raid`.
    pub interface: &'static str,
    /// Priority by kind; none: not offered there. 0: only when asked for by name.
    pub clean: Option<i64>,
    pub deploy: Option<i64>,
    pub service: Option<i64>,
    /// May be aborted as a service step, too.
    pub abortable_in_service: bool,
    /// Interrupting it may break hardware, in cleaning too.
    pub never_abort: bool,
    /// The conductor reboots the machine after success.
    pub reboot_requested: bool,
    /// What it may change.
    pub reach: Reach,
    /// What it takes.
    pub args: Args,
    /// What runs it, on a thread of its own.
    pub run: fn(StepKind, &Step, &StepContext) -> Result<Value, StepError>,
}

/// The arguments of a step.
pub(super) enum Args {
    /// It looks at them itself and declares nothing, as in the reference.
    Undeclared,
    /// Name, text for people, whether the step fails without it. Empty: it takes none.
    Declared(&'static [(&'static str, &'static str, bool)]),
}

impl Offer {
    /// A row that is offered nowhere yet, takes no arguments and asks for what it changes.
    pub const fn new(
        name: &'static str,
        interface: &'static str,
        run: fn(StepKind, &Step, &StepContext) -> Result<Value, StepError>,
    ) -> Self {
        let (clean, deploy, service) = (None, None, None);
        let (args, reach) = (Args::Declared(&[]), Reach::Asked);
        let (abortable_in_service, never_abort, reboot_requested) = (false, false, false);
        Self {
            name,
            interface,
            clean,
            deploy,
            service,
            abortable_in_service,
            never_abort,
            reboot_requested,
            reach,
            args,
            run,
        }
    }

    /// A row of a step for manual cleaning and for service, which may be aborted in both.
    pub const fn on_demand(
        name: &'static str,
        interface: &'static str,
        run: fn(StepKind, &Step, &StepContext) -> Result<Value, StepError>,
    ) -> Self {
        Self { clean: Some(0), service: Some(0), abortable_in_service: true, ..Self::new(name, interface, run) }
    }

    /// A row of a step that may change anything.
    pub const fn reaches_anything(self) -> Self {
        Self { reach: Reach::Anything, ..self }
    }

    /// Its priority in `kind`; none: not offered there.
    pub fn priority(&self, kind: StepKind) -> Option<i64> {
        match kind {
            StepKind::Clean => self.clean,
            StepKind::Deploy => self.deploy,
            StepKind::Service => self.service,
        }
    }

    /// The step as it is told to the conductor; none: not offered in `kind`.
    pub fn step(&self, kind: StepKind) -> Option<Step> {
        let in_kind = kind == StepKind::Clean || (kind == StepKind::Service && self.abortable_in_service);
        let abortable = in_kind && !self.never_abort;
        Some(Step {
            step: self.name.into(),
            interface: self.interface.into(),
            priority: Some(self.priority(kind)?),
            reboot_requested: Some(self.reboot_requested),
            abortable: abortable.then_some(true),
            argsinfo: self.argsinfo(),
            args: None,
            other: Map::new(),
        })
    }

    fn argsinfo(&self) -> Option<std::collections::BTreeMap<String, ArgInfo>> {
        let Args::Declared(list @ [_, ..]) = &self.args else { return None };
        let info = |&(name, description, required): &(&str, &str, bool)| {
            (name.to_string(), ArgInfo { description: description.into(), required })
        };
        Some(list.iter().map(info).collect())
    }

    /// Compares what was given with what is declared.
    ///
    /// # Errors
    /// An argument too many or too few, in the words of the reference.
    pub fn check(&self, step: &Step) -> Result<(), String> {
        let Args::Declared(list) = &self.args else { return Ok(()) };
        let given = || step.args.iter().flat_map(Map::keys);
        if let Some(unknown) = given().find(|name| list.iter().all(|(known, ..)| *known != name.as_str())) {
            return Err(format!("{}() got an unexpected keyword argument '{unknown}'", self.name));
        }
        match list.iter().find(|(name, _, required)| *required && !given().any(|known| known == name)) {
            Some((name, ..)) => Err(format!("{}() needs the argument '{name}'", self.name)),
            None => Ok(()),
        }
    }
}
