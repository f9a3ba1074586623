//! A whole conductor but its API: store, drivers, boot services, clock; started in order, stopped in reverse.
//!
//! Beside `main` the only place that knows every part.

use crate::boot::config::{BootConfig, DhcpMode, DhcpPorts, FullDhcp, RouterAdvertisements};
use crate::boot::directory::BootDirectory;
use crate::boot::http::listener::Limits;
use crate::boot::images::cache::ImageCache;
use crate::boot::images::fetch::{FetchLimits, Fetcher, Trust};
use crate::boot::images::request::{ImagePolicy, download_source};
use crate::boot::images::service::ImageService;
use crate::boot::ipxe::BaseUrl;
use crate::boot::router_advert::Prefix;
use crate::boot::services::{self, BootError, BootServices};
use crate::clock::{self, KnownPorts};
use crate::config::Config;
use crate::driver::fake::{Delay, FakeDelays};
use crate::driver::interface::is_built;
use crate::driver::ipmi::{IpmiOptions, Suite};
use crate::driver::registry::{Enabled, Registry};
use crate::driver::traits::DriverError;
use crate::flow::autodetect::AUTODETECT;
use crate::flow::conductor::Conductor;
use crate::flow::recover;
use crate::model::node::InterfaceKind;
use crate::relay;
use crate::store::StoreError;
use crate::store::events::LogOptions;
use crate::store::seal::Keys;
use crate::store::sqlite::SqliteStore;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Why a conductor did not start. Texts name the option or the file.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Enabled hardware.
    #[error(transparent)]
    Drivers(#[from] DriverError),
    /// Boot services.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// A file or folder.
    #[error("{path} cannot be used: {cause}. Choose another --data-dir or correct its rights")]
    Files {
        /// Which.
        path: String,
        /// Why.
        cause: std::io::Error,
    },
    /// An option.
    #[error("{0}")]
    Option(String),
}

/// A running conductor.
pub struct Service {
    /// For the API.
    pub conductor: Arc<Conductor>,
    boot: Option<BootServices>,
    clock: JoinSet<()>,
    relays: JoinSet<()>,
}

impl Service {
    /// Opens the store, starts the boot services, picks up every flow, starts the clock.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub async fn open(config: Arc<Config>, data_dir: &Path) -> Result<Self, StartError> {
        // Every TLS client needs it; whoever installed one before (main, a test) keeps it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let files = |cause| StartError::Files { path: data_dir.display().to_string(), cause };
        let log =
            LogOptions { max: config.events.log_max_entries.max(1), snapshots: relay::bus::is_configured(&config) };
        let file = data_dir.join("wrought.sqlite");
        let store =
            SqliteStore::open_with(&file, config.conductor.node_history_max_entries, keys(&config)?)?.with_log(log);
        let store = Arc::new(store);
        let drivers = Registry::new(enabled(&config), ipmi_options(&config)?, fake_delays(&config)?)?;
        discovery(&config, &drivers)?;
        autodetect(&config)?;
        let directory = BootDirectory::open(data_dir).map_err(files)?;
        let known = Arc::new(KnownPorts::new(directory.clone()));
        let boot = match boot_config(&config, data_dir)? {
            Some(options) => Some(services::spawn(options, directory.clone(), known.clone()).await?),
            None => None,
        };
        let base = boot.as_ref().map(|boot| boot.base.clone());
        let images = images(&config, data_dir, directory.clone(), base)?;
        let conductor = Arc::new(Conductor::new(config, store, drivers, directory, images, data_dir.to_owned()));
        recover::recover(&conductor).await?;
        clock::alive(&conductor).await?;
        let clock = clock::spawn(&conductor, &known);
        let relays = relay::spawn(&conductor.config, &conductor.store, &conductor.stopping())
            .map_err(|error| StartError::Option(error.to_string()))?;
        Ok(Self { conductor, boot, clock, relays })
    }

    /// Ends: no new piece of work, then the boot services, then the BMC sessions.
    pub async fn stop(mut self) {
        self.clock.abort_all();
        self.conductor.stop().await;
        // They were told by the stop; what was under way is delivered again after the next start.
        while self.relays.join_next().await.is_some() {}
        if let Some(boot) = self.boot.take() {
            boot.stop().await;
        }
        self.conductor.drivers.close().await;
    }
}

/// The keys for secrets in the database, if a file is configured.
fn keys(config: &Config) -> Result<Option<Arc<Keys>>, StartError> {
    let read = |path| Keys::read(path).map_err(StoreError::from);
    Ok(config.top.secrets_key_file.as_deref().map(read).transpose()?.map(Arc::new))
}

