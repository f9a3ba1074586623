//! Node states: what they are, power, console, RAID target, boot mode (rest-api sections 7.1, 7.3, 7.4).

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::View;
use super::node_fields::{provision_state, value};
use super::nodes::{ident_of, node_of};
use super::out::time;
use crate::flow::request::{self, BootChange};
use crate::model::power::{BootMode, PowerTarget};
use serde_json::{Value, json};
use std::time::Duration;

/// Longest time a power change may take.
const LONGEST: u64 = 24 * 3600;

/// `GET /v1/nodes/{}/states`.
pub async fn show(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let node = node_of(call).await?;
    let view = View::of(call);
    let mut answer = json!({
        "console_enabled": node.console_enabled,
        "last_error": value("last_error", &node, &view),
        "power_state": node.power_state,
        "provision_state": provision_state(&node, &view),
        "target_power_state": node.power_to_come(),
        "target_provision_state": node.target_provision_state,
        "provision_updated_at": time(node.provision_updated_at),
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

/// `PUT /v1/nodes/{}/states/raid`: the whole body is the wanted configuration.
pub async fn raid(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let wanted = call.object("target_raid_config")?;
    request::set_raid(&call.conductor, &ident_of(call)?, wanted, &call.caller).await?;
    Ok(Answer::no_content())
}

/// `PUT /v1/nodes/{}/states/boot_mode`.
pub async fn boot_mode(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::read(call, &["target"])?;
    let word = args.required("target")?;
    node_of(call).await?;
    let Some(mode) = BootMode::from_name(word) else {
        let text = format!("Invalid boot mode {} requested for node. Allowed boot modes are: bios, uefi", cut(word));
        return Err(ApiError::invalid(text));
    };
    request::change_boot(&call.conductor, &ident_of(call)?, BootChange::Mode(mode), &call.caller).await?;
    Ok(Answer::accepted_at(location(call)))
}

/// `PUT /v1/nodes/{}/states/secure_boot`.
pub async fn secure_boot(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::read(call, &["target"])?;
    if !args.has("target") {
        return Err(ApiError::invalid("Missing mandatory parameter: target"));
    }
    let on = args.boolean("target")?;
    node_of(call).await?;
    let Some(on) = on else {
        let text = "Invalid secure_boot None requested for node. Allowed secure_boot states are: True, False)";
        return Err(ApiError::invalid(text));
    };
    request::change_boot(&call.conductor, &ident_of(call)?, BootChange::SecureBoot(on), &call.caller).await?;
    Ok(Answer::accepted_at(location(call)))
}

/// `GET /v1/nodes/{}/states/console`.
pub async fn console(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let info = request::console(&call.conductor, &ident_of(call)?).await?;
    Ok(Answer::ok(json!({"console_enabled": info.is_some(), "console_info": info})))
}

/// `PUT /v1/nodes/{}/states/console`.
pub async fn set_console(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::read(call, &["enabled"])?;
    let on = args.boolean("enabled")?.ok_or_else(|| ApiError::invalid("Missing mandatory parameter: enabled"))?;
    request::set_console(&call.conductor, &ident_of(call)?, on, &call.caller).await?;
    Ok(Answer::accepted_at(format!("{}/console", location(call))))
}
