//! What an instance says about its partitions, when its image is a root file system and no whole disk. Pure.
//!
//! Names and defaults are Ironic's (`instance_info`); what the agent is told is in agent-protocol section 11.

use crate::model::secret_map::SecretMap;
use serde_json::{Map, Value, json};

/// File system of an ephemeral partition when the instance names none.
const EPHEMERAL_FORMAT: &str = "ext4";
/// Largest partition, GiB: nobody means more, and its MiB still fit a JSON number.
const MAX_GIB: u64 = 1 << 24;

/// The members of `image_info` that describe the partitions.
///
/// # Errors
/// What is missing or wrong in instance_info, in Ironic's words, and what to do.
pub fn of(info: &SecretMap, boot_mode: &str) -> Result<Map<String, Value>, String> {
    let given = |name: &str| info.get(name).filter(|value| !value.is_null());
    if given("root_gb").is_none() {
        return Err("Some parameters were missing in node's instance_info. Missing are: ['root_gb']. A partition image needs \
                    the size of its root partition in GiB; for an image of a whole disk set instance_info.image_type to whole-disk"
            .into());
    }
    let size = |name: &str, limit: u64| match given(name) {
        None => Ok(0),
        Some(value) => number(value)
            .filter(|size| *size <= limit)
            .ok_or_else(|| invalid(name, &format!("it must be a whole number from 0 to {limit}"))),
    };
    let (root, swap, ephemeral) =
        (size("root_gb", MAX_GIB)?, size("swap_mb", MAX_GIB << 10)?, size("ephemeral_gb", MAX_GIB)?);
    if root == 0 {
        return Err(invalid("root_gb", "a system needs a root partition: give its size in GiB, 1 or more"));
    }
    let preserve = match given("preserve_ephemeral") {
        None => false,
        Some(value) => flag(value).ok_or_else(|| invalid("preserve_ephemeral", "it must be true or false"))?,
    };
    let format = info.text("ephemeral_format").filter(|text| !text.is_empty());
    let format = format.or((ephemeral > 0).then_some(EPHEMERAL_FORMAT));
    let told = json!({
        "image_type": "partition", "root_gb": root, "root_mb": root << 10, "swap_mb": swap, "ephemeral_mb": ephemeral << 10,
        "ephemeral_format": format, "preserve_ephemeral": preserve, "deploy_boot_mode": boot_mode, "boot_option": "local",
    });
    Ok(told.as_object().cloned().unwrap_or_default())
}

fn invalid(name: &str, reason: &str) -> String {
    format!(
        "Cannot validate parameter for driver deploy. Invalid parameter {name}. Reason: {reason}. Correct instance_info.{name}"
    )
}

/// A whole number, also as text, as clients send both.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn flag(value: &Value) -> Option<bool> {
    let text = match value {
        Value::Bool(flag) => return Some(*flag),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_ascii_lowercase(),
        _ => return None,
    };
    match text.as_str() {
        "1" | "t" | "true" | "on" | "y" | "yes" => Some(true),
        "0" | "f" | "false" | "off" | "n" | "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::model::secret_map::SecretMap;
    use serde_json::{Value, json};

    fn info(value: Value) -> SecretMap {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn sizes_are_told_in_mebibytes_with_ironics_defaults() {
        let told = of(&info(json!({"root_gb": "10", "swap_mb": 512, "ephemeral_gb": 2})), "uefi").unwrap();
        let all = json!({
            "image_type": "partition", "root_gb": 10, "root_mb": 10240, "swap_mb": 512, "ephemeral_mb": 2048,
            "ephemeral_format": "ext4", "preserve_ephemeral": false, "deploy_boot_mode": "uefi", "boot_option": "local",
        });
        assert_eq!(Value::Object(told), all);
        let told = of(&info(json!({"root_gb": 1, "preserve_ephemeral": "True"})), "bios").unwrap();
        assert_eq!(told["ephemeral_format"], Value::Null);
        assert_eq!((&told["preserve_ephemeral"], &told["swap_mb"]), (&json!(true), &json!(0)));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (value, part) in [
            (json!({}), "Missing are: ['root_gb']"),
            (json!({"root_gb": null}), "Missing are: ['root_gb']"),
            (json!({"root_gb": 0}), "Invalid parameter root_gb"),
            (json!({"root_gb": "ten"}), "Invalid parameter root_gb"),
            (json!({"root_gb": -1}), "Invalid parameter root_gb"),
            (json!({"root_gb": 1e30}), "Invalid parameter root_gb"),
            (json!({"root_gb": 1, "swap_mb": "much"}), "Invalid parameter swap_mb"),
            (json!({"root_gb": 1, "ephemeral_gb": u64::MAX}), "Invalid parameter ephemeral_gb"),
            (json!({"root_gb": 1, "preserve_ephemeral": "perhaps"}), "Invalid parameter preserve_ephemeral"),
        ] {
            let error = of(&info(value.clone()), "uefi").unwrap_err();
            assert!(error.contains(part), "{value}: {error}");
        }
    }
}
