//! What an installed system would find in memory that this program had: the writable memory of processes is searched from outside
//! for secrets that they were given. That of the test's own child under the agent's allocator, and that of the agent when
//! it asks for the end of the machine.

mod process;

use agent::sys::wiped_memory::WipedMemory;
use process::{PATIENCE, UUID, api_of, ask, callback, command, end, first_beat, serve_with};
use regex::bytes::RegexSet;
use serde_json::{Value, json};
use std::fs;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;

#[global_allocator]
static MEMORY: WipedMemory = WipedMemory;

/// How a secret is handed to the child: each byte changed, so that the order itself is none.
const KEY: u8 = 0x15;
/// What the child is to do, and with what.
const ORDER: &str = "WROUGHT_MEMORY_TEST";

/// Which of `secrets` stand in the writable memory of a process. Not with fewer rights than the process has: then `None`.
fn found(pid: u32, secrets: &[&str]) -> Option<Vec<usize>> {
    let wanted = RegexSet::new(secrets.iter().map(|secret| regex::escape(secret))).unwrap();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let (mut seen, mut searched) = (vec![false; secrets.len()], 0);
    for row in maps.lines() {
        let mut words = row.split_ascii_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        let mut bytes = vec![0; usize::try_from(number(end) - number(start)).unwrap()];
        // Guard pages and the like cannot be read by anybody.
        if memory.read_exact_at(&mut bytes, number(start)).is_ok() {
            searched += bytes.len();
            wanted.matches(&bytes).iter().for_each(|at| seen[at] = true);
        }
    }
    assert!(searched > 100_000, "the heap and the stack were not searched");
    Some((0..secrets.len()).filter(|&at| seen[at]).collect())
}

/// Thirty-two letters that no other program has.
fn secret() -> String {
    (0..32).map(|_| char::from(b'a' + rand::random::<u8>() % 16)).collect()
}

