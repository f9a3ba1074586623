//! Node states: what they are, power, console, RAID target, boot mode (rest-api sections 7.1, 7.3, 7.4).

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::{View, maybe_time};
use super::node_fields::provision_state;
use super::nodes::{ident_of, node_of};
use super::redact::redacted;
use crate::flow::request::{self, RequestError};
use crate::model::node::{InterfaceKind, Node};
use crate::model::power::PowerTarget;
use serde_json::{Value, json};
use std::time::Duration;

/// Longest time a power change may take.
const LONGEST: u64 = 24 * 3600;

/// `GET /v1/nodes/{}/states`.
pub async fn show(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let node = node_of(call).await?;
    let mut answer = json!({
        "console_enabled": node.console_enabled,
        "last_error": redacted(&View::of(call), &node, "last_error", json!(node.last_error)),
        "power_state": node.power_state,
        "provision_state": provision_state(&node, &View::of(call)),
        "target_power_state": node.target_power_state,
        "target_provision_state": node.target_provision_state,
        "provision_updated_at": maybe_time(node.provision_updated_at),
    });
    if call.version.has(12) {
        answer["raid_config"] = Value::Object(node.raid_config.clone());
        answer["target_raid_config"] = Value::Object(node.target_raid_config.clone());
    }
    if call.version.has(75) {
        answer["boot_mode"] = json!(node.boot_mode);
        answer["secure_boot"] = json!(node.secure_boot);
    }
    Ok(Answer::ok(answer))
}

/// The place of the outcome of a state change.
pub fn location(call: &Call) -> String {
    format!("{}/v1/nodes/{}/states", call.base, call.param(0))
}

/// `PUT /v1/nodes/{}/states/power`.
pub async fn power(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::read(call, &["target", "timeout"])?;
    let word = args.required("target")?;
    let ident = ident_of(call)?;
    if (args.has("timeout") || word.starts_with("soft ")) && !call.version.has(27) {
        return Err(ApiError::too_new());
    }
    let timeout = match args.integer("timeout")? {
        None => None,
        Some(seconds) => match u64::try_from(seconds).ok().filter(|seconds| (1..=LONGEST).contains(seconds)) {
            Some(seconds) => Some(Duration::from_secs(seconds)),
            None => return Err(ApiError::invalid("timeout has to be positive integer")),
        },
    };
    let Some(target) = PowerTarget::from_name(word) else {
        let node = node_of(call).await?;
        return Err(ApiError::invalid(format!(
            "The requested action \"{}\" can not be performed on node \"{ident}\" while it is in state \"{}\".",
            cut(word),
            node.power_state.map_or("None", |state| state.name())
        )));
    };
    request::power(&call.conductor, &ident, target, timeout, &call.caller).await?;
    Ok(Answer::accepted_at(location(call)))
}

/// The sentence for what a driver cannot do.
pub fn unsupported(node: &Node, what: &str) -> String {
    format!("Driver {} does not support {what} (disabled or not implemented).", node.driver)
}

/// `PUT /v1/nodes/{}/states/raid`: the whole body is the wanted configuration.
pub async fn raid(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let node = node_of(call).await?;
    if matches!(node.interface(InterfaceKind::Raid), "no-raid" | "") {
        return Err(ApiError::not_found(unsupported(&node, "raid")));
    }
    let wanted = call.object("target_raid_config")?;
    let disks = wanted.get("logical_disks");
    let fits =
        disks.and_then(Value::as_array).is_some_and(|disks| !disks.is_empty() && disks.iter().all(Value::is_object));
    if !wanted.is_empty() && (!fits || wanted.len() != 1) {
        let text = "RAID config validation error: it must hold `logical_disks`, a list of objects, and nothing else";
        return Err(ApiError::invalid(text));
    }
    let change = Box::new(move |node: &mut Node| {
        node.target_raid_config = wanted;
        Ok(())
    });
    request::update_node(&call.conductor, &ident_of(call)?, &call.caller, change).await?;
    Ok(Answer::no_content())
}

/// `PUT /v1/nodes/{}/states/boot_mode`.
pub async fn boot_mode(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::read(call, &["target"])?;
    let word = args.required("target")?;
    let node = settled(call).await?;
    if !["bios", "uefi"].contains(&word) {
        let text = format!("Invalid boot mode {} requested for node. Allowed boot modes are: bios, uefi", cut(word));
        return Err(ApiError::invalid(text));
    }
    Err(ApiError::invalid(unsupported(&node, "set_boot_mode")))
}

/// `PUT /v1/nodes/{}/states/secure_boot`.
pub async fn secure_boot(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::read(call, &["target"])?;
    let target = args.boolean("target")?;
    let node = settled(call).await?;
    target.ok_or_else(|| ApiError::invalid("Missing mandatory parameter: target"))?;
    Err(ApiError::invalid(unsupported(&node, "set_secure_boot_state")))
}

/// Firmware settings may not change under a machine that boots for us.
async fn settled(call: &Call) -> Result<Node, ApiError> {
    let node = node_of(call).await?;
    if node.provision_state.is_unstable() {
        let state = node.provision_state;
        let text = format!("Node {} can not change its boot settings while it is in state \"{state}\".", node.uuid);
        return Err(ApiError::conflict(text));
    }
    Ok(node)
}

fn has_console(node: &Node) -> Result<(), RequestError> {
    match node.interface(InterfaceKind::Console) {
        "" | "no-console" => Err(RequestError::Invalid(unsupported(node, "console"))),
        _ => Ok(()),
    }
}

/// `GET /v1/nodes/{}/states/console`. Only the fake console exists, and it leads nowhere.
pub async fn console(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let node = node_of(call).await?;
    has_console(&node)?;
    let info = if node.console_enabled { json!({}) } else { Value::Null };
    Ok(Answer::ok(json!({"console_enabled": node.console_enabled, "console_info": info})))
}

/// `PUT /v1/nodes/{}/states/console`.
pub async fn set_console(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::read(call, &["enabled"])?;
    let on = args.boolean("enabled")?.ok_or_else(|| ApiError::invalid("Missing mandatory parameter: enabled"))?;
    let change = Box::new(move |node: &mut Node| {
        has_console(node)?;
        node.console_enabled = on;
        Ok(())
    });
    request::update_node(&call.conductor, &ident_of(call)?, &call.caller, change).await?;
    Ok(Answer::accepted_at(format!("{}/console", location(call))))
}
