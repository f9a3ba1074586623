//! Secrets at rest: what holds them (maps of nodes, fields of records, inventories, records in the event log) is sealed before
//! it reaches the database, when keys are configured.
//!
//! Each seal has a key of its own, derived from the configured one and a random salt (HKDF-SHA256), so that no number of
//! writes wears a key out; the cipher is ChaCha20-Poly1305, bound to the node and the field. The file may hold several
//! keys: the first one seals, all of them open. Keys are never printed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Fields of a node's document that hold secrets.
pub const FIELDS: [&str; 3] = ["driver_info", "driver_internal_info", "instance_info"];

/// The one member of a sealed map.
const MARK: &str = "sealed";

/// Bytes of a key and of a salt.
const KEY: usize = 32;

/// Larger files are no key files.
const MAX_FILE: u64 = 64 * 1024;

/// Why secrets cannot be kept or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The file.
    #[error("secrets_key_file {path} cannot be used: {text}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong; never a key.
        text: String,
    },
    /// A record was sealed with a key that is not there.
    #[error(
        "the database holds secrets sealed with the key `{0}`, which is not in secrets_key_file. Put the key back into the \
         file (behind the first one, if another shall seal from now on)"
    )]
    Missing(String),
    /// A seal is broken.
    #[error(
        "the sealed secrets of {place} cannot be opened with the key `{key}`: the record was altered, or the key is another one under the same name"
    )]
    Broken {
        /// Whose, and which part of it.
        place: String,
        /// With which key.
        key: String,
    },
}

/// The keys of a file, the first one first.
pub struct Keys(Vec<(String, Zeroizing<[u8; KEY]>)>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Keys {
    /// Reads a file with a key on each line: its name, and 32 bytes in Base64.
    ///
    /// # Errors
    /// [`SealError::File`], also when others than the owner can read it.
    pub fn read(path: &Path) -> Result<Self, SealError> {
        let refuse = |text: String| SealError::File { path: path.into(), text };
        let facts = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
        if facts.mode() & 0o077 != 0 {
            return Err(refuse("others than its owner can read it; `chmod 600` it".into()));
        }
        if facts.len() > MAX_FILE {
            return Err(refuse("it is larger than 64 KiB".into()));
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?);
        Self::parse(&text).map_err(refuse)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut keys: Vec<(String, Zeroizing<[u8; KEY]>)> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what: &str| format!("line {}: {what}. A line is `NAME BASE64-OF-32-BYTES`", number + 1);
            let (name, encoded) = line.split_once(char::is_whitespace).ok_or_else(|| wrong("there is no key"))?;
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if name.len() > 64 || !name.bytes().all(plain) {
                return Err(wrong("the name is made of letters, digits, - _ . (64 at most)"));
            }
            let bytes = Zeroizing::new(STANDARD.decode(encoded.trim()).map_err(|_| wrong("the key is no Base64"))?);
            let key: [u8; KEY] = bytes[..].try_into().map_err(|_| wrong("the key has not 32 bytes"))?;
            if keys.iter().any(|(known, _)| known == name) {
                return Err(wrong("the name is there twice"));
            }
            keys.push((name.to_owned(), Zeroizing::new(key)));
        }
        if keys.is_empty() { Err("it holds no key".into()) } else { Ok(Keys(keys)) }
    }

    /// The name of the key that seals.
    pub fn first(&self) -> &str {
        &self.0[0].0
    }

    /// There is a key of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    fn seal(&self, place: &str, mut bytes: Vec<u8>) -> Option<Value> {
        let (_, key) = self.0.first()?;
        let salt: [u8; KEY] = rand::random();
        let cipher = cipher(key, &salt)?;
        cipher.seal_in_place_append_tag(nonce(), Aad::from(place.as_bytes()), &mut bytes).ok()?;
        Some(json!({"salt": STANDARD.encode(salt), "text": STANDARD.encode(bytes)}))
    }

    fn open(&self, place: &str, name: &str, sealed: &Value) -> Result<Vec<u8>, SealError> {
        let opened = || {
            let key = &self.0.iter().find(|(known, _)| known == name)?.1;
            let salt: [u8; KEY] = STANDARD.decode(sealed["salt"].as_str()?).ok()?.try_into().ok()?;
            let mut bytes = STANDARD.decode(sealed["text"].as_str()?).ok()?;
            let plain = cipher(key, &salt)?.open_in_place(nonce(), Aad::from(place.as_bytes()), &mut bytes).ok()?;
            Some(plain.to_vec())
        };
        opened().ok_or_else(|| SealError::Broken { place: place.into(), key: name.into() })
    }
}

fn cipher(key: &[u8; KEY], salt: &[u8; KEY]) -> Option<LessSafeKey> {
    let derived = Salt::new(HKDF_SHA256, salt).extract(key);
    let derived = derived.expand(&[b"wrought secrets at rest, 1"], &CHACHA20_POLY1305).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(derived)))
}

/// Every seal has its own key, so the nonce need not differ.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

thread_local! {
    /// Of the store whose work this thread has in hand.
    static PRESENT: RefCell<Option<Arc<Keys>>> = const { RefCell::new(None) };
}

/// Runs a piece of a store's work with its keys.
pub fn under<T>(keys: Option<&Arc<Keys>>, work: impl FnOnce() -> T) -> T {
    PRESENT.with_borrow_mut(|present| *present = keys.cloned());
    work()
}

/// The keys of the present work, if the one of this name is among them.
fn present(key: &str) -> Result<Arc<Keys>, SealError> {
    let keys = PRESENT.with_borrow(Clone::clone);
    keys.filter(|keys| keys.has(key)).ok_or_else(|| SealError::Missing(key.into()))
}

