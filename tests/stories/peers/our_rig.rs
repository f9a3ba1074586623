//! What the stories of our agent under the real Ironic share: that Ironic, its client, an image server, and machines in the
//! sandbox that boot our agent whenever their node waits for one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::image_server::ImageServer;
use tests::machine::Firmware;
use tests::network;
use tests::peers::api::Api;
use tests::peers::cli::Baremetal;
use tests::peers::emulated::{Breakage, Machine, Spec};
use tests::peers::ironic::Ironic;
use tests::peers::loop_disk::LoopDisk;
use tests::peers::ramdisk::Agent;
use tests::peers::sandbox::Containers;
use tests::story::Stage;

use super::node::enrol;

/// The real conductor looks at a fake power state for half a minute before it believes it.
const PATIENCE: Duration = Duration::from_secs(240);

/// An image that no sandbox fetches: its podman only notes what it was called for.
const CONTAINER: &str = "registry.example/tool:1";

/// Card and address of each machine a story may have.
const PLACES: [(&str, &str); 2] = [("52:54:00:70:00:31", "172.22.0.61"), ("52:54:00:70:00:32", "172.22.0.62")];

/// The real Ironic and what is around it.
pub struct Rig {
    /// Where it happens.
    pub stage: Stage,
    /// Images.
    pub images: ImageServer,
    ironic: Ironic,
}

impl Rig {
    /// Starts it with more sections of configuration.
    pub async fn start(stage: Stage, more: &str) -> Self {
        let images = ImageServer::start(network::CONDUCTOR).await.expect("the image server");
        let ironic = Ironic::start_with(&stage.dir, more).await;
        Self { stage, images, ironic }
    }

    /// Machine number `number` with disks of these sizes, soiled, and its node, *manageable*.
    pub async fn server(&self, number: usize, firmware: Firmware, disks: &[u64]) -> Server {
        self.server_with(Containers::Noted, number, firmware, disks).await
    }

    /// The same with a choice of what runs containers in its ramdisk.
    pub async fn server_with(
        &self,
        containers: Containers,
        number: usize,
        firmware: Firmware,
        disks: &[u64],
    ) -> Server {
        let (mac, address) = PLACES[number];
        let name = format!("heron-{number}");
        let dir = self.stage.dir.join(&name);
        std::fs::create_dir_all(&dir).expect("a folder for the machine");
        let disks = disks.iter().enumerate().map(|(at, bytes)| {
            let disk = LoopDisk::new(&dir, &format!("disk{at}.raw"), *bytes);
            disk.soil();
            disk
        });
        let disks = disks.collect();
        let baremetal = self.ironic.client();
        let node = enrol(&baremetal, &name, mac, "noop");
        let mode = if firmware == Firmware::Uefi { "uefi" } else { "bios" };
        let capabilities = format!("capabilities=boot_mode:{mode}");
        let interfaces = ["--raid-interface", "agent", "--rescue-interface", "agent"];
        baremetal.run(&[&["node", "set", &node, "--property", &capabilities][..], &interfaces].concat());
        let spec = Spec { dir, agent: Agent::Ours, mac, address, firmware, containers, disks };
        let api = self.ironic.api.clone();
        let machine = Machine::plug_in(spec, &api, &node);
        let (log, boots) = (self.ironic.process.log.clone(), AtomicU64::new(0));
        let server = Server { node, machine, baremetal, api, log, boots };
        server.reaches("manageable").await;
        server
    }
}

/// A node and its machine.
pub struct Server {
    /// The node's UUID.
    pub node: String,
    /// The machine.
    pub machine: Machine,
    baremetal: Baremetal,
    api: Api,
    log: PathBuf,
    /// Boots before the last order.
    boots: AtomicU64,
}

impl Server {
    /// `baremetal node VERB` for this node.
    pub fn node(&self, verb: &str, rest: &[&str]) {
        self.boots.store(self.machine.boots(), Ordering::Relaxed);
        self.baremetal.run(&[&["node", verb, &self.node][..], rest].concat());
    }

    /// Waits until the node is in this state and nobody works on it.
    pub async fn reaches(&self, state: &str) {
        let said = || {
            let ironic = std::fs::read_to_string(&self.log).unwrap_or_default();
            format!("{ironic}\n{}", self.machine.said())
        };
        tokio::select! {
            () = self.api.reaches(&self.node, state, PATIENCE, said) => {}
            () = self.machine.falls_apart() => panic!("no sandbox for the machine"),
        }
    }

    /// The power goes.
    pub async fn breaks(&self, how: Breakage) {
        self.boots.store(self.machine.boots(), Ordering::Relaxed);
        self.machine.breaks(how).await;
    }

    /// An operator has looked after it.
    pub fn is_mended(&self) {
        self.baremetal.run(&["node", "maintenance", "unset", &self.node]);
    }

    /// Waits until an agent that was booted after the last order, or the last loss of power, has said this.
    pub async fn says(&self, text: &str) {
        let begun = Instant::now();
        let old = self.boots.load(Ordering::Relaxed);
        while self.machine.boots() == old || !self.machine.said().contains(text) {
            assert!(begun.elapsed() < PATIENCE, "the agent does not say `{text}`:\n{}", self.machine.said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The whole node.
    pub async fn show(&self) -> Value {
        self.api.node(&self.node).await
    }

    /// `last_error`.
    pub async fn error(&self) -> String {
        self.show().await["last_error"].as_str().unwrap_or_default().to_owned()
    }

    /// Sets keys of `driver_info`.
    pub fn driver_info(&self, settings: &[(&str, Value)]) {
        self.set("--driver-info", settings);
    }

    /// Sets keys of `instance_info`.
    pub fn instance_info(&self, settings: &[(&str, Value)]) {
        self.set("--instance-info", settings);
    }

    fn set(&self, field: &str, settings: &[(&str, Value)]) {
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let words: Vec<String> = settings.iter().map(|(key, value)| format!("{key}={}", plain(value))).collect();
        let line: Vec<&str> = words.iter().flat_map(|word| [field, word]).collect();
        self.node("set", &line);
    }

    /// Orders an image of this format, by its digest, as a partition image or a whole disk.
    pub fn image(&self, (file, sum): &(PathBuf, String), images: &ImageServer, kind: &str) {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let format = if name.ends_with("qcow2") { "qcow2" } else { "raw" };
        self.instance_info(&[
            ("image_source", json!(images.offer(&name, file))),
            ("image_os_hash_algo", json!("sha256")),
            ("image_os_hash_value", json!(sum)),
            ("image_disk_format", json!(format)),
            ("image_type", json!(kind)),
        ]);
    }

    /// Starts cleaning by hand with these steps, `interface.step`; those that run a container get its image.
    pub fn clean(&self, steps: &[&str]) {
        let steps = steps.iter().map(|step| {
            let (interface, step) = step.split_once('.').expect("interface and step");
            let args = if step.contains("container") { json!({"container_url": CONTAINER}) } else { json!({}) };
            json!({"interface": interface, "step": step, "args": args})
        });
        self.node("clean", &["--clean-steps", &steps.collect::<Value>().to_string()]);
    }
}
