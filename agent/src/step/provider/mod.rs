//! Hardware managers: who offers which steps on this machine, and whose step is run when two have the same name.
//!
//! Rules: ipa-features section 11. To add one: its file, its row in [`BUILT_IN`]. Steps that are no code of ours are
//! declared in files ([`declared`]).

pub mod container;
pub mod declared;
mod intel;
pub mod nvidia;

use super::offer::Offer;
use super::reach::Reach;
use super::{OFFERS, StepContext, StepError};
use crate::config::container::ContainerRules;
use crate::sys::sysfs::Roots;
use common::step::{OfferedSteps, Step, StepKind};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Support levels on the wire of the field: none (the manager is dropped), any machine, one kind of machine.
const NONE: u8 = 0;
const GENERIC: u8 = 1;
const MAINLINE: u8 = 2;

/// Where declared steps lie in a ramdisk.
pub const DECLARED_STEPS: &str = "/etc/wrought/steps.d";

/// One that comes with the agent.
struct BuiltIn {
    /// Key of its steps, and the class operators know from the reference.
    class: &'static str,
    /// Key of its version. Change the version when steps change: running plans then start anew.
    name: &'static str,
    version: &'static str,
    /// How well it knows the machine below these roots.
    level: fn(&Roots) -> u8,
    offers: &'static [Offer],
    /// What is done once at the start of a ramdisk.
    initialize: fn(&Roots, &Wishes),
}

static BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        class: "GenericHardwareManager",
        name: "generic_hardware_manager",
        version: "1.2",
        level: |_| GENERIC,
        offers: OFFERS,
        initialize: |_, _| {},
    },
    container::MANAGER,
    nvidia::MANAGER,
    intel::MANAGER,
];

/// What the operator's configuration means to managers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    /// Somebody will listen to switches.
    pub collect_lldp: bool,
}

/// A step, wherever it comes from.
pub(super) trait Offered: Send + Sync {
    fn name(&self) -> &str;
    /// As it is told to the conductor; none: not offered in `kind`.
    fn step(&self, kind: StepKind) -> Option<Step>;
    /// Compares what was given with what is declared; the text says what is wrong.
    fn check(&self, step: &Step) -> Result<(), String>;
    /// What it may change. Of code that is not ours, anything.
    fn reach(&self) -> Reach {
        Reach::Anything
    }
    fn run(&self, kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError>;
}

impl Offered for &'static Offer {
    fn name(&self) -> &str {
        self.name
    }

    fn step(&self, kind: StepKind) -> Option<Step> {
        Offer::step(self, kind)
    }

    fn check(&self, step: &Step) -> Result<(), String> {
        Offer::check(self, step)
    }

    fn reach(&self) -> Reach {
        self.reach
    }

    fn run(&self, kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
        (self.run)(kind, step, context)
    }
}

/// A manager that this machine has.
struct Present {
    class: String,
    name: String,
    version: String,
    level: u8,
    steps: Vec<Box<dyn Offered>>,
}

/// All of them, the best first.
pub(super) struct Managers(Vec<Present>);

/// Those of this machine: looked for once, as the reference does; hardware does not change under a running agent.
pub(super) fn of_this_machine() -> &'static Managers {
    let file = CONTAINER_STEPS.get_or_init(|| ContainerRules::default().steps_file);
    FOUND.get_or_init(|| Managers::find(&Roots::machine(), Path::new(DECLARED_STEPS), file))
}

static FOUND: OnceLock<Managers> = OnceLock::new();

/// Their versions. Inspection asks for them before the look-up has said where container steps are described: what is found
/// then is not kept.
pub(super) fn versions_of_this_machine() -> BTreeMap<String, String> {
    match (FOUND.get(), CONTAINER_STEPS.get()) {
        (None, None) => {
            let file = ContainerRules::default().steps_file;
            Managers::find(&Roots::machine(), Path::new(DECLARED_STEPS), &file).versions()
        }
        _ => of_this_machine().versions(),
    }
}

static CONTAINER_STEPS: OnceLock<PathBuf> = OnceLock::new();

/// Where the ramdisk's own container steps are described. The first word counts: steps do not change while the agent runs.
pub fn container_steps_in(file: &Path) {
    let _ = CONTAINER_STEPS.set(file.to_owned());
}

/// Does what managers do once before anything else. For the ramdisk.
pub fn initialize(wishes: &Wishes) {
    let roots = Roots::machine();
    for manager in BUILT_IN.iter().filter(|manager| (manager.level)(&roots) > NONE) {
        (manager.initialize)(&roots, wishes);
    }
}