/// A child of this test that was given the secret and did `order`, and waits now; and what it says, which must be kept open.
fn child(order: &str, secret: &str) -> (Child, impl Iterator<Item = String>) {
    let masked: String = secret.bytes().map(|byte| char::from(byte ^ KEY)).collect();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child", "--nocapture"])
        .env(ORDER, format!("{order} {masked}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("did it")), "the child did not do {order}");
    (child, said)
}

/// Started by the others; by itself it does nothing.
#[test]
fn the_child() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let (what, masked) = order.split_once(' ').unwrap();
    let mut secret = String::with_capacity(masked.len());
    secret.extend(masked.bytes().map(|byte| char::from(black_box(byte) ^ KEY)));
    let kept = match what {
        "keep" => Some(secret.clone()),
        "grow" => {
            let mut text = String::new();
            (0..5000).for_each(|_| text.push_str(&secret)); // past the size from which the system maps blocks of their own
            text.truncate(secret.len());
            text.shrink_to_fit();
            black_box(&text);
            None
        }
        "parse" => {
            let text = json!({"node": {"instance_info": {"configdrive": secret, "list": [secret, {"a": secret}]}}});
            let value: Value = serde_json::from_str(&black_box(text).to_string()).unwrap();
            black_box(value.as_object().cloned());
            None
        }
        "large" => {
            let mut drive = vec![0; 64 << 20];
            drive[60 << 20..][..secret.len()].copy_from_slice(secret.as_bytes());
            drive.truncate(black_box(1 << 20));
            drive.shrink_to_fit();
            black_box(&drive);
            None
        }
        other => panic!("{other}"),
    };
    drop(secret);
    println!("did it");
    let _ = std::io::stdin().read(&mut [0]);
    drop(kept);
}

#[test]
fn what_was_given_back_is_not_there_any_more() {
    for (order, remains) in [("keep", true), ("grow", false), ("parse", false), ("large", false)] {
        let secret = secret();
        let (mut child, said) = child(order, &secret);
        let found = found(child.id(), &[&secret]);
        child.stdin.take().unwrap().write_all(b"x").unwrap();
        assert!(child.wait().unwrap().success(), "{:?}", said.collect::<Vec<_>>());
        match found {
            Some(found) => assert_eq!(!found.is_empty(), remains, "{order}"),
            None => println!("skipped: this user may not look into its own processes"),
        }
    }
}

#[test]
fn an_installed_system_finds_no_secret_of_the_agent() {
    let [token, node, drive, file, image] = [(); 5].map(|()| secret() + &secret()[..11]);
    let names = ["token", "node record", "config drive", "injected file", "image server"];
    let secrets = [token.as_str(), &node, &drive, &file, &image];
    let (url, told) = api_of(
        json!({
            "node": {"uuid": UUID, "driver_info": {"ipmi_password": node}, "instance_info": {"configdrive": drive}},
            "config": {"heartbeat_timeout": 300, "agent_token": token},
        })
        .to_string(),
    );
    let folder = tempfile::tempdir().unwrap();
    let (power, gate) = (folder.path().join("power"), folder.path().join("gate"));
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!("#!/bin/sh\necho \"$@\" > {0}/calls\nread line < {0}/gate\n", folder.path().display());
    fs::write(&power, script).unwrap();
    fs::set_permissions(&power, fs::Permissions::from_mode(0o755)).unwrap();
    let config = format!(
        "image_server_auth_strategy = http_basic\nimage_server_user = me\nimage_server_password = {image}\ninject_files_priority = 0"
    );
    let (child, _dir) = serve_with(&url, &config, &["--power-program", power.to_str().unwrap()]);
    let base = callback(&first_beat(&told));
    let record = json!({"uuid": UUID, "driver_info": {"ipmi_password": node}, "instance_info": {"configdrive": drive}});
    let order = |name: &str, params: Value| {
        let (status, said) = command(&base, &token, json!({"name": name, "params": params}).to_string());
        assert_eq!(status, 200, "{said}");
    };
    order("clean.get_clean_steps", json!({"node": record, "ports": []}));
    // Both fail, with what they were given in their hands: there is no disk that they may touch.
    let files = json!([{"path": "/etc/secret", "content": file}]);
    order(
        "deploy.execute_deploy_step",
        json!({"step": {"step": "inject_files", "interface": "deploy", "args": {"files": files}}, "node": record, "ports": []}),
    );
    wait_for_the_last(&base, &token);
    let info = json!({"id": "x", "urls": ["http://127.0.0.1:1/x"], "checksum": "0".repeat(64), "disk_format": "raw"});
    order("standby.prepare_image", json!({"image_info": info, "configdrive": drive}));
    wait_for_the_last(&base, &token);

    let Some(alive) = found(child.id(), &secrets) else {
        println!("skipped: only root may look into the agent's memory");
        end(child, std::time::Duration::ZERO);
        return;
    };
    assert!(alive.contains(&0) && alive.contains(&1), "the search finds what is there: {alive:?}");
    order("standby.power_off", json!({}));
    // Opening it for writing returns when the program, which is the end of the machine here, has opened it for reading.
    let (tell, opened) = channel();
    let gate_path = gate.clone();
    std::thread::spawn(move || tell.send(fs::OpenOptions::new().write(true).open(gate_path)));
    let mut gate = opened.recv_timeout(PATIENCE).expect("the agent ends the machine").unwrap();
    let left: Vec<&str> = found(child.id(), &secrets).unwrap().into_iter().map(|at| names[at]).collect();
    gate.write_all(b"off\n").unwrap();
    let (code, log) = end(child, PATIENCE);
    assert!(left.is_empty(), "at the end of the machine there was still: {left:?}\n{log}");
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(fs::read_to_string(folder.path().join("calls")).unwrap(), "poweroff\n");
}

/// Returns when the newest command has ended.
fn wait_for_the_last(base: &str, token: &str) {
    let (_, list) = ask(base, token, "/v1/commands/");
    let list: Value = serde_json::from_str(&list).unwrap();
    let id = list["commands"].as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned();
    ask(base, token, &format!("/v1/commands/{id}?wait=true"));
}
