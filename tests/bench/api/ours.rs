//! Our conductor with a filled store, as users run it.

use super::{AGENT, Server, TOKEN, floor, node};
use crate::programs::{Running, answers, free_port, wait_for};
use common::step::{Step, StepKind};
use conductor::model::fsm::State;
use conductor::model::node::Node;
use conductor::model::plan::STEPS;
use conductor::model::steps;
use conductor::store::Store;
use conductor::store::sqlite::SqliteStore;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tests::workspace;

/// A running conductor.
pub struct Ours {
    process: Running,
    port: u16,
}

impl Server for Ours {
    fn port(&self) -> u16 {
        self.port
    }

    fn processes(&self) -> Vec<u32> {
        vec![self.process.0.id()]
    }
}

/// What the nodes are.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Even ones are active, odd ones hold.
    Mixed,
    /// All wait for a step of their agents, which are at this port.
    Waiting(u16),
}

/// Starts one with so many nodes.
pub fn start(dir: &Path, nodes: usize, kind: Kind) -> Ours {
    std::fs::create_dir_all(dir).expect("a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(fill(dir, nodes, kind));
    drop(runtime);
    // Few agents beat here as often as many would.
    let options =
        "[agent]\nrequire_tls = false\n[api]\nagent_beats_per_minute = 0\n[conductor]\nsync_power_state_interval = 0\n";
    std::fs::write(dir.join("bench.toml"), options).expect("the options");
    let port = free_port();
    let child = Command::new(workspace::program("conductor"))
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--config"])
        .arg(dir.join("bench.toml"))
        .arg("--data-dir")
        .arg(dir)
        // Names that begin with WROUGHT_ are options to it: it gets none of ours.
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(dir.join("log")).expect("a log"))
        .spawn()
        .expect("the conductor starts");
    let process = Running(child);
    wait_for(|| answers(port, "/v1"));
    Ours { process, port }
}

/// Writes nodes as a site of some age has them.
async fn fill(dir: &Path, nodes: usize, kind: Kind) {
    let store = Arc::new(SqliteStore::open(&dir.join("wrought.sqlite"), 100).expect("a store"));
    let work = (0..nodes).map(|number| {
        let store = Arc::clone(&store);
        async move {
            let node = store.create_node(record(number)).await.expect("a node");
            let (lease, mut node) =
                store.lease(node.uuid, "bench", "fill", Duration::from_secs(60)).await.expect("a lease");
            match kind {
                Kind::Mixed if number % 2 == 0 => node.provision_state = State::Active,
                Kind::Mixed => node.provision_state = State::DeployHold,
                Kind::Waiting(agents) => waits(&mut node, agents),
            }
            store.save(&node, &lease, Vec::new()).await.expect("a save");
            store.release(&lease).await.expect("a release");
        }
    });
    futures_util::future::join_all(work).await;
}

/// In the middle of a step that its agent runs.
fn waits(node: &mut Node, agents: u16) {
    let step: Step = serde_json::from_value(json!({"interface": "deploy", "step": "write_image", "priority": 80}))
        .expect("a step of ours");
    node.provision_state = State::DeployWait;
    node.target_provision_state = Some(State::Active);
    node.flow.stage = STEPS.into();
    node.flow.command = Some(floor::COMMAND.into());
    steps::set_list(node, StepKind::Deploy, std::slice::from_ref(&step));
    steps::enter_next(node, StepKind::Deploy);
    let info = [("agent_secret_token", TOKEN.to_owned()), ("agent_version", "11.0.0".to_owned())];
    let url = ("agent_url", floor::url(agents));
    for (key, value) in info.into_iter().chain([url]) {
        node.driver_internal_info.insert(key.into(), json!(value));
    }
}

fn record(number: usize) -> Node {
    let map = |value: Value| value.as_object().cloned().unwrap_or_else(Map::new);
    let mut record = Node::new(node(number), "fake-hardware");
    record.name = Some(format!("bench-{number}"));
    record.resource_class = Some("baremetal".into());
    record.owner = Some(format!("project-{}", number % 10));
    record.properties = map(json!({"cpus": 64, "memory_mb": 262_144, "local_gb": 960, "cpu_arch": "x86_64",
        "capabilities": "boot_mode:uefi,cpu_vt:true", "root_device": {"wwn": format!("0x5000c500{number:08x}")}}))
    .into();
    record.driver_info = map(json!({"ipmi_address": format!("192.0.2.{}", number % 250), "ipmi_username": "admin",
        "ipmi_password": "a-password-of-a-bmc", "deploy_kernel": "http://192.0.2.1/deploy.kernel",
        "deploy_ramdisk": "http://192.0.2.1/deploy.initramfs"}))
    .into();
    record.instance_info = map(json!({"image_source": "http://192.0.2.1/images/system.raw",
        "image_checksum": "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
        "capabilities": {"boot_option": "local"}, "display_name": format!("web-{number}")}))
    .into();
    record.extra = map(json!({"rack": format!("r{}", number / 40), "unit": number % 40}));
    if number % 2 == 1 {
        record.driver_internal_info =
            map(json!({"agent_secret_token": TOKEN, "agent_url": AGENT, "agent_version": "11.0.0"})).into();
    }
    record
}