impl Managers {
    /// Looks at the machine and at the folder of declared steps. What is wrong there is logged and left out.
    pub fn find(roots: &Roots, declared: &Path, containers: &Path) -> Managers {
        let mut found: Vec<Present> = Vec::new();
        // Not only of managers that are present: what a step does must not depend on the machine.
        let taken: Vec<&str> = BUILT_IN.iter().flat_map(|manager| manager.offers).map(|offer| offer.name).collect();
        for manager in BUILT_IN {
            let level = (manager.level)(roots);
            tracing::debug!(manager = manager.name, level, "hardware manager");
            if level > NONE {
                let mut steps: Vec<Box<dyn Offered>> =
                    manager.offers.iter().map(|offer| Box::new(offer) as Box<dyn Offered>).collect();
                if manager.class == container::CLASS {
                    steps.extend(container::own(containers, &taken));
                }
                found.push(Present {
                    class: manager.class.into(),
                    name: manager.name.into(),
                    version: manager.version.into(),
                    level,
                    steps,
                });
            }
        }
        // Nor may a declared step have the name of one of the ramdisk's container steps.
        let names = found.iter().flat_map(|manager| &manager.steps).map(|step| step.name().to_owned());
        let names: Vec<String> = names.chain(taken.iter().map(|name| (*name).to_owned())).collect();
        let taken: Vec<&str> = names.iter().map(String::as_str).collect();
        if let Some(own) = declared::load(declared, &taken) {
            found.push(Present {
                class: declared::CLASS.into(),
                name: declared::NAME.into(),
                version: own.version,
                level: MAINLINE,
                steps: own.steps.into_iter().map(|step| Box::new(step) as Box<dyn Offered>).collect(),
            });
        }
        found.sort_by(|one, other| (other.level, &one.class).cmp(&(one.level, &other.class)));
        Managers(found)
    }

    /// The steps offered for `kind`, with the version map that every later call must repeat.
    pub fn offered(&self, kind: StepKind) -> OfferedSteps {
        let mut steps: BTreeMap<String, Vec<Step>> = BTreeMap::new();
        for manager in &self.0 {
            // A manager without steps is there all the same.
            let own = steps.entry(manager.class.clone()).or_default();
            own.extend(
                manager
                    .steps
                    .iter()
                    .filter(|step| self.is_best(manager, step.as_ref(), kind))
                    .filter_map(|step| step.step(kind)),
            );
        }
        steps.retain(|class, own| !own.is_empty() || class == BUILT_IN[0].class);
        OfferedSteps { steps, hardware_manager_version: self.versions() }
    }

    /// Every manager's version.
    pub fn versions(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|manager| (manager.name.clone(), manager.version.clone())).collect()
    }

    /// Of two steps of one name, that of the higher level counts, then that of the higher priority, then that of the
    /// manager earlier in the alphabet.
    fn is_best(&self, of: &Present, step: &dyn Offered, kind: StepKind) -> bool {
        let Some(this) = step.step(kind) else { return false };
        let others = self.0.iter().filter(|other| other.class != of.class);
        let same = others.flat_map(|other| other.steps.iter().map(move |step| (other, step)));
        same.filter(|(_, other)| other.name() == step.name())
            .filter_map(|(other, step)| Some((other, step.step(kind)?)))
            .all(|(other, offer)| {
                let rank = |manager: &Present, step: &Step| (manager.level, step.priority.unwrap_or(0));
                let (ours, theirs) = (rank(of, &this), rank(other, &offer));
                ours > theirs || (ours == theirs && of.class < other.class)
            })
    }

    /// Runs one offered step; refuses names that are not offered for `kind` and arguments that are not declared.
    ///
    /// # Errors
    /// [`StepError`]; an unknown step is `HardwareManagerMethodNotFound`.
    pub fn execute(&self, kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
        let all = self.0.iter().flat_map(|manager| manager.steps.iter().map(move |offer| (manager, offer)));
        let mut named =
            all.filter(|(manager, offer)| offer.name() == step.step && self.is_best(manager, offer.as_ref(), kind));
        let (manager, offer) = named.next().ok_or_else(|| StepError {
            kind: "HardwareManagerMethodNotFound",
            code: 500,
            message: "No HardwareManager found to handle method",
            details: format!("Could not find method: {}", step.step),
        })?;
        tracing::debug!(manager = %manager.name, step = %step.step, "found");
        offer.check(step).map_err(|cause| StepError::unexpected(kind, &step.step, "TypeError", &cause))?;
        offer.reach().permit(kind, &step.step, context)?;
        offer.run(kind, step, context)
    }
}

#[cfg(test)]
mod tests;
