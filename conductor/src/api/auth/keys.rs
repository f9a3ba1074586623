//! The public keys that tokens are signed with: from a file, a URL, or where the issuer says they are.

use super::fetch::{PATIENCE, client, json};
use super::{AuthError, fetch};
use crate::config::Oidc;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use reqwest::Client;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// More keys than any issuer has.
const MOST_KEYS: usize = 100;

/// Largest file of keys, bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// A token with an unknown key makes us look again, no more often than this: strangers can send such tokens at will.
pub const PAUSE: Duration = Duration::from_secs(10);

/// Keys that were taken back are forgotten after this time.
const AGE: Duration = Duration::from_secs(3600);

/// Where they are.
enum Source {
    File(PathBuf),
    Url(String),
    /// The issuer's description names the URL.
    Discovery(String),
}

/// The keys at one time.
#[derive(Clone)]
struct Known {
    keys: Arc<JwkSet>,
    read: Instant,
}

/// The keys.
pub struct Keys {
    source: Source,
    client: Client,
    known: RwLock<Option<Known>>,
    /// When somebody looked last; held while looking.
    looked: Mutex<Option<Instant>>,
}

impl Keys {
    /// # Errors
    /// [`AuthError::Option`].
    pub fn open(options: &Oidc) -> Result<Self, AuthError> {
        let source = match (&options.jwks_file, &options.jwks_url) {
            (Some(file), _) => Source::File(file.clone()),
            (None, Some(url)) => Source::Url(url.clone()),
            (None, None) => Source::Discovery(options.issuer.clone()),
        };
        let keys = Keys {
            client: client("oidc", options.cafile.as_deref(), options.insecure)?,
            source,
            known: RwLock::new(None),
            looked: Mutex::new(None),
        };
        // A file is here or it is not; a provider may come later than we do.
        if let Source::File(path) = &keys.source {
            let found = from_file(path).map_err(|text| AuthError::Option { strategy: "oidc", text })?;
            keys.keep(found);
        }
        Ok(keys)
    }

    fn present(&self) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, keys: JwkSet) -> Arc<JwkSet> {
        let keys = Arc::new(keys);
        let known = Known { keys: keys.clone(), read: Instant::now() };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
        keys
    }

    /// The key of that id; without an id, the only key there is. `Ok(None)`: there is no such key.
    ///
    /// # Errors
    /// A sentence for the log when there are no keys at all.
    pub async fn key(&self, id: Option<&str>) -> Result<Option<Jwk>, String> {
        if let Some(known) = self.present().filter(|known| known.read.elapsed() < AGE)
            && let Some(key) = pick(&known.keys, id)
        {
            return Ok(Some(key));
        }
        let mut looked = self.looked.lock().await;
        // Another request may have looked while we waited.
        if let Some(known) = self.present().filter(|known| known.read.elapsed() < PAUSE) {
            return Ok(pick(&known.keys, id));
        }
        if looked.is_none_or(|at| at.elapsed() >= PAUSE) {
            // Said before as well: a client that hangs up while we look must not make the next one look at once.
            *looked = Some(Instant::now());
            let found = tokio::time::timeout(PATIENCE, self.load()).await;
            // Those who waited behind us must not wait for the same silence once more.
            *looked = Some(Instant::now());
            match found.unwrap_or_else(|_| Err("the provider did not answer in time".into())) {
                Ok(keys) => return Ok(pick(&self.keep(keys), id)),
                Err(text) => tracing::warn!(%text, "the keys of the OpenID provider cannot be read"),
            }
        }
        // Old keys are better than none while the provider is away.
        match self.present() {
            Some(known) => Ok(pick(&known.keys, id)),
            None => Err("the keys of the OpenID provider could not be read yet".into()),
        }
    }

    async fn load(&self) -> Result<JwkSet, String> {
        match &self.source {
            Source::File(path) => from_file(path),
            Source::Url(url) => set(self.get(url).await?),
            Source::Discovery(issuer) => {
                let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                let described = self.get(&url).await?;
                if described["issuer"].as_str() != Some(issuer) {
                    return Err(format!("{url} describes another issuer than `{issuer}`"));
                }
                let url = described["jwks_uri"].as_str().ok_or_else(|| format!("{url} names no jwks_uri"))?;
                set(self.get(url).await?)
            }
        }
    }

    async fn get(&self, url: &str) -> Result<Value, String> {
        let failed = |text: String| format!("{url}: {text}");
        let work = async {
            let answer = self.client.get(url).send().await.map_err(|error| failed(error.to_string()))?;
            if !answer.status().is_success() {
                return Err(failed(format!("answered {}", answer.status())));
            }
            json(answer).await.map_err(failed)
        };
        tokio::time::timeout(fetch::PATIENCE, work).await.unwrap_or_else(|_| Err(failed("no answer in time".into())))
    }
}

fn from_file(path: &PathBuf) -> Result<JwkSet, String> {
    let failed = |text: String| format!("jwks_file {} cannot be used: {text}", path.display());
    if std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len() > MAX_FILE {
        return Err(failed("it is larger than 1 MiB".into()));
    }
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let value = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
    set(value).map_err(failed)
}

/// Keys that we do not understand are left out: issuers publish others beside those that sign.
fn set(value: Value) -> Result<JwkSet, String> {
    let Some(Value::Array(keys)) = value.get("keys") else { return Err("there is no list `keys` in it".into()) };
    let keys: Vec<Jwk> =
        keys.iter().take(MOST_KEYS).filter_map(|key| serde_json::from_value(key.clone()).ok()).collect();
    if keys.is_empty() { Err("there is no usable key in it".into()) } else { Ok(JwkSet { keys }) }
}

fn pick(keys: &JwkSet, id: Option<&str>) -> Option<Jwk> {
    match id {
        Some(id) => keys.find(id).cloned(),
        None => keys.keys.first().filter(|_| keys.keys.len() == 1).cloned(),
    }
}
