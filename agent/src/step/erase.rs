//! Steps `erase_devices` (everything, verified) and `erase_devices_metadata` (what makes a disk look used).

use super::{StepContext, StepError};
use crate::disk::erase::{self, Request};
use crate::disk::error::DiskError;
use crate::disk::guard::Gate;
use common::step::{Step, StepKind};
use serde_json::Value;

/// Erases every disk; the result maps devices to null, or to why they were passed over.
pub fn devices(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    run(kind, step, context, erase::devices)
}

/// Wipes partition tables and signatures; the result is null.
pub fn metadata(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    run(kind, step, context, erase::metadata)
}

fn run(
    kind: StepKind,
    step: &Step,
    context: &StepContext,
    act: fn(&Request<'_>) -> Result<Value, DiskError>,
) -> Result<Value, StepError> {
    let erased = Gate::of_this_machine(&context.rules.allow_erase).and_then(|gate| {
        act(&Request {
            node: &context.node,
            gate: &gate,
            guarded: context.rules.guard_special_filesystems,
            progress: &context.progress,
        })
    });
    erased.map_err(|error| StepError::disk(kind, &step.step, true, &error))
}
