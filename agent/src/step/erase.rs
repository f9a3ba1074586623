//! Steps that erase: `erase_devices` (everything, verified), `erase_devices_express` (NVMe at once, metadata elsewhere),
//! `erase_devices_metadata` (what makes a disk look used), `erase_pstore` (crash messages in the firmware).

use super::{StepContext, StepError};
use crate::disk::erase::{self, Request};
use crate::disk::error::DiskError;
use crate::disk::guard::Gate;
use crate::disk::proof::Outcome;
use crate::disk::pstore;
use crate::sys::orders::Kernel;
use common::step::{Step, StepKind};
use serde_json::Value;

/// Erases every disk; the result maps devices to null, or to why they were passed over.
pub fn devices(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    run(kind, step, context, erase::devices)
}

/// Erases NVMe disks by themselves and wipes the metadata of the others; the result is null.
pub fn express(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    run(kind, step, context, erase::express)
}

/// Wipes partition tables and signatures; the result is null.
pub fn metadata(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    run(kind, step, context, erase::metadata)
}

/// Empties the kernel's persistent store; the result is null.
pub fn pstore(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    let erased = Gate::of_this_machine(&context.rules.allow_erase).and_then(|gate| pstore::erase(&gate));
    let count = erased.map_err(|error| StepError::disk(kind, &step.step, true, &error))?;
    context.progress.say(format!("{count} records of the persistent store were deleted"));
    Ok(Value::Null)
}

fn run(
    kind: StepKind,
    step: &Step,
    context: &StepContext,
    act: fn(&Request<'_>) -> Result<Outcome, DiskError>,
) -> Result<Value, StepError> {
    let started_at = crate::disk::proof::now();
    let erased = Gate::of_this_machine(&context.rules.allow_erase).and_then(|gate| {
        act(&Request {
            node: &context.node,
            gate: &gate,
            guarded: context.rules.guard_special_filesystems,
            progress: &context.progress,
            discard: context.rules.enable_discard_erase,
            bay: &Kernel,
        })
    });
    let outcome = erased.map_err(|error| StepError::disk(kind, &step.step, true, &error))?;
    let result = outcome.result.clone();
    context.evidence.leave(started_at, outcome);
    Ok(result)
}
