//! Tokens of a Keystone: asked for with credentials of our own, remembered for a while.

use super::cache::Cache;
use super::circuit::{Circuit, REST};
use super::fetch::{PATIENCE, client, json as body_of};
use super::token_info::{ServiceProject, TokenInfo};
use super::{AuthError, Proof, Refusal};
use crate::config::{Config, KeystoneAuthtoken};
use crate::policy::caller::Role;
use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};
use reqwest::Client;
use serde_json::{Value, json};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{Mutex, Semaphore};

const STRATEGY: &str = "keystone";

/// Longer values are no tokens.
const MAX_TOKEN: usize = 8 * 1024;

/// Questions at the same time; whoever comes later waits for an answer that is then remembered.
const QUESTIONS: usize = 32;

/// So many worthless tokens are remembered.
const UNKNOWN: usize = 1000;

/// Our own token is renewed so long before its end.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// Our own token.
#[derive(Clone)]
struct Own {
    token: Arc<str>,
    expires: Timestamp,
}

/// A Keystone.
pub struct Keystone {
    client: Client,
    /// Ends with `/v3`.
    base: String,
    /// For `WWW-Authenticate`.
    public: String,
    login: Value,
    cache: Cache,
    /// Tokens that are worth nothing, apart: whoever sends many must not push out those that are worth something.
    unknown: Cache,
    circuit: Circuit,
    gate: Semaphore,
    own: RwLock<Option<Own>>,
    renewing: Mutex<()>,
    services: ServiceProject,
}

/// Why there is no answer.
enum Trouble {
    /// The token is worth nothing.
    Unknown,
    /// Ours is not: ask with a new one.
    OursRefused,
    /// The Keystone is not there, or says what no Keystone says.
    Down(String),
}

impl Keystone {
    /// # Errors
    /// [`AuthError::Option`] for a missing option.
    pub fn open(config: &Config) -> Result<Self, AuthError> {
        let options = &config.keystone_authtoken;
        let need = |name: &str| AuthError::Option {
            strategy: STRATEGY,
            text: format!("set `{name}` in [keystone_authtoken]"),
        };
        let url =
            options.auth_url.as_ref().or(options.www_authenticate_uri.as_ref()).ok_or_else(|| need("auth_url"))?;
        if options.username.is_empty() || options.password.is_empty() {
            return Err(need(if options.username.is_empty() { "username" } else { "password" }));
        }
        url::Url::parse(url).map_err(|error| AuthError::Option {
            strategy: STRATEGY,
            text: format!("auth_url `{url}` is no URL: {error}"),
        })?;
        let elevated = config.top.rbac_service_role_elevated_access;
        Ok(Keystone {
            client: client(STRATEGY, options.cafile.as_deref(), options.insecure)?,
            base: versioned(url),
            public: options.www_authenticate_uri.clone().unwrap_or_else(|| url.clone()),
            login: login(options),
            cache: Cache::new(options.token_cache_time.duration(), options.token_cache_size),
            unknown: Cache::new(options.token_cache_time.duration(), UNKNOWN),
            circuit: Circuit::default(),
            gate: Semaphore::new(QUESTIONS),
            own: RwLock::new(None),
            renewing: Mutex::new(()),
            services: elevated.then(|| config.top.rbac_service_project_name.clone()),
        })
    }

