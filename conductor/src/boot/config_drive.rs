//! Config drives: what the API may be given, and the volume made of the object form.
//!
//! Rest-api section 7.2, agent-protocol section 12. The result is base64 of gzip of an ISO 9660 volume labelled
//! `config-2`; the same parts give the same text, so a repeated step changes nothing.

use super::iso9660::{self, IsoError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::config_drive::{ConfigDriveParts, MAX_BYTES};
use flate2::{Compression, GzBuilder};
use serde_json::{Map, Value};
use std::io::{self, Write};
use url::Url;

/// The volume's label, by which installed systems find it.
const LABEL: &str = "config-2";
/// API versions from which an object, and vendor_data in it, are taken.
const OBJECT_SINCE: u16 = 56;
const VENDOR_DATA_SINCE: u16 = 59;

/// Keys of the object form.
const KEYS: &[&str] = &["meta_data", "network_data", "user_data", "vendor_data"];

/// A config drive as it was given.
#[derive(Clone, PartialEq)]
pub enum ConfigDrive {
    /// To be built.
    Parts(Box<ConfigDriveParts>),
    /// A URL or base64 text: handed to the agent as it is.
    Text(String),
}

impl std::fmt::Debug for ConfigDrive {
    /// Config drives carry keys and passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Parts(_) => "ConfigDrive::Parts(hidden)",
            Self::Text(_) => "ConfigDrive::Text(hidden)",
        })
    }
}

/// Why a config drive is refused: HTTP 400.
#[derive(Debug, thiserror::Error)]
pub enum ConfigDriveError {
    /// No form that is known.
    #[error("Invalid configdrive format: it is neither a JSON, nor a URL, nor a base64 string")]
    Format,
    /// An object below 1.56.
    #[error("Providing a JSON object for configdrive is only supported starting with API version 1.{OBJECT_SINCE}")]
    ObjectTooEarly,
    /// vendor_data below 1.59.
    #[error("Providing vendor_data in configdrive is only supported starting with API version 1.{VENDOR_DATA_SINCE}")]
    VendorDataTooEarly,
    /// A wrong key or type.
    #[error("Invalid configdrive format: {0}")]
    Parts(String),
    /// Too large.
    #[error("The configdrive cannot be built: {0}")]
    Volume(#[from] IsoError),
    /// The compressor.
    #[error("The configdrive cannot be compressed: {0}")]
    Compress(#[from] io::Error),
}

/// Reads the API's `configdrive` argument. `minor` is the version 1.x of the request; empty means none.
pub fn read(value: &Value, minor: u16) -> Result<Option<ConfigDrive>, ConfigDriveError> {
    match value {
        Value::Null => Ok(None),
        Value::Object(object) if object.is_empty() => Ok(None),
        Value::Object(object) => parts(object, minor).map(Some),
        Value::String(text) => read_text(text.trim(), minor),
        _ => Err(ConfigDriveError::Format),
    }
}

fn read_text(text: &str, minor: u16) -> Result<Option<ConfigDrive>, ConfigDriveError> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.starts_with('{') {
        let object = serde_json::from_str::<Map<String, Value>>(text).map_err(|_| ConfigDriveError::Format)?;
        return if object.is_empty() { Ok(None) } else { parts(&object, minor).map(Some) };
    }
    if let Ok(url) = Url::parse(text) {
        return match url.scheme() {
            "http" | "https" if url.has_host() => Ok(Some(ConfigDrive::Text(text.to_owned()))),
            _ => Err(ConfigDriveError::Format),
        };
    }
    // `base64` breaks its lines; agents may not expect that.
    let joined: String = text.split_ascii_whitespace().collect();
    match STANDARD.decode(&joined) {
        Ok(_) => Ok(Some(ConfigDrive::Text(joined))),
        Err(_) => Err(ConfigDriveError::Format),
    }
}

fn parts(object: &Map<String, Value>, minor: u16) -> Result<ConfigDrive, ConfigDriveError> {
    if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let key: String = key.chars().take(64).collect();
        let text = format!("Additional properties are not allowed ('{key}' was unexpected)");
        return Err(ConfigDriveError::Parts(text));
    }
    if minor < OBJECT_SINCE {
        return Err(ConfigDriveError::ObjectTooEarly);
    }
    let parts: ConfigDriveParts = serde_json::from_value(Value::Object(object.clone()))
        .map_err(|error| ConfigDriveError::Parts(error.to_string()))?;
    if parts.vendor_data.is_some() && minor < VENDOR_DATA_SINCE {
        return Err(ConfigDriveError::VendorDataTooEarly);
    }
    match parts.user_data {
        None | Some(Value::Null | Value::String(_) | Value::Object(_) | Value::Array(_)) => {
            Ok(ConfigDrive::Parts(Box::new(parts)))
        }
        Some(_) => Err(ConfigDriveError::Parts("user_data must be a string, an object or a list".into())),
    }
}