/// Seals these fields of a document, where they hold something, and says with which key; `None`: there are no keys, it stays
/// as it is. `place` binds the seal: it opens nowhere else.
///
/// Whether a document is sealed stands beside it, not in it: what people write into these maps cannot pretend to be a seal.
pub fn sealed(place: &str, fields: &[&str], document: impl FnOnce() -> Option<Value>) -> Option<(Value, String)> {
    let keys = PRESENT.with_borrow(Clone::clone)?;
    let mut document = document()?;
    for field in fields {
        let Some(value) = document.get_mut(*field).filter(|value| holds_something(value)) else { continue };
        *value = json!({ MARK: keys.seal(&format!("{place}/{field}"), value.to_string().into_bytes())? });
    }
    Some((document, keys.first().to_owned()))
}

fn holds_something(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    }
}

/// Opens these fields of a document that was sealed with this key.
///
/// # Errors
/// [`SealError::Missing`], [`SealError::Broken`].
pub fn opened(place: &str, fields: &[&str], key: &str, document: &mut Map<String, Value>) -> Result<(), SealError> {
    let keys = present(key)?;
    for field in fields {
        let Some(sealed) = document.get(*field).and_then(|value| value.get(MARK)) else { continue };
        let place = format!("{place}/{field}");
        let bytes = keys.open(&place, key, sealed)?;
        let broken = |_| SealError::Broken { place, key: key.into() };
        document.insert((*field).into(), serde_json::from_slice(&bytes).map_err(broken)?);
    }
    Ok(())
}

/// A text as it is to be kept, and the name of the key it is sealed with, if there are keys.
pub fn sealed_text(place: &str, text: String) -> (String, Option<String>) {
    let Some(keys) = PRESENT.with_borrow(Clone::clone) else { return (text, None) };
    // Sealing fails only where the library cannot work at all; secrets must not be kept openly then either.
    let sealed = keys.seal(place, text.into_bytes()).unwrap_or(Value::Null);
    (sealed.to_string(), Some(keys.first().to_owned()))
}

/// A kept text as it was.
///
/// # Errors
/// [`SealError::Missing`], [`SealError::Broken`].
pub fn opened_text(place: &str, key: Option<&str>, text: String) -> Result<String, SealError> {
    let Some(key) = key else { return Ok(text) };
    let broken = || SealError::Broken { place: place.into(), key: key.into() };
    let sealed: Value = serde_json::from_str(&text).map_err(|_| broken())?;
    String::from_utf8(present(key)?.open(place, key, &sealed)?).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn key(byte: u8) -> String {
        STANDARD.encode([byte; KEY])
    }

    fn node() -> Value {
        json!({"uuid": "n", "driver_info": {"ipmi_password": "s3cret"}, "instance_info": {}, "extra": {"a": 1}})
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_key_in_the_same_place_only() {
        let keys = Arc::new(Keys::parse(&format!("# keys\none {}\ntwo {}\n", key(1), key(2))).unwrap());
        let (sealed, with) = under(Some(&keys), || sealed("n", &FIELDS, || Some(node()))).unwrap();
        let text = sealed.to_string();
        assert!(!text.contains("s3cret") && with == "one", "{text}");
        let open = |keys: Option<&Arc<Keys>>, name: &str, document: &Value| {
            let mut map = document.as_object().unwrap().clone();
            under(keys, || opened(name, &FIELDS, "one", &mut map)).map(|()| Value::Object(map))
        };
        assert_eq!(open(Some(&keys), "n", &sealed), Ok(node()));
        assert!(matches!(open(Some(&keys), "other", &sealed), Err(SealError::Broken { .. })), "another node's");
        assert_eq!(open(None, "n", &sealed), Err(SealError::Missing("one".into())));
        let turned = Arc::new(Keys::parse(&format!("two {}\none {}\n", key(2), key(1))).unwrap());
        assert_eq!(open(Some(&turned), "n", &sealed), Ok(node()), "old keys open");
        let wrong = Arc::new(Keys::parse(&format!("one {}\n", key(9))).unwrap());
        assert!(matches!(open(Some(&wrong), "n", &sealed), Err(SealError::Broken { .. })));
        assert!(under(None, || super::sealed("n", &FIELDS, || Some(node()))).is_none(), "no keys, no seal");
        assert!(!format!("{keys:?}").contains(&key(1)));
        let (text, with) = under(Some(&keys), || sealed_text("n/inventory", "s3cret".into()));
        assert!(!text.contains("s3cret"));
        let open = |place: &str| under(Some(&keys), || opened_text(place, with.as_deref(), text.clone()));
        assert_eq!(open("n/inventory").as_deref(), Ok("s3cret"));
        assert!(matches!(open("m/inventory"), Err(SealError::Broken { .. })));
        assert_eq!(under(None, || opened_text("n", None, "plain".into())).as_deref(), Ok("plain"));
    }

    #[test]
    fn files_that_are_wrong_are_refused_and_never_repeated() {
        for (text, words) in [
            ("", "holds no key"),
            ("one", "line 1: there is no key"),
            ("one AAAA", "has not 32 bytes"),
            ("one %%", "no Base64"),
            ("o/ne AAAA", "made of letters"),
        ] {
            let error = Keys::parse(text).unwrap_err();
            assert!(error.contains(words) && !error.contains("AAAA"), "{text}: {error}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("one {}", key(1))).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Keys::read(file.path()).unwrap_err().to_string().contains("chmod 600"));
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(Keys::read(file.path()).unwrap().first(), "one");
    }
}
