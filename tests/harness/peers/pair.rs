//! The real Ironic and our conductor side by side, set up alike: what one answers, the other should.

use std::path::Path;

use super::ironic::{self, Ironic};
use super::ours::OurConductor;
use crate::network;

/// Both call themselves so: names of conductors are in answers.
pub const HOST: &str = "peer";

/// What both let nodes use: kind of interface, names.
const INTERFACES: &[(&str, &[&str])] = &[
    ("bios", &["no-bios", "fake"]),
    ("boot", &["ipxe", "fake"]),
    ("console", &["no-console", "fake", "fake-graphical"]),
    ("deploy", &["autodetect", "direct", "ramdisk", "bootc", "fake"]),
    ("firmware", &["no-firmware", "fake"]),
    ("inspect", &["agent", "no-inspect", "fake"]),
    ("management", &["ipmitool", "noop", "fake"]),
    ("network", &["noop"]),
    ("power", &["ipmitool", "fake"]),
    ("raid", &["no-raid", "fake"]),
    ("rescue", &["no-rescue", "fake"]),
    ("storage", &["noop", "fake"]),
    ("vendor", &["no-vendor", "fake"]),
];

/// Hardware types that both let nodes use.
const HARDWARE: &[&str] = &["fake-hardware", "ipmi", "manual-management"];

/// Both, answering.
#[derive(Debug)]
pub struct Pair {
    /// Theirs.
    pub ironic: Ironic,
    /// Ours.
    pub ours: OurConductor,
}

impl Pair {
    /// Starts both on the story's bridge.
    ///
    /// # Panics
    /// When one of them does not answer soon.
    pub async fn start(dir: &Path) -> Self {
        Self::start_with(dir, ("", "", "")).await
    }

    /// The same with more: sections of theirs, sections of ours, lines of our section `[api]`.
    ///
    /// # Panics
    /// When one of them does not answer soon.
    pub async fn start_with(dir: &Path, (more, our_more, our_api): (&str, &str, &str)) -> Self {
        let (theirs, base) = (address(6385), address(6386));
        let text = ours(&base).replacen("[api]\n", &format!("[api]\n{our_api}"), 1) + our_more;
        let (ironic, ours) = tokio::join!(
            Ironic::start_configured(dir, &theirs, |home| reference(home, &theirs) + more),
            OurConductor::start_configured(dir, &base, &text)
        );
        Self { ironic, ours }
    }
}

fn address(port: u16) -> String {
    format!("http://{}:{port}", network::CONDUCTOR)
}

fn ours(base: &str) -> String {
    let interfaces: String =
        INTERFACES.iter().map(|(kind, names)| format!("enabled_{kind}_interfaces = {names:?}\n")).collect();
    format!(
        r#"auth_strategy = "noauth"
host = "{HOST}"
enabled_hardware_types = {HARDWARE:?}
default_storage_interface = "noop"
{interfaces}
[api]
host_ip = "{address}"
port = 6386
public_endpoint = "{base}"
[conductor]
check_provision_state_interval = 1.0
sync_power_state_interval = 0.0
[deploy]
default_boot_mode = "uefi"
erase_devices_priority = 0
[inspector]
require_managed_boot = false
[vnc]
public_url = "http://192.0.2.9/vnc_auto.html"
"#,
        address = network::CONDUCTOR
    )
}

fn reference(home: &Path, base: &str) -> String {
    let interfaces: String =
        INTERFACES.iter().map(|(kind, names)| format!("enabled_{kind}_interfaces = {}\n", names.join(","))).collect();
    let (address, hardware) = (network::CONDUCTOR, HARDWARE.join(","));
    let (alone, home) = (ironic::alone(home, base), home.display());
    format!(
        "[DEFAULT]
auth_strategy = noauth
host = {HOST}
my_ip = {address}
rpc_transport = none
state_path = {home}/state
enabled_hardware_types = {hardware}
{interfaces}
default_network_interface = noop
default_storage_interface = noop
[api]
host_ip = {address}
port = 6385
public_endpoint = {base}
[conductor]
automated_clean = True
sync_power_state_interval = 0
node_locked_retry_attempts = 3
[deploy]
erase_devices_priority = 0
[vnc]
public_url = http://192.0.2.9/vnc_auto.html
{alone}"
    )
}
