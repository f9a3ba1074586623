//! Who may ask (rest-api section 1.5): everybody, or the users of an htpasswd file.

use base64::Engine;
use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// bcrypt takes a tenth of a second on purpose: more at a time would only make everybody slow.
const CHECKS_AT_A_TIME: usize = 2;

/// Credentials that were right are remembered, this many, as digests with a key of this process.
const REMEMBERED: usize = 256;

/// Larger files are no password files.
const MAX_FILE: u64 = 1024 * 1024;

/// Who may ask.
pub enum Auth {
    /// Everybody.
    Open,
    /// The users of a file.
    Basic(Basic),
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No credentials.
    Missing,
    /// Unknown user or wrong password.
    Wrong,
    /// The header cannot be read.
    Malformed,
    /// Another scheme.
    NotBasic,
}

/// Why the file cannot be used. Checked at start, so that nobody is locked out later.
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
}

/// The users of a file and the credentials that were right before.
pub struct Basic {
    users: HashMap<String, String>,
    key: [u8; 32],
    remembered: Mutex<HashMap<[u8; 32], ()>>,
    gate: Arc<Semaphore>,
}

impl Auth {
    /// Reads the file when the strategy needs it.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn open(strategy: Option<&str>, file: &Path) -> Result<Self, AuthError> {
        if strategy != Some("http_basic") {
            return Ok(Auth::Open);
        }
        let failed = |source| AuthError::Read { path: file.into(), source };
        if std::fs::metadata(file).map_err(failed)?.len() > MAX_FILE {
            return Err(failed(std::io::Error::other("it is larger than 1 MiB")));
        }
        let text = std::fs::read_to_string(file).map_err(failed)?;
        let users = parse(&text).map_err(|(line, text)| AuthError::Line { path: file.into(), line, text })?;
        if users.is_empty() {
            return Err(AuthError::Empty(file.into()));
        }
        Ok(Auth::Basic(Basic {
            users,
            key: rand::random(),
            remembered: Mutex::new(HashMap::new()),
            gate: Arc::new(Semaphore::new(CHECKS_AT_A_TIME)),
        }))
    }

    /// The user of a request; `None` when nobody has to say who they are.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn check(&self, headers: &HeaderMap) -> Result<Option<String>, Refusal> {
        let Auth::Basic(basic) = self else { return Ok(None) };
        let value = headers.get(header::AUTHORIZATION).ok_or(Refusal::Missing)?;
        let (user, password) = credentials(value.to_str().map_err(|_| Refusal::Malformed)?)?;
        if basic.verify(&user, password).await { Ok(Some(user)) } else { Err(Refusal::Wrong) }
    }
}

impl Basic {
    async fn verify(&self, user: &str, password: String) -> bool {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(self.key)
            .chain_update(user)
            .chain_update([0])
            .chain_update(&password)
            .finalize()
            .into();
        let remembered = || self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered().contains_key(&digest) {
            return true;
        }
        // An unknown user costs as much as a known one: time must not tell which names exist.
        let known = self.users.get(user);
        let Some(hash) = known.or_else(|| self.users.values().next()).cloned() else { return false };
        let Ok(permit) = self.gate.clone().acquire_owned().await else { return false };
        let right = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            bcrypt::verify(password, &hash).unwrap_or(false)
        });
        if !right.await.unwrap_or(false) || known.is_none() {
            return false;
        }
        let mut remembered = remembered();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(digest, ());
        true
    }
}

fn credentials(value: &str) -> Result<(String, String), Refusal> {
    let (scheme, token) = value.trim().split_once(' ').ok_or(Refusal::Malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Refusal::NotBasic);
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(token.trim()).map_err(|_| Refusal::Malformed)?;
    let text = String::from_utf8(bytes).map_err(|_| Refusal::Malformed)?;
    let (user, password) = text.split_once(':').ok_or(Refusal::Malformed)?;
    Ok((user.to_owned(), password.to_owned()))
}

fn parse(text: &str) -> Result<HashMap<String, String>, (usize, &'static str)> {
    let mut users = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (user, hash) = line.split_once(':').ok_or((number + 1, "there is no colon between user and digest"))?;
        let digest = hash.split(':').next().unwrap_or_default();
        if user.is_empty() {
            return Err((number + 1, "the user has no name"));
        }
        let known = ["$2y$", "$2a$", "$2b$"].iter().any(|prefix| digest.starts_with(prefix));
        if !known || digest.len() != 60 {
            return Err((number + 1, "the digest is not bcrypt"));
        }
        users.insert(user.to_owned(), digest.to_owned());
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn header(user: &str, password: &str) -> HeaderMap {
        let token = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(&format!("Basic {token}")).unwrap())])
    }

    #[tokio::test]
    async fn right_credentials_pass_twice_and_wrong_ones_never() {
        let hash = bcrypt::hash("secret", 4).unwrap().replacen("$2b$", "$2y$", 1);
        let file = file(&format!("# people\nadmin:{hash}\n"));
        let auth = Auth::open(Some("http_basic"), file.path()).unwrap();
        for _ in 0..2 {
            assert_eq!(auth.check(&header("admin", "secret")).await, Ok(Some("admin".into())));
            assert_eq!(auth.check(&header("admin", "Secret")).await, Err(Refusal::Wrong));
            assert_eq!(auth.check(&header("nobody", "secret")).await, Err(Refusal::Wrong));
        }
        assert_eq!(auth.check(&HeaderMap::new()).await, Err(Refusal::Missing));
        for (text, refusal) in
            [("Bearer x", Refusal::NotBasic), ("Basic %%%", Refusal::Malformed), ("x", Refusal::Malformed)]
        {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(text))]);
            assert_eq!(auth.check(&headers).await, Err(refusal), "{text}");
        }
    }

    #[test]
    fn only_bcrypt_is_accepted_and_digests_are_not_shown() {
        for text in ["admin:$apr1$abc$secretdigest", "admin", ":$2y$", "admin:{SHA}secretdigest"] {
            let error = Auth::open(Some("http_basic"), file(text).path()).err().unwrap().to_string();
            assert!(error.contains("line 1") && !error.contains("secretdigest"), "{error}");
        }
        assert!(matches!(Auth::open(Some("http_basic"), file("\n").path()), Err(AuthError::Empty(_))));
        assert!(matches!(Auth::open(Some("http_basic"), Path::new("/nowhere/x")), Err(AuthError::Read { .. })));
        assert!(matches!(Auth::open(None, Path::new("/nowhere/x")), Ok(Auth::Open)));
    }
}