    /// Whose request this is.
    ///
    /// # Errors
    /// 401 with the place to log in, 503 when nobody knows.
    pub async fn check(&self, headers: &HeaderMap) -> Result<Proof, Refusal> {
        // One patience for all that a request asks, and for the wait before it may ask: whoever stands in the queue when the
        // Keystone falls silent must not begin a wait of his own.
        match tokio::time::timeout(PATIENCE, self.proved(headers)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.circuit.failed();
                Err(self.silent("it did not answer in time"))
            }
        }
    }

    async fn proved(&self, headers: &HeaderMap) -> Result<Proof, Refusal> {
        let token = header(headers, "x-auth-token").ok_or_else(|| self.refused())?;
        match self.proof(token, false).await {
            Ok(Some(proof)) => return Ok(proof),
            Ok(None) => {}
            Err(text) => return Err(self.silent(&text)),
        }
        // A service may finish what somebody began whose token has run out since. Others' service tokens mean nothing.
        let Some(service) = header(headers, "x-service-token") else { return Err(self.refused()) };
        let finish = async {
            let service = self.proof(service, false).await?;
            if service.is_none_or(|proof| !proof.credentials.roles.has(Role::Service)) {
                return Ok(None);
            }
            self.proof(token, true).await
        };
        match finish.await {
            Ok(Some(proof)) => Ok(proof),
            Ok(None) => Err(self.refused()),
            Err(text) => Err(self.silent(&text)),
        }
    }

    fn refused(&self) -> Refusal {
        let challenge = format!("Keystone uri=\"{}\"", self.public);
        let message = "The request you have made requires authentication.";
        Refusal { titled: true, ..Refusal::challenged(message, challenge) }
    }

    fn silent(&self, text: &str) -> Refusal {
        tracing::warn!(keystone = %self.base, %text, "a token cannot be checked");
        let text =
            format!("The Keystone at {} does not answer; the token cannot be checked. Try again later.", self.public);
        Refusal::unavailable(text, REST.as_secs())
    }

    /// What a token proves; `None`: nothing. `expired`: it may have run out.
    async fn proof(&self, token: &str, expired: bool) -> Result<Option<Proof>, String> {
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Ok(None);
        }
        let key = self.cache.key(token, u8::from(expired));
        let unknown = self.unknown.key(token, u8::from(expired));
        let known = || self.cache.get(&key).or_else(|| self.unknown.get(&unknown));
        if let Some(known) = known() {
            return Ok(known);
        }
        let _permit = self.gate.acquire().await.map_err(|error| error.to_string())?;
        // Somebody may have asked while we waited.
        if let Some(known) = known() {
            return Ok(known);
        }
        if !self.circuit.lets_through() {
            return Err("it did not answer before and is left alone for a moment".into());
        }
        let answer = match self.ask(token, expired).await {
            Err(Trouble::OursRefused) => {
                self.forget();
                self.ask(token, expired).await
            }
            answer => answer,
        };
        match answer {
            Ok(info) => {
                self.circuit.answered();
                let over = info.expires.is_some_and(|end| end <= Timestamp::now());
                if over && !expired {
                    return Ok(None);
                }
                self.cache.put(key, Some(info.proof.clone()), info.expires.filter(|_| !expired));
                Ok(Some(info.proof))
            }
            Err(Trouble::Unknown) => {
                self.circuit.answered();
                self.unknown.put(unknown, None, None);
                Ok(None)
            }
            Err(Trouble::OursRefused) => {
                self.circuit.answered();
                Err("it refuses our own user: check username, password and project_name in [keystone_authtoken]".into())
            }
            Err(Trouble::Down(text)) => {
                self.circuit.failed();
                Err(text)
            }
        }
    }

    async fn ask(&self, token: &str, expired: bool) -> Result<TokenInfo, Trouble> {
        let own = self.own().await?;
        let tail = if expired { "&allow_expired=1" } else { "" };
        let request = self
            .client
            .get(format!("{}/auth/tokens?nocatalog{tail}", self.base))
            .header("X-Auth-Token", &*own)
            .header("X-Subject-Token", token);
        // Bytes that no header can carry are no token.
        let request = request.build().map_err(|_| Trouble::Unknown)?;
        let answer = self.client.execute(request).await.map_err(down)?;
        match answer.status() {
            StatusCode::OK => {
                let body = body_of(answer).await.map_err(Trouble::Down)?;
                TokenInfo::read(body, &self.services).map_err(Trouble::Down)
            }
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => Err(Trouble::Unknown),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Trouble::OursRefused),
            other => Err(Trouble::Down(format!("it answered {other}"))),
        }
    }

    fn present(&self) -> Option<Arc<str>> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        own.as_ref().filter(|own| own.expires > Timestamp::now() + MARGIN).map(|own| own.token.clone())
    }

    fn forget(&self) {
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Our own token; got once by whoever needs it first.
    async fn own(&self) -> Result<Arc<str>, Trouble> {
        if let Some(token) = self.present() {
            return Ok(token);
        }
        let _alone = self.renewing.lock().await;
        if let Some(token) = self.present() {
            return Ok(token);
        }
        let url = format!("{}/auth/tokens?nocatalog", self.base);
        let answer = self.client.post(url).json(&self.login).send().await.map_err(down)?;
        match answer.status() {
            StatusCode::CREATED => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(Trouble::OursRefused),
            other => return Err(Trouble::Down(format!("our log-in was answered {other}"))),
        }
        let token = header(answer.headers(), "x-subject-token").map(Arc::<str>::from);
        let token = token.ok_or_else(|| Trouble::Down("our log-in was answered without a token".into()))?;
        let body = body_of(answer).await.map_err(Trouble::Down)?;
        let info = TokenInfo::read(body, &None).map_err(Trouble::Down)?;
        let expires = info.expires.ok_or_else(|| Trouble::Down("our token has no end".into()))?;
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = Some(Own { token: token.clone(), expires });
        Ok(token)
    }
}

fn down(error: reqwest::Error) -> Trouble {
    use std::error::Error;
    // The outer error only repeats the URL.
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    Trouble::Down(cause)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// Keystones are configured with and without the version.
fn versioned(url: &str) -> String {
    let bare = url.trim_end_matches('/');
    if bare.ends_with("/v3") { bare.to_owned() } else { format!("{bare}/v3") }
}

fn login(options: &KeystoneAuthtoken) -> Value {
    json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": options.username, "domain": {"name": options.user_domain_name}, "password": options.password.expose(),
        }}},
        "scope": {"project": {"name": options.project_name, "domain": {"name": options.project_domain_name}}},
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_added_once() {
        for url in ["http://k:5000", "http://k:5000/", "http://k:5000/v3", "http://k:5000/v3/"] {
            assert_eq!(versioned(url), "http://k:5000/v3");
        }
        assert_eq!(versioned("https://k/identity"), "https://k/identity/v3");
    }

    #[test]
    fn what_is_missing_is_named() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = Config::default();
        let text = |config: &Config| Keystone::open(config).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(text(&config).contains("`auth_url`"));
        config.keystone_authtoken.auth_url = Some("http://127.0.0.1:1".into());
        assert!(text(&config).contains("`username`"));
        config.keystone_authtoken.username = "ironic".into();
        assert!(text(&config).contains("`password`"));
        config.keystone_authtoken.password = "secret".into();
        assert_eq!(text(&config), "");
    }
}