/// What `autodetect` chooses from must be enabled and work here.
fn autodetect(config: &Config) -> Result<(), StartError> {
    let (enabled, list) = (&config.top.enabled_deploy_interfaces, &config.top.autodetect_deploy_interfaces);
    if !enabled.iter().any(|name| name == AUTODETECT) {
        return Ok(());
    }
    let works =
        |name: &&String| *name != AUTODETECT && is_built(InterfaceKind::Deploy, name) && enabled.contains(*name);
    let text = match list.iter().find(|name| !works(name)) {
        None if list.is_empty() => {
            "autodetect_deploy_interfaces is empty; name at least one deploy interface".to_owned()
        }
        None => return Ok(()),
        Some(name) => format!(
            "autodetect_deploy_interfaces names `{name}`, which is not among the enabled_deploy_interfaces ({}) that work \
             here; enable it, or take it out",
            enabled.join(", ")
        ),
    };
    Err(StartError::Option(text))
}

/// Machines that are discovered need a hardware type that is there.
fn discovery(config: &Config, drivers: &Registry) -> Result<(), StartError> {
    let options = &config.auto_discovery;
    let driver = options.driver.as_deref();
    if !options.enabled || driver.is_some_and(|driver| drivers.hardware_type(driver).is_ok()) {
        return Ok(());
    }
    Err(StartError::Option(format!(
        "[auto_discovery] driver is {}; with enabled = true it must be one of enabled_hardware_types ({})",
        driver.map_or("not set".into(), |driver| format!("`{driver}`")),
        config.top.enabled_hardware_types.join(", ")
    )))
}

fn enabled(config: &Config) -> Enabled {
    let top = &config.top;
    let interfaces = BTreeMap::from([
        (InterfaceKind::Boot, top.enabled_boot_interfaces.clone()),
        (InterfaceKind::Deploy, top.enabled_deploy_interfaces.clone()),
        (InterfaceKind::Inspect, top.enabled_inspect_interfaces.clone()),
        (InterfaceKind::Management, top.enabled_management_interfaces.clone()),
        (InterfaceKind::Power, top.enabled_power_interfaces.clone()),
        (InterfaceKind::Network, top.enabled_network_interfaces.clone()),
        (InterfaceKind::Bios, top.enabled_bios_interfaces.clone()),
        (InterfaceKind::Console, top.enabled_console_interfaces.clone()),
        (InterfaceKind::Firmware, top.enabled_firmware_interfaces.clone()),
        (InterfaceKind::Raid, top.enabled_raid_interfaces.clone()),
        (InterfaceKind::Rescue, top.enabled_rescue_interfaces.clone()),
        (InterfaceKind::Storage, top.enabled_storage_interfaces.clone()),
        (InterfaceKind::Vendor, top.enabled_vendor_interfaces.clone()),
    ]);
    let defaults = [
        (InterfaceKind::Boot, &top.default_boot_interface),
        (InterfaceKind::Deploy, &top.default_deploy_interface),
        (InterfaceKind::Inspect, &top.default_inspect_interface),
        (InterfaceKind::Management, &top.default_management_interface),
        (InterfaceKind::Power, &top.default_power_interface),
        (InterfaceKind::Network, &top.default_network_interface),
        (InterfaceKind::Bios, &top.default_bios_interface),
        (InterfaceKind::Console, &top.default_console_interface),
        (InterfaceKind::Firmware, &top.default_firmware_interface),
        (InterfaceKind::Raid, &top.default_raid_interface),
        (InterfaceKind::Rescue, &top.default_rescue_interface),
        (InterfaceKind::Storage, &top.default_storage_interface),
        (InterfaceKind::Vendor, &top.default_vendor_interface),
    ];
    let defaults = defaults.into_iter().filter_map(|(kind, name)| Some((kind, name.clone()?))).collect();
    Enabled { hardware_types: top.enabled_hardware_types.clone(), interfaces, defaults }
}

fn fake_delays(config: &Config) -> Result<FakeDelays, StartError> {
    let fake = &config.fake;
    let delays = [
        (InterfaceKind::Power, &fake.power_delay),
        (InterfaceKind::Boot, &fake.boot_delay),
        (InterfaceKind::Deploy, &fake.deploy_delay),
        (InterfaceKind::Vendor, &fake.vendor_delay),
        (InterfaceKind::Management, &fake.management_delay),
        (InterfaceKind::Inspect, &fake.inspect_delay),
        (InterfaceKind::Raid, &fake.raid_delay),
        (InterfaceKind::Bios, &fake.bios_delay),
        (InterfaceKind::Storage, &fake.storage_delay),
        (InterfaceKind::Rescue, &fake.rescue_delay),
        (InterfaceKind::Firmware, &fake.firmware_delay),
    ];
    let parse = |(kind, text): (InterfaceKind, &String)| match Delay::parse(text) {
        Ok(delay) => Ok((kind, delay)),
        Err(error) => Err(StartError::Option(format!("[fake]{kind}_delay: {error}"))),
    };
    Ok(FakeDelays(delays.into_iter().map(parse).collect::<Result<_, _>>()?))
}

