//! One run of a declared step: JSON in, JSON out, bounded in time and output.

use super::{Declared, program_digest};
use crate::step::{StepContext, StepError};
use crate::sys::child::{ChildError, Program};
use crate::sys::text::clean;
use common::step::{Step, StepKind};
use serde_json::{Value, json};
use std::time::Duration;

/// Most bytes of a result, and of what a program says beside it.
const MAX_OUTPUT: usize = 1 << 20;
/// A line on standard error that begins so is the progress of the step; others go to the log.
const PROGRESS: &str = "progress: ";
/// Longest line that is kept.
const MAX_LINE: usize = 500;

/// Runs the program as it was when the conductor learned of it.
pub fn run(declared: &Declared, kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    let description = &declared.description;
    let fail = |class: &str, why: &str| StepError::unexpected(kind, &description.name, class, why);
    let digest = program_digest(&declared.program).map_err(|why| fail("PermissionError", &why.to_string()))?;
    if digest != declared.digest {
        let why =
            format!("{} was changed after the agent had started; boot the ramdisk again", declared.program.display());
        return Err(fail("PermissionError", &why));
    }
    let args = step.args.clone().unwrap_or_default();
    let mut node = context.node.clone();
    if let Some(Value::Object(instance)) = node.get_mut("instance_info") {
        instance.remove("configdrive"); // the tenant's secrets, and megabytes
    }
    let input =
        json!({"step": description.name, "kind": kind.word(), "args": args, "node": node, "ports": context.ports});
    let progress = context.progress.clone();
    let name = description.name.clone();
    let program = Program::new(&declared.program)
        .env("WROUGHT_STEP", &description.name)
        .input(input.to_string())
        .time_limit(Duration::from_secs(description.timeout))
        .output_limit(MAX_OUTPUT)
        .on_stderr_line(move |line| {
            let line = clean(line, MAX_LINE);
            match line.strip_prefix(PROGRESS) {
                Some(text) => progress.say(text),
                None if line.is_empty() => {}
                None => tracing::info!(step = %name, "{line}"),
            }
        });
    let output = program.succeed().map_err(|error| {
        let class = if matches!(error, ChildError::TimedOut { .. }) { "TimeoutError" } else { "ProcessExecutionError" };
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        fail(class, &format!("{error}{cause}"))
    })?;
    if output.truncated {
        return Err(fail("ValueError", &format!("the program said more than {MAX_OUTPUT} bytes")));
    }
    if output.stdout.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&output.stdout).map_err(|cause| {
        let said = clean(&output.stdout, 200);
        fail("ValueError", &format!("the program's standard output is no JSON document ({cause}): {said}"))
    })
}
