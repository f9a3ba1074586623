//! The options with their defaults: one long table. Names: ipa-features sections 2 and 3.

use super::container::ContainerRules;
use common::token::Token;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that can be set from outside. Times are what the option's text says, in seconds unless noted.
#[derive(Clone, Debug)]
pub struct Config {
    /// Base URLs of the API, no trailing slash. Empty: no look-up and no heartbeats.
    pub api_urls: Vec<String>,
    /// Token given before the boot (virtual media).
    pub agent_token: Option<Token>,
    /// Sent as `X-OpenStack-Request-ID`.
    pub global_request_id: Option<String>,
    /// Address to listen on; none: all, IPv6 and IPv4.
    pub listen_host: Option<String>,
    /// Port to listen on.
    pub listen_port: u16,
    /// Address to tell the conductor; none: the source address of the route to the API.
    pub advertise_host: Option<String>,
    /// Port to tell the conductor; none: the port listened on.
    pub advertise_port: Option<u16>,
    /// `http` or `https`; becomes `https` with automatic TLS.
    pub advertise_protocol: String,
    /// Rounds of looking for a route to the API.
    pub ip_lookup_attempts: u32,
    /// Pause between those rounds.
    pub ip_lookup_sleep: Duration,
    /// Take the address of this interface instead of asking the routes.
    pub network_interface: Option<String>,
    /// The process ends when look-up has failed for so long.
    pub lookup_timeout: Duration,
    /// Shortest pause between look-ups.
    pub lookup_interval: Duration,
    /// Where inspection data go.
    pub inspection_callback_urls: Vec<String>,
    /// Collectors to run; none: `default` and `logs`.
    pub inspection_collectors: Option<Vec<String>>,
    /// How long to wait for DHCP before inspecting; zero: not at all.
    pub inspection_dhcp_wait: Duration,
    /// Wait for DHCP on every interface instead of the one that booted.
    pub inspection_dhcp_all: bool,
    /// Pause before the hardware is looked at (slow RAID controllers).
    pub hardware_initialization_delay: Duration,
    /// Rounds of waiting for a disk; 0: none.
    pub disk_wait_attempts: u32,
    /// Pause between those rounds.
    pub disk_wait_delay: Duration,
    /// Do not verify HTTPS servers.
    pub insecure: bool,
    /// Lowest TLS version, `1.2` or `1.3`.
    pub tls_min_version: String,
    /// The same for image servers alone; none: as `tls_min_version` is configured. An option of ours.
    pub image_tls_min_version: Option<String>,
    /// Colon list of TLS 1.2 suites.
    pub tls_cipher_suites: Option<String>,
    /// `p256`, `p384`; `p521` is taken as `p384` (our TLS library cannot sign with it).
    pub tls_certificate_curve: String,
    /// Connect and per-read time-out of an image download, seconds.
    pub download_timeout: u64,
    /// Attempts after the first.
    pub download_retries: u32,
    /// Seconds between attempts.
    pub download_retry_interval: u64,
    /// Seconds for a whole download, 0 = no limit.
    pub download_max_duration: u64,
    /// `x.y`: do not ask the API for its version.
    pub ironic_api_version: Option<String>,
    /// A discard may stand for a secure erase that cannot be had, where the node says nothing of it.
    pub enable_discard_erase: bool,
    /// MiB of the EFI system partition of partition images.
    pub efi_system_partition_size: u64,
    /// MiB of GRUB's partition on a GPT of a BIOS machine.
    pub bios_boot_partition_size: u64,
    /// The shared-filesystem guard.
    pub guard_special_filesystems: bool,
    /// Boot entries that cannot be made are only logged.
    pub ignore_bootloader_failure: bool,
    /// Priority of the step inject_files, 0 to 99; 0: only by name.
    pub inject_files_priority: u8,
    /// Every config drive is made anew as vfat.
    pub config_drive_rebuild: bool,
    /// Bootc images are not deployed.
    pub disable_bootc_deploy: bool,
    /// Time-out of calls to the API.
    pub http_request_timeout: Duration,
    /// What is allowed of containers.
    pub containers: ContainerRules,
    /// More in the log; none: not said.
    pub debug: Option<bool>,
    /// Collect LLDP packets during inspection.
    pub collect_lldp: bool,
    /// Sets the clock; an address or a host name.
    pub ntp_server: Option<String>,
    /// End when the clock cannot be set.
    pub fail_if_clock_not_set: bool,
    /// Look the API up by mDNS.
    pub api_by_mdns: bool,
    /// Look the inspection service up by mDNS.
    pub inspection_by_mdns: bool,
    /// How to look up.
    pub mdns: Mdns,
    /// Silence after which nothing more is expected of switches.
    pub lldp_timeout: Duration,
    /// VLAN interfaces to make: `IF.VLAN`, `MAC.VLAN`, `IF`, `all`.
    pub vlan_interfaces: Vec<String>,
    /// What the `extra-hardware` collector measures: `cpu`, `mem`, `disk`.
    pub inspection_benchmarks: Vec<String>,
    /// Leave out interfaces whose MAC begins `fa:`, as the reference does. An option of ours, off: it hides every NIC of Neutron.
    pub hide_fa_macs: bool,
    /// Serve TLS with the files below.
    pub listen_tls: bool,
    /// Certificate for `listen_tls`.
    pub tls_cert_file: Option<PathBuf>,
    /// Key for `listen_tls`.
    pub tls_key_file: Option<PathBuf>,
    /// Make a certificate of our own when none is configured.
    pub enable_auto_tls: bool,
    /// How far the conductor's clock may be behind ours.
    pub auto_tls_allowed_clock_skew: Duration,
    /// PEM file with CA certificates for every HTTPS server.
    pub cafile: Option<PathBuf>,
    /// PEM file with the certificate shown to servers that ask for one; only together with `keyfile`.
    pub certfile: Option<PathBuf>,
    /// Its key.
    pub keyfile: Option<PathBuf>,
    /// MD5 digests of images are acceptable.
    pub md5_enabled: bool,
    /// Skip the comparison of declared and found image format.
    pub disable_deep_image_inspection: bool,
    /// `noauth` or `http_basic`, for image servers when the image says nothing of it.
    pub image_server_auth_strategy: String,
    /// For `http_basic`.
    pub image_server_user: Option<String>,
    /// For `http_basic`.
    pub image_server_password: Option<Token>,
    /// Image formats that may be written.
    pub permitted_image_formats: Vec<String>,
    /// `BOOTIF` exactly as given.
    pub bootif: Option<String>,
    /// `vmedia` when booted from virtual media or by HTTP boot.
    pub boot_method: Option<String>,
    /// What could not be understood; to be logged once the log works.
    pub complaints: Vec<String>,
}

