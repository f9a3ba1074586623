//! A machine whose power is fake: it boots the agent in the sandbox when its node begins to wait for one, and is dark
//! when the node is done with it, as a conductor with a real BMC would have it.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::api::Api;
use super::loop_disk::LoopDisk;
use super::ramdisk::{Agent, Purpose};
use super::sandbox::{self, Boot, Containers, Sandbox};
use crate::machine::Firmware;

/// The node waits for an agent.
const WAITS: &[&str] = &["inspect wait", "clean wait", "wait call-back", "rescue wait", "service wait"];
/// An agent that runs may go on.
const WORKS: &[&str] = &["inspecting", "cleaning", "deploying", "rescuing", "rescue", "servicing"];
/// Nothing is asked of the machine; on the fast track its ramdisk may have been left running.
const RESTS: &[&str] = &["manageable", "available"];
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
    /// What it is started by.
    pub firmware: Firmware,
    /// What runs containers in its ramdisk.
    pub containers: Containers,
    /// Its disks; one at least.
    pub disks: Vec<LoopDisk>,
}

/// A machine that follows its node.
#[derive(Debug)]
pub struct Machine {
    /// Its first disk.
    pub disk: Arc<LoopDisk>,
    /// All of them.
    pub disks: Vec<Arc<LoopDisk>>,
    watch: JoinHandle<()>,
    logs: Arc<Mutex<Vec<PathBuf>>>,
    broken: watch::Sender<Option<Breakage>>,
    dir: PathBuf,
}

/// What befalls a machine while its agent works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    /// The power goes, and comes back when the node is done with this.
    Dark,
    /// The power goes and comes back at once.
    Blip,
}

impl Machine {
    /// Connects it to `node` at `api`.
    pub fn plug_in(spec: Spec, api: &Api, node: &str) -> Self {
        let (logs, broken) = (Arc::default(), watch::Sender::new(None));
        let Spec { dir, agent, mac, address, firmware, containers, disks } = spec;
        let disks: Vec<_> = disks.into_iter().map(Arc::new).collect();
        let body = Body {
            dir: dir.clone(),
            agent,
            mac,
            address,
            firmware,
            containers,
            disks: disks.clone(),
            logs: Arc::clone(&logs),
        };
        fs::create_dir_all(sandbox::variables(&dir)).expect("a folder for the machine's variables");
        let watch = tokio::spawn(follow(body, api.clone(), node.to_owned(), broken.clone()));
        Self { disk: Arc::clone(&disks[0]), disks, watch, logs, broken, dir }
    }

    /// Breaks it, and waits until it is.
    ///
    /// # Panics
    /// When nobody looks after it any more.
    pub async fn breaks(&self, how: Breakage) {
        self.broken.send_replace(Some(how));
        let mut heard = self.broken.subscribe();
        heard.wait_for(Option::is_none).await.expect("the machine is plugged in");
    }

    /// The `/etc` of its ramdisk, as far as it outlasts a boot.
    pub fn etc(&self) -> PathBuf {
        sandbox::etc(&self.dir)
    }

    /// The variables of its firmware.
    pub fn variables(&self) -> PathBuf {
        sandbox::variables(&self.dir)
    }

    /// Returns only when nobody looks after it any more: a sandbox could not be built, which was said.
    pub async fn falls_apart(&self) {
        while !self.watch.is_finished() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// How often it booted.
    pub fn boots(&self) -> u64 {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// What the agent of the last boot said.
    pub fn said(&self) -> String {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.last().and_then(|log| fs::read_to_string(log).ok()).unwrap_or_default()
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
    firmware: Firmware,
    containers: Containers,
    disks: Vec<Arc<LoopDisk>>,
    logs: Arc<Mutex<Vec<PathBuf>>>,
}

async fn follow(body: Body, api: Api, node: String, broken: watch::Sender<Option<Breakage>>) {
    let mut running: Option<Sandbox> = None;
    let mut dark = false;
    let mut orders = broken.subscribe();
    loop {
        let order = *orders.borrow_and_update();
        if let Some(how) = order {
            running = None;
            dark = how == Breakage::Dark;
            broken.send_replace(None);
        }
        if let Ok(document) = api.get(&format!("/v1/nodes/{node}")).await {
            let state = document["provision_state"].as_str().unwrap_or_default();
            let waits = WAITS.contains(&state);
            let kept = RESTS.contains(&state) && document["power_state"] == "power on";
            if waits && running.is_none() && !dark {
                running = Some(body.boot(&api, state, document["driver_info"]["fast_track"] == true));
            } else if !waits && !kept && !WORKS.contains(&state) {
                (running, dark) = (None, false);
            }
        }
        let _ = tokio::time::timeout(LOOK, orders.wait_for(Option::is_some)).await;
    }
}

impl Body {
    fn boot(&self, api: &Api, state: &str, fast: bool) -> Sandbox {
        let purpose = match state {
            "inspect wait" if fast => Purpose::InspectionAndSteps,
            "inspect wait" => Purpose::Inspection,
            _ => Purpose::Steps,
        };
        let disks: Vec<&LoopDisk> = self.disks.iter().map(AsRef::as_ref).collect();
        let command = self.agent.command(&self.dir, &api.base, purpose, &disks);
        let started = sandbox::start(&Boot {
            folder: &self.dir,
            disks: &disks,
            mac: self.mac,
            address: self.address,
            firmware: self.firmware,
            containers: self.containers,
            command: &command,
        });
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).push(started.log.clone());
        started
    }
}
