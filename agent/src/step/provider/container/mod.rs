//! Container steps: an image is pulled and run by podman or docker, if the ramdisk has one (ipa-features 11).
//!
//! Images from step arguments must be on the operator's list; images of the ramdisk's own file are trusted, for whoever can write that
//! file can write the agent. Every run goes through [`policy::settle`].

pub mod own;
mod policy;

use super::{BuiltIn, MAINLINE, NONE, Offered};
use crate::config::container::RUNNERS;
use crate::step::offer::{Args, Offer};
use crate::step::{StepContext, StepError};
use crate::sys::child::{ChildError, Program};
use crate::sys::sysfs::Roots;
use common::step::{Step, StepKind};
use policy::{Asked, Refused};
use serde_json::{Map, Value};
use std::path::Path;
use std::time::Duration;

/// Pulling an image of some gigabytes over a slow line.
const PULL: Duration = Duration::from_secs(3600);
/// A container may test hardware for days; the conductor's own time-outs end sooner.
const RUN: Duration = Duration::from_secs(7 * 86_400);
/// For `--version`.
const QUICK: Duration = Duration::from_secs(30);

pub(super) const CLASS: &str = "ContainerHardwareManager";

pub(super) const MANAGER: BuiltIn =
    BuiltIn { class: CLASS, name: CLASS, version: "2", level, offers: STEPS, initialize: |_, _| {} };

const ARGUMENTS: Args = Args::Declared(&[
    ("container_url", "Container image URL", true),
    ("pull_options", "Pull options", false),
    ("run_options", "Run options", false),
]);

static STEPS: &[Offer] = &[
    Offer { args: ARGUMENTS, deploy: Some(0), ..container("generic_container_step") },
    Offer { args: ARGUMENTS, deploy: Some(0), ..container("container_clean_step") },
];

const fn container(name: &'static str) -> Offer {
    Offer::on_demand(name, "deploy", by_argument).reaches_anything()
}

/// The ramdisk's own steps.
pub(super) fn own(file: &Path, taken: &[&str]) -> Vec<Box<dyn Offered>> {
    own::load(file, taken).into_iter().map(|step| Box::new(step) as Box<dyn Offered>).collect()
}

/// Programs are the machine's own: a tree of captured files has none.
fn level(roots: &Roots) -> u8 {
    let found = roots.is_machine() && RUNNERS.into_iter().any(|runner| works(runner).is_ok());
    if found { MAINLINE } else { NONE }
}

/// Asked for its version, not only looked for: one that cannot run is none.
fn works(runner: &str) -> Result<(), ChildError> {
    Program::new(runner).arg("--version").time_limit(QUICK).succeed().map(drop)
}

fn by_argument(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    if step.step == "container_clean_step" {
        tracing::warn!("the step container_clean_step is deprecated: use generic_container_step");
    }
    let none = Map::new();
    let args = step.args.as_ref().unwrap_or(&none);
    let asked = Asked {
        image: args.get("container_url").unwrap_or(&Value::Null),
        pull: args.get("pull_options").unwrap_or(&Value::Null),
        run: args.get("run_options").unwrap_or(&Value::Null),
        trusted: false,
    };
    run(kind, step, context, &asked)
}

fn run(kind: StepKind, step: &Step, context: &StepContext, asked: &Asked<'_>) -> Result<Value, StepError> {
    let rules = &context.rules.containers;
    let order = policy::settle(asked, rules).map_err(|refused| refuse(&refused))?;
    let fail = |error: ChildError| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        StepError::unexpected(kind, &step.step, "ProcessExecutionError", &format!("{error}{cause}"))
    };
    works(&rules.runner).map_err(|error| StepError {
        kind: "HardwareManagerConfigurationError",
        code: 500,
        message: "Hardware manager configuration error",
        details: format!("the container runner `{}` is not usable in this ramdisk: {error}", rules.runner),
    })?;
    context.progress.say(format!("pulling {}", order.image));
    Program::new(&rules.runner)
        .arg("pull")
        .args(&order.pull)
        .arg(&order.image)
        .time_limit(PULL)
        .succeed()
        .map_err(fail)?;
    context.progress.say(format!("running {}", order.image));
    let name = step.step.clone();
    let listen = move |line: &[u8]| tracing::info!(step = %name, "{}", crate::sys::text::clean(line, 500));
    let program = Program::new(&rules.runner).arg("run").args(&order.run).arg(&order.image);
    program.time_limit(RUN).on_stderr_line(listen).succeed().map_err(fail)?;
    Ok(Value::Null)
}

fn refuse(refused: &Refused) -> StepError {
    let details = refused.to_string();
    match refused {
        Refused::Params(_) => {
            StepError { kind: "InvalidCommandParamsError", code: 400, message: "Invalid command parameters", details }
        }
        Refused::NotPermitted { .. } => StepError {
            kind: "ContainerNotPermittedError",
            code: 500,
            message: "Container image not permitted",
            details,
        },
    }
}

#[cfg(test)]
mod tests;
