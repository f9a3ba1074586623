//! A server as its operator sees it: verbs, states, and what its console shows. Every wait has a limit and a report.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::{Api, ApiError};
use crate::console::Line;
use crate::image_server::ImageServer;
use crate::ipmi_sim::Bmc;
use crate::machine::Machine;

/// Twice what the slowest phase took on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// How often the API is asked for a state.
const LOOK: Duration = Duration::from_millis(150);

/// An image and how it is named in `instance_info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The name at the image server.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Digest that the agent is told.
    pub sha256: String,
    /// `raw` or `qcow2`.
    pub format: String,
    /// Size of the file.
    pub bytes: u64,
}

impl Image {
    /// The same image with a digest that does not fit.
    pub fn with_wrong_checksum(mut self) -> Self {
        self.sha256 = "0".repeat(64);
        self
    }
}

/// An enrolled server.
#[derive(Debug)]
pub struct Node {
    api: Api,
    uuid: String,
    machine: Machine,
    bmc: Bmc,
    images: ImageServer,
    conductor_log: PathBuf,
}

impl Node {
    pub(crate) fn new(
        api: Api,
        uuid: String,
        machine: Machine,
        bmc: Bmc,
        images: ImageServer,
        conductor_log: PathBuf,
    ) -> Self {
        Node { api, uuid, machine, bmc, images, conductor_log }
    }

    /// The node's UUID.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// The server behind it.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Its BMC.
    pub fn bmc(&self) -> &Bmc {
        &self.bmc
    }

