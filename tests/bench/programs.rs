//! Start, memory and size of the programs as users run them.

use crate::Row;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tests::{ramdisk, workspace};

/// Starts of one program; the median counts.
const STARTS: usize = 7;
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that is killed when it is no longer looked at.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Cold start to the first answer, memory when idle, size.
pub fn conductor(dir: &Path) -> Vec<Row> {
    let program = workspace::program("conductor");
    let mut times = Vec::new();
    let mut memory = 0;
    for number in 0..STARTS {
        let port = free_port();
        let begun = Instant::now();
        let child = Command::new(&program)
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(dir.join(format!("data{number}")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the conductor starts");
        let running = Running(child);
        wait_for(|| answers(port, "/v1/nodes"));
        times.push(begun.elapsed());
        memory = pss(running.0.id());
    }
    vec![
        Row::plain("conductor: cold start to first answer", milliseconds(&mut times)),
        Row::plain("conductor: idle memory (PSS)", mebibytes(memory)),
        Row::plain("conductor: binary", mebibytes(size(&program))),
    ]
}

/// Cold start to listening, memory when idle, inventory, size.
pub fn agent(dir: &Path) -> Vec<Row> {
    let program = workspace::program("agent");
    let empty = dir.join("agent-config");
    std::fs::create_dir_all(&empty).expect("a folder");
    let mut times = Vec::new();
    let mut memory = 0;
    for _ in 0..STARTS {
        let port = free_port();
        let begun = Instant::now();
        // Without an API the agent serves and never looks itself up: what is timed is its own start.
        let child = Command::new(&program)
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--config-dir"])
            .arg(&empty)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the agent starts");
        let running = Running(child);
        wait_for(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        times.push(begun.elapsed());
        memory = pss(running.0.id());
    }
    let mut inventories = Vec::new();
    for _ in 0..STARTS {
        let begun = Instant::now();
        let output = Command::new(&program).args(["inventory", "--format", "json"]).output().expect("the agent runs");
        assert!(output.status.success(), "agent inventory failed");
        inventories.push(begun.elapsed());
    }
    vec![
        Row::plain("agent: cold start to listening", milliseconds(&mut times)),
        Row::plain("agent: idle memory (PSS)", mebibytes(memory)),
        Row::plain("agent: inventory, process start included", milliseconds(&mut inventories)),
        Row::plain("agent: binary", mebibytes(size(&program))),
    ]
}

/// Sizes of what servers boot.
pub fn ramdisk() -> Vec<Row> {
    ramdisk::build();
    let files = ramdisk::ramdisk();
    let (kernel, initramfs) = (size(&files.kernel), size(&files.initramfs));
    let mut both = Row::plain("ramdisk: kernel + initramfs", mebibytes(kernel + initramfs));
    both.beside = format!("kernel {}, initramfs {}; target 40 MB together", mebibytes(kernel), mebibytes(initramfs));
    vec![both]
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |facts| facts.len())
}

/// A port that nobody uses now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Waits until something answers.
pub fn wait_for(mut ready: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !ready() {
        assert!(begun.elapsed() < PATIENCE, "no answer in {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// A GET of `path` is answered with 200.
pub fn answers(port: u16, path: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

/// Proportional set size, bytes (Documentation/filesystems/proc.rst, smaps_rollup).
pub fn pss(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("Pss:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn milliseconds(times: &mut [Duration]) -> String {
    times.sort();
    format!("{:.1} ms", times[times.len() / 2].as_secs_f64() * 1000.0)
}

/// Bytes for people.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
