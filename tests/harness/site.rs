//! A site: a real conductor with its boot services, an image server, and the servers enrolled with it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::api::Api;
use crate::conductor::Conductor;
use crate::image_server::ImageServer;
use crate::ipmi_sim::{Bmc, PASSWORD, USER};
use crate::machine::{Firmware, Machine, Spec};
use crate::network;
use crate::node::{Image, Node};
use crate::os_image::{Form, OsImage, native_4k, os_image, partition};
use crate::story::Stage;

/// The conductor must answer within this.
const START: Duration = Duration::from_secs(20);

/// The site. What it started ends with it.
pub struct Site {
    /// Where it happens.
    pub stage: Stage,
    /// The conductor's process.
    pub conductor: Conductor,
    /// Its API.
    pub api: Api,
    /// Images, and their faults.
    pub images: ImageServer,
    /// The operating system that is deployed.
    pub os: OsImage,
    machines: AtomicU8,
}

impl Site {
    /// Starts conductor and image server.
    ///
    /// # Panics
    /// When one does not start.
    pub async fn start(stage: Stage) -> Self {
        Site::start_with(stage, &[]).await
    }

    /// The same with other options: `("conductor.deploy_callback_timeout", 60.into())`.
    ///
    /// # Panics
    /// When one does not start.
    pub async fn start_with(stage: Stage, options: &[(&str, toml::Value)]) -> Self {
        let images = ImageServer::start(network::CONDUCTOR).await.expect("the bridge has this address");
        let conductor = Conductor::start(&stage.dir, options);
        let api = Api::new(&conductor.url());
        let site = Site { stage, conductor, api, images, os: os_image(), machines: AtomicU8::new(0) };
        site.answers().await;
        site
    }

    /// Waits until the API answers.
    ///
    /// # Panics
    /// When it does not, with the conductor's log.
    pub async fn answers(&self) {
        let started = Instant::now();
        while self.api.get("/v1").await.is_err() {
            let log = || std::fs::read_to_string(self.conductor.log_file()).unwrap_or_default();
            assert!(!self.conductor.has_died(), "the conductor ended:\n{}", log());
            assert!(started.elapsed() < START, "the conductor does not answer:\n{}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Builds a server with its BMC and enrols it. It is off and has empty disks.
    ///
    /// # Panics
    /// When the API refuses it.
    pub async fn enroll(&self, spec: Spec) -> Node {
        let index = self.machines.fetch_add(1, Ordering::Relaxed);
        let mode = if spec.firmware == Firmware::Uefi { "uefi" } else { "bios" };
        let machine = Machine::build(&self.stage.dir, index, spec, network::tap(index));
        let bmc = Bmc::start(&machine, network::bmc_address(index));
        let node = json!({
            "name": machine.name(),
            "driver": "ipmi",
            "driver_info": {
                "ipmi_address": bmc.address.to_string(), "ipmi_username": USER, "ipmi_password": PASSWORD,
            },
            "properties": { "capabilities": format!("boot_mode:{mode}") },
        });
        let answer = self.api.post("/v1/nodes", &node).await.unwrap_or_else(|error| panic!("{error}"));
        let uuid = answer["uuid"].as_str().expect("a node has a UUID").to_owned();
        let port = json!({ "node_uuid": uuid, "address": machine.mac() });
        self.api.post("/v1/ports", &port).await.unwrap_or_else(|error| panic!("{error}"));
        let log = self.conductor.log_file();
        Node::new(self.api.clone(), uuid, machine, bmc, self.images.clone(), log)
    }

    /// Enrols a server and takes it to *available*: credentials checked, disks cleaned.
    ///
    /// # Panics
    /// When it does not get there.
    pub async fn ready(&self, spec: Spec) -> Node {
        let node = self.enroll(spec).await;
        Self::provided(node).await
    }

    /// The same without cleaning, a boot of the ramdisk less: for stories of something else.
    ///
    /// # Panics
    /// As [`Site::ready`].
    pub async fn ready_uncleaned(&self, spec: Spec) -> Node {
        let node = self.enroll(spec).await;
        node.set("/automated_clean", false.into()).await;
        Self::provided(node).await
    }

    async fn provided(node: Node) -> Node {
        node.verb("manage").await;
        node.reaches("manageable").await;
        node.verb("provide").await;
        node.reaches("available").await;
        node
    }

    /// The raw operating system image.
    pub fn raw(&self) -> Image {
        self.offer("os.raw", &self.os.raw)
    }

    /// The same as qcow2.
    pub fn qcow2(&self) -> Image {
        self.offer("os.qcow2", &self.os.qcow2)
    }

    /// The same, compressed with zstd.
    pub fn zstd(&self) -> Image {
        self.offer("os.raw.zst", &self.os.zstd)
    }

    /// The same, compressed with gzip.
    pub fn gzip(&self) -> Image {
        self.offer("os.raw.gz", &self.os.gzip)
    }

    /// The same for disks with sectors of 4096 bytes.
    pub fn native_4k(&self) -> Image {
        self.offer("os-4k.raw", &native_4k())
    }

    /// Its root file system alone.
    pub fn partition(&self) -> Image {
        self.offer("os-root.raw", &partition())
    }

    fn offer(&self, name: &str, form: &Form) -> Image {
        let format = if name.ends_with("qcow2") { "qcow2" } else { "raw" };
        Image {
            name: name.to_owned(),
            url: self.images.offer(name, &form.path),
            sha256: form.sha256.clone(),
            format: format.to_owned(),
            bytes: form.bytes,
        }
    }
}
