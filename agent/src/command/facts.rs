//! What the agent knows about its node: token, node record, rules. Written by look-up, read by commands and by the token check.

use crate::config::Config;
use crate::hardware;
use crate::hardware::benchmark::Benchmark;
use crate::step::{self, Rules};
use crate::tls::Signer;
use common::heartbeat::LookupReply;
use common::token::Token;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

/// Interior mutability: readers are on many threads.
pub struct Facts(RwLock<Known>);

struct Known {
    token: Option<Token>,
    node: Map<String, Value>,
    rules: Rules,
    tls_min_version: String,
    tls_cipher_suites: Option<String>,
    hardware: hardware::Options,
    serving: bool,
    signer: Option<Signer>,
}

/// What a look-up meant for the token (agent-protocol section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenNews {
    /// There is a token: the new one, or the one known before.
    Known,
    /// The API says it handed the token out before, and this agent has none: it must never serve.
    Refused,
    /// The API speaks of no token.
    None,
}

impl Facts {
    /// What the configuration says; `allow_erase` names devices that may be destroyed although `/` is not a ramdisk.
    pub fn new(config: &Config, allow_erase: Vec<PathBuf>) -> Self {
        let rules = Rules {
            md5_enabled: config.md5_enabled,
            disable_deep_image_inspection: config.disable_deep_image_inspection,
            permitted_image_formats: config.permitted_image_formats.clone(),
            insecure: config.insecure,
            ca_file: config.cafile.clone(),
            client: config.client_files().map(Into::into),
            enable_discard_erase: config.enable_discard_erase,
            partition_sizes: (config.efi_system_partition_size, config.bios_boot_partition_size),
            // Not what look-up says: that would cut off image servers for the sake of the agent's own server (ipa-features 26, row 17).
            tls_min_version: config.image_tls_min_version.clone().unwrap_or_else(|| config.tls_min_version.clone()),
            image_server: match (&config.image_server_user, &config.image_server_password) {
                (Some(user), Some(password)) if config.image_server_auth_strategy == "http_basic" => {
                    Some((user.clone(), password.clone()))
                }
                _ => None,
            },
            download_timeout: config.download_timeout,
            download_retries: config.download_retries,
            download_retry_interval: config.download_retry_interval,
            download_max_duration: config.download_max_duration,
            allow_erase,
            allow_steps: Vec::new(),
            containers: config.containers.clone(),
            guard_special_filesystems: config.guard_special_filesystems,
            efivars: PathBuf::from("/sys/firmware/efi/efivars"),
            ignore_bootloader_failure: config.ignore_bootloader_failure,
            config_drive_rebuild: config.config_drive_rebuild,
            inject_files_priority: i64::from(config.inject_files_priority),
            disable_bootc_deploy: config.disable_bootc_deploy,
        };
        Self(RwLock::new(Known {
            token: config.agent_token.clone().filter(|token| !token.is_mask()),
            node: Map::new(),
            rules,
            tls_min_version: config.tls_min_version.clone(),
            tls_cipher_suites: config.tls_cipher_suites.clone(),
            hardware: hardware::Options {
                skip_bmc: false,
                hide_fa_macs: config.hide_fa_macs,
                collect_lldp: config.collect_lldp,
                lldp_patience: config.lldp_timeout,
                lldp_most: None,
                vlans: config.vlan_interfaces.clone(),
                benchmarks: config.inspection_benchmarks.iter().filter_map(|word| Benchmark::parse(word)).collect(),
            },
            serving: false,
            signer: None,
        }))
    }

    /// Steps that may change anything although `/` is not a ramdisk.
    pub fn allow_steps(&self, steps: Vec<String>) {
        self.write().rules.allow_steps = steps;
    }

    /// A token from before; one that is known already stays.
    pub fn remember(&self, token: Token) {
        let mut known = self.write();
        if known.token.is_none() {
            known.token = Some(token);
        }
    }

    /// Applies a look-up's answer (agent-protocol 2.3). Null and missing keys change nothing.
    pub fn learn(&self, reply: &LookupReply) -> TokenNews {
        let mut known = self.write();
        let node = serde_json::to_value(&reply.node).ok().and_then(|node| node.as_object().cloned());
        known.node = node.unwrap_or_default();
        let Some(config) = &reply.config else {
            return known.token.as_ref().map_or(TokenNews::None, |_| TokenNews::Known);
        };
        if let Some(enabled) = config.agent_md5_checksum_enable {
            known.rules.md5_enabled = enabled;
        }
        if let Some(disable) = config.disable_deep_image_inspection {
            known.rules.disable_deep_image_inspection = disable;
        }
        if let Some(formats) = &config.permitted_image_formats {
            known.rules.permitted_image_formats = formats.clone();
        }
        for (key, value) in config.agent_containers.as_object().into_iter().flatten() {
            if let Err(why) = known.rules.containers.set(key, value) {
                tracing::warn!(key, why, "a container option of the look-up is not taken");
            }
        }
        step::container_steps_in(&known.rules.containers.steps_file);
        if let Some(version) = config.tls_min_version.as_deref().filter(|version| matches!(*version, "1.2" | "1.3")) {
            known.tls_min_version = version.to_owned();
        }
        if let Some(suites) = config.tls_cipher_suites.as_deref().filter(|suites| !suites.is_empty()) {
            known.tls_cipher_suites = Some(suites.to_owned());
        }
        known.hardware.skip_bmc = config.agent_skip_bmc_detect == Some(true);
        match &config.agent_token {
            Some(token) if token.is_usable() => {
                known.token = Some(token.clone());
                TokenNews::Known
            }
            Some(token) if token.is_mask() && known.token.is_none() => TokenNews::Refused,
            _ => known.token.as_ref().map_or(TokenNews::None, |_| TokenNews::Known),
        }
    }

