//! Step `update_nvidia_nic_firmware_settings`: parameters of `mstconfig`, only those that differ, all checked before any is set.

use super::tools::{Port, Tools};
use super::{shown, wrong};
use crate::step::{StepContext, StepError};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Sets.
pub fn run(tools: &Tools, given: &Value, context: &StepContext) -> Result<Value, StepError> {
    let invalid = |details: String| wrong("InvalidFirmwareSettingsConfig", details);
    let list = given
        .as_array()
        .ok_or_else(|| invalid(format!("The settings must be  list of settings, {}", shown(&given.to_string()))))?;
    tools.check()?;
    let ports = tools.ports()?;
    let mut by_device: BTreeMap<&str, &Value> = BTreeMap::new();
    for entry in list {
        let device = entry.get("deviceID").and_then(Value::as_str).filter(|device| !device.is_empty());
        let device = device.ok_or_else(|| invalid("There is no deviceID provided for this settings".into()))?;
        if ports.iter().any(|port| port.device == device) && by_device.insert(device, entry).is_some() {
            return Err(wrong("DuplicateDeviceID", format!("duplicate settings for device ID {device}")));
        }
    }
    let mut seen = BTreeSet::new();
    let mut jobs: Vec<(&Port, Map<String, Value>)> = Vec::new();
    let mut resets: Vec<&Port> = Vec::new();
    for port in &ports {
        let Some(entry) = by_device.get(port.device.as_str()) else { continue };
        let part = |name: &str| entry.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
        let mut wanted = Map::new();
        if seen.insert(port.adapter()) {
            wanted.extend(part("globalConfig"));
            let firmware = tools.firmware(&port.address)?;
            if firmware.running.is_some() && firmware.running != firmware.version {
                resets.push(port);
            }
        }
        wanted.extend(part(if port.address.ends_with('0') { "function0Config" } else { "function1Config" }));
        if !wanted.is_empty() {
            jobs.push((port, wanted));
        }
    }
    for port in resets {
        // A new firmware that does not start yet may know other parameters; if it cannot start, the check below says so.
        if let Err(error) = tools.reset(&port.address) {
            tracing::warn!(adapter = %port.address, %error, "the adapter could not be reset");
        }
    }
    let mut orders = Vec::new();
    for (port, wanted) in &jobs {
        orders.push((port, check(tools, port, wanted)?));
    }
    for (port, pairs) in orders.iter().filter(|(_, pairs)| !pairs.is_empty()) {
        context.progress.say(format!("settings of {}: {}", port.address, pairs.join(" ")));
        tools.set(&port.address, pairs)?;
    }
    Ok(Value::Null)
}

/// The pairs to set, once tool and firmware are known to know all of them.
fn check(tools: &Tools, port: &Port, wanted: &Map<String, Value>) -> Result<Vec<String>, StepError> {
    let (known, current) = (tools.known_settings(&port.address)?, tools.settings(&port.address)?);
    let mut pairs = Vec::new();
    for (key, value) in wanted {
        let parameter = Parameter::parse(key);
        let usable = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'[' | b']' | b'.'));
        if !usable || !known.split_ascii_whitespace().any(|word| word.contains(parameter.name)) {
            let details = format!(
                "Configuraiton: {key} is not supported by mstconfig, please update to the latest mstflint package."
            );
            return Err(wrong("UnSupportedConfigByMstflintPackage", details));
        }
        let now = current.iter().find(|(name, _)| name == parameter.name).map(|(_, value)| value.as_str());
        let Some(now) = now.filter(|now| parameter.fits(now)) else {
            let details = format!("Configuraiton {key} for device {} is not supported with current fw", port.address);
            return Err(wrong("UnSupportedConfigByFW", details));
        };
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(true) => "True".into(),
            Value::Bool(false) => "False".into(),
            other => other.to_string(),
        };
        if parameter.indices.is_some() || !same(&text, now) {
            pairs.push(format!("{key}={text}"));
        }
    }
    Ok(pairs)
}

/// Numbers by value; words also as part of what the tool shows: `True` in `True(1)`.
fn same(wanted: &str, now: &str) -> bool {
    match (wanted.parse::<i64>(), now.parse::<i64>()) {
        (Ok(wanted), Ok(now)) => wanted == now,
        _ => now.to_ascii_lowercase().contains(&wanted.to_ascii_lowercase()),
    }
}

/// `NAME`, `NAME[3]`, `NAME[0..3]`.
struct Parameter<'a> {
    name: &'a str,
    indices: Option<(u64, u64)>,
}

impl<'a> Parameter<'a> {
    fn parse(key: &'a str) -> Parameter<'a> {
        let range = key.split_once('[').and_then(|(name, rest)| {
            let (first, last) = bounds(rest.strip_suffix(']')?)?;
            Some(Parameter { name, indices: Some((first, last)) })
        });
        range.unwrap_or(Parameter { name: key, indices: None })
    }

    /// An array is shown as `Array[0..63]`; the last index of it is not taken (as the reference has it).
    fn fits(&self, now: &str) -> bool {
        let Some((first, last)) = self.indices else { return true };
        let array = now.strip_prefix("Array[").and_then(|rest| bounds(rest.strip_suffix(']')?));
        array.is_some_and(|(low, high)| (low..high).contains(&first) && (low..high).contains(&last) && first <= last)
    }
}

/// `3` or `0..3`.
fn bounds(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?))
}
