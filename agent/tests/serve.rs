//! `agent serve` as a process: its exit codes, its end on SIGTERM, and what its log must not say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const TOKEN: &str = "pY6m0c1o4v5b2hQf0m6mC6x0Q4T6bV8yqk1nJm3sR2E";
const UUID: &str = "6c2c1f4e-0f77-4d33-9b3a-0d8f1a3e5b10";

/// A stub API that hands out `token`; every request line and body goes through the channel.
fn api(token: &'static str) -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let tell = tell.clone();
            std::thread::spawn(move || {
                while let Some((line, body)) = read_request(&stream) {
                    let answer = match line.split(' ').nth(1).unwrap_or_default() {
                        "/" => (200, r#"{"default_version": {"version": "1.115"}}"#.to_owned()),
                        path if path.starts_with("/v1/lookup") => {
                            let config = format!(r#"{{"heartbeat_timeout": 300, "agent_token": "{token}"}}"#);
                            (200, format!(r#"{{"node": {{"uuid": "{UUID}"}}, "config": {config}}}"#))
                        }
                        _ => (202, String::new()),
                    };
                    let _ = tell.send((line, body));
                    let head = format!("HTTP/1.1 {} x\r\nContent-Length: {}\r\n\r\n", answer.0, answer.1.len());
                    if (&stream).write_all((head + &answer.1).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, told)
}

fn read_request(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((line.trim().to_owned(), String::from_utf8(body).unwrap()))
}

fn serve(api_url: &str, config: &str) -> (Child, tempfile::TempDir) {
    serve_with(api_url, config, &[])
}

fn serve_with(api_url: &str, config: &str, flags: &[&str]) -> (Child, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.conf"), format!("[DEFAULT]\ndisk_wait_attempts = 0\n{config}\n")).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_agent"))
        .args(["serve", "--debug", "--listen", "127.0.0.1:0", "--api-url", api_url, "--config-dir"])
        .arg(dir.path())
        .args(flags)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (child, dir)
}

/// Ends the child in any case, and gives its code and its log.
fn end(mut child: Child, patience: Duration) -> (Option<i32>, String) {
    let deadline = Instant::now() + patience;
    let mut status = None;
    while status.is_none() && Instant::now() < deadline {
        status = child.try_wait().unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let _ = child.wait();
    (status.and_then(|status| status.code()), log)
}

/// The body of the first heartbeat.
fn first_beat(told: &Receiver<(String, String)>) -> String {
    loop {
        let (line, body) = told.recv_timeout(PATIENCE).expect("a heartbeat");
        if line.starts_with(&format!("POST /v1/heartbeat/{UUID} ")) {
            return body;
        }
    }
}

/// Where the agent listens, as it told the conductor.
fn callback(beat: &str) -> String {
    beat.split('"').find(|part| part.starts_with("https://")).unwrap().to_owned()
}

/// Posts one command and gives status and body.
fn command(base: &str, body: &'static str) -> (u16, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().tls_certs_only([]).tls_danger_accept_invalid_certs(true).no_proxy();
    let client = builder.build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("{base}/v1/commands/?wait=false&agent_token={TOKEN}");
        let answer = client.post(url).body(body).send().await.expect("an answer before the end");
        (answer.status().as_u16(), answer.text().await.unwrap())
    })
}

/// Requests that are logged: taken, refused, redirected.
fn ask_with_token(base: &str) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().tls_certs_only([]).tls_danger_accept_invalid_certs(true).no_proxy();
    let client = builder.build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for (path, status) in
            [("/v1/commands/", 200), ("/v1/commands", 200), ("/nowhere", 404), ("/v1/commands/x", 404)]
        {
            let asked = client.get(format!("{base}{path}?agent_token={TOKEN}")).send().await.unwrap();
            assert_eq!(asked.status(), status, "{path}");
        }
    });
}

// A machine without a network card makes the agent wait a minute for one; hence the patience.
const PATIENCE: Duration = Duration::from_secs(90);

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
    let (status, body) = command(&base, RESCUE);
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
    let (status, body) = command(&base, r#"{"name": "system.lockdown", "params": {}}"#);
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
