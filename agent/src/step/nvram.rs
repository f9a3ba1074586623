//! Step `clean_uefi_nvram`: deletes the firmware's boot entries that patterns match (ipa-features 22).

use super::{StepContext, StepError};
use crate::disk::nvram;
use crate::sys::efivars::EfiVariables;
use common::step::{Step, StepKind};
use regex::{Regex, RegexBuilder};
use serde_json::Value;

/// Entries that start something from a disk, and the loaders of the usual systems.
const DEFAULT: [&str; 3] = [r"^HD\(", r"shim.*\.efi", r"grub.*\.efi"];
/// What the argument is, in the words of the reference (operators' tools show it).
pub const ARGUMENT: &str = r#"Json blob contains a list of regex patterns where any UEFI NVRAM entry matching that pattern will be deleted. Default value is '["^HD\(", "shim.*\.efi", "grub.*\.efi"]'"#;
/// A compiled pattern may take so many bytes; a hostile one takes more.
const MAX_PATTERN: usize = 1 << 20;
/// Most patterns.
const MAX_PATTERNS: usize = 100;

/// Deletes what `match_patterns` (or the default) matches, whatever its case; the result is null.
pub fn clean(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    let given = step.args.as_ref().and_then(|args| args.get("match_patterns")).filter(|given| !given.is_null());
    let patterns = match given {
        Some(given) => patterns(given)?,
        None => DEFAULT.iter().filter_map(|pattern| compile(pattern)).collect(),
    };
    let folder = &context.rules.efivars;
    if !folder.is_dir() {
        let details = "this machine was not booted by UEFI, so it has no boot entries that could be cleaned. Leave the step out, or boot the node by UEFI";
        return Err(StepError {
            kind: "CommandExecutionError",
            code: 500,
            message: "Command execution failed",
            details: details.into(),
        });
    }
    let gone = nvram::clean(&EfiVariables::at(folder), &patterns)
        .map_err(|error| StepError::disk(kind, &step.step, false, &error))?;
    context.progress.say(format!("{} boot entries deleted", gone.len()));
    Ok(Value::Null)
}

fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).case_insensitive(true).size_limit(MAX_PATTERN).build().ok()
}

fn patterns(given: &Value) -> Result<Vec<Regex>, StepError> {
    let list = given.as_array().filter(|list| list.len() <= MAX_PATTERNS);
    let compiled = list.and_then(|list| list.iter().map(|item| compile(item.as_str()?)).collect());
    compiled.ok_or_else(|| StepError {
        kind: "InvalidCommandParamsError",
        code: 400,
        message: "Invalid command parameters",
        details: format!("The match_patterns must be a list of strings: {given}. Each must be a regular expression, without look-around and back-references"),
    })
}

#[cfg(test)]
mod tests {
    use crate::disk::boot_option::{BootPartition, DiskSignature, encode};
    use crate::step::{StepContext, execute, tests::context};
    use crate::sys::efivars::EfiVariables;
    use common::step::{Step, StepKind};
    use serde_json::{Value, json};

    fn run(args: Value, efivars: &std::path::Path) -> Result<Value, crate::step::StepError> {
        let mut context: StepContext = context(vec![], json!({}));
        context.rules.efivars = efivars.into();
        let step: Step =
            serde_json::from_value(json!({"step": "clean_uefi_nvram", "interface": "deploy", "args": args})).unwrap();
        execute(StepKind::Clean, &step, &context)
    }

    #[test]
    fn defaults_and_patterns() {
        let folder = tempfile::tempdir().unwrap();
        let variables = EfiVariables::at(folder.path());
        let partition = BootPartition { number: 1, start: 2048, blocks: 4096, signature: DiskSignature::Gpt([7; 16]) };
        let put = || variables.write("Boot0001", &encode("old", &partition, r"\EFI\Windows\bootmgfw.efi")).unwrap();
        put();
        run(json!({"match_patterns": ["ubuntu", "WINDOWS.*x64"]}), folder.path()).unwrap();
        assert!(variables.read("Boot0001").unwrap().is_some());
        run(json!({"match_patterns": ["windows"]}), folder.path()).unwrap();
        assert!(variables.read("Boot0001").unwrap().is_none());
        put();
        assert_eq!(run(json!({}), folder.path()).unwrap(), Value::Null);
        assert!(variables.read("Boot0001").unwrap().is_none(), "a hard drive, by default");
        for bad in [json!("HD"), json!([7]), json!(["("]), json!(["x{1000}{1000}{1000}"]), json!({"a": 1})] {
            let error = run(json!({"match_patterns": bad}), folder.path()).unwrap_err();
            assert_eq!((error.kind, error.code), ("InvalidCommandParamsError", 400));
            assert!(error.details.starts_with("The match_patterns must be a list of strings: "), "{error}");
        }
        let bios = run(json!({}), "/nowhere/efivars".as_ref()).unwrap_err();
        assert!(bios.details.contains("not booted by UEFI"), "{bios}");
    }
}
