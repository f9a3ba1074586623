//! The inventory of captured and hostile machines, of this one, and against the reference's JSON.

mod captured;
mod disks;
mod drives;
mod firmware;
mod machine;
mod reference;
pub mod tables;

use crate::sys::child::Program;
use serde_json::Value;
use std::time::Duration;

/// Runs a few lines of Python beside the real reference, on a JSON document. `None`, with the reason printed, where the
/// reference is not installed.
pub fn oracle(code: &str, given: &Value) -> Option<Value> {
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/../.cache/peers/bin/python");
    let python = std::env::var("PEERS_VENV").map_or(python.into(), |place| format!("{place}/bin/python"));
    if !std::path::Path::new(&python).exists() {
        println!("skipped: no reference at {python}");
        return None;
    }
    let program = Program::new(&python).args(["-c", code]).input(given.to_string()).time_limit(Duration::from_secs(60));
    let output = program.succeed().unwrap();
    Some(serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", output.text())))
}
