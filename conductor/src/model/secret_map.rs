//! JSON objects that may hold secrets: never printed, masked for people (rest-api section 3, "Masking").
//!
//! What comes out of the database stays text until somebody looks into it: most requests read a node for some of its fields
//! and write the others back as they were.

use aho_corasick::AhoCorasick;
use serde::de::Error as _;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{LazyLock, OnceLock};

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
#[derive(Default)]
pub struct SecretMap {
    /// The object as it was read; `None`: it was made or changed here, and `map` alone counts.
    text: Option<Box<RawValue>>,
    /// The same, once somebody has looked into it.
    map: OnceLock<Map<String, Value>>,
}

impl SecretMap {
    /// The object.
    ///
    /// # Panics
    /// When a text was kept that is an object for one reader of the same library and none for the other: to go on with an
    /// empty object would lose what the record holds.
    pub fn map(&self) -> &Map<String, Value> {
        self.map.get_or_init(|| match &self.text {
            Some(text) => {
                serde_json::from_str(text.get()).expect("what is kept in the database was written as an object")
            }
            None => Map::new(),
        })
    }

    /// Nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.text.as_ref().is_some_and(|text| text.get() == "{}") || self.map().is_empty()
    }

    /// A copy that may be shown.
    pub fn masked(&self) -> Map<String, Value> {
        match serde_json::to_value(self.shown(&[])) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        }
    }

    /// For writing, without a copy: secrets become [`MASK`], recursively; credentials inside URLs are masked too. The values
    /// of `harmless` keys are secrets, too, whatever they are called.
    pub fn shown<'a>(&'a self, harmless: &'a [&'a str]) -> impl Serialize {
        Shown { map: self.map(), harmless }
    }

    /// A text value.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.map().get(key).and_then(Value::as_str)
    }

    /// A boolean, also as one of the words that clients send (rest-api section 1.1).
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.map().get(key)? {
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
    /// All words at once: every key of every answer is asked about.
    static WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| {
        AhoCorasick::builder().ascii_case_insensitive(true).build(SECRET_WORDS).expect("a few short words")
    });
    WORDS.is_match(key)
}

/// `http://user:word@host` becomes `http://user:******@host`.
fn mask_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.into() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((credentials, host)) = authority.rsplit_once('@') else { return text.into() };
    let Some((user, _)) = credentials.split_once(':') else { return text.into() };
    format!("{scheme}://{user}:{MASK}@{host}{}", &rest[authority.len()..])
}

/// A map that is written with its secrets masked.
struct Shown<'a> {
    map: &'a Map<String, Value>,
    harmless: &'a [&'a str],
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(Some(self.map.len()))?;
        for (key, value) in self.map {
            match value {
                Value::Null => map.serialize_entry(key, value)?,
                _ if is_secret(key) || self.harmless.contains(&key.as_str()) => map.serialize_entry(key, MASK)?,
                other => map.serialize_entry(key, &ShownValue(other))?,
            }
        }
        map.end()
    }
}

struct ShownValue<'a>(&'a Value);

impl Serialize for ShownValue<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => Shown { map, harmless: &[] }.serialize(out),
            Value::Array(items) => {
                let mut list = out.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&ShownValue(item))?;
                }
                list.end()
            }
            Value::String(text) if text.contains("://") => out.serialize_str(&mask_url(text)),
            other => other.serialize(out),
        }
    }
}

impl Clone for SecretMap {
    fn clone(&self) -> Self {
        match &self.text {
            // The copy is read again where it is looked into: cheaper than to copy a tree that may never be.
            Some(text) => SecretMap { text: Some(text.clone()), map: OnceLock::new() },
            None => SecretMap { text: None, map: self.map.clone() },
        }
    }
}

impl PartialEq for SecretMap {
    fn eq(&self, other: &Self) -> bool {
        let same_text = || Some(self.text.as_ref()?.get() == other.text.as_ref()?.get());
        same_text() == Some(true) || self.map() == other.map()
    }
}

impl Serialize for SecretMap {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match &self.text {
            Some(text) => text.serialize(out),
            None => self.map().serialize(out),
        }
    }
}

