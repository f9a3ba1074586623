//! Start, memory, inventory and status of an agent, ours and the real one, in the same sandbox.

use crate::Row;
use crate::programs::{mebibytes, pss, wait_for};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tests::peers::loop_disk::LoopDisk;
use tests::{peers, workspace};

const PORT: u16 = 9999;
/// Status requests; the median counts.
const ASKED: usize = 50;
/// After this an agent that serves is idle.
const SETTLE: Duration = Duration::from_secs(3);

/// One agent's figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    start: f64,
    memory: u64,
    status: f64,
    inventory: f64,
}

/// Both agents'.
#[derive(Serialize, Deserialize)]
pub struct Both {
    ours: Figures,
    theirs: Figures,
}

/// In the sandbox: `PROGRAM ARGS -- INVENTORY ARGS`.
pub fn measure(args: &[String]) -> ! {
    let at = args.iter().position(|arg| arg == "--").expect("a second command");
    let (serve, look) = (&args[..at], &args[at + 1..]);
    let quiet = |command: &[String]| {
        let mut started = Command::new(&command[0]);
        started.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        started
    };
    // Once for the page cache: a ramdisk's files are in memory.
    let _ = quiet(look).status();
    let begun = Instant::now();
    let status = quiet(look).status().expect("the inventory runs");
    assert!(status.success(), "{look:?} failed");
    let inventory = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let mut child = quiet(serve).spawn().expect("the agent starts");
    wait_for(|| TcpStream::connect(("127.0.0.1", PORT)).is_ok());
    let start = begun.elapsed().as_secs_f64();
    std::thread::sleep(SETTLE);
    let mut times: Vec<f64> = (0..ASKED).map(|_| ask()).collect();
    times.sort_by(f64::total_cmp);
    let memory = pss(child.id());
    let _ = child.kill();
    let _ = child.wait();
    super::print(&Figures { start, memory, status: times[ASKED / 2], inventory })
}

fn ask() -> f64 {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", PORT)).expect("the agent listens");
    let request = "GET /v1/status HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("the agent reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the agent answers");
    assert!(answer.starts_with("HTTP/1."), "{answer}");
    begun.elapsed().as_secs_f64()
}

/// In the network: both, one after the other.
pub fn inside(dir: &Path) -> Both {
    let disk = LoopDisk::new(dir, "start-disk", 64 << 20);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let config = dir.join("start.d");
    std::fs::create_dir_all(&config).expect("a folder");
    // Nobody to look the node up at: what is timed is their own start.
    let lines =
        "[DEFAULT]\nstandalone = true\nlisten_host = 127.0.0.1\nenable_auto_tls = false\ndisk_wait_attempts = 0\n";
    std::fs::write(config.join("agent.conf"), lines).expect("a file");
    let run = |address: &str, serve: Vec<String>, look: Vec<String>| {
        let mut command = vec![text(&super::me()), "--start".into()];
        command.extend(serve);
        command.push("--".into());
        command.extend(look);
        super::sandboxed(dir, &disk, address, &command)
    };
    let agent = text(&workspace::program("agent"));
    let venv = peers::venv();
    let serve = vec![
        agent.clone(),
        "serve".into(),
        "--listen".into(),
        format!("127.0.0.1:{PORT}"),
        "--config-dir".into(),
        text(&config),
    ];
    let ours = run("172.22.0.51", serve, vec![agent, "inventory".into(), "--format".into(), "json".into()]);
    let real = vec![text(&venv.join("bin/ironic-python-agent")), "--config-dir".into(), text(&config)];
    let look = "from ironic_python_agent import config, hardware\nfrom oslo_config import cfg\n\
                cfg.CONF([], project='ironic-python-agent', default_config_files=[])\nhardware.list_hardware_info()\n";
    let theirs = run("172.22.0.52", real, vec![text(&venv.join("bin/python")), "-c".into(), look.into()]);
    Both { ours, theirs }
}

/// The rows.
pub fn rows(dir: &Path) -> Vec<Row> {
    peers::require_sandbox();
    let Both { ours, theirs } = super::enter("start", dir);
    let times = |what: &str, ours: f64, theirs: f64, target: &str| Row {
        what: format!("agent: {what}"),
        figure: format!("{:.2} ms", ours * 1000.0),
        beside: format!("ironic-python-agent {:.1} ms, {:.0} times{target}", theirs * 1000.0, theirs / ours),
    };
    vec![
        times("cold start to listening, sandboxed", ours.start, theirs.start, "; target 20"),
        Row {
            what: "agent: idle memory (PSS), sandboxed".into(),
            figure: mebibytes(ours.memory),
            beside: format!(
                "ironic-python-agent {}, 1/{:.0}; target 1/10",
                mebibytes(theirs.memory),
                theirs.memory as f64 / ours.memory as f64
            ),
        },
        times("inventory, process start included, sandboxed", ours.inventory, theirs.inventory, ""),
        times("status request, connection included", ours.status, theirs.status, ""),
    ]
}
