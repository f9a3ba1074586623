//! Who asks (rest-api section 1.5): everybody, the users of a file, users of a Keystone, or bearers of signed tokens.
//!
//! A room for each way; what they prove goes to the policy as [`Proof`], what they refuse is a [`Refusal`].

pub mod basic;
mod cache;
mod circuit;
mod claims;
mod fetch;
pub mod guesses;
mod jwt;
mod keys;
mod keystone;
mod token_info;

use crate::config::Config;
use crate::policy::Credentials;
use guesses::Guesses;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Who may ask, and how often those may fail who need not say who they are.
pub struct Auth {
    way: Way,
    /// Failures of calls without credentials.
    pub guesses: Guesses,
}

/// The strategies.
enum Way {
    /// Everybody may everything.
    Open,
    /// The users of a file; each may everything.
    Basic(Box<basic::Basic>),
    /// Holders of tokens of a Keystone.
    Keystone(Box<keystone::Keystone>),
    /// Holders of tokens that an OpenID provider signed.
    Oidc(Box<jwt::Bearer>),
}

/// What a request proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// For the policy.
    pub credentials: Credentials,
    /// For people.
    pub user: Option<String>,
}

/// Why somebody may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400, 401 or 503.
    pub status: StatusCode,
    /// For people.
    pub message: String,
    /// What `WWW-Authenticate` says.
    pub challenge: Option<String>,
    /// Seconds after which it is worth another try.
    pub retry_after: Option<u64>,
    /// The body has a title, as Keystone's and its middleware's have.
    pub titled: bool,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Refusal { status, message: message.into(), challenge: None, retry_after: None, titled: false }
    }

    fn challenged(message: impl Into<String>, challenge: String) -> Self {
        Refusal { challenge: Some(challenge), ..Self::new(StatusCode::UNAUTHORIZED, message) }
    }

    /// Whoever knows who somebody is does not answer.
    fn unavailable(message: String, retry_after: u64) -> Self {
        Refusal { retry_after: Some(retry_after), titled: true, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }

    /// The body.
    pub fn body(&self) -> Value {
        let code = self.status.as_u16();
        if self.titled {
            let title = self.status.canonical_reason().unwrap_or("Error");
            return json!({"error": {"code": code, "title": title, "message": self.message}});
        }
        json!({"error": {"message": self.message, "code": code}})
    }
}

/// Why a strategy cannot work. Checked at start, so that nobody is locked out later.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Cannot be read.
    #[error("http_basic_auth_user_file {path} cannot be read: {source}. Make it with `htpasswd -nbB USER PASSWORD`")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line that is no user with a bcrypt digest. The line itself is not shown.
    #[error(
        "http_basic_auth_user_file {path}, line {line}: {text}. Only bcrypt is accepted: `htpasswd -nbB USER PASSWORD`"
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        text: &'static str,
    },
    /// Nobody could use the API.
    #[error("http_basic_auth_user_file {0} names no user")]
    Empty(PathBuf),
    /// An option that the strategy needs is missing or makes no sense.
    #[error("auth_strategy \"{strategy}\": {text}")]
    Option {
        /// The strategy.
        strategy: &'static str,
        /// Which option, and what to do.
        text: String,
    },
}

impl Auth {
    /// Reads what the strategy needs.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn open(config: &Config) -> Result<Self, AuthError> {
        let way = match config.top.auth_strategy.as_deref() {
            Some("http_basic") => Way::Basic(Box::new(basic::Basic::open(&config.top.http_basic_auth_user_file)?)),
            Some("keystone") => Way::Keystone(Box::new(keystone::Keystone::open(config)?)),
            Some("oidc") => Way::Oidc(Box::new(jwt::Bearer::open(&config.oidc)?)),
            _ => Way::Open,
        };
        Ok(Auth { way, guesses: Guesses::new(config.api.agent_failures_per_minute) })
    }

    /// Who sends this.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn check(&self, headers: &HeaderMap) -> Result<Proof, Refusal> {
        match &self.way {
            Way::Open => Ok(trusted(None)),
            Way::Basic(basic) => Ok(trusted(Some(basic.check(headers).await?))),
            Way::Keystone(keystone) => keystone.check(headers).await,
            Way::Oidc(bearer) => bearer.check(headers).await,
        }
    }

    /// What a request proves that needs no credentials: nothing, unless nobody has to prove anything.
    pub fn nobody(&self) -> Proof {
        if matches!(self.way, Way::Open) { trusted(None) } else { Proof::default() }
    }
}

fn trusted(user: Option<String>) -> Proof {
    Proof { credentials: Credentials { trusted: true, ..Credentials::default() }, user }
}
