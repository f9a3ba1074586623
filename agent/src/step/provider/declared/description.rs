//! What a TOML file says about steps: names, priorities, arguments with types, limits.

use common::step::StepKind;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Longest a step may take, seconds: a week.
const MAX_TIME: u64 = 7 * 24 * 3600;
/// Without a word about it: an hour.
const DEFAULT_TIME: u64 = 3600;
/// Priorities that the conductor's order of steps has room for.
const PRIORITIES: std::ops::RangeInclusive<i64> = 0..=9999;
/// Interfaces whose steps an agent may have.
const INTERFACES: [&str; 8] = ["deploy", "raid", "bios", "firmware", "management", "power", "network", "vendor"];
const MAX_ARGS: usize = 64;

/// A file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    step: Vec<Description>,
}

/// One `[[step]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// What the conductor calls it.
    pub name: String,
    /// A file in the same folder.
    pub program: String,
    /// Which interface of the node it belongs to.
    #[serde(default = "deploy")]
    pub interface: String,
    /// Priority by kind; none: not offered there. 0: only when asked for by name.
    clean: Option<i64>,
    deploy: Option<i64>,
    service: Option<i64>,
    /// The conductor reboots the machine after success.
    #[serde(default)]
    pub reboot_requested: bool,
    /// May be interrupted: never where that breaks hardware.
    #[serde(default)]
    pub abortable: bool,
    /// Seconds after which it is killed.
    #[serde(default = "default_time")]
    pub timeout: u64,
    /// Arguments by name.
    #[serde(default)]
    pub args: BTreeMap<String, Arg>,
}

/// One `[step.args.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arg {
    /// What it must be.
    #[serde(rename = "type")]
    kind: Kind,
    /// For people.
    pub description: String,
    /// The step fails without it.
    #[serde(default)]
    pub required: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    String,
    Integer,
    Number,
    Boolean,
    List,
    Map,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct ReadError {
    path: PathBuf,
    why: String,
}

fn deploy() -> String {
    "deploy".into()
}

fn default_time() -> u64 {
    DEFAULT_TIME
}

/// Reads and checks a file: one mistake, and none of its steps is used.
pub fn read(path: &Path, text: &str) -> Result<Vec<Description>, ReadError> {
    let wrong = |why: String| ReadError { path: path.into(), why };
    let file: File = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    for step in &file.step {
        step.usable().map_err(|why| wrong(format!("step `{}`: {why}", step.name)))?;
    }
    Ok(file.step)
}

impl Description {
    fn usable(&self) -> Result<(), String> {
        let word = |text: &str| {
            let mut letters = text.bytes();
            (1..=64).contains(&text.len())
                && letters.next().is_some_and(|first| first.is_ascii_lowercase())
                && letters.all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_')
        };
        if !word(&self.name) {
            return Err("a name is up to 64 small letters, digits and underscores, a letter first".into());
        }
        if self.program.is_empty() || self.program.starts_with('.') || self.program.contains(['/', '\0']) {
            return Err(format!("program = `{}` is not a file name in the same folder", self.program));
        }
        if !INTERFACES.contains(&self.interface.as_str()) {
            return Err(format!("interface `{}` is none of {}", self.interface, INTERFACES.join(", ")));
        }
        let priorities = [self.clean, self.deploy, self.service];
        if priorities.iter().all(Option::is_none) {
            return Err(
                "it is offered nowhere: give a priority as clean, deploy or service (0: only when asked for)".into()
            );
        }
        if priorities.iter().flatten().any(|priority| !PRIORITIES.contains(priority)) {
            return Err("a priority is a number from 0 to 9999".into());
        }
        if !(1..=MAX_TIME).contains(&self.timeout) {
            return Err(format!("timeout is a number of seconds from 1 to {MAX_TIME}"));
        }
        if self.args.len() > MAX_ARGS || !self.args.keys().all(|name| word(name)) {
            return Err("up to 64 arguments, with names as those of steps".into());
        }
        Ok(())
    }

    /// Its priority in `kind`; none: not offered there.
    pub fn priority(&self, kind: StepKind) -> Option<i64> {
        match kind {
            StepKind::Clean => self.clean,
            StepKind::Deploy => self.deploy,
            StepKind::Service => self.service,
        }
    }

    /// Compares arguments with the declared ones. Null counts as not given.
    pub fn check(&self, given: Option<&Map<String, Value>>) -> Result<(), String> {
        let given = || given.into_iter().flatten().filter(|(_, value)| !value.is_null());
        for (name, value) in given() {
            let arg = self.args.get(name);
            let arg = arg.ok_or_else(|| format!("{}() got an unexpected keyword argument '{name}'", self.name))?;
            if !arg.kind.fits(value) {
                return Err(format!("{}(): the argument '{name}' must be of type {:?}", self.name, arg.kind));
            }
        }
        match self.args.iter().find(|(name, arg)| arg.required && given().all(|(known, _)| known != *name)) {
            Some((name, _)) => Err(format!("{}() needs the argument '{name}'", self.name)),
            None => Ok(()),
        }
    }
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Kind::String => value.is_string(),
            Kind::Integer => value.is_i64() || value.is_u64(),
            Kind::Number => value.is_number(),
            Kind::Boolean => value.is_boolean(),
            Kind::List => value.is_array(),
            Kind::Map => value.is_object(),
        }
    }
}
