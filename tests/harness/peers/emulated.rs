//! A machine whose power is fake: it boots the agent in the sandbox when its node begins to wait for one, and is dark
//! when the node is done with it, as a conductor with a real BMC would have it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::api::Api;
use super::loop_disk::LoopDisk;
use super::ramdisk::{Agent, Purpose};
use super::sandbox::{self, Boot, Sandbox};

/// The node waits for an agent.
const WAITS: &[&str] = &["inspect wait", "clean wait", "wait call-back"];
/// An agent that runs may go on.
const WORKS: &[&str] = &["inspecting", "cleaning", "deploying"];
/// Between two looks at the node.
const LOOK: Duration = Duration::from_millis(100);

/// What the machine is made of.
#[derive(Debug)]
pub struct Spec {
    /// Folder for logs.
    pub dir: PathBuf,
    /// Whose agent it boots.
    pub agent: Agent,
    /// Its NIC.
    pub mac: &'static str,
    /// Its address on the story's network.
    pub address: &'static str,
    /// Its disk.
    pub disk: LoopDisk,
}

/// A machine that follows its node.
#[derive(Debug)]
pub struct Machine {
    /// Its disk.
    pub disk: Arc<LoopDisk>,
    watch: JoinHandle<()>,
    logs: Arc<Mutex<Vec<PathBuf>>>,
}

impl Machine {
    /// Connects it to `node` at `api`.
    pub fn plug_in(spec: Spec, api: &Api, node: &str) -> Self {
        let logs = Arc::new(Mutex::new(Vec::new()));
        let Spec { dir, agent, mac, address, disk } = spec;
        let disk = Arc::new(disk);
        let body = Body { dir, agent, mac, address, disk: Arc::clone(&disk), logs: Arc::clone(&logs) };
        let watch = tokio::spawn(follow(body, api.clone(), node.to_owned()));
        Self { disk, watch, logs }
    }

    /// How often it booted.
    pub fn boots(&self) -> u64 {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// What the agent of the last boot said.
    pub fn said(&self) -> String {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.last().and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default()
    }

    /// Switches it off for good; the agent has ended when this returns.
    pub async fn unplug(self) -> Arc<LoopDisk> {
        self.watch.abort();
        let _ = self.watch.await;
        self.disk
    }
}

struct Body {
    dir: PathBuf,
    agent: Agent,
    mac: &'static str,
    address: &'static str,
    disk: Arc<LoopDisk>,
    logs: Arc<Mutex<Vec<PathBuf>>>,
}

async fn follow(body: Body, api: Api, node: String) {
    let mut running: Option<Sandbox> = None;
    loop {
        if let Ok(document) = api.get(&format!("/v1/nodes/{node}")).await {
            let state = document["provision_state"].as_str().unwrap_or_default();
            let waits = WAITS.contains(&state);
            if waits && running.is_none() {
                running = Some(body.boot(&api, state));
            } else if !waits && !WORKS.contains(&state) {
                running = None;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Body {
    fn boot(&self, api: &Api, state: &str) -> Sandbox {
        let purpose = if state == "inspect wait" { Purpose::Inspection } else { Purpose::Steps };
        let command = self.agent.command(&self.dir, &api.base, purpose, &[&self.disk]);
        let started = sandbox::start(&Boot {
            folder: &self.dir,
            disks: &[&self.disk],
            mac: self.mac,
            address: self.address,
            command: &command,
        });
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).push(started.log.clone());
        started
    }
}
