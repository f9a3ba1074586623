//! The ramdisk's own container steps, from the operator's YAML file.

use super::policy::Asked;
use crate::step::provider::Offered;
use crate::step::{StepContext, StepError};
use common::step::{Step, StepKind};
use serde_json::{Map, Value};
use std::io::Read;
use std::path::Path;
use yaml_rust2::{Yaml, YamlLoader};

/// Largest file, most steps, deepest nesting.
const MAX_FILE: u64 = 256 << 10;
const MAX_STEPS: usize = 256;
const MAX_DEPTH: usize = 8;

/// One step of the file.
#[derive(Debug)]
pub struct Own {
    name: String,
    image: Value,
    interface: String,
    priority: i64,
    reboot_requested: bool,
    abortable: bool,
    pull: Value,
    run: Value,
}

/// Reads the file; one that is not there has no steps, one that cannot be used has none either, and the log says why.
pub fn load(file: &Path, taken: &[&str]) -> Vec<Own> {
    let text = match std::fs::File::open(file) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        opened => opened.and_then(|file| {
            let mut text = String::new();
            file.take(MAX_FILE + 1).read_to_string(&mut text).map(|_| text)
        }),
    };
    let steps = text.map_err(|cause| cause.to_string()).and_then(|text| read(&text, taken));
    steps.unwrap_or_else(|why| {
        tracing::error!(file = %file.display(), %why, "the ramdisk's container steps are not offered");
        Vec::new()
    })
}

/// Takes the file apart; one mistake, and none of its steps is used.
///
/// # Errors
/// What is wrong, for people.
pub fn read(text: &str, taken: &[&str]) -> Result<Vec<Own>, String> {
    if text.len() as u64 > MAX_FILE {
        return Err(format!("it has more than {MAX_FILE} bytes"));
    }
    // Aliases would let a few bytes stand for gigabytes; such a file needs none.
    if text.lines().any(|line| line.split_whitespace().any(|word| word.starts_with('*') || word.starts_with('&'))) {
        return Err("it uses anchors or aliases".into());
    }
    let documents = YamlLoader::load_from_str(text).map_err(|error| error.to_string())?;
    let Some(document) = documents.into_iter().next() else { return Ok(Vec::new()) };
    let document = json(&document, 0)?;
    let list = match &document {
        Value::Null => return Ok(Vec::new()),
        Value::Object(map) => map.get("steps").unwrap_or(&Value::Null),
        _ => return Err("it must be a mapping with the key `steps`".into()),
    };
    let list = match list {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) if list.len() <= MAX_STEPS => list,
        Value::Array(_) => return Err(format!("it has more than {MAX_STEPS} steps")),
        _ => return Err("`steps` must be a list".into()),
    };
    let mut steps: Vec<Own> = Vec::new();
    for entry in list {
        let step = own(entry)?;
        if taken.contains(&step.name.as_str()) || steps.iter().any(|other| other.name == step.name) {
            return Err(format!("the name `{}` belongs to another step; choose one of its own", step.name));
        }
        steps.push(step);
    }
    Ok(steps)
}

fn own(entry: &Value) -> Result<Own, String> {
    let map = entry.as_object().ok_or("each step must be a mapping")?;
    let text = |key: &str| map.get(key).and_then(Value::as_str).filter(|text| !text.is_empty() && text.len() <= 512);
    let name = text("name").ok_or("a step has no `name`")?.to_owned();
    let missing = |key: &str, what: &str| format!("step `{name}` has no `{key}` ({what})");
    let image = text("image").ok_or_else(|| missing("image", "a text"))?;
    let interface = text("interface").ok_or_else(|| missing("interface", "a text"))?;
    let flag = |key: &str| map.get(key).and_then(Value::as_bool).ok_or_else(|| missing(key, "true or false"));
    let priority = map.get("priority").and_then(Value::as_i64).filter(|priority| (0..=9999).contains(priority));
    Ok(Own {
        image: image.into(),
        interface: interface.into(),
        priority: priority.ok_or_else(|| missing("priority", "a number from 0 to 9999"))?,
        reboot_requested: flag("reboot_requested")?,
        abortable: flag("abortable")?,
        pull: map.get("pull_options").cloned().unwrap_or_default(),
        run: map.get("run_options").cloned().unwrap_or_default(),
        name,
    })
}