    /// The node as the API shows it.
    ///
    /// # Panics
    /// When the API does not answer.
    pub async fn show(&self) -> Value {
        self.api.get(&self.path("")).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// One text of the node; empty when it has none.
    pub async fn text(&self, field: &str) -> String {
        self.show().await[field].as_str().unwrap_or_default().to_owned()
    }

    /// Asks for a move: `manage`, `provide`, `active`, `deleted` …
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn verb(&self, target: &str) {
        self.provision(json!({ "target": target })).await;
    }

    /// Sets a field or replaces it.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn set(&self, path: &str, value: Value) {
        let patch = json!([{ "op": "add", "path": path, "value": value }]);
        self.api.patch(&self.path(""), &patch).await.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Asks for a deployment of an image; the system is to call itself `host`. Returns once it was accepted.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn deploy(&self, image: &Image, host: &str) {
        let info = json!({
            "image_source": image.url, "image_os_hash_algo": "sha256", "image_os_hash_value": image.sha256,
            "image_disk_format": image.format,
        });
        for (key, value) in info.as_object().into_iter().flatten() {
            self.set(&format!("/instance_info/{key}"), value.clone()).await;
        }
        let drive = json!({ "meta_data": { "hostname": host, "name": host, "uuid": self.uuid } });
        self.provision(json!({ "target": "active", "configdrive": drive })).await;
    }

    /// Asks for a move with all its arguments.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn provision(&self, body: Value) {
        let answer = self.api.put(&self.path("/states/provision"), &body).await;
        answer.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Says which arrays the next cleaning is to make.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn raid(&self, target: &Value) {
        let answer = self.api.put(&self.path("/states/raid"), target).await;
        answer.unwrap_or_else(|error| panic!("{error}"));
    }

    /// The lines of the node's timeline.
    ///
    /// # Panics
    /// When the API does not answer.
    pub async fn history(&self) -> String {
        let history = self.api.get(&self.path("/history")).await.unwrap_or_else(|error| panic!("{error}"));
        let lines = history["history"].as_array().cloned().unwrap_or_default();
        lines.iter().filter_map(|line| line["event"].as_str()).collect::<Vec<_>>().join("\n")
    }

    /// The lines of the timeline that tell of an erase, with their proofs.
    ///
    /// # Panics
    /// When the API does not answer.
    pub async fn proofs(&self) -> Vec<Value> {
        let get = async |path: &str| self.api.get(&self.path(path)).await.unwrap_or_else(|error| panic!("{error}"));
        let list = get("/history?detail=True").await;
        let lines = list["history"].as_array().cloned().unwrap_or_default();
        let mut proofs = Vec::new();
        for line in lines.iter().filter(|line| line["event_type"] == "erase") {
            proofs.push(get(&format!("/history/{}", line["uuid"].as_str().unwrap_or_default())).await["proof"].clone());
        }
        proofs
    }

    /// Waits for a provision state.
    ///
    /// # Panics
    /// When it does not come, or another state comes that nothing leads out of by itself; with a report of everything.
    pub async fn reaches(&self, state: &str) {
        let started = Instant::now();
        let mut seen = Vec::new();
        loop {
            match self.api.get(&self.path("")).await {
                Ok(node) => {
                    let now = node["provision_state"].as_str().unwrap_or_default().to_owned();
                    if now == state {
                        return;
                    }
                    let stuck = now.ends_with("failed") || now == "error";
                    if seen.last() != Some(&now) {
                        seen.push(now);
                    }
                    if stuck && seen.len() > 1 {
                        self.fail(&format!("`{state}` was expected, the node went {}", seen.join(", "))).await;
                    }
                }
                // The conductor may be down: that is some stories' point.
                Err(ApiError::Silent { .. }) => {}
                Err(error) => self.fail(&error.to_string()).await,
            }
            if started.elapsed() > PATIENCE {
                self.fail(&format!("no `{state}` in {} s; the node went {}", PATIENCE.as_secs(), seen.join(", ")))
                    .await;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the console shows a text, from its first line on.
    ///
    /// # Panics
    /// When it does not, with a report.
    pub async fn shows(&self, text: &str) -> Line {
        self.shows_since(0, text).await
    }

    /// Waits until the console shows a text after a mark (see [`crate::console::Console::mark`]).
    ///
    /// # Panics
    /// When it does not, with a report.
    pub async fn shows_since(&self, mark: usize, text: &str) -> Line {
        match self.machine.console().find(mark, text, PATIENCE).await {
            Some(line) => line,
            None => self.fail(&format!("the console does not show `{text}`")).await,
        }
    }

    /// Ends the story with everything that was seen.
    ///
    /// # Panics
    /// Always.
    pub async fn fail(&self, why: &str) -> ! {
        panic!("{why}\n{}", self.report().await)
    }

    /// Node, history, console, BMC, image server, conductor.
    pub async fn report(&self) -> String {
        let node = self.api.get(&self.path("")).await.unwrap_or_default();
        let fields = ["provision_state", "power_state", "last_error", "reservation", "clean_step", "deploy_step"];
        let summary: Vec<String> = fields.iter().map(|field| format!("  {field}: {}", node[*field])).collect();
        let history = self.api.get(&self.path("/history")).await.unwrap_or_default();
        let events = history["history"].as_array().cloned().unwrap_or_default();
        let events: Vec<String> = events.iter().map(|event| format!("  {event}")).collect();
        let log = fs::read_to_string(&self.conductor_log).unwrap_or_default();
        let asked = self.bmc.asked();
        format!(
            "--- node {}\n{}\n--- history\n{}\n--- the BMC was asked\n  {}\n--- the image server was asked\n{}\n\
             --- console\n{}--- conductor\n{}",
            self.uuid,
            summary.join("\n"),
            last(&events, 30),
            last(&asked, 20),
            self.images.requests().iter().map(|request| format!("  {request:?}\n")).collect::<String>(),
            self.machine.console().tail(60),
            last(&log.lines().map(str::to_owned).collect::<Vec<_>>(), 80),
        )
    }

    fn path(&self, below: &str) -> String {
        format!("/v1/nodes/{}{below}", self.uuid)
    }
}

fn last(lines: &[String], count: usize) -> String {
    lines[lines.len().saturating_sub(count)..].join("\n")
}
