//! The configuration: one table of options, filled from defaults, one file, the environment and flags, in that order.
//!
//! Floor 0: read by everybody, reads nobody.

mod load;
mod options;
mod print;
mod secret;
mod webhook;

pub use load::{ConfigError, Overrides, default_data_dir, load};
pub use options::{
    Agent, AgentContainers, Api, AutoDiscovery, Boot, Conductor, Cors, DOCS, Deploy, Dhcp, Events, Fake, Healthcheck,
    InspectionRules, Inspector, Ipmi, KeystoneAuthtoken, Metrics, MetricsStatsd, Notifications, Oidc, OptionDoc,
    OsloMiddleware, Pxe, Rabbit, Seconds, Top, Vnc,
};
pub use print::printed;
pub use secret::Secret;
pub use webhook::WebhookOptions;

use serde::{Deserialize, Serialize};

/// The whole configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Top level.
    #[serde(flatten)]
    pub top: Top,
    /// `[api]`
    pub api: Api,
    /// `[keystone_authtoken]`
    pub keystone_authtoken: KeystoneAuthtoken,
    /// `[oidc]`
    pub oidc: Oidc,
    /// `[oslo_middleware]`
    pub oslo_middleware: OsloMiddleware,
    /// `[cors]`
    pub cors: Cors,
    /// `[healthcheck]`
    pub healthcheck: Healthcheck,
    /// `[conductor]`
    pub conductor: Conductor,
    /// `[deploy]`
    pub deploy: Deploy,
    /// `[fake]`
    pub fake: Fake,
    /// `[agent]`
    pub agent: Agent,
    /// `[agent_containers]`
    pub agent_containers: AgentContainers,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[metrics_statsd]`
    pub metrics_statsd: MetricsStatsd,
    /// `[pxe]`
    pub pxe: Pxe,
    /// `[boot]`
    pub boot: Boot,
    /// `[dhcp]`
    pub dhcp: Dhcp,
    /// `[ipmi]`
    pub ipmi: Ipmi,
    /// `[inspection_rules]`
    pub inspection_rules: InspectionRules,
    /// `[oslo_messaging_notifications]`
    pub oslo_messaging_notifications: Notifications,
    /// `[oslo_messaging_rabbit]`
    pub oslo_messaging_rabbit: Rabbit,
    /// `[events]`
    pub events: Events,
    /// `[vnc]`
    pub vnc: Vnc,
    /// `[auto_discovery]`
    pub auto_discovery: AutoDiscovery,
    /// `[inspector]`
    pub inspector: Inspector,
}

impl Config {
    /// Name of this conductor.
    pub fn host(&self) -> String {
        self.top.host.clone().unwrap_or_else(|| {
            nix::unistd::gethostname()
                .ok()
                .and_then(|name| name.into_string().ok())
                .unwrap_or_else(|| "conductor".into())
        })
    }
}
