//! A real Ironic (API and conductor in one process, SQLite) with as many nodes, where its virtual environment is.

use super::{AGENT, Server, TOKEN, node};
use crate::programs::{Running, answers, free_port, wait_for};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tests::peers::ironic::alone;
use tests::workspace;

/// Copies the one node that was made by its API, so that nothing is missing in a row: ids and what must be unique differ.
const FILL: &str = r#"
import json, sqlite3, sys
path, token, agent = sys.argv[1:4]
db = sqlite3.connect(path, timeout=60)
names = [row[1] for row in db.execute("pragma table_info(nodes)")]
first = dict(zip(names, db.execute("select * from nodes limit 1").fetchone()))
db.execute("delete from nodes")
for number, uuid in enumerate(sys.stdin.read().split()):
    row = dict(first, id=number + 1, uuid=uuid, name=f"bench-{number}", owner=f"project-{number % 10}", provision_state="active" if number % 2 == 0 else "deploy hold")
    if number % 2:
        row["driver_internal_info"] = json.dumps({"agent_secret_token": token, "agent_url": agent, "agent_version": "11.0.0"})
    db.execute(f"insert into nodes ({','.join(names)}) values ({','.join('?' * len(names))})", [row[name] for name in names])
db.commit()
"#;

/// A running Ironic: a process that has children, all of one group.
pub struct Peer {
    process: Running,
    port: u16,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Before its master is reaped: the group's number is still its own.
        let group = nix::unistd::Pid::from_raw(i32::try_from(self.process.0.id()).unwrap_or(i32::MAX));
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
    }
}

impl Server for Peer {
    fn port(&self) -> u16 {
        self.port
    }

    fn processes(&self) -> Vec<u32> {
        group(self.process.0.id())
    }
}

/// The processes of a group (proc(5), stat: the group is the third field after the name's bracket).
fn group(leader: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let belongs = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        rest.split(' ').nth(2) == Some(&leader.to_string())
    };
    pids.filter(belongs).collect()
}

/// The virtual environment of the counterparts, if somebody made it.
fn venv() -> Option<PathBuf> {
    let path = std::env::var_os("PEERS_VENV").map_or_else(|| workspace::root().join(".cache/peers"), PathBuf::from);
    path.join("bin/ironic").is_file().then_some(path)
}

/// Starts one with so many nodes; `None` where it is not installed.
pub fn start(dir: &Path, nodes: usize) -> Option<Peer> {
    let venv = venv()?;
    let port = free_port();
    for folder in ["state", "lock", "httpboot", "tftpboot/master_images", "images", "master_images"] {
        std::fs::create_dir_all(dir.join(folder)).expect("a folder");
    }
    let config = dir.join("ironic.conf");
    std::fs::write(&config, configuration(dir, port)).expect("its configuration");
    let made = Command::new(venv.join("bin/ironic-dbsync"))
        .args(["--config-file".as_ref(), config.as_os_str(), "create_schema".as_ref()])
        .stdin(Stdio::null())
        .output()
        .expect("ironic-dbsync runs");
    assert!(made.status.success(), "ironic-dbsync: {}", String::from_utf8_lossy(&made.stderr));
    let log = std::fs::File::create(dir.join("log")).expect("a log");
    let child = Command::new(venv.join("bin/ironic"))
        .args(["--config-file".as_ref(), config.as_os_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0)
        .spawn()
        .expect("Ironic starts");
    let process = Running(child);
    wait_for(|| answers(port, "/v1"));
    create(port);
    fill(&venv, &dir.join("ironic.sqlite"), nodes);
    Some(Peer { process, port })
}

/// One node by its own API, as rich as ours.
fn create(port: u16) {
    let body =
        serde_json::json!({"driver": "fake-hardware", "deploy_interface": "direct", "resource_class": "baremetal",
        "properties": {"cpus": 64, "memory_mb": 262_144, "local_gb": 960, "cpu_arch": "x86_64",
            "capabilities": "boot_mode:uefi,cpu_vt:true", "root_device": {"wwn": "0x5000c50000000001"}},
        "driver_info": {"ipmi_address": "192.0.2.1", "ipmi_username": "admin", "ipmi_password": "a-password-of-a-bmc",
            "deploy_kernel": "http://192.0.2.1/deploy.kernel", "deploy_ramdisk": "http://192.0.2.1/deploy.initramfs"},
        "extra": {"rack": "r1", "unit": 7}})
        .to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("Ironic listens");
    let head = format!(
        "POST /v1/nodes HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nX-OpenStack-Ironic-API-Version: 1.95\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

fn fill(venv: &Path, database: &Path, nodes: usize) {
    let mut child = Command::new(venv.join("bin/python"))
        .args(["-c", FILL])
        .arg(database)
        .args([TOKEN, AGENT])
        .stdin(Stdio::piped())
        .spawn()
        .expect("python runs");
    let uuids: Vec<String> = (0..nodes).map(|number| node(number).to_string()).collect();
    child.stdin.take().expect("a pipe").write_all(uuids.join("\n").as_bytes()).expect("the list");
    assert!(child.wait().expect("python ends").success(), "Ironic's database was not filled");
}

fn configuration(dir: &Path, port: u16) -> String {
    let (alone, home) = (alone(dir, &format!("http://127.0.0.1:{port}")), dir.display());
    format!(
        "[DEFAULT]
auth_strategy = noauth
host = real-ironic
my_ip = 127.0.0.1
rpc_transport = none
state_path = {home}/state
enabled_hardware_types = fake-hardware
enabled_boot_interfaces = fake
enabled_deploy_interfaces = direct,fake
enabled_inspect_interfaces = no-inspect,fake
enabled_management_interfaces = fake
enabled_power_interfaces = fake
enabled_network_interfaces = noop
enabled_storage_interfaces = noop
default_network_interface = noop
[agent]
require_tls = False
[api]
host_ip = 127.0.0.1
port = {port}
[conductor]
sync_power_state_interval = 0
{alone}"
    )
}