    /// The node record of a command replaces the cached one.
    pub fn set_node(&self, node: &Map<String, Value>) {
        self.write().node = node.clone();
    }

    /// Forgets token, node record, key and the password for image servers: what runs here next must not find them in memory.
    /// Nothing can be served after it.
    pub fn forget(&self) {
        let mut known = self.write();
        known.token = None;
        known.node = Map::new();
        known.signer = None;
        known.rules.image_server = None;
    }

    /// The cached node record; empty before look-up.
    pub fn node(&self) -> Map<String, Value> {
        self.read().node.clone()
    }

    /// The rules for steps.
    pub fn rules(&self) -> Rules {
        self.read().rules.clone()
    }

    /// Lowest TLS version and suites for the agent's own server.
    pub fn server_tls(&self) -> (String, Option<String>) {
        let known = self.read();
        (known.tls_min_version.clone(), known.tls_cipher_suites.clone())
    }

    /// How to look at the hardware.
    pub fn hardware_options(&self) -> hardware::Options {
        self.read().hardware.clone()
    }

    /// The key of this boot, for proofs.
    pub fn set_signer(&self, signer: Option<Signer>) {
        self.write().signer = signer;
    }

    /// The key of this boot; none: plain HTTP.
    pub fn signer(&self) -> Option<Signer> {
        self.read().signer.clone()
    }

    /// The server is up.
    pub fn set_serving(&self) {
        self.write().serving = true;
    }

    /// Whether the server is up, so that answers may be under way.
    pub fn is_serving(&self) -> bool {
        self.read().serving
    }

    /// The token, for heartbeats.
    pub fn token(&self) -> Option<Token> {
        self.read().token.clone()
    }

    /// Whether `offered` is the token. Without a token nothing is (agent-protocol section 3).
    pub fn accepts(&self, offered: Option<&str>) -> bool {
        match (&self.read().token, offered) {
            (Some(token), Some(offered)) => token.matches(offered),
            _ => false,
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TOKEN: &str = "pY6m0c1o4v5b2hQf0m6mC6x0Q4T6bV8yqk1nJm3sR2E";

    fn reply(token: Value) -> LookupReply {
        let config =
            json!({"heartbeat_timeout": 300, "agent_token": token, "permitted_image_formats": ["raw"], "surprise": 1});
        serde_json::from_value(json!({"node": {"uuid": "u"}, "config": config})).unwrap()
    }

    #[test]
    fn the_token_rules() {
        let facts = Facts::new(&Config::default(), vec![]);
        assert!(!facts.accepts(Some(TOKEN)) && !facts.accepts(None), "no token on file means refuse");
        assert_eq!(facts.learn(&reply(json!("******"))), TokenNews::Refused);
        assert_eq!(facts.learn(&reply(json!("short"))), TokenNews::None);
        assert_eq!(facts.learn(&reply(json!(TOKEN))), TokenNews::Known);
        assert_eq!(facts.learn(&reply(json!("******"))), TokenNews::Known, "the mask is fine for who has the token");
        assert_eq!(facts.learn(&reply(Value::Null)), TokenNews::Known);
        assert!(facts.accepts(Some(TOKEN)) && !facts.accepts(Some("x")) && !facts.accepts(None));
        assert_eq!(facts.rules().permitted_image_formats, ["raw"]);
    }

    #[test]
    fn what_is_forgotten_opens_nothing() {
        let facts = Facts::new(&Config::default(), vec![]);
        facts.learn(&reply(json!(TOKEN)));
        facts.forget();
        assert!(!facts.accepts(Some(TOKEN)) && facts.node().is_empty() && facts.token().is_none());
    }

    #[test]
    fn a_token_from_the_kernel_line_survives_the_mask() {
        let config = Config { agent_token: Some(Token::new(TOKEN)), ..Config::default() };
        let facts = Facts::new(&config, vec![]);
        assert_eq!(facts.learn(&reply(json!("******"))), TokenNews::Known);
        assert!(facts.accepts(Some(TOKEN)));
    }
}
