//! `agent serve` as a process: its exit codes, its end on SIGTERM, and what its log must not say.

mod process;

use process::{PATIENCE, UUID, api_of, ask, callback, command, end, first_beat, serve_with};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command};
use std::sync::mpsc::Receiver;
use std::time::Duration;

const TOKEN: &str = "pY6m0c1o4v5b2hQf0m6mC6x0Q4T6bV8yqk1nJm3sR2E";

/// A stub API that hands out `token`.
fn api(token: &str) -> (String, Receiver<(String, String)>) {
    let config = format!(r#"{{"heartbeat_timeout": 300, "agent_token": "{token}"}}"#);
    api_of(format!(r#"{{"node": {{"uuid": "{UUID}"}}, "config": {config}}}"#))
}

/// `agent serve` with this configuration.
fn serve(api_url: &str, config: &str) -> (Child, tempfile::TempDir) {
    serve_with(api_url, config, &[])
}

/// Requests that are logged: taken, refused, redirected.
fn ask_with_token(base: &str) {
    for (path, status) in [("/v1/commands/", 200), ("/v1/commands", 200), ("/nowhere", 404), ("/v1/commands/x", 404)] {
        assert_eq!(ask(base, TOKEN, path).0, status, "{path}");
    }
}

#[test]
fn it_beats_ends_on_sigterm_and_its_log_never_tells_the_token() {
    let (url, told) = api(TOKEN);
    let (child, _dir) = serve(&url, "");
    let beat = first_beat(&told);
    assert!(beat.contains(TOKEN) && beat.contains(r#""callback_url":"https://127.0.0.1:"#), "{beat}");
    assert!(beat.contains("BEGIN CERTIFICATE"), "{beat}");
    ask_with_token(&callback(&beat));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::SIGTERM).unwrap();
    let (code, log) = end(child, Duration::from_secs(10));
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("told to stop") && log.contains(UUID) && log.contains("path=\"/v1/commands/\""), "{log}");
    assert!(!log.contains(TOKEN), "{log}");
}

const RESCUE: &str =
    r#"{"name": "rescue.finalize_rescue", "params": {"rescue_password": "$5$salt$hash", "hashed": true}}"#;

#[test]
fn after_a_rescue_it_answers_ends_and_never_serves_again() {
    let (url, told) = api(TOKEN);
    let etc = tempfile::tempdir().unwrap();
    std::fs::create_dir(etc.path().join("ipa-rescue-config")).unwrap();
    let flags = ["--etc", etc.path().to_str().unwrap()];
    let (child, _dir) = serve_with(&url, "", &flags);
    let base = callback(&first_beat(&told));
    let (status, body) = command(&base, TOKEN, RESCUE.into());
    assert!(status == 200 && body.contains(r#""command_status":"SUCCEEDED""#), "{status} {body}");
    let (code, log) = end(child, Duration::from_secs(10));
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("$5$salt$hash") && !log.contains(TOKEN), "{log}");
    let hash = std::fs::read_to_string(etc.path().join("ipa-rescue-config/ipa-rescue-password")).unwrap();
    assert_eq!(hash, "$5$salt$hash");

    while told.try_recv().is_ok() {}
    let (mut child, _dir) = serve_with(&url, "", &flags);
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("never serves")), "no word about the rescue");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(told.try_recv().is_err(), "it asked the API for its node");
}

#[test]
fn locked_down_it_is_there_and_reachable_by_nobody() {
    let (url, told) = api(TOKEN);
    let calls = tempfile::tempdir().unwrap();
    let program = calls.path().join("power");
    std::fs::write(&program, format!("#!/bin/sh\necho \"$@\" > {}/calls\n", calls.path().display())).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (mut child, _dir) = serve_with(&url, "", &["--power-program", program.to_str().unwrap()]);
    let base = callback(&first_beat(&told));
    let (status, body) = command(&base, TOKEN, r#"{"name": "system.lockdown", "params": {}}"#.into());
    assert!(status == 200 && body.contains(r#""command_status":"SUCCEEDED""#), "{status} {body}");
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("locked down")), "no word about the lockdown");
    assert_eq!(std::fs::read_to_string(calls.path().join("calls")).unwrap(), "lockdown\n");
    assert!(TcpStream::connect(base.strip_prefix("https://").unwrap()).is_err(), "it still listens");
    assert_eq!(child.try_wait().unwrap(), None, "it must not end: whoever watches it would start it again");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn without_the_token_it_never_serves_and_says_why() {
    let (url, told) = api("******");
    // One of the two answers; both have a password in them.
    let urls = format!("http://me:geheim@127.0.0.1:1,{}", url.replace("http://", "http://me:geheim@"));
    let (child, _dir) = serve(&urls, "");
    let (code, log) = end(child, PATIENCE);
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("api=http://******@127.0.0.1:1,") && !log.contains("geheim"), "{log}");
    assert!(log.contains("given this node's token away before"), "{log}");
    assert!(told.try_iter().all(|(line, _)| line.starts_with("GET ")), "no heartbeat");
}

#[test]
fn a_wrong_configuration_is_one_sentence() {
    for (config, words) in [
        ("api_url = gopher://192.0.2.1", "is not an http or https URL"),
        ("inspection_callback_url = ftp://x", "is not an http or https URL"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.conf"), format!("[DEFAULT]\n{config}\n")).unwrap();
        let done =
            Command::new(env!("CARGO_BIN_EXE_agent")).args(["serve", "--config-dir"]).arg(dir.path()).output().unwrap();
        let text = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.code() == Some(1) && text.contains(words), "{text}");
    }
    let nowhere =
        Command::new(env!("CARGO_BIN_EXE_agent")).args(["serve", "--config-dir", "/nonexistent-dir"]).output().unwrap();
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("configuration /nonexistent-dir: No such file"));
}