impl<'de> Deserialize<'de> for SecretMap {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(from)?;
        if !text.get().starts_with('{') {
            return Err(D::Error::custom("this is no object"));
        }
        Ok(SecretMap { text: Some(text), map: OnceLock::new() })
    }
}

impl Deref for SecretMap {
    type Target = Map<String, Value>;
    fn deref(&self) -> &Self::Target {
        self.map()
    }
}

impl DerefMut for SecretMap {
    fn deref_mut(&mut self) -> &mut Self::Target {
        let map = match self.map.take() {
            Some(map) => map,
            None => std::mem::take(self).into(),
        };
        self.text = None;
        self.map = OnceLock::from(map);
        self.map.get_mut().expect("it was put there")
    }
}

impl From<Map<String, Value>> for SecretMap {
    fn from(map: Map<String, Value>) -> Self {
        SecretMap { text: None, map: OnceLock::from(map) }
    }
}

impl From<SecretMap> for Map<String, Value> {
    fn from(map: SecretMap) -> Self {
        map.map();
        map.map.into_inner().unwrap_or_default()
    }
}

impl fmt::Debug for SecretMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.map().keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> SecretMap {
        value.as_object().unwrap().clone().into()
    }

    #[test]
    fn a_map_that_was_read_is_the_same_as_one_that_was_made() {
        let text = r#"{"b":1,"a":{"x":[null,"é\u0041"]},"ipmi_password":"s3cret"}"#;
        let read: SecretMap = serde_json::from_str(text).unwrap();
        let made = map(serde_json::from_str(text).unwrap());
        assert_eq!((&read, &read.clone()), (&made, &made));
        assert_eq!(serde_json::to_string(&read).unwrap(), text, "what nobody looked into is written as it was");
        assert_eq!(serde_json::to_value(&read).unwrap(), json!(made.map()));
        assert_eq!(serde_json::from_value::<SecretMap>(serde_json::to_value(&read).unwrap()).unwrap(), made);
        let mut changed = read.clone();
        changed.insert("b".into(), json!(2));
        assert_eq!((&changed["b"], &changed["a"], &read["b"]), (&json!(2), &read["a"], &json!(1)));
        assert_ne!(changed, read);
        let mut emptied = read.clone();
        emptied.clear();
        assert_eq!((serde_json::to_string(&emptied).unwrap(), emptied.is_empty()), ("{}".into(), true));
        assert!(serde_json::from_str::<SecretMap>("{}").unwrap().is_empty() && SecretMap::default().is_empty());
        assert!(serde_json::from_str::<SecretMap>("{ }").unwrap().is_empty() && !read.is_empty());
        for odd in ["null", "[]", "\"{}\"", "{\"a\":}", "{\"a\":1"] {
            assert!(serde_json::from_str::<SecretMap>(odd).is_err(), "{odd}");
        }
        assert!(!format!("{read:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_written_masked_is_what_a_masked_copy_is() {
        let info = map(json!({"ipmi_password": "x1", "a": {"auth_token": "x2", "image_url": "kept",
            "b": [{"Secret_thing": "x3"}, "http://u:x4@h/p", 1.5]}, "image_url": "x5", "plain": 3, "k_g": null}));
        let written = serde_json::to_string(&info.shown(&[])).unwrap();
        assert_eq!(written, serde_json::to_string(&info.masked()).unwrap());
        let written = serde_json::to_string(&info.shown(&["image_url"])).unwrap();
        assert!(!written.contains("x5") && written.contains("kept") && written.contains("\"k_g\":null"), "{written}");
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
    fn a_secret_is_known_by_a_word_in_any_case_anywhere_in_its_key() {
        for word in SECRET_WORDS {
            for key in [(*word).to_owned(), format!("my_{word}_2"), format!("é{}é", word.to_ascii_uppercase())] {
                assert!(is_secret(&key), "{key}");
            }
            let (first, rest) = word.split_at(word.len() / 2);
            assert!(!is_secret(&format!("{first}-{rest}")), "{word}, torn");
        }
        for key in ["", "cpus", "ipmi_username", "passwor", "image_url", "capabilities", "toke", "ſecret"] {
            assert!(!is_secret(key), "{key}");
        }
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
