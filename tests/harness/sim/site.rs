//! A site: one conductor process with its data folder, fast timers, and simulated machines.

use super::api::Api;
use super::machine::{PASSWORD, SimMachine, USER, lock};
use super::node::Node;
use super::ports;
use super::process::Process;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::AbortHandle;
use toml::{Table, Value};

/// A conductor must answer so long after its start.
const START: Duration = Duration::from_secs(30);

/// Timers of a site: everything that people wait for in seconds comes in tenths.
const FAST: &str = r#"
host = "site"
[api]
ramdisk_heartbeat_timeout = 5
[conductor]
check_provision_state_interval = 0.1
sync_power_state_interval = 0
power_failure_recovery_interval = 0
node_locked_retry_interval = 0.2
power_state_change_timeout = 10.0
bmc_patience = 60.0
lease_time = 10.0
[agent]
heartbeat_min_gap = 0.05
command_timeout = 3.0
command_wait_interval = 0.2
post_deploy_get_power_state_retry_interval = 0.2
post_deploy_get_power_state_retries = 15
[ipmi]
command_retry_timeout = 2.5
poll_interval = 0.1
"#;

/// A site that is being described.
pub struct SiteBuilder {
    options: Table,
    environment: Vec<(String, PathBuf)>,
    folder: TempDir,
}

impl SiteBuilder {
    /// Sets an option; `section` is empty for the top level.
    #[must_use]
    pub fn set(mut self, section: &str, name: &str, value: impl Into<Value>) -> Self {
        let table = if section.is_empty() {
            &mut self.options
        } else {
            let entry = self.options.entry(section).or_insert_with(|| Value::Table(Table::new()));
            entry.as_table_mut().expect("a section is a table")
        };
        table.insert(name.into(), value.into());
        self
    }

    /// The conductor kills itself before each kind of save, twice (`claim::crash_point`), and is started again each time.
    #[must_use]
    pub fn that_dies_at_every_save(mut self) -> Self {
        let file = self.folder.path().join("crashes");
        self.environment.push(("WROUGHT_CRASH_FILE".into(), file));
        self
    }

    /// Starts the conductor and waits until it answers.
    ///
    /// # Panics
    /// When it does not, with its log.
    pub async fn start(mut self) -> Site {
        let (api, boot) = (ports::free(), ports::free());
        let data = self.folder.path().join("data");
        for (name, text) in [("deploy_kernel", "a kernel"), ("deploy_ramdisk", "a ramdisk")] {
            let path = self.folder.path().join(name);
            std::fs::write(&path, text).expect("our own folder");
            self = self.set("deploy", name, path.display().to_string());
        }
        self = self.set("boot", "provisioning_address", "127.0.0.1").set("boot", "http_port", i64::from(boot));
        let config = self.folder.path().join("conductor.toml");
        std::fs::write(&config, toml::to_string(&self.options).expect("TOML")).expect("our own folder");
        let listen = format!("127.0.0.1:{api}");
        let arguments = ["serve", "--config", &path(&config), "--listen", &listen, "--data-dir", &path(&data)];
        let arguments = arguments.map(str::to_owned).to_vec();
        let http = Api::client();
        let revives = !self.environment.is_empty();
        let process = Process::new(self.folder.path(), arguments, self.environment);
        let site = Site(Arc::new(Inner {
            process,
            api: Api::new(format!("http://{listen}"), http.clone()),
            boot_server: format!("http://127.0.0.1:{boot}"),
            http,
            reviver: Mutex::default(),
            folder: self.folder,
        }));
        site.start_again().await;
        if revives {
            site.revives_it();
        }
        site
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// A running site. Clones are the same one; the last one ends it.
#[derive(Clone)]
pub struct Site(Arc<Inner>);

struct Inner {
    process: Process,
    api: Api,
    boot_server: String,
    http: reqwest::Client,
    reviver: Mutex<Option<AbortHandle>>,
    folder: TempDir,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(reviver) = lock(&self.reviver).take() {
            reviver.abort();
        }
        if std::thread::panicking() && std::env::var_os("KEEP_SITE").is_some() {
            self.folder.disable_cleanup(true);
            eprintln!("kept: {}", self.folder.path().display());
        }
    }
}

impl Site {
    /// With fast timers and nothing else.
    pub async fn start() -> Site {
        Site::with().start().await
    }

