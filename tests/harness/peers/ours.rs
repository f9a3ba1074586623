//! Our conductor, as its users start it: program, configuration file, data folder.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::api::Api;
use super::cli::Baremetal;
use super::program::Running;
use crate::{network, workspace};

/// Options may also come from the environment, and this test's is its own.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A start on a busy machine.
const START: Duration = Duration::from_secs(30);

/// A running conductor of ours.
#[derive(Debug)]
pub struct OurConductor {
    /// The process.
    pub process: Running,
    /// Its API.
    pub api: Api,
}

impl OurConductor {
    /// Starts one on the story's bridge; agents are told its address there. Timers are short: stories wait for them.
    ///
    /// # Panics
    /// When it does not answer soon.
    pub async fn start(dir: &Path) -> Self {
        let base = format!("http://{}:6385", network::CONDUCTOR);
        let text = format!(
            r#"auth_strategy = "noauth"
default_resource_class = "baremetal"
[api]
host_ip = "{address}"
public_endpoint = "{base}"
[conductor]
check_provision_state_interval = 1.0
sync_power_state_interval = 0.0
[deploy]
default_boot_mode = "bios"
erase_devices_priority = 0
[inspector]
require_managed_boot = false
[agent]
tls_minimum_version = "1.2"
command_wait_interval = 1.0
post_deploy_get_power_state_retry_interval = 0.5
"#,
            address = network::CONDUCTOR,
        );
        Self::start_configured(dir, &base, &text).await
    }

    /// The same with another configuration; it must serve `base`.
    ///
    /// # Panics
    /// When it does not answer soon.
    pub async fn start_configured(dir: &Path, base: &str, configuration: &str) -> Self {
        let config = dir.join("conductor.toml");
        std::fs::write(&config, configuration).expect("the conductor's configuration");
        let mut command = Command::new(workspace::program("conductor"));
        command.arg("serve").arg("--config").arg(&config).arg("--data-dir").arg(dir.join("conductor"));
        command.env_clear().env("PATH", PATH).env("RUST_LOG", "info,conductor=debug");
        let mut process = Running::start(command, &dir.join("conductor.log"));
        let api = Api::new(base);
        api.answers(START, &mut process).await;
        Self { process, api }
    }

    /// The command line of the real client, pointed here.
    pub fn client(&self) -> Baremetal {
        Baremetal::new(&self.api.base)
    }
}