/// Builds the volume and returns base64 of its gzip. uuid and name default to the node's.
pub fn build(parts: &ConfigDriveParts, node_uuid: &str, node_name: Option<&str>) -> Result<String, ConfigDriveError> {
    let volume = volume(parts, node_uuid, node_name)?;
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    gzip.write_all(&volume)?;
    Ok(STANDARD.encode(gzip.finish()?))
}

/// The ISO 9660 volume itself.
pub fn volume(parts: &ConfigDriveParts, node_uuid: &str, node_name: Option<&str>) -> Result<Vec<u8>, ConfigDriveError> {
    let mut meta_data = parts.meta_data.clone().unwrap_or_default();
    meta_data.entry("uuid").or_insert_with(|| node_uuid.into());
    if let Some(name) = node_name {
        meta_data.entry("name").or_insert_with(|| name.into());
    }
    let mut files = vec![("openstack/latest/meta_data.json", json(&Value::Object(meta_data)))];
    if let Some(network) = &parts.network_data {
        files.push(("openstack/latest/network_data.json", json(&Value::Object(network.clone()))));
    }
    if let Some(vendor) = &parts.vendor_data {
        files.push(("openstack/latest/vendor_data.json", json(&Value::Object(vendor.clone()))));
    }
    match &parts.user_data {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => files.push(("openstack/latest/user_data", text.clone().into_bytes())),
        Some(other) => files.push(("openstack/latest/user_data", json(other))),
    }
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (*path, bytes.as_slice())).collect();
    Ok(iso9660::build(LABEL, &files, MAX_BYTES)?)
}

fn json(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use serde_json::json;
    use std::io::Read;

    fn given(value: &Value, minor: u16) -> Result<Option<ConfigDrive>, String> {
        read(value, minor).map_err(|error| error.to_string())
    }

    #[test]
    fn urls_and_base64_pass_and_objects_are_typed() {
        assert_eq!(given(&json!(""), 1).unwrap(), None);
        assert_eq!(given(&json!({}), 1).unwrap(), None);
        assert_eq!(given(&Value::Null, 1).unwrap(), None);
        let text = |text: &str| Some(ConfigDrive::Text(text.into()));
        assert_eq!(given(&json!("https://host/drive"), 1).unwrap(), text("https://host/drive"));
        assert_eq!(given(&json!("SGVs\nbG8=\n"), 1).unwrap(), text("SGVsbG8="));
        let object = json!({"meta_data": {"hostname": "h"}, "user_data": ["a"], "network_data": {}});
        assert!(matches!(given(&object, 56).unwrap(), Some(ConfigDrive::Parts(_))));
        assert!(matches!(given(&json!(object.to_string()), 56).unwrap(), Some(ConfigDrive::Parts(_))));
    }

    #[test]
    fn what_the_table_refuses_is_refused_with_its_words() {
        let format = "Invalid configdrive format: it is neither a JSON, nor a URL, nor a base64 string";
        for value in [json!("!!"), json!("abc"), json!("{broken"), json!("file:///etc/passwd"), json!(5), json!([1])] {
            assert_eq!(given(&value, 115).unwrap_err(), format, "{value}");
        }
        assert!(given(&json!({"meta_data": {}}), 55).unwrap_err().contains("1.56"));
        assert!(given(&json!({"vendor_data": {}}), 58).unwrap_err().contains("1.59"));
        for value in
            [json!({"evil": 1}), json!({"meta_data": []}), json!({"user_data": 5}), json!({"network_data": "x"})]
        {
            assert!(given(&value, 115).unwrap_err().starts_with("Invalid configdrive format: "), "{value}");
        }
    }

    #[test]
    fn the_text_is_a_zipped_volume_with_the_nodes_identity() {
        let parts: ConfigDriveParts = serde_json::from_value(json!({
            "meta_data": {"hostname": "server1", "name": "mine"},
            "user_data": {"runcmd": ["true"]},
            "vendor_data": {"a": 1},
        }))
        .unwrap();
        let text = build(&parts, "1be26c0b-03f2-4d2e-ae87-c02d7f33c123", Some("node-1")).unwrap();
        assert_eq!(text, build(&parts, "1be26c0b-03f2-4d2e-ae87-c02d7f33c123", Some("node-1")).unwrap());
        let mut volume = Vec::new();
        GzDecoder::new(STANDARD.decode(text).unwrap().as_slice()).read_to_end(&mut volume).unwrap();
        assert_eq!(&volume[16 * 2048 + 40..16 * 2048 + 48], b"config-2");
        let has = |text: &str| volume.windows(text.len()).any(|part| part == text.as_bytes());
        let meta = r#"{"hostname":"server1","name":"mine","uuid":"1be26c0b-03f2-4d2e-ae87-c02d7f33c123"}"#;
        assert!(has(meta) && has(r#"{"runcmd":["true"]}"#) && has(r#"{"a":1}"#) && !has("network_data"));
    }

    #[test]
    fn a_drive_beyond_the_limit_is_refused() {
        let parts = ConfigDriveParts {
            user_data: Some(Value::String("x".repeat(MAX_BYTES as usize + 1))),
            ..ConfigDriveParts::default()
        };
        assert!(build(&parts, "u", None).unwrap_err().to_string().contains("at most 67108864"));
    }
}
