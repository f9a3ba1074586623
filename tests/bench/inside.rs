//! Measurements that need a network of their own, and what runs inside of a sandbox there: this program again, told by its
//! first argument or its environment what it is.

pub mod start;
pub mod write;

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tests::machine::Firmware;
use tests::peers::loop_disk::LoopDisk;
use tests::peers::sandbox::{self, Boot, Containers};
use tests::{network, world};

/// Set for the process that lives in namespaces of its own: part and folder.
const MARK: &str = "BENCH_INSIDE";
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(300);
/// Before the line that a measured program ends with.
const RESULT: &str = "RESULT ";

/// In one of the inner processes: does its work and ends. Elsewhere: nothing.
pub fn take_part() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("--write-image") => write::ours(&args[1..]),
        Some("--erase-metadata") => crate::erase::ours(&args[1..]),
        Some("--start") => start::measure(&args[1..]),
        _ => {}
    }
    let Ok(mark) = std::env::var(MARK) else { return };
    let (part, dir) = mark.split_once(' ').expect("part and folder");
    network::bring_up();
    // Of this namespace only: what Debian ships. Others pace what they send, and then a pause of theirs is what is measured.
    let _ = std::fs::write("/proc/sys/net/ipv4/tcp_congestion_control", "cubic");
    match part {
        "images" => answer(Path::new(dir), &crate::images::inside(Path::new(dir))),
        "erase" => answer(Path::new(dir), &crate::erase::inside(Path::new(dir))),
        _ => answer(Path::new(dir), &start::inside(Path::new(dir))),
    }
    std::process::exit(0);
}

fn answer(dir: &Path, value: &impl Serialize) {
    let text = serde_json::to_string(value).expect("figures");
    std::fs::write(dir.join("inside.json"), text).expect("the bench's folder can be written");
}

/// Runs `part` in a network of its own and returns what it measured.
pub fn enter<T: DeserializeOwned>(part: &str, dir: &Path) -> T {
    let me = std::env::current_exe().expect("the path of this program");
    let mark = format!("{part} {}", dir.display());
    let status =
        world::command(me).env(MARK, mark).stdin(Stdio::null()).status().expect("unshare (package util-linux)");
    assert!(status.success(), "the part `{part}` could not be measured");
    let text = std::fs::read_to_string(dir.join("inside.json")).expect("the result");
    serde_json::from_str(&text).expect("the result")
}

/// Runs a program in the sandbox of the real agent, with one disk, and returns the figures it prints last.
pub fn sandboxed<T: DeserializeOwned>(dir: &Path, disk: &LoopDisk, address: &str, command: &[String]) -> T {
    let mac = "52:54:00:be:00:01";
    let firmware = Firmware::Bios;
    let containers = Containers::Noted;
    let mut running =
        sandbox::start(&Boot { folder: dir, disks: &[disk], mac, address, firmware, containers, command });
    let begun = Instant::now();
    while running.runs() {
        assert!(begun.elapsed() < PATIENCE, "{command:?} does not end:\n{}", running.said());
        std::thread::sleep(Duration::from_millis(50));
    }
    let said = running.said();
    let line = said.lines().rev().find_map(|line| line.strip_prefix(RESULT));
    let line = line.unwrap_or_else(|| panic!("{command:?} says no result:\n{said}"));
    serde_json::from_str(line).expect("figures")
}

/// Prints the figures for [`sandboxed`], and ends.
pub fn print(value: &impl Serialize) -> ! {
    println!("{RESULT}{}", serde_json::to_string(value).expect("figures"));
    std::process::exit(0);
}

/// This program.
pub fn me() -> PathBuf {
    std::env::current_exe().expect("the path of this program")
}