    /// To be described.
    ///
    /// # Panics
    /// When there is no temporary folder.
    pub fn with() -> SiteBuilder {
        SiteBuilder {
            options: FAST.parse().expect("TOML"),
            environment: Vec::new(),
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// The API's client.
    pub fn api(&self) -> &Api {
        &self.0.api
    }

    /// Where the conductor keeps its files.
    pub fn data_dir(&self) -> PathBuf {
        self.0.folder.path().join("data")
    }

    /// Where and how often the conductor killed itself since the last call; it begins to count anew.
    ///
    /// # Panics
    /// When it never did.
    pub fn take_deaths(&self) -> BTreeMap<String, usize> {
        let file = self.0.folder.path().join("crashes");
        let text = std::fs::read_to_string(&file).expect("the list of deaths");
        std::fs::write(&file, "").expect("our own folder");
        let mut deaths = BTreeMap::new();
        text.lines().for_each(|line| *deaths.entry(line.to_owned()).or_default() += 1);
        deaths
    }

    /// The conductor's log.
    pub fn log(&self) -> String {
        self.0.process.log()
    }

    /// The end of it.
    pub fn log_tail(&self) -> String {
        self.0.process.log_tail()
    }

    /// How often the conductor was started.
    pub fn starts(&self) -> u32 {
        self.0.process.starts()
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.0.process.kill();
    }

    /// SIGTERM, and the end.
    pub fn stop(&self) -> std::process::ExitStatus {
        self.0.process.stop()
    }

    /// Starts the conductor that was killed, and waits until it answers.
    ///
    /// # Panics
    /// When it does not, with its log.
    pub async fn start_again(&self) {
        self.0.process.start();
        let begun = Instant::now();
        while self.api().get("/").await.status != 200 {
            assert!(begun.elapsed() < START, "the conductor does not answer:\n{}", self.log_tail());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn revives_it(&self) {
        // Weak: a site that only its reviver knows is over.
        let weak = Arc::downgrade(&self.0);
        let task = tokio::spawn(async move {
            while let Some(inner) = weak.upgrade() {
                if inner.process.has_died() {
                    inner.process.start();
                }
                drop(inner);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        *lock(&self.0.reviver) = Some(task.abort_handle());
    }

    /// Whether machines get a boot script for this NIC (and not the one for strangers).
    pub async fn has_boot_entry(&self, mac: &str) -> bool {
        let url = format!("{}/boot/mac/{mac}", self.0.boot_server);
        let answer = self.0.http.get(url).send().await.expect("the boot server answers");
        answer.text().await.expect("a script").contains("kernel ")
    }

    /// A machine that stands here, off.
    pub async fn machine(&self) -> SimMachine {
        SimMachine::start(self.0.boot_server.clone(), self.0.http.clone()).await
    }

    /// Enrols a new machine: its node and its port. The node is in state enroll.
    pub async fn enroll(&self) -> Node {
        self.enroll_with_password(PASSWORD).await
    }

    /// As [`Site::enroll`], with this password of the BMC.
    pub async fn enroll_with_password(&self, password: &str) -> Node {
        let machine = self.machine().await;
        let node = json!({
            "driver": "ipmi",
            "driver_info": {"ipmi_address": "127.0.0.1", "ipmi_port": machine.bmc().addr.port(),
                "ipmi_username": USER, "ipmi_password": password},
            "properties": {"capabilities": "boot_mode:uefi"},
        });
        let node = self.api().post("/v1/nodes", &node).await.expect(201);
        let uuid = node["uuid"].as_str().expect("a UUID").to_owned();
        let port = json!({"node_uuid": uuid, "address": machine.mac()});
        self.api().post("/v1/ports", &port).await.expect(201);
        Node::new(self.clone(), uuid, machine)
    }

    /// An enrolled machine that was verified.
    pub async fn manageable(&self) -> Node {
        let node = self.enroll().await;
        node.ask("manage").await.expect(202);
        node.reaches("manageable").await;
        node
    }

    /// A machine that is free to be deployed.
    pub async fn available(&self) -> Node {
        let node = self.manageable().await;
        node.ask("provide").await.expect(202);
        node.reaches("available").await;
        node
    }

    /// A machine with an instance.
    pub async fn active(&self) -> Node {
        let node = self.available().await;
        node.deploy("first").await;
        node.reaches("active").await;
        node
    }
}
