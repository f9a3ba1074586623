//! What the operator asked for: defaults, kernel line, configuration files, flags — the later beats the earlier.
//!
//! Names and defaults: ipa-features sections 2 and 3. This room only reads and checks; it acts on nothing.

pub mod container;
pub mod ini;
mod kernel_line;
mod options;

pub use kernel_line::KernelLine;

use common::token::Token;
use container::ContainerRules;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where configuration files are looked for when no flag says otherwise.
pub const DEFAULT_DIR: &str = "/etc/ironic-python-agent.d";

/// Largest configuration file that is read, bytes.
const MAX_FILE: u64 = 1024 * 1024;

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

/// A configuration that cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A URL that is none.
    #[error("`{option}`: `{text}` is not an http or https URL ({why})")]
    Url {
        /// Which option.
        option: String,
        /// What was given.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// A file that cannot be read.
    #[error("configuration {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A flag with an unusable value. (The same in a file or on the kernel line is a complaint in the log.)
    #[error("`{option}`: {why}")]
    Flag {
        /// Which flag.
        option: String,
        /// What is wrong.
        why: String,
    },
}

impl Config {
    /// Reads `kernel_line`, then every `*.conf` file in `dir` in order of names, then `flags` (pairs of option name and value).
    ///
    /// # Errors
    /// [`ConfigError`] for what makes the agent useless; everything else is noted in [`Config::complaints`].
    pub fn load(kernel_line: &KernelLine, dir: Option<&Path>, flags: &[(&str, String)]) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        options::apply_kernel_line(&mut config, kernel_line)?;
        for file in config_files(dir.unwrap_or(Path::new(DEFAULT_DIR)), dir.is_some())? {
            let text = read_bounded(&file)?;
            for (section, key, value) in ini::parse(&text) {
                options::apply_file(&mut config, &file.display().to_string(), &section, &key, &value)?;
            }
        }
        for (key, value) in flags {
            options::apply_flag(&mut config, key, value)?;
        }
        let nothing_said = config.api_urls.is_empty() && config.inspection_callback_urls.is_empty();
        config.api_by_mdns |= config.mdns.use_mdns && nothing_said && !config.inspection_by_mdns;
        Ok(config)
    }

    /// Sets one option by its name in a file.
    ///
    /// # Errors
    /// No such option, or an unusable value: nothing is changed then.
    pub fn set(&mut self, option: &str, value: &str) -> Result<(), ConfigError> {
        options::apply_flag(self, option, value)
    }

    /// Inspection is wanted: a place to send to, or collectors together with an API.
    pub fn wants_inspection(&self) -> bool {
        !self.inspection_callback_urls.is_empty() || (self.inspection_collectors.is_some() && !self.api_urls.is_empty())
    }

    /// Certificate and key files that the operator provided, if both are there.
    pub fn static_tls(&self) -> Option<(&Path, &Path)> {
        self.tls_cert_file.as_deref().zip(self.tls_key_file.as_deref())
    }
}

/// The files in order; a missing directory is an error only when it was named (`must_exist`).
fn config_files(dir: &Path, must_exist: bool) -> Result<Vec<PathBuf>, ConfigError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(_) if !must_exist => return Ok(Vec::new()),
        Err(source) => return Err(ConfigError::Read { path: dir.into(), source }),
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "conf") && path.is_file())
        .collect();
    files.sort();
    Ok(files)
}

fn read_bounded(path: &Path) -> Result<String, ConfigError> {
    use std::io::Read;
    let read = || -> std::io::Result<String> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().map_err(|source| ConfigError::Read { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(line: &str, files: &[(&str, &str)], flags: &[(&str, String)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Config::load(&KernelLine::parse(line), Some(dir.path()), flags)
    }

    #[test]
    fn a_file_beats_the_kernel_line_and_a_flag_beats_both() {
        let line = "ipa-api-url=http://192.0.2.1:6385 ipa-listen-port=1 ipa-lookup-timeout=5 quiet";
        let file = "[DEFAULT]\nlisten_port = 2\nlookup_timeout: 7\n";
        let config = load(line, &[("a.conf", file)], &[("listen_port", "3".into())]).unwrap();
        assert_eq!(config.api_urls, ["http://192.0.2.1:6385"]);
        assert_eq!((config.listen_port, config.lookup_timeout.as_secs()), (3, 7));
        assert!(config.complaints.is_empty(), "{:?}", config.complaints);
    }

    #[test]
    fn files_are_read_in_order_of_names_and_only_conf_files() {
        let files =
            [("2.conf", "[DEFAULT]\ncafile=/two\n"), ("1.conf", "[DEFAULT]\ncafile=/one\n"), ("3.yaml", "cafile=/3")];
        assert_eq!(load("", &files, &[]).unwrap().cafile.unwrap(), Path::new("/two"));
    }

    #[test]
    fn mdns_only_when_asked_for_and_never_beside_urls() {
        let by_mdns = |line: &str| {
            let config = load(line, &[], &[]).unwrap();
            (config.api_by_mdns, config.inspection_by_mdns)
        };
        assert_eq!(by_mdns(""), (false, false));
        assert_eq!(by_mdns("ipa-api-url=mdns"), (true, false));
        assert_eq!(by_mdns("ipa-inspection-callback-url=mdns ipa-use-mdns=1"), (false, true));
        assert_eq!(by_mdns("ipa-use-mdns=1"), (true, false));
        assert_eq!(by_mdns("ipa-use-mdns=1 ipa-api-url=http://192.0.2.1"), (false, false));
        assert!(matches!(load("ipa-api-url=mdns,http://192.0.2.1", &[], &[]), Err(ConfigError::Url { .. })));
        let file =
            "[mdns]\nallowed_overrides = ntp_server,debug\nlookup_attempts = 5\ninterfaces = 192.0.2.1\nparams = a:b\n";
        let config = load("", &[("a.conf", file)], &[]).unwrap();
        assert_eq!(
            (config.mdns.allowed_overrides.len(), config.mdns.lookup_attempts, config.mdns.interfaces.len()),
            (2, 5, 1)
        );
        assert_eq!(config.complaints.len(), 1, "{:?}", config.complaints);
    }

    #[test]
    fn odd_urls_and_time_servers_are_refused() {
        assert_eq!(load("ipa-ntp-server=pool.example", &[], &[]).unwrap().ntp_server.as_deref(), Some("pool.example"));
        let config = load("ipa-ntp-server=a;reboot", &[], &[]).unwrap();
        assert_eq!((config.ntp_server, config.complaints.len()), (None, 1));
        assert!(matches!(load("ipa-api-url=ftp://x", &[], &[]), Err(ConfigError::Url { .. })));
    }

    #[test]
    fn what_is_not_understood_is_said_once_and_the_default_stays() {
        let config = load("ipa-lookup-timeout=soon ipa-frobnicate=1 ipa-frobnicate=2 root=/dev/x", &[], &[]).unwrap();
        assert_eq!(config.lookup_timeout.as_secs(), 600);
        assert_eq!(config.complaints.len(), 2, "{:?}", config.complaints);
    }

    #[test]
    fn the_token_is_not_printed() {
        let secret = "0123456789012345678901234567890123456789abc";
        let config = load(&format!("ipa-agent-token={secret}"), &[], &[]).unwrap();
        assert!(config.agent_token.as_ref().unwrap().matches(secret));
        assert!(!format!("{config:?}").contains(secret));
    }

    #[test]
    fn a_named_directory_must_exist() {
        assert!(Config::load(&KernelLine::default(), Some(Path::new("/nonexistent-dir")), &[]).is_err());
    }
}
