//! The real clients do the same with both servers: every command group of `baremetal`, every resource of openstacksdk, Ansible's
//! modules for bare metal.
//! Their scripts print one JSON line for each thing they did; the lines are compared as the answers to plain requests are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tests::peers::pair::Pair;
use tests::peers::{require_client, venv};
use tests::story::{Stage, story_after};
use tokio::process::Command;

use super::compare;
use super::exchange::Answer;
use super::mask;

#[test]
fn every_command_group_of_baremetal_does_the_same() {
    story_after(require_client, async |stage: Stage| {
        let list = fixture("commands.txt");
        compare_runs(&stage, &["commands.py", "commands.txt"], &list, 240).await;
    });
}

#[test]
fn every_resource_of_openstacksdk_does_the_same() {
    story_after(require_client, async |stage: Stage| {
        let list = fixture("sdk_resources.py");
        compare_runs(&stage, &["sdk_resources.py"], &list, 180).await;
    });
}

#[test]
fn the_calls_of_ansible_modules_and_bifrost_do_the_same() {
    story_after(require_client, async |stage: Stage| {
        let list = fixture("sdk_cloud.py");
        compare_runs(&stage, &["sdk_cloud.py"], &list, 40).await;
    });
}

#[test]
fn ansible_modules_as_they_are_do_the_same() {
    story_after(require_client, async |stage: Stage| {
        let list = fixture("ansible_modules.py");
        compare_runs(&stage, &["ansible_modules.py"], &list, 38).await;
    });
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/peers").join(name)
}

/// Runs the script against both and compares; `list` holds the differences that we accept.
async fn compare_runs(stage: &Stage, words: &[&str], list: &Path, least: usize) {
    let pair = Pair::start(&stage.dir).await;
    let (theirs, ours) = (&pair.ironic.api.base, &pair.ours.api.base);
    let (left, right) = tokio::join!(run(words, theirs, &stage.dir), run(words, ours, &stage.dir));
    let (accepted, rows) = (accepted(list), super::rows());
    let (mut wrong, mut identical, mut listed) = (Vec::new(), 0, 0);
    assert!(left.len() >= least, "only {} things were done", left.len());
    assert_eq!(left.len(), right.len(), "one of the two scripts ended early: {:?} {:?}", left.last(), right.last());
    for (left, right) in left.iter().zip(&right) {
        if let Some(missed) = left["output"]["never done"].as_array() {
            assert!(missed.is_empty(), "the client can do what nobody asked for: {missed:?}");
        }
        let at = left["at"].as_u64().unwrap_or_default();
        let found = compare::differences(&answer(left, theirs), &answer(right, ours));
        let keys: BTreeSet<String> = found.keys().cloned().collect();
        let none = (BTreeSet::new(), String::new());
        let (known, row) = accepted.get(&at).unwrap_or(&none);
        if !row.is_empty() && !rows.contains(row) {
            wrong.push(format!("{at}: docs/differences.md has no line that begins with `| {row} |`"));
        }
        if keys == *known {
            *(if keys.is_empty() { &mut identical } else { &mut listed }) += 1;
            continue;
        }
        let told = found.iter().map(|(key, (left, right))| format!("\n  {key}\n    I {left}\n    W {right}"));
        wrong.push(format!("{at}: listed {known:?}, found {keys:?}{}", told.collect::<String>()));
    }
    println!("{} done, {identical} identical, {listed} with listed differences, {} wrong", left.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the script printed.
async fn run(words: &[&str], base: &str, home: &Path) -> Vec<Value> {
    let output = Command::new(venv().join("bin/python"))
        .arg(fixture(words[0]))
        .arg(base)
        .args(words[1..].iter().map(|name| fixture(name)))
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/bin:/bin")
        .current_dir(home)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the interpreter of the virtual environment");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// A line as an answer: the exit code stands for the status.
fn answer(line: &Value, base: &str) -> Answer {
    let mut body = line.clone();
    let status = line["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
    mask::each_text(&mut body, &|text| mask::hide(text, base, &BTreeMap::new()));
    mask::sort_sets(&mut body);
    Answer { status, headers: BTreeMap::new(), body }
}

/// `differs KEYS : ROW` below a line of the fixture, by the number of that line. In a script it is a comment.
fn accepted(list: &Path) -> BTreeMap<u64, (BTreeSet<String>, String)> {
    let text = fs::read_to_string(list).unwrap_or_else(|error| panic!("{}: {error}", list.display()));
    let (mut found, mut last) = (BTreeMap::new(), 0);
    for (at, line) in (1..).zip(text.lines()) {
        let bare = line.trim().trim_start_matches("# ");
        if let Some((keys, row)) = bare.strip_prefix("differs ").and_then(|rest| rest.split_once(" : ")) {
            let keys = keys.split(", ").map(|key| key.trim().to_owned()).collect();
            found.insert(last, (keys, row.trim().to_owned()));
        } else if !line.starts_with(' ') && !line.trim().is_empty() && !line.starts_with('#') {
            last = at;
        }
    }
    found
}
