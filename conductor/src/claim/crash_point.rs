//! Where a test kills this process: just before a record is saved, twice for each kind of record.
//!
//! Promise 1 of the project (a killed conductor picks every flow up where it was) is worth nothing unless it is tried at
//! every save. With `WROUGHT_CRASH_FILE` set, the first and the second time that a node's record with a new position
//! (state, stage, step, signs of its agent) is about to be saved, the process kills itself with SIGKILL: all work of the piece is done and
//! nothing of it is recorded, the worst moment there is. Without the variable this costs one atomic read.

use crate::model::node::Node;
use crate::model::power::PowerChange;
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Deaths at one position.
const TIMES: usize = 2;

/// Called before every save.
pub fn reach(node: &Node) {
    let Some(file) = FILE.get_or_init(|| std::env::var_os("WROUGHT_CRASH_FILE").map(PathBuf::from)) else { return };
    let position = position(node);
    let seen = std::fs::read_to_string(file).unwrap_or_default();
    if seen.lines().filter(|line| *line == position).count() >= TIMES {
        return;
    }
    let written = std::fs::OpenOptions::new().create(true).append(true).open(file).and_then(|mut file| {
        writeln!(file, "{position}")?;
        file.sync_data()
    });
    if written.is_ok() {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
    }
}

/// `state|stage|step|signs`: the signs tell what the agent has of this boot (handed a step, a token,
/// called in), whether the machine is being switched, and by whose flow.
fn position(node: &Node) -> String {
    let step = |map: &serde_json::Map<String, serde_json::Value>| {
        map.get("step").and_then(|name| name.as_str()).unwrap_or_default().to_owned()
    };
    let info = &node.driver_internal_info;
    let signs: Vec<&str> = [
        ("handed", node.flow.command.is_some()),
        ("token", info.contains_key("agent_secret_token")),
        ("called", info.contains_key("agent_url")),
        ("switching", node.target_power_state.is_some()),
        ("lent", node.target_power_state.is_some_and(PowerChange::is_lent)),
    ]
    .into_iter()
    .filter_map(|(sign, is_there)| is_there.then_some(sign))
    .collect();
    let steps = step(&node.clean_step) + &step(&node.deploy_step) + &step(&node.service_step);
    format!("{}|{}|{steps}|{}", node.provision_state, node.flow.stage, signs.join("+"))
}
