//! What the operator allows of containers: `[container]` in a file, `agent_containers` in the look-up (ipa-features 3).

use serde_json::Value;
use std::path::PathBuf;

/// Programs that can run containers; nothing else is ever called under that name.
pub const RUNNERS: [&str; 2] = ["podman", "docker"];
/// Most images on the list, most options, longest of either.
const MOST: usize = 256;
const LONGEST: usize = 1024;

/// The rules for container steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRules {
    /// Any image may be run by step argument.
    pub allow_arbitrary_containers: bool,
    /// Images that may be; compared exactly, a transport prefix aside.
    pub allowed_containers: Vec<String>,
    /// The ramdisk's own container steps.
    pub steps_file: PathBuf,
    /// One of [`RUNNERS`].
    pub runner: String,
    /// Options of `pull`.
    pub pull_options: Vec<String>,
    /// Options of `run`.
    pub run_options: Vec<String>,
}

impl Default for ContainerRules {
    fn default() -> Self {
        Self {
            allow_arbitrary_containers: false,
            allowed_containers: Vec::new(),
            steps_file: "/etc/ironic-python-agent.d/mysteps.yaml".into(),
            runner: RUNNERS[0].into(),
            pull_options: Vec::new(),
            run_options: vec!["--rm".into(), "--network=host".into()],
        }
    }
}

impl ContainerRules {
    /// Takes one setting; lists are lists or texts with words. Returns what is wrong with it; then nothing changes.
    ///
    /// # Errors
    /// An unknown key, or a value of another kind.
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        match key {
            "allow_arbitrary_containers" => self.allow_arbitrary_containers = flag(value)?,
            "allowed_containers" => self.allowed_containers = list(value, &[','])?,
            "container_steps_file" => self.steps_file = path(value)?,
            "runner" => {
                let name = value.as_str().filter(|name| RUNNERS.contains(name));
                self.runner = name.ok_or_else(|| format!("is none of {}", RUNNERS.join(", ")))?.into();
            }
            "pull_options" => self.pull_options = options(value)?,
            "run_options" => self.run_options = options(value)?,
            _ => return Err("is not known to this agent".into()),
        }
        Ok(())
    }
}

fn flag(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err("is neither true nor false".into()),
    }
}

fn path(value: &Value) -> Result<PathBuf, String> {
    let path = value.as_str().filter(|text| text.len() <= LONGEST).map(PathBuf::from);
    path.filter(|path| path.is_absolute()).ok_or_else(|| "is not an absolute path".into())
}

/// Options as the program gets them: each word by itself.
///
/// # Errors
/// Something else than texts.
pub fn options(value: &Value) -> Result<Vec<String>, String> {
    list(value, &[',', ' ', '\t', '\n'])
}

fn list(value: &Value, separators: &[char]) -> Result<Vec<String>, String> {
    let texts: Option<Vec<&str>> = match value {
        Value::Null => Some(vec![]),
        Value::String(text) => Some(vec![text]),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let texts = texts.ok_or("is neither a text nor a list of texts")?;
    // A text of a list is one entry unless it holds words: commas separate only what came as one text.
    let split = |text: &&str| -> Vec<String> {
        let separators: Vec<char> = match value {
            Value::Array(_) => separators.iter().copied().filter(|separator| *separator != ',').collect(),
            _ => separators.to_vec(),
        };
        text.split(separators.as_slice()).map(str::trim).filter(|word| !word.is_empty()).map(String::from).collect()
    };
    let words: Vec<String> = texts.iter().flat_map(split).collect();
    match words.len() > MOST || words.iter().any(|word| word.len() > LONGEST) {
        true => Err(format!("has more than {MOST} entries, or one of more than {LONGEST} characters")),
        false => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::ContainerRules;
    use serde_json::{Value, json};

    #[test]
    fn settings_of_the_look_up_and_of_files() {
        let mut rules = ContainerRules::default();
        for (key, value) in [
            ("allow_arbitrary_containers", json!(true)),
            ("allowed_containers", json!(["a/b:1", "c,d"])),
            ("runner", json!("docker")),
            ("pull_options", json!("--tls-verify=false --quiet")),
            ("run_options", json!(["--rm --network=host", "-v"])),
            ("container_steps_file", json!("/etc/x.yaml")),
        ] {
            rules.set(key, &value).unwrap();
        }
        assert!(rules.allow_arbitrary_containers && rules.runner == "docker");
        assert_eq!(rules.allowed_containers, ["a/b:1", "c,d"]);
        assert_eq!(rules.pull_options, ["--tls-verify=false", "--quiet"]);
        assert_eq!(rules.run_options, ["--rm", "--network=host", "-v"]);
        rules.set("allowed_containers", &json!("a/b:1,c/d:2")).unwrap();
        assert_eq!(rules.allowed_containers, ["a/b:1", "c/d:2"]);
        rules.set("allow_arbitrary_containers", &json!("False")).unwrap();
        assert!(!rules.allow_arbitrary_containers);
    }

    #[test]
    fn what_cannot_be_right_changes_nothing() {
        for (key, value) in [
            ("runner", json!("/bin/sh")),
            ("run_options", json!({"a": 1})),
            ("allowed_containers", json!([1])),
            ("container_steps_file", json!("relative")),
            ("allow_arbitrary_containers", json!("perhaps")),
            ("pull_options", json!("x".repeat(1025))),
            ("surprise", Value::Null),
        ] {
            let mut rules = ContainerRules::default();
            assert!(rules.set(key, &value).is_err(), "{key}");
            assert_eq!(rules, ContainerRules::default());
        }
    }
}
