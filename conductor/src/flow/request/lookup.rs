//! `GET /v1/lookup`: which node this machine is, and the token of its boot (rest-api section 14.1, agent-protocol section 2).

use super::{Conductor, RequestError};
use crate::claim::Claim;
use crate::flow::{fast_track, let_go, machine};
use crate::model::node::{InterfaceKind, Node};
use crate::policy::Visible;
use crate::store::{Page, PortFilter, StoreError};
use common::heartbeat::{LookupConfig, LookupNode, LookupReply};
use common::mac::Mac;
use common::token::{MASK, Token};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// One text for "unknown" and "not waiting for an agent": a guess learns nothing.
pub(super) fn unknown() -> RequestError {
    RequestError::NotFound("Resource could not be found.".into())
}

/// `GET /v1/lookup`: `with_token` from API 1.62 on.
///
/// # Errors
/// 400 without a usable criterion, 404 for everything that is not exactly one waiting node, 409 while it is held.
pub async fn lookup(
    conductor: &Arc<Conductor>,
    addresses: Vec<Mac>,
    node_uuid: Option<Uuid>,
    with_token: bool,
) -> Result<LookupReply, RequestError> {
    let node = match node_uuid {
        Some(uuid) => conductor.store.node(&uuid.to_string()).await.map_err(|_| unknown())?,
        None if addresses.is_empty() => {
            return Err(RequestError::Invalid(
                "At least one of 'addresses' and 'node_uuid' parameters is required".into(),
            ));
        }
        None => {
            let owners = owners(conductor, &addresses).await?;
            let [only] = owners.iter().copied().collect::<Vec<_>>()[..] else { return Err(unknown()) };
            conductor.store.node(&only.to_string()).await.map_err(|_| unknown())?
        }
    };
    let allowed = node.provision_state.allows_lookup() || fast_track::allows_lookup(conductor, &node);
    if conductor.config.api.restrict_lookup && !allowed {
        return Err(unknown());
    }
    let token = if with_token { Some(hand_out_token(conductor, &node).await?) } else { None };
    Ok(reply(conductor, &node, token))
}

/// The nodes that have ports with these addresses.
pub(super) async fn owners(conductor: &Conductor, addresses: &[Mac]) -> Result<BTreeSet<Uuid>, StoreError> {
    let mut owners = BTreeSet::new();
    // A machine with more NICs than this does not exist; a longer list is an attack.
    for address in addresses.iter().take(256) {
        let filter = PortFilter { address: Some(*address), ..PortFilter::default() };
        owners.extend(
            conductor
                .store
                .ports(&Visible::Everything, &filter, &Page::default())
                .await?
                .iter()
                .map(|port| port.node_uuid),
        );
    }
    Ok(owners)
}

/// First look-up wins: later ones see the mask. One exception: a process that was killed may have saved a token and never
/// sent it. As long as no agent has shown that it has it, the process after it may give away a new one, once.
async fn hand_out_token(conductor: &Arc<Conductor>, node: &Node) -> Result<Token, RequestError> {
    const KEY: &str = "agent_secret_token";
    let process = conductor.process.to_string();
    let given = |node: &Node| {
        let info = &node.driver_internal_info;
        let lost =
            info.text(machine::TOKEN_MAKER).is_some_and(|maker| maker != process) && !info.contains_key("agent_url");
        info.contains_key(KEY) && !lost
    };
    if given(node) {
        return Ok(Token::new(MASK));
    }
    let mut claim = Claim::take_patiently(&conductor.holder, node.uuid, "agent token").await?;
    // Whoever asked before the machine was switched is gone: the token belongs to who asks now.
    if machine::boot_mark(&claim.node) != machine::boot_mark(node) {
        let busy = super::locked(&claim.node, &conductor.host);
        let_go(conductor, claim).await;
        return Err(busy);
    }
    let token = if given(&claim.node) {
        Token::new(MASK)
    } else {
        let token = Token::from_random(rand::random());
        let info = &mut claim.node.driver_internal_info;
        info.insert(KEY.into(), json!(token.expose()));
        info.insert(machine::TOKEN_MAKER.into(), json!(process));
        token
    };
    let saved = claim.save().await;
    let_go(conductor, claim).await;
    saved?;
    Ok(token)
}

pub(super) fn reply(conductor: &Conductor, node: &Node, token: Option<Token>) -> LookupReply {
    let config = &conductor.config;
    let metrics = &config.metrics;
    let base = crate::flow::ramdisk::api_url(conductor).map(String::from).unwrap_or_default();
    let href = |prefix: &str| format!("{}{prefix}nodes/{}", base, node.uuid);
    let redfish = matches!(node.interface(InterfaceKind::Management), "redfish" | "idrac-redfish");
    LookupReply {
        node: LookupNode {
            uuid: node.uuid.to_string(),
            properties: node.properties.masked(),
            instance_info: node.instance_info.masked(),
            driver_internal_info: node.driver_internal_info.masked(),
            links: vec![json!({"href": href("v1/"), "rel": "self"}), json!({"href": href(""), "rel": "bookmark"})],
        },
        config: Some(LookupConfig {
            metrics: json!({"backend": metrics.agent_backend, "prepend_host": metrics.agent_prepend_host,
                "prepend_uuid": metrics.agent_prepend_uuid, "prepend_host_reverse": metrics.agent_prepend_host_reverse,
                "global_prefix": metrics.agent_global_prefix}),
            metrics_statsd: json!({"statsd_host": config.metrics_statsd.agent_statsd_host,
                "statsd_port": config.metrics_statsd.agent_statsd_port}),
            heartbeat_timeout: config.api.ramdisk_heartbeat_timeout,
            agent_containers: json!(config.agent_containers),
            agent_token: token,
            agent_token_required: true,
            agent_md5_checksum_enable: Some(config.agent.allow_md5_checksum),
            disable_deep_image_inspection: Some(config.conductor.disable_deep_image_inspection),
            permitted_image_formats: Some(config.conductor.permitted_image_formats.clone()),
            agent_skip_bmc_detect: Some(redfish),
            enable_bios_bootloader_install: Some(false),
            tls_min_version: Some(config.agent.tls_minimum_version.clone()),
            tls_cipher_suites: None,
            agent_heartbeat_min_gap: Some(config.agent.heartbeat_min_gap.0),
        }),
        heartbeat_timeout: None,
    }
}
