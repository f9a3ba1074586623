//! An `agent serve` of a test: the API it finds its node at, its start, its end, and commands for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Its node.
pub const UUID: &str = "6c2c1f4e-0f77-4d33-9b3a-0d8f1a3e5b10";

/// A machine without a network card makes the agent wait a minute for one; hence the patience.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A stub API with this answer to the look-up; every request line and body goes through the channel.
pub fn api_of(found: String) -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (tell, found) = (tell.clone(), found.clone());
            std::thread::spawn(move || {
                while let Some((line, body)) = read_request(&stream) {
                    let answer = match line.split(' ').nth(1).unwrap_or_default() {
                        "/" => (200, r#"{"default_version": {"version": "1.115"}}"#.to_owned()),
                        path if path.starts_with("/v1/lookup") => (200, found.clone()),
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

/// `agent serve` with this configuration and these flags.
pub fn serve_with(api_url: &str, config: &str, flags: &[&str]) -> (Child, tempfile::TempDir) {
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
pub fn end(mut child: Child, patience: Duration) -> (Option<i32>, String) {
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
pub fn first_beat(told: &Receiver<(String, String)>) -> String {
    loop {
        let (line, body) = told.recv_timeout(PATIENCE).expect("a heartbeat");
        if line.starts_with(&format!("POST /v1/heartbeat/{UUID} ")) {
            return body;
        }
    }
}

/// Where the agent listens, as it told the conductor.
pub fn callback(beat: &str) -> String {
    beat.split('"').find(|part| part.starts_with("https://")).unwrap().to_owned()
}

/// Posts one command and gives status and body.
pub fn command(base: &str, token: &str, body: String) -> (u16, String) {
    let url = format!("{base}/v1/commands/?wait=false&agent_token={token}");
    talk(async |client| {
        let answer = client.post(url).body(body).send().await.expect("an answer before the end");
        (answer.status().as_u16(), answer.text().await.unwrap())
    })
}

/// Asks for a page and gives status and body.
pub fn ask(base: &str, token: &str, path: &str) -> (u16, String) {
    let sign = if path.contains('?') { '&' } else { '?' };
    let url = format!("{base}{path}{sign}agent_token={token}");
    talk(async |client| {
        let answer = client.get(url).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.unwrap())
    })
}

fn talk<T>(what: impl AsyncFnOnce(reqwest::Client) -> T) -> T {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().tls_certs_only([]).tls_danger_accept_invalid_certs(true).no_proxy();
    let client = builder.build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(what(client))
}
