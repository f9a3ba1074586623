//! Every option, once: section, name, type, default, meaning. Ironic's names where Ironic has the option.

use super::secret::Secret;
use super::webhook::WebhookOptions;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// A length of time in seconds; fractions are allowed (tests poll faster than people).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(pub f64);

impl Seconds {
    /// As the standard library's type; negative and absurd values become 0 and a year.
    pub fn duration(self) -> Duration {
        Duration::from_secs_f64(self.0.clamp(0.0, 31_536_000.0))
    }

    /// 0 switches a timer off.
    pub fn is_off(self) -> bool {
        self.0 <= 0.0
    }
}

/// One line of the table that `conductor config` prints.
#[derive(Clone, Copy, Debug)]
pub struct OptionDoc {
    /// TOML table; empty for the top level (Ironic's `[DEFAULT]`).
    pub section: &'static str,
    /// Key.
    pub name: &'static str,
    /// Rust type, for people.
    pub kind: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

macro_rules! options {
    ($($(#[doc = $sdoc:literal])* $section:ident $title:literal as $Struct:ident {
        $($(#[doc = $doc:literal])* $name:ident : $kind:ty = $default:expr;)*
    })*) => {
        $(
            $(#[doc = $sdoc])*
            #[derive(Clone, Debug, Serialize, Deserialize)]
            #[serde(default, deny_unknown_fields)]
            pub struct $Struct { $($(#[doc = $doc])* pub $name: $kind,)* }

            impl Default for $Struct {
                fn default() -> Self {
                    Self { $($name: $default,)* }
                }
            }
        )*

        /// Every option in order, for `conductor config` and the environment names.
        pub const DOCS: &[OptionDoc] = &[
            $($(OptionDoc {
                section: $title,
                name: stringify!($name),
                kind: stringify!($kind),
                meaning: concat!($($doc),*),
            },)*)*
        ];
    };
}

options! {
    /// Options at the top level (Ironic's `[DEFAULT]`).
    top "" as Top {
        /// Who may use the API: noauth, http_basic, keystone, oidc. Not set: noauth, but on loopback only.
        auth_strategy: Option<String> = None;
        /// Apache htpasswd file (bcrypt only) for http_basic.
        http_basic_auth_user_file: PathBuf = "/etc/wrought/htpasswd".into();
        /// With keystone: the service role in the project rbac_service_project_name counts in the whole site.
        rbac_service_role_elevated_access: bool = false;
        /// The project of services.
        rbac_service_project_name: String = "service".into();
        /// Name of this conductor; default: the host name.
        host: Option<String> = None;
        /// Least level of notifications on the message bus: debug, info, warning, error, critical. Not set: none are sent.
        notification_level: Option<String> = None;
        /// Topics of versioned notifications; the level is added as a suffix.
        versioned_notifications_topics: Vec<String> = words("ironic_versioned_notifications");
        /// Hardware types that nodes may use.
        enabled_hardware_types: Vec<String> = words("ipmi redfish fake-hardware manual-management");
        /// Boot interfaces that nodes may use.
        enabled_boot_interfaces: Vec<String> = words("ipxe pxe redfish-virtual-media fake");
        /// Deploy interfaces that nodes may use.
        enabled_deploy_interfaces: Vec<String> = words("autodetect direct ramdisk bootc custom-agent fake");
        /// What `autodetect` chooses from, in this order: the first that fits the node's instance_info, else the last.
        autodetect_deploy_interfaces: Vec<String> = words("ramdisk bootc direct");
        /// Inspect interfaces that nodes may use.
        enabled_inspect_interfaces: Vec<String> = words("agent no-inspect redfish fake");
        /// Management interfaces that nodes may use.
        enabled_management_interfaces: Vec<String> = words("ipmitool noop redfish fake");
        /// Power interfaces that nodes may use.
        enabled_power_interfaces: Vec<String> = words("ipmitool redfish fake");
        /// Network interfaces that nodes may use.
        enabled_network_interfaces: Vec<String> = words("noop");
        /// BIOS interfaces that nodes may use.
        enabled_bios_interfaces: Vec<String> = words("no-bios redfish fake");
        /// Console interfaces that nodes may use.
        enabled_console_interfaces: Vec<String> = words("no-console fake fake-graphical");
        /// Firmware interfaces that nodes may use.
        enabled_firmware_interfaces: Vec<String> = words("no-firmware fake");
        /// RAID interfaces that nodes may use.
        enabled_raid_interfaces: Vec<String> = words("no-raid agent redfish fake");
        /// Rescue interfaces that nodes may use.
        enabled_rescue_interfaces: Vec<String> = words("no-rescue agent fake");
        /// Storage interfaces that nodes may use.
        enabled_storage_interfaces: Vec<String> = words("noop fake");
        /// Vendor interfaces that nodes may use.
        enabled_vendor_interfaces: Vec<String> = words("no-vendor ipmitool redfish fake");
        /// The boot interface of nodes that name none; not set: the hardware type's order decides.
        default_boot_interface: Option<String> = None;
        /// The deploy interface of nodes that name none; not set: the hardware type's order decides.
        default_deploy_interface: Option<String> = None;
        /// The inspect interface of nodes that name none; not set: the hardware type's order decides.
        default_inspect_interface: Option<String> = None;
        /// The management interface of nodes that name none; not set: the hardware type's order decides.
        default_management_interface: Option<String> = None;
        /// The power interface of nodes that name none; not set: the hardware type's order decides.
        default_power_interface: Option<String> = None;
        /// The network interface of nodes that name none; not set: the hardware type's order decides.
        default_network_interface: Option<String> = None;
        /// The bios interface of nodes that name none; not set: the hardware type's order decides.
        default_bios_interface: Option<String> = None;
        /// The console interface of nodes that name none; not set: the hardware type's order decides.
        default_console_interface: Option<String> = None;
        /// The firmware interface of nodes that name none; not set: the hardware type's order decides.
        default_firmware_interface: Option<String> = None;
        /// The raid interface of nodes that name none; not set: the hardware type's order decides.
        default_raid_interface: Option<String> = None;
        /// The rescue interface of nodes that name none; not set: the hardware type's order decides.
        default_rescue_interface: Option<String> = None;
        /// The storage interface of nodes that name none; not set: the hardware type's order decides.
        default_storage_interface: Option<String> = Some("noop".into());
        /// The vendor interface of nodes that name none; not set: the hardware type's order decides.
        default_vendor_interface: Option<String> = None;
        /// File with keys (a name and 32 bytes in Base64 on each line; the first one seals) for secrets in the database; not set: they are kept as they are.
        secrets_key_file: Option<PathBuf> = None;
        /// Whom to believe that an image server is the one it says it is: True = the authorities of the system, False = anybody, or a file of authorities.
        webserver_verify_ca: String = "True".into();
        /// Resource class of nodes that are enrolled without one.
        default_resource_class: Option<String> = None;
    }
    /// `[api]`.
    api "api" as Api {
        /// Seconds that an answer waits for a client that has stopped reading; then the connection is closed.
        slow_client_timeout: Seconds = Seconds(30.0);
        /// Address the API listens on; while auth_strategy is not set only loopback is accepted.
        host_ip: String = "127.0.0.1".into();
        /// Listen on this Unix socket and not on host_ip; provisioning_address stays.
        unix_socket: Option<PathBuf> = None;
        /// Rights of that socket, octal, e.g. "660"; not set: its owner's alone ("600").
        unix_socket_mode: Option<String> = None;
        /// Proxies whose words about their clients count, with [oslo_middleware] enable_proxy_headers_parsing: addresses, networks (192.0.2.0/24), and "unix" for whoever is on unix_socket.
        trusted_proxies: Vec<String> = Vec::new();
        /// Serve HTTPS only, with cert_file and key_file.
        enable_ssl_api: bool = false;
        /// PEM file with the certificate of the API and its chain; read again when it changes.
        cert_file: Option<PathBuf> = None;
        /// PEM file with the key of that certificate; read again when it changes.
        key_file: Option<PathBuf> = None;
        /// Lowest TLS version of the API: 1.2 or 1.3.
        server_tls_minimum_version: String = "1.3".into();
        /// Serve figures for Prometheus at /metrics, without credentials.
        enable_metrics: bool = false;
        /// Connections at the same time; more are answered 503 and closed.
        max_connections: usize = 16384;
        /// Port the API listens on.
        port: u16 = 6385;
        /// Base of every link, when a proxy stands before the API; also what agents are told when set.
        public_endpoint: Option<String> = None;
        /// Most entries in one answer.
        max_limit: u32 = 1000;
        /// Steps ("interface.step") that no cleaning may run.
        disallow_clean_steps: Vec<String> = words("vendor.send_raw");
        /// Steps ("interface.step") that no deployment may run.
        disallow_deploy_steps: Vec<String> = words("vendor.send_raw");
        /// Steps ("interface.step") that no service may run.
        disallow_service_steps: Vec<String> = words("vendor.send_raw");
        /// Agents may look up only nodes that wait for one.
        restrict_lookup: bool = true;
        /// Serve lookup, heartbeat and continue_inspection at all.
        enable_ramdisk_endpoints: bool = true;
        /// Refused calls of agents in a minute (look-up, heartbeat, inspection data) from one address, before it has to wait; 0 = no limit.
        agent_failures_per_minute: u32 = 3000;
        /// Heartbeats in a minute that one node's agent may send, at once or spread; more are answered 429; 0 = no limit.
        agent_beats_per_minute: u32 = 600;
        /// Project admins may create nodes for their project and delete its nodes.
        project_admin_can_manage_own_nodes: bool = true;
        /// Seconds after which a silent agent counts as lost; agents beat at 0.3 to 0.6 of it.
        ramdisk_heartbeat_timeout: u64 = 300;
        /// Deepest JSON that is accepted.
        max_json_body_depth: usize = 25;
    }
    /// `[keystone_authtoken]`: the Keystone that knows tokens, with auth_strategy = "keystone".
    keystone_authtoken "keystone_authtoken" as KeystoneAuthtoken {
        /// Where to ask about tokens.
        auth_url: Option<String> = None;
        /// What clients without a token are told; also where to ask when auth_url is not set.
        www_authenticate_uri: Option<String> = None;
        /// User with whom the conductor asks about tokens.
        username: String = String::new();
        /// Password of that user.
        password: Secret = Secret::default();
        /// Project of that user; it needs the service or the admin role there.
        project_name: String = "service".into();
        /// Domain of that user.
        user_domain_name: String = "Default".into();
        /// Domain of that project.
        project_domain_name: String = "Default".into();
        /// Authorities that may have signed the Keystone's certificate; not set: those of the system.
        cafile: Option<PathBuf> = None;
        /// Do not check the Keystone's certificate: for trials only.
        insecure: bool = false;
        /// Seconds that an answer about a token is remembered: so long a revoked one may live. 0 = ask every time.
        token_cache_time: Seconds = Seconds(300.0);
        /// Most answers that are remembered.
        token_cache_size: usize = 10_000;
    }
    /// `[oidc]`: the provider whose signed tokens count, with auth_strategy = "oidc".
    oidc "oidc" as Oidc {
        /// The provider: exactly what it writes into `iss`. Its keys are found by its description, unless they are named below.
        issuer: String = String::new();
        /// Audiences that tokens must be for: one of these.
        audience: Vec<String> = Vec::new();
        /// The provider's keys (JWKS) in a file.
        jwks_file: Option<PathBuf> = None;
        /// The provider's keys (JWKS) by URL.
        jwks_url: Option<String> = None;
        /// Authorities that may have signed the provider's certificate; not set: those of the system.
        cafile: Option<PathBuf> = None;
        /// Do not check the provider's certificate: for trials only.
        insecure: bool = false;
        /// Seconds by which clocks may differ.
        leeway: u64 = 60;
        /// Claim with the roles: a list, or words; dots lead into objects, as in realm_access.roles.
        roles_claim: String = "roles".into();
        /// Claim with the id of the project in which roles count.
        project_claim: String = "project_id".into();
        /// Claim that is "all" or true when the roles count in the whole site.
        system_claim: String = "system_scope".into();
        /// Claim with the name of the user, for logs and history.
        user_claim: String = "preferred_username".into();
        /// What the provider's names mean: THEIRS=ROLE, or THEIRS=system:ROLE for the whole site.
        role_map: Vec<String> = Vec::new();
    }
    /// `[oslo_middleware]`.
    oslo_middleware "oslo_middleware" as OsloMiddleware {
        /// Believe Forwarded and X-Forwarded-*, but only what comes from [api] trusted_proxies.
        enable_proxy_headers_parsing: bool = false;
    }
    /// `[cors]`: pages of other origins that browsers let use the API.
    cors "cors" as Cors {
        /// Origins: https://horizon.example.com, without a slash at the end; "*" is all. Empty: none, and no header says anything about it.
        allowed_origin: Vec<String> = Vec::new();
        /// Requests may carry cookies and HTTP credentials.
        allow_credentials: bool = true;
        /// Headers of answers that pages may read.
        expose_headers: Vec<String> = words("X-OpenStack-Ironic-API-Maximum-Version X-OpenStack-Ironic-API-Minimum-Version X-OpenStack-Ironic-API-Version");
        /// Seconds for which browsers remember what they were allowed; 0 = they are told nothing.
        max_age: u64 = 3600;
        /// Methods that pages may use.
        allow_methods: Vec<String> = words("GET PUT POST DELETE PATCH");
        /// Headers that pages may send, besides the usual ones, X-Auth-Token and those of versions.
        allow_headers: Vec<String> = Vec::new();
    }
    /// `[healthcheck]`.
    healthcheck "healthcheck" as Healthcheck {
        /// Answer at /healthcheck, without credentials.
        enabled: bool = false;
    }
    /// `[conductor]`.
    conductor "conductor" as Conductor {
        /// Clean nodes on provide and after undeploy.
        automated_clean: bool = true;
        /// Work on nodes in maintenance rests: heartbeats and deadlines are ignored (false: what runs is failed at the next heartbeat).
        allow_provisioning_in_maintenance: bool = true;
        /// DELETE works on available nodes.
        allow_deleting_available_nodes: bool = true;
        /// Seconds between two rounds of power sync; 0 = never.
        sync_power_state_interval: Seconds = Seconds(120.0);
        /// BMCs that are asked at the same time by power sync.
        sync_power_state_workers: usize = 8;
        /// A difference that stays after so many tries puts the node in maintenance.
        power_state_sync_max_retries: u32 = 3;
        /// The stored power state wins over the BMC's.
        force_power_state_during_sync: bool = true;
        /// The health that BMCs report is read with the power state.
        enable_health_monitoring: bool = true;
        /// Seconds between two looks at nodes whose BMC had stopped to answer; 0 = never.
        power_failure_recovery_interval: Seconds = Seconds(300.0);
        /// Seconds between two looks at deadlines.
        check_provision_state_interval: Seconds = Seconds(5.0);
        /// Seconds a deploying agent may be silent; 0 = for ever.
        deploy_callback_timeout: Seconds = Seconds(1800.0);
        /// Seconds a cleaning agent may be silent; 0 = for ever.
        clean_callback_timeout: Seconds = Seconds(1800.0);
        /// Seconds a serviced machine's agent may be silent; 0 = for ever.
        service_callback_timeout: Seconds = Seconds(1800.0);
        /// Seconds a rescue ramdisk may take to call; 0 = for ever.
        rescue_callback_timeout: Seconds = Seconds(1800.0);
        /// How rescue passwords are hashed: sha256 or sha512.
        rescue_password_hash_algorithm: String = "sha256".into();
        /// Longest pause of a `wait` step in seconds (at most 1800); longer ones are cut.
        max_conductor_wait_step_seconds: u32 = 30;
        /// Switch the machine off when cleaning failed.
        poweroff_in_cleanfail: bool = false;
        /// Switch the machine off when servicing failed.
        poweroff_in_servicefail: bool = false;
        /// Seconds from the start of an inspection to its data; 0 = for ever.
        inspect_wait_timeout: Seconds = Seconds(1800.0);
        /// Seconds until a BMC must report a hard power change.
        power_state_change_timeout: Seconds = Seconds(60.0);
        /// Seconds that a running flow waits for a BMC that has stopped to answer.
        bmc_patience: Seconds = Seconds(300.0);
        /// Seconds until a system must have shut itself down.
        soft_power_off_timeout: Seconds = Seconds(600.0);
        /// Tries to take a node that somebody holds, before 409.
        node_locked_retry_attempts: u32 = 3;
        /// Seconds between those tries.
        node_locked_retry_interval: Seconds = Seconds(1.0);
        /// Flows that run at the same time in this process.
        workers_pool_size: usize = 300;
        /// Deployments at the same time, at least 1; more are answered 503.
        max_concurrent_deploy: usize = 250;
        /// Cleanings at the same time, those after an instance included, at least 1; manual cleanings and undeployments beyond are answered 503.
        max_concurrent_clean: usize = 50;
        /// Whose project becomes the lessee of a node that has none when it is deployed: instance = instance_info.project_id, request = the project that asks, none.
        automatic_lessee_source: String = "instance".into();
        /// Boot modes (properties.boot_mode) of nodes that are not deployed.
        disallowed_deployment_boot_modes: Vec<String> = Vec::new();
        /// Both limits count the nodes of this conductor's group only.
        max_concurrent_per_conductor_group: bool = false;
        /// The conductor_group of the nodes that this conductor serves.
        conductor_group: String = String::new();
        /// Lines kept in the history of a node.
        node_history_max_entries: usize = 300;
        /// Image formats the agent may write.
        permitted_image_formats: Vec<String> = words("raw gpt qcow2 iso");
        /// Agents do not compare declared and found image format.
        disable_deep_image_inspection: bool = false;
        /// Folders below which file:// images may lie.
        file_url_allowed_paths: Vec<PathBuf> = vec!["/var/lib/wrought/images".into()];
        /// "interface.step:priority" for automated cleaning.
        clean_step_priority_override: Vec<String> = Vec::new();
        /// "interface.step:priority" for the steps of a verification.
        verify_step_priority_override: Vec<String> = Vec::new();
        /// Seconds a held node stays held after its conductor fell silent.
        lease_time: Seconds = Seconds(60.0);
        /// Seconds that running work gets after SIGTERM.
        graceful_shutdown_timeout: Seconds = Seconds(60.0);
    }
    /// `[deploy]`.
    deploy "deploy" as Deploy {
        /// Priority of erase_devices in automated cleaning; not set: the agent's; 0: off.
        erase_devices_priority: Option<i64> = None;
        /// Priority of erase_devices_metadata in automated cleaning; not set: the agent's; 0: off.
        erase_devices_metadata_priority: Option<i64> = None;
        /// Priority of raid.delete_configuration in automated cleaning; not set: the driver's; 0: off.
        delete_configuration_priority: Option<i64> = None;
        /// Priority of raid.create_configuration in automated cleaning; not set: the driver's; 0: off.
        create_configuration_priority: Option<i64> = None;
        /// Passes of random data when a disk can only be overwritten.
        shred_random_overwrite_iterations: u32 = 1;
        /// A last pass of zeros.
        shred_final_overwrite_with_zeros: bool = true;
        /// Overwrite when a secure erase failed.
        continue_if_disk_secure_erase_fails: bool = false;
        /// Disks that are erased at the same time.
        disk_erasure_concurrency: u32 = 4;
        /// Skip read-only disks.
        erase_skip_read_only: bool = false;
        /// Use NVMe format where the disk offers it.
        enable_nvme_secure_erase: bool = true;
        /// Use ATA security erase where the disk offers it.
        enable_ata_secure_erase: bool = true;
        /// Switch the machine off when a deployment failed.
        power_off_after_deploy_failure: bool = true;
        /// uefi or bios, for nodes that say nothing.
        default_boot_mode: String = "uefi".into();
        /// Kernel of the deploy ramdisk, for nodes without driver_info.deploy_kernel.
        deploy_kernel: Option<String> = None;
        /// The deploy ramdisk, for nodes without driver_info.deploy_ramdisk.
        deploy_ramdisk: Option<String> = None;
        /// Ramdisks stay on after an inspection or a cleaning and serve what comes next without a boot; agents may look their nodes up and beat while nothing is asked of them. driver_info.fast_track of a node wins.
        fast_track: bool = false;
        /// Seconds since an agent was heard last in which it counts as running, at most 300; 0 = every flow boots.
        fast_track_timeout: Seconds = Seconds(300.0);
    }
    /// `[fake]`: how long the interfaces of fake-hardware take.
    fake "fake" as Fake {
        /// Seconds that a call of the fake power interface takes: 5, or a range as 1,60; "0" = no time.
        power_delay: String = "0".into();
        /// Seconds that a call of the fake boot interface takes: 5, or a range as 1,60; "0" = no time.
        boot_delay: String = "0".into();
        /// Seconds that a call of the fake deploy interface takes: 5, or a range as 1,60; "0" = no time.
        deploy_delay: String = "0".into();
        /// Seconds that a call of the fake vendor interface takes: 5, or a range as 1,60; "0" = no time.
        vendor_delay: String = "0".into();
        /// Seconds that a call of the fake management interface takes: 5, or a range as 1,60; "0" = no time.
        management_delay: String = "0".into();
        /// Seconds that a call of the fake inspect interface takes: 5, or a range as 1,60; "0" = no time.
        inspect_delay: String = "0".into();
        /// Seconds that a call of the fake raid interface takes: 5, or a range as 1,60; "0" = no time.
        raid_delay: String = "0".into();
        /// Seconds that a call of the fake bios interface takes: 5, or a range as 1,60; "0" = no time.
        bios_delay: String = "0".into();
        /// Seconds that a call of the fake storage interface takes: 5, or a range as 1,60; "0" = no time.
        storage_delay: String = "0".into();
        /// Seconds that a call of the fake rescue interface takes: 5, or a range as 1,60; "0" = no time.
        rescue_delay: String = "0".into();
        /// Seconds that a call of the fake firmware interface takes: 5, or a range as 1,60; "0" = no time.
        firmware_delay: String = "0".into();
    }
    /// `[agent]`.
    agent "agent" as Agent {
        /// Seconds for one call to an agent.
        command_timeout: Seconds = Seconds(60.0);
        /// Tries of one call when the connection fails.
        max_command_attempts: u32 = 3;
        /// Looks at a command that is polled.
        command_wait_attempts: u32 = 100;
        /// Seconds between those looks.
        command_wait_interval: Seconds = Seconds(6.0);
        /// Looks at the power state after the agent was told to switch off.
        post_deploy_get_power_state_retries: u32 = 6;
        /// Seconds between those looks.
        post_deploy_get_power_state_retry_interval: Seconds = Seconds(5.0);
        /// Agents must serve TLS.
        require_tls: bool = true;
        /// Lowest TLS version of agents and of their downloads.
        tls_minimum_version: String = "1.3".into();
        /// Agents may check images with MD5.
        allow_md5_checksum: bool = true;
        /// Where agents get images from: http = the image server itself, local = this conductor.
        image_download_source: String = "http".into();
        /// Raw images go straight to the disk.
        stream_raw_images: bool = true;
        /// Smallest seconds between two heartbeats of our own agent.
        heartbeat_min_gap: Seconds = Seconds(0.5);
    }
    /// `[agent_containers]`: which containers agents may run as steps.
    agent_containers "agent_containers" as AgentContainers {
        /// Any container that a step names.
        allow_arbitrary_containers: bool = false;
        /// Containers that steps may name when not any may be.
        allowed_containers: Vec<String> = Vec::new();
        /// YAML file in the ramdisk with steps of its own.
        container_steps_file: String = "/etc/ironic-python-agent.d/mysteps.yaml".into();
        /// What runs containers in the ramdisk: podman or docker.
        runner: String = "podman".into();
        /// Options for fetching them.
        pull_options: Vec<String> = Vec::new();
        /// Options for running them.
        run_options: Vec<String> = words("--rm --network=host");
    }
    /// `[metrics]`: how agents tell their figures. (Ours are at /metrics, see [api] enable_metrics.)
    metrics "metrics" as Metrics {
        /// Where agents send figures: noop or statsd.
        agent_backend: String = "noop".into();
        /// Agents put their host name before each name.
        agent_prepend_host: bool = false;
        /// Agents put their node's UUID before each name.
        agent_prepend_uuid: bool = false;
        /// The host name with its parts in reverse order.
        agent_prepend_host_reverse: bool = true;
        /// What agents put before everything else.
        agent_global_prefix: Option<String> = None;
    }
    /// `[metrics_statsd]`: the server for agents' figures.
    metrics_statsd "metrics_statsd" as MetricsStatsd {
        /// Its address, as agents reach it.
        agent_statsd_host: String = "localhost".into();
        /// Its port.
        agent_statsd_port: u16 = 8125;
    }
    /// `[pxe]`: network boot.
    pxe "pxe" as Pxe {
        /// Kernel arguments of the ramdisk; %default% in a node's own value stands for this.
        kernel_append_params: String = "nofb vga=normal console=tty0 console=ttyS0".into();
        /// Folder with undionly.kpxe, snponly.efi, ipxe.efi.
        ipxe_bootfile_dir: PathBuf = "/usr/lib/ipxe".into();
        /// Seconds after which a machine whose ramdisk never called is booted again, while its flow waits; less than the call-back time-outs. One that has called may be silent for ramdisk_heartbeat_timeout at least. 0 = never.
        boot_retry_timeout: Seconds = Seconds(0.0);
        /// Seconds between two looks for such machines.
        boot_retry_check_interval: Seconds = Seconds(90.0);
        /// Serve the iPXE programs by TFTP.
        tftp_enabled: bool = false;
        /// Port of TFTP.
        tftp_port: u16 = 69;
    }
    /// `[boot]`: the boot services of this process. Not in Ironic, which leaves them to other daemons.
    boot "boot" as Boot {
        /// Address of this machine on the provisioning network; not set: no boot services, no API for agents there.
        provisioning_address: Option<String> = None;
        /// Interface of that network; needed for DHCP.
        interface: Option<String> = None;
        /// Port of the HTTP boot server (scripts, kernel, ramdisk, cached images).
        http_port: u16 = 8080;
        /// Bytes of images to keep.
        image_cache_size: u64 = 20 * 1024 * 1024 * 1024;
    }
    /// `[dhcp]`: the built-in DHCP server.
    dhcp "dhcp" as Dhcp {
        /// full = addresses for machines it knows; proxy = boot options beside another server; off.
        mode: String = "off".into();
        /// First address to give.
        range_start: Option<String> = None;
        /// Last address to give.
        range_end: Option<String> = None;
        /// Netmask of the range.
        netmask: String = "255.255.255.0".into();
        /// Router to announce.
        router: Option<String> = None;
        /// Name servers to announce.
        dns: Vec<String> = Vec::new();
        /// Seconds of a lease.
        lease_seconds: u32 = 600;
        /// IPv6 prefix to announce, e.g. fd22::/64; not set: in full mode it is only announced that there is none, so that
        /// iPXE does not wait for one.
        ra_prefix: Option<String> = None;
    }
    /// `[ipmi]`.
    ipmi "ipmi" as Ipmi {
        /// Seconds for one command with all its repetitions.
        command_retry_timeout: Seconds = Seconds(20.0);
        /// Least seconds between two commands to one BMC, for those that bear no more.
        min_command_interval: Seconds = Seconds(0.0);
        /// Longest seconds between two looks at the power state while it is waited for.
        poll_interval: Seconds = Seconds(1.0);
        /// Seconds after a reset for which "on" is not believed unless "off" was seen.
        cycle_settle: Seconds = Seconds(3.0);
        /// Tell BMCs to keep the boot device for longer than 60 s.
        disable_boot_timeout: bool = true;
        /// Cipher suites to try, in this order, for nodes without ipmi_cipher_suite.
        cipher_suite_versions: Vec<u8> = vec![17, 3];
    }
    /// `[inspection_rules]`: what inspection does with what it found.
    inspection_rules "inspection_rules" as InspectionRules {
        /// YAML file of rules that every inspection runs besides the stored ones; read at each inspection.
        built_in_rules: Option<String> = None;
        /// Hide passwords and tokens in inspection data from rules: always, never, sensitive = not from sensitive rules.
        mask_secrets: String = "always".into();
    }
    /// `[oslo_messaging_notifications]`: the message bus for notifications.
    oslo_messaging_notifications "oslo_messaging_notifications" as Notifications {
        /// RabbitMQ: rabbit://user:password@host:5672/vhost; several hosts of a cluster with commas, each with its user; with amqps:// or ?ssl=true by TLS.
        transport_url: Option<Secret> = None;
    }
    /// `[oslo_messaging_rabbit]`: TLS to that bus.
    oslo_messaging_rabbit "oslo_messaging_rabbit" as Rabbit {
        /// Speak TLS to the message bus.
        ssl: bool = false;
        /// Authorities that may have signed the message bus's certificate; not set: those of the system.
        ssl_ca_file: Option<PathBuf> = None;
        /// Our own certificate, for a message bus that asks for one.
        ssl_cert_file: Option<PathBuf> = None;
        /// The key of that certificate.
        ssl_key_file: Option<PathBuf> = None;
    }
    /// `[events]`: the log of what happened, and who is told. Not in Ironic.
    events "events" as Events {
        /// Lines of the log that are kept; the oldest go first.
        log_max_entries: u64 = 10_000;
        /// Seconds after which lines go even when there is room; 0: never.
        log_max_age: Seconds = Seconds(7.0 * 86_400.0);
        /// Streams of GET /v1/events at the same time.
        max_streams: usize = 256;
        /// Seconds between signs of life on a stream on which nothing happens.
        heartbeat_interval: Seconds = Seconds(15.0);
        /// Receivers by HTTP: [[events.webhooks]] with name, url, secret, and types and owner to narrow what each gets.
        webhooks: Vec<WebhookOptions> = Vec::new();
        /// Authorities that may have signed the certificates of receivers; not set: those of the system.
        webhook_cafile: Option<PathBuf> = None;
        /// Seconds for one delivery.
        webhook_timeout: Seconds = Seconds(10.0);
        /// Longest seconds between two tries of a delivery.
        webhook_retry_max: Seconds = Seconds(300.0);
    }
    /// `[auto_discovery]`.
    auto_discovery "auto_discovery" as AutoDiscovery {
        /// Enrol machines that nobody knows when their ramdisk sends an inventory. Anybody who reaches the API can have nodes made then.
        enabled: bool = false;
        /// Hardware type of such nodes.
        driver: Option<String> = None;
    }
    /// `[vnc]`.
    vnc "vnc" as Vnc {
        /// Address of the page that shows graphical consoles; `GET states/console` leads there.
        public_url: String = "http://127.0.0.1:6090/vnc_auto.html".into();
        /// Seconds that a graphical session lasts.
        token_timeout: Seconds = Seconds(600.0);
        /// Seconds until a session that could not be ended, because its node was held, is looked at again.
        expire_console_session_interval: Seconds = Seconds(120.0);
    }
    /// `[inspector]`.
    inspector "inspector" as Inspector {
        /// Inspection by the agent needs a node whose boot is managed here; false: others are switched on and whatever boots them must boot the ramdisk.
        require_managed_boot: bool = true;
        /// Which NICs become ports: all, active, pxe, disabled.
        add_ports: String = "pxe".into();
        /// Which ports stay: all, present, added.
        keep_ports: String = "all".into();
        /// Switch the machine off after inspection.
        power_off: bool = true;
        /// Comma list that the ramdisk is told to collect.
        extra_collectors: String = "default".into();
    }
}

fn words(list: &str) -> Vec<String> {
    list.split(' ').map(str::to_owned).collect()
}
