//! Golden files: what the real peers put on the wire, held against our types and our agent's answers.

mod agent_answers;
mod openapi;
mod types;

use serde_json::Value;
use std::path::Path;

/// A captured message.
fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}

/// Names of the captured messages in a folder, in order.
fn fixtures(folder: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder);
    let names = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter(|name| name.ends_with(".json")).map(|name| format!("{folder}/{name}")).collect();
    names.sort();
    names
}