/// `base`: how machines reach the boot HTTP server, if there is one.
fn images(
    config: &Config,
    data_dir: &Path,
    directory: BootDirectory,
    base: Option<BaseUrl>,
) -> Result<ImageService, StartError> {
    let option = |error: &dyn std::fmt::Display| StartError::Option(error.to_string());
    let folder = data_dir.join("images");
    let cache = ImageCache::open(&folder, config.boot.image_cache_size)
        .map_err(|cause| StartError::Files { path: folder.display().to_string(), cause })?;
    let fetcher = Fetcher::new(&Trust::from_option(&config.top.webserver_verify_ca), FetchLimits::default())
        .map_err(|error| option(&error))?;
    let policy = ImagePolicy {
        download_source: download_source(&config.agent.image_download_source).map_err(|error| option(&error))?,
        allow_md5: config.agent.allow_md5_checksum,
        permitted_formats: config.conductor.permitted_image_formats.clone(),
        stream_raw: config.agent.stream_raw_images,
        allowed_folders: config.conductor.file_url_allowed_paths.clone(),
    };
    Ok(ImageService::new(policy, fetcher, cache, directory, base))
}

fn ipmi_options(config: &Config) -> Result<IpmiOptions, StartError> {
    let ipmi = &config.ipmi;
    let suite = |id: &u8| {
        Suite::by_id(*id).ok_or_else(|| {
            StartError::Option(format!(
                "[ipmi] cipher_suite_versions: {id} is not a suite this conductor speaks; use 17 and 3"
            ))
        })
    };
    Ok(IpmiOptions {
        command_retry_timeout: ipmi.command_retry_timeout.duration(),
        min_command_interval: ipmi.min_command_interval.duration(),
        poll_interval: ipmi.poll_interval.duration(),
        cycle_settle: ipmi.cycle_settle.duration(),
        disable_boot_timeout: ipmi.disable_boot_timeout,
        cipher_suite_versions: ipmi.cipher_suite_versions.iter().map(suite).collect::<Result<_, _>>()?,
        ..IpmiOptions::default()
    })
}

/// What the boot services are started with; `None`: this conductor has none.
fn boot_config(config: &Config, data_dir: &Path) -> Result<Option<BootConfig>, StartError> {
    let Some(address) = &config.boot.provisioning_address else {
        if config.dhcp.mode != "off" {
            return Err(StartError::Option("[dhcp] mode is set, but [boot] provisioning_address is not: set it to this machine's address on the provisioning network".into()));
        }
        return Ok(None);
    };
    let dhcp = match config.dhcp.mode.as_str() {
        "off" => DhcpMode::Off,
        "proxy" => DhcpMode::Proxy,
        "full" => DhcpMode::Full(FullDhcp {
            first: required("[dhcp] range_start", config.dhcp.range_start.as_deref())?,
            last: required("[dhcp] range_end", config.dhcp.range_end.as_deref())?,
            netmask: ipv4("[dhcp] netmask", &config.dhcp.netmask)?,
            router: config.dhcp.router.as_deref().map(|text| ipv4("[dhcp] router", text)).transpose()?,
            dns: config.dhcp.dns.iter().map(|text| ipv4("[dhcp] dns", text)).collect::<Result<_, _>>()?,
            lease_seconds: config.dhcp.lease_seconds,
            authoritative: true,
        }),
        other => return Err(StartError::Option(format!("[dhcp] mode = \"{other}\": use full, proxy or off"))),
    };
    let prefix = config.dhcp.ra_prefix.as_deref().map(ipv6_prefix).transpose()?;
    Ok(Some(BootConfig {
        address: ipv4("[boot] provisioning_address", address)?,
        interface: config.boot.interface.clone(),
        http_port: config.boot.http_port,
        public_url: None,
        ipxe_dir: config.pxe.ipxe_bootfile_dir.clone(),
        uefi_program: crate::boot::programs::UEFI.into(),
        tftp_port: config.pxe.tftp_enabled.then_some(config.pxe.tftp_port),
        dhcp,
        // iPXE waits 16 s for a router advertisement on every boot where none comes; one that announces nothing is enough.
        router_advertisements: (prefix.is_some() || config.dhcp.mode == "full")
            .then(|| RouterAdvertisements { prefix: prefix.map(Prefix) }),
        data_dir: Some(data_dir.to_owned()),
        http_limits: Limits::default(),
        dhcp_ports: DhcpPorts::default(),
    }))
}

fn required(option: &str, text: Option<&str>) -> Result<Ipv4Addr, StartError> {
    ipv4(option, text.ok_or_else(|| StartError::Option(format!("[dhcp] mode = \"full\" needs {option}")))?)
}

fn ipv4(option: &str, text: &str) -> Result<Ipv4Addr, StartError> {
    Ipv4Addr::from_str(text).map_err(|_| StartError::Option(format!("{option} = \"{text}\" is not an IPv4 address")))
}

/// Clients make addresses of their own only from a /64.
fn ipv6_prefix(text: &str) -> Result<Ipv6Addr, StartError> {
    text.strip_suffix("/64").and_then(|address| address.parse().ok()).ok_or_else(|| {
        StartError::Option(format!("[dhcp] ra_prefix = \"{text}\" is not a /64 prefix such as fd22::/64"))
    })
}

#[cfg(test)]
mod discovery_tests;
#[cfg(test)]
mod tests;
