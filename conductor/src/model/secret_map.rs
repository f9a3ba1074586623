//! JSON objects that may hold secrets: never printed, masked for people (rest-api section 3, "Masking").

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::ops::{Deref, DerefMut};

/// What people see in place of a secret.
pub const MASK: &str = "******";

/// A key whose lower-case name contains one of these holds a secret.
const SECRET_WORDS: &[&str] = &[
    "password",
    "adminpass",
    "admin_pass",
    "new_pass",
    "sys_pswd",
    "secret",
    "token",
    "configdrive",
    "passphrase",
    "private_key",
    "encrypted_key",
    "sslkey",
    "fernetkey",
    "snmp_auth_key",
    "snmp_priv_key",
    "authorization",
    "k_g",
    "kg_key",
    "hex_kg",
];

/// A JSON object such as driver_info. `Debug` shows keys only.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretMap(pub Map<String, Value>);

impl SecretMap {
    /// A copy that may be shown: secrets become [`MASK`], recursively; credentials inside URLs are masked too.
    pub fn masked(&self) -> Map<String, Value> {
        mask_map(&self.0)
    }

    /// A text value.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }

    /// A boolean, also as one of the words that clients send (rest-api section 1.1).
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.0.get(key)? {
            Value::Bool(value) => Some(*value),
            Value::Number(number) => number.as_u64().and_then(|number| (number < 2).then_some(number == 1)),
            Value::String(word) => match word.trim().to_ascii_lowercase().as_str() {
                "1" | "t" | "true" | "on" | "y" | "yes" => Some(true),
                "0" | "f" | "false" | "off" | "n" | "no" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

fn mask_map(map: &Map<String, Value>) -> Map<String, Value> {
    map.iter()
        .map(|(key, value)| {
            let value = match value {
                Value::Null => Value::Null,
                _ if is_secret(key) => Value::String(MASK.into()),
                other => mask_value(other),
            };
            (key.clone(), value)
        })
        .collect()
}

fn mask_value(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(mask_map(map)),
        Value::Array(items) => Value::Array(items.iter().map(mask_value).collect()),
        Value::String(text) => Value::String(mask_url(text)),
        other => other.clone(),
    }
}

/// `http://user:word@host` becomes `http://user:******@host`.
fn mask_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.into() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((credentials, host)) = authority.rsplit_once('@') else { return text.into() };
    let Some((user, _)) = credentials.split_once(':') else { return text.into() };
    format!("{scheme}://{user}:{MASK}@{host}{}", &rest[authority.len()..])
}

impl Deref for SecretMap {
    type Target = Map<String, Value>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for SecretMap {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl From<Map<String, Value>> for SecretMap {
    fn from(map: Map<String, Value>) -> Self {
        Self(map)
    }
}

impl fmt::Debug for SecretMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> SecretMap {
        SecretMap(value.as_object().unwrap().clone())
    }

    #[test]
    fn secrets_are_masked_at_any_depth_and_never_printed() {
        let info = map(json!({"ipmi_password": "x1", "a": {"auth_token": "x2", "b": [{"Secret_thing": "x3"}]},
            "image": "http://me:x4@host/p", "plain": 3, "redfish_password": null}));
        let shown = serde_json::to_string(&info.masked()).unwrap();
        for secret in ["x1", "x2", "x3", "x4"] {
            assert!(!shown.contains(secret), "{shown}");
            assert!(!format!("{info:?}").contains(secret));
        }
        assert_eq!(info.masked()["image"], "http://me:******@host/p");
        assert_eq!(info.masked()["plain"], 3);
    }

    #[test]
    fn flags_accept_the_words_of_the_contract() {
        let info = map(json!({"a": "Yes", "b": 0, "c": false, "d": "maybe", "e": 7}));
        assert_eq!(
            ["a", "b", "c", "d", "e", "f"].map(|key| info.flag(key)),
            [Some(true), Some(false), Some(false), None, None, None]
        );
    }
}