/// Section `[mdns]`.
#[derive(Clone, Debug)]
pub struct Mdns {
    /// Look up when no URL is given at all.
    pub use_mdns: bool,
    /// Options that an answer may set.
    pub allowed_overrides: Vec<String>,
    /// Questions asked.
    pub lookup_attempts: u32,
    /// Addresses of the interfaces to ask on; empty: all.
    pub interfaces: Vec<std::net::IpAddr>,
}

impl Default for Mdns {
    fn default() -> Self {
        let allowed_overrides = ["inspection_callback_url", "ntp_server"].map(String::from).to_vec();
        Self { use_mdns: false, allowed_overrides, lookup_attempts: 3, interfaces: Vec::new() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            api_urls: Vec::new(),
            agent_token: None,
            global_request_id: None,
            listen_host: None,
            listen_port: 9999,
            advertise_host: None,
            advertise_port: None,
            advertise_protocol: "http".into(),
            ip_lookup_attempts: 6,
            ip_lookup_sleep: Duration::from_secs(10),
            network_interface: None,
            lookup_timeout: Duration::from_secs(600),
            lookup_interval: Duration::from_secs(1),
            inspection_callback_urls: Vec::new(),
            inspection_collectors: None,
            inspection_dhcp_wait: Duration::from_secs(60),
            inspection_dhcp_all: false,
            hardware_initialization_delay: Duration::ZERO,
            disk_wait_attempts: 10,
            disk_wait_delay: Duration::from_secs(3),
            insecure: false,
            tls_min_version: "1.2".into(),
            image_tls_min_version: None,
            tls_cipher_suites: None,
            tls_certificate_curve: "p384".into(),
            download_timeout: 60,
            download_retries: 9,
            download_retry_interval: 10,
            download_max_duration: 0,
            ironic_api_version: None,
            enable_discard_erase: false,
            efi_system_partition_size: 550,
            bios_boot_partition_size: 1,
            guard_special_filesystems: true,
            ignore_bootloader_failure: false,
            inject_files_priority: 0,
            config_drive_rebuild: false,
            disable_bootc_deploy: false,
            http_request_timeout: Duration::from_secs(30),
            containers: ContainerRules::default(),
            debug: None,
            collect_lldp: false,
            ntp_server: None,
            fail_if_clock_not_set: false,
            api_by_mdns: false,
            inspection_by_mdns: false,
            mdns: Mdns::default(),
            lldp_timeout: Duration::from_secs(30),
            vlan_interfaces: Vec::new(),
            inspection_benchmarks: Vec::new(),
            hide_fa_macs: false,
            listen_tls: false,
            tls_cert_file: None,
            tls_key_file: None,
            enable_auto_tls: true,
            auto_tls_allowed_clock_skew: Duration::from_secs(3600),
            cafile: None,
            certfile: None,
            keyfile: None,
            md5_enabled: true,
            disable_deep_image_inspection: false,
            image_server_auth_strategy: "noauth".into(),
            image_server_user: None,
            image_server_password: None,
            permitted_image_formats: ["raw", "gpt", "qcow2"].map(String::from).to_vec(),
            bootif: None,
            boot_method: None,
            complaints: Vec::new(),
        }
    }
}
