//! Ten thousand connections on which nothing happens: everybody else is served as fast as before, and they cost little.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};
use tests::sim::process::Process;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CROWD: usize = 10_000;
/// Of the idle client's own making, and of two more tests in this process.
const SPARE: u64 = 2_000;
/// What one idle connection may cost the conductor, bytes.
const EACH: u64 = 24 * 1024;
const REQUESTS: usize = 200;

/// Memory of a process, bytes: what it has (`VmRSS:`) or had at its peak (`VmHWM:`).
pub fn memory(pid: u32, which: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(which)).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Times of requests, each on a connection of its own; the 99th of a hundred.
async fn slowest(address: &str) -> Duration {
    let mut times = Vec::new();
    for _ in 0..REQUESTS {
        let begin = Instant::now();
        let mut stream = TcpStream::connect(address).await.expect("there is room");
        let head = "GET /v1/nodes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("it is read");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        times.push(begin.elapsed());
    }
    times.sort();
    times[times.len() * 99 / 100]
}

/// A conductor of its own, as services are started: with few files, and the right to more.
pub async fn start(folder: &Path) -> (Process, String) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let data = folder.join("data");
    let arguments = ["serve", "--listen", &address, "--data-dir", data.to_str().unwrap()].map(str::to_owned).to_vec();
    let process = Process::new(folder, arguments, Vec::new());
    process.start_with_few_files();
    let begin = Instant::now();
    while TcpStream::connect(&address).await.is_err() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{}", process.log_tail());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (process, address)
}

#[tokio::test]
async fn ten_thousand_idle_connections_harm_nobody() {
    // The conductor raises its own limit; this process holds the other ends.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(hard >= CROWD as u64 + SPARE, "only {hard} files may be open here; raise the hard limit (ulimit -Hn)");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (process, address) = start(folder.path()).await;
    let before = (slowest(&address).await, memory(process.id().unwrap(), "VmRSS:"));
    let mut crowd = Vec::with_capacity(CROWD);
    for number in 0..CROWD {
        let mut stream = TcpStream::connect(&address).await.unwrap_or_else(|error| panic!("{number}: {error}"));
        // Half of them have asked something and keep the connection, the other half says nothing.
        if number % 2 == 0 {
            stream.write_all(b"GET /v1 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
        }
        crowd.push(stream);
    }
    let after = (slowest(&address).await, memory(process.id().unwrap(), "VmRSS:"));
    let cost = after.1.saturating_sub(before.1) / CROWD as u64;
    println!("p99 {:?} alone, {:?} in the crowd; {cost} bytes for each of {CROWD} idle connections", before.0, after.0);
    assert!(after.0 < (before.0 * 5).max(Duration::from_millis(100)), "{:?} instead of {:?}", after.0, before.0);
    assert!(cost < EACH, "{cost} bytes each");
    drop(crowd);
    assert!(process.stop().success(), "{}", process.log_tail());
}
