//! The real Ironic: API and conductor in one process, nobody to log in to, SQLite.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::api::Api;
use super::cli::Baremetal;
use super::program::Running;
use crate::network;

/// It starts in 2 s when nothing else runs.
const START: Duration = Duration::from_secs(60);
/// Folders it expects.
const FOLDERS: &[&str] =
    &["state", "lock", "httpboot", "tftpboot", "tftpboot/master_images", "images", "master_images"];
/// Services that a standalone Ironic must not look for.
const ABSENT: &[&str] = &["glance", "cinder", "neutron", "nova", "swift"];

/// A running Ironic.
#[derive(Debug)]
pub struct Ironic {
    /// The process.
    pub process: Running,
    /// Its API.
    pub api: Api,
}

impl Ironic {
    /// Starts one on the story's bridge, with its state below `dir`.
    ///
    /// # Panics
    /// When its database cannot be made or it does not answer.
    pub async fn start(dir: &Path) -> Self {
        Self::start_with(dir, "").await
    }

    /// The same with more sections; the last of two values counts.
    ///
    /// # Panics
    /// When its database cannot be made or it does not answer.
    pub async fn start_with(dir: &Path, more: &str) -> Self {
        Self::start_configured(dir, &base(), |home| configuration(home) + more).await
    }

    /// The same with another configuration, made for the folder of its state; it must serve `base`.
    ///
    /// # Panics
    /// When its database cannot be made or it does not answer.
    pub async fn start_configured(dir: &Path, base: &str, configuration: impl FnOnce(&Path) -> String) -> Self {
        let home = dir.join("ironic");
        for folder in FOLDERS {
            fs::create_dir_all(home.join(folder)).expect("a folder for Ironic");
        }
        let config = home.join("ironic.conf");
        fs::write(&config, configuration(&home)).expect("Ironic's configuration");
        // `upgrade` cannot work on an empty SQLite file: its migrations alter constraints.
        let made = Command::new(super::venv().join("bin/ironic-dbsync"))
            .arg("--config-file")
            .arg(&config)
            .arg("create_schema")
            .stdin(Stdio::null())
            .output();
        let made = made.unwrap_or_else(|error| panic!("ironic-dbsync: {error}; run `.ci/setup-peers` again"));
        assert!(made.status.success(), "ironic-dbsync: {}", String::from_utf8_lossy(&made.stderr));
        let mut command = Command::new(super::venv().join("bin/ironic"));
        command.arg("--config-file").arg(&config);
        // Some of its texts list sets: their order is this seed's.
        command.env("PYTHONHASHSEED", "0");
        let mut process = Running::start(command, &home.join("out.log"));
        let api = Api::new(base);
        api.answers(START, &mut process).await;
        Self { process, api }
    }

    /// The client's command line, pointed here.
    pub fn client(&self) -> Baremetal {
        Baremetal::new(&self.api.base)
    }
}

fn base() -> String {
    format!("http://{}:6385", network::CONDUCTOR)
}

/// The part of a configuration that every Ironic here has: its files are below `home`, it is served at `base`, and it looks for
/// no other services.
pub fn alone(home: &Path, base: &str) -> String {
    let home = home.display();
    let absent: String = ABSENT.iter().map(|service| format!("[{service}]\nauth_type = none\n")).collect();
    let address = base.rsplit_once(':').map_or(base, |(address, _port)| address);
    format!(
        "[database]
connection = sqlite:///{home}/ironic.sqlite
[deploy]
http_root = {home}/httpboot
http_url = {address}:8088
[inventory]
data_backend = database
[inspector]
require_managed_boot = False
[dhcp]
dhcp_provider = none
[service_catalog]
auth_type = none
endpoint_override = {base}
[oslo_concurrency]
lock_path = {home}/lock
[pxe]
tftp_root = {home}/tftpboot
tftp_master_path = {home}/tftpboot/master_images
images_path = {home}/images
instance_master_path = {home}/master_images
{absent}"
    )
}

/// Agents must serve TLS and are verified by the certificate they sent, which is Ironic's default.
fn configuration(home: &Path) -> String {
    let (address, base) = (network::CONDUCTOR, base());
    let (alone, home) = (alone(home, &base), home.display());
    format!(
        "[DEFAULT]
auth_strategy = noauth
host = real-ironic
my_ip = {address}
rpc_transport = none
state_path = {home}/state
enabled_hardware_types = fake-hardware
enabled_boot_interfaces = fake
enabled_deploy_interfaces = direct
enabled_inspect_interfaces = agent
enabled_management_interfaces = noop,fake
enabled_power_interfaces = fake
enabled_network_interfaces = noop
enabled_raid_interfaces = no-raid,agent
enabled_rescue_interfaces = no-rescue,agent
enabled_storage_interfaces = noop
default_network_interface = noop
[agent]
post_deploy_get_power_state_retries = 1
post_deploy_get_power_state_retry_interval = 1
[api]
host_ip = {address}
port = 6385
public_endpoint = {base}
[conductor]
automated_clean = True
[deploy]
default_boot_mode = bios
erase_devices_priority = 0
erase_devices_metadata_priority = 10
{alone}"
    )
}