fn json(yaml: &Yaml, depth: usize) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err(format!("it is nested deeper than {MAX_DEPTH}"));
    }
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Boolean(flag) => (*flag).into(),
        Yaml::Integer(number) => (*number).into(),
        Yaml::String(text) | Yaml::Real(text) => text.as_str().into(),
        Yaml::Array(list) => list.iter().map(|entry| json(entry, depth + 1)).collect::<Result<_, _>>()?,
        Yaml::Hash(map) => {
            let mut object = Map::new();
            for (key, value) in map {
                let key = key.as_str().ok_or("a key is no text")?;
                object.insert(key.into(), json(value, depth + 1)?);
            }
            Value::Object(object)
        }
        Yaml::Alias(_) | Yaml::BadValue => return Err("it holds a value that cannot be read".into()),
    })
}

impl Offered for Own {
    fn name(&self) -> &str {
        &self.name
    }

    /// The file's priority is one of automated cleaning; elsewhere the step runs only when it is asked for.
    fn step(&self, kind: StepKind) -> Option<Step> {
        let priority = if kind == StepKind::Clean { self.priority } else { 0 };
        Some(Step {
            step: self.name.clone(),
            interface: self.interface.clone(),
            priority: Some(priority),
            reboot_requested: Some(self.reboot_requested),
            abortable: Some(self.abortable),
            argsinfo: None,
            args: None,
            other: Map::new(),
        })
    }

    fn check(&self, step: &Step) -> Result<(), String> {
        match step.args.iter().flat_map(Map::keys).next() {
            Some(name) => Err(format!("{}() got an unexpected keyword argument '{name}'", self.name)),
            None => Ok(()),
        }
    }

    fn run(&self, kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
        let asked = Asked { image: &self.image, pull: &self.pull, run: &self.run, trusted: true };
        super::run(kind, step, context, &asked)
    }
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::step::provider::Offered;
    use common::step::StepKind;

    const GOOD: &str = "steps:\n  - name: site_check\n    image: example.com/check:1\n    interface: deploy\n    priority: 20\n    \
        reboot_requested: false\n    abortable: true\n    run_options: --rm --privileged\n";

    #[test]
    fn a_files_priority_counts_in_cleaning_only() {
        let steps = read(GOOD, &["erase_devices"]).unwrap();
        let priority = |kind| steps[0].step(kind).unwrap().priority;
        assert_eq!(
            (priority(StepKind::Clean), priority(StepKind::Deploy), priority(StepKind::Service)),
            (Some(20), Some(0), Some(0))
        );
        assert!(read("", &[]).unwrap().is_empty() && read("steps:\n", &[]).unwrap().is_empty());
    }

    #[test]
    fn a_file_with_a_mistake_has_no_steps() {
        for (text, words) in [
            ("- a\n", "mapping"),
            ("steps: 5\n", "list"),
            ("steps: [5]\n", "mapping"),
            ("steps: [{name: x}]\n", "no `image`"),
            (&GOOD.replace("priority: 20", "priority: high"), "no `priority`"),
            (&GOOD.replace("    abortable: true\n", ""), "no `abortable`"),
            (&GOOD.replace("site_check", "erase_devices"), "belongs to another step"),
            ("a: &x [1]\nsteps: *x\n", "anchors"),
            ("steps: [[[[[[[[[[1]]]]]]]]]]\n", "deeper"),
            ("steps: [\n", ""),
        ] {
            let error = read(text, &["erase_devices"]).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z:\\- \n\\[\\]{}\"'!&*|>#]{0,200}") {
            let _ = read(&text, &[]);
        }
    }
}
