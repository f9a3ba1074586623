//! Clean step `erase_devices_metadata` on a disk with a partition table and file systems, ours beside the real agent's, in the same
//! sandbox.

use crate::Row;
use crate::inside::{enter, me, print, sandboxed};
use agent::command::Facts;
use agent::config::Config;
use agent::step::{StepContext, execute};
use agent::sys::progress::Progress;
use common::step::StepKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use tests::peers::loop_disk::LoopDisk;
use tests::{peers, workspace};

/// Size of the disk, bytes.
const SIZE: u64 = 2 << 30;
/// Partitions, each with a file system.
const PARTS: usize = 3;
/// Each is measured so often; the quickest counts.
const ROUNDS: usize = 3;

/// Seconds of both.
#[derive(Serialize, Deserialize)]
pub struct Both {
    ours: f64,
    theirs: f64,
}

/// What one measured process says.
#[derive(Serialize, Deserialize)]
struct Took {
    seconds: f64,
}

/// The rows.
pub fn rows(dir: &Path) -> Vec<Row> {
    peers::require_sandbox();
    let Both { ours, theirs } = enter("erase", dir);
    vec![Row {
        what: format!("agent: erase_devices_metadata, {PARTS} file systems"),
        figure: format!("{:.1} ms", ours * 1000.0),
        beside: format!("ironic-python-agent {:.1} ms, {:.0} times", theirs * 1000.0, theirs / ours),
    }]
}

/// In the sandbox: `DEVICE`.
pub fn ours(args: &[String]) -> ! {
    let [device] = args else { panic!("DEVICE") };
    let context = StepContext {
        node: Map::new(),
        ports: Vec::new(),
        progress: Progress::default(),
        rules: Facts::new(&Config::default(), vec![device.into()]).rules(),
        evidence: Default::default(),
    };
    let step =
        serde_json::from_value(json!({"step": "erase_devices_metadata", "interface": "deploy"})).expect("a step");
    let begun = Instant::now();
    execute(StepKind::Clean, &step, &context).unwrap_or_else(|error| panic!("{error}"));
    print(&Took { seconds: begun.elapsed().as_secs_f64() })
}

/// In the network of the measurement.
pub fn inside(dir: &Path) -> Both {
    let disk = LoopDisk::new(dir, "erase-disk", SIZE);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let run = |address: &str, command: &[String]| {
        let round = || {
            fill(&disk);
            let took: Took = sandboxed(dir, &disk, address, command);
            assert!(disk.dirt().is_empty(), "{command:?} left {:?}", disk.dirt());
            took.seconds
        };
        (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
    };
    let ours = run("172.22.0.71", &[text(&me()), "--erase-metadata".into(), text(&disk.device)]);
    let script = workspace::root().join("tests/fixtures/peers/erase_metadata.py");
    let theirs = run("172.22.0.72", &[text(&peers::venv().join("bin/python")), text(&script)]);
    Both { ours, theirs }
}

/// As an installed system leaves a disk.
fn fill(disk: &LoopDisk) {
    let run = |command: &mut Command| {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let mut table = Command::new("sgdisk");
    (1..=PARTS).for_each(|number| {
        table.args(["-n", &format!("{number}:0:{}", if number < PARTS { "+512M" } else { "0" })]);
    });
    run(table.arg(&disk.device));
    let first = 1_u64 << 20;
    for number in 0..PARTS as u64 {
        let mut make = Command::new("mke2fs");
        make.args(["-q", "-F", "-t", "ext4", "-E"]).arg(format!("offset={}", first + number * (512 << 20)));
        run(make.arg(&disk.device).arg("400m"));
    }
    assert!(!disk.dirt().is_empty(), "the disk does not look used");
}
