//! The users of an htpasswd file (bcrypt only), read again when the file changes.

use super::{AuthError, Refusal};
use base64::Engine;
use http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// bcrypt takes a tenth of a second on purpose: more at a time would only make everybody slow.
const CHECKS_AT_A_TIME: usize = 2;

/// Credentials that were right are remembered, this many, as digests with a key of this process.
const REMEMBERED: usize = 256;

/// Larger files are no password files.
const MAX_FILE: u64 = 1024 * 1024;

/// The file is looked at no more often.
const LOOK: Duration = Duration::from_secs(1);

/// What tells one writing of a file from the next.
type Stamp = (u64, u64, i64, i64);

fn stamp(file: &Metadata) -> Stamp {
    (file.ino(), file.size(), file.mtime(), file.mtime_nsec())
}

/// What the file says, and who was right by it before.
struct Users {
    digests: HashMap<String, String>,
    stamp: Stamp,
    looked: Instant,
    remembered: HashMap<[u8; 32], ()>,
}

/// The users of a file.
pub struct Basic {
    file: PathBuf,
    users: Mutex<Users>,
    key: [u8; 32],
    gate: Arc<Semaphore>,
}

impl Basic {
    /// # Errors
    /// [`AuthError`].
    pub fn open(file: &Path) -> Result<Self, AuthError> {
        let (digests, stamp) = read(file)?;
        Ok(Basic {
            file: file.into(),
            users: Mutex::new(Users { digests, stamp, looked: Instant::now(), remembered: HashMap::new() }),
            key: rand::random(),
            gate: Arc::new(Semaphore::new(CHECKS_AT_A_TIME)),
        })
    }

    /// The user of a request.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn check(&self, headers: &HeaderMap) -> Result<String, Refusal> {
        let value = headers.get(header::AUTHORIZATION).ok_or_else(|| refused("Authorization required"))?;
        let (user, password) = credentials(value.to_str().map_err(|_| malformed())?)?;
        if self.verify(&user, password).await { Ok(user) } else { Err(refused("Incorrect username or password")) }
    }

    fn users(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file again when it is another one. A broken one changes nothing: nobody is locked out by a typing error.
    fn refresh(&self) {
        {
            let mut users = self.users();
            if users.looked.elapsed() < LOOK {
                return;
            }
            users.looked = Instant::now();
            match std::fs::metadata(&self.file) {
                Ok(file) if stamp(&file) == users.stamp => return,
                _ => {}
            }
        }
        match read(&self.file) {
            Ok((digests, stamp)) => {
                tracing::info!(file = %self.file.display(), users = digests.len(), "the password file was read again");
                let mut users = self.users();
                users.digests = digests;
                users.stamp = stamp;
                users.remembered.clear();
            }
            Err(error) => tracing::error!(%error, "the password file has changed and cannot be used; the users stay"),
        }
    }

    async fn verify(&self, user: &str, password: String) -> bool {
        self.refresh();
        let digest: [u8; 32] = Sha256::new()
            .chain_update(self.key)
            .chain_update(user)
            .chain_update([0])
            .chain_update(&password)
            .finalize()
            .into();
        let (hash, known, read_as) = {
            let users = self.users();
            if users.remembered.contains_key(&digest) {
                return true;
            }
            // An unknown user costs as much as a known one: time must not tell which names exist.
            let known = users.digests.get(user);
            let Some(hash) = known.or_else(|| users.digests.values().next()).cloned() else { return false };
            (hash, known.is_some(), users.stamp)
        };
        let Ok(permit) = self.gate.clone().acquire_owned().await else { return false };
        let right = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            bcrypt::verify(password, &hash).unwrap_or(false)
        });
        if !right.await.unwrap_or(false) || !known {
            return false;
        }
        let mut users = self.users();
        // Right by a file that is not there any more: once, but it is not remembered.
        if users.stamp == read_as {
            if users.remembered.len() >= REMEMBERED {
                users.remembered.clear();
            }
            users.remembered.insert(digest, ());
        }
        true
    }
}

fn refused(message: &str) -> Refusal {
    Refusal::challenged(message, "Basic realm=\"Baremetal API\"".into())
}

fn malformed() -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "Could not parse Authorization header")
}

fn read(file: &Path) -> Result<(HashMap<String, String>, Stamp), AuthError> {
    let failed = |source| AuthError::Read { path: file.into(), source };
    // Before the text: a change in between is then seen at the next look.
    let found = std::fs::metadata(file).map_err(failed)?;
    if found.len() > MAX_FILE {
        return Err(failed(std::io::Error::other("it is larger than 1 MiB")));
    }
    let text = std::fs::read_to_string(file).map_err(failed)?;
    let users = parse(&text).map_err(|(line, text)| AuthError::Line { path: file.into(), line, text })?;
    if users.is_empty() {
        return Err(AuthError::Empty(file.into()));
    }
    Ok((users, stamp(&found)))
}

/// User and password in the value of an `Authorization` header.
///
/// # Errors
/// It is none of the scheme `Basic`.
pub fn credentials(value: &str) -> Result<(String, String), Refusal> {
    let (scheme, token) = value.trim().split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        let message = "Unsupported authorization type. Only Basic is supported";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, message));
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(token.trim()).map_err(|_| malformed())?;
    let text = String::from_utf8(bytes).map_err(|_| malformed())?;
    let (user, password) = text.split_once(':').ok_or_else(malformed)?;
    Ok((user.to_owned(), password.to_owned()))
}

/// Users and their digests in the text of the file; an error has its line.
///
/// # Errors
/// The first line that is neither of a user nor a remark.
pub fn parse(text: &str) -> Result<HashMap<String, String>, (usize, &'static str)> {
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

    fn line(user: &str, password: &str) -> String {
        format!("{user}:{}\n", bcrypt::hash(password, 4).unwrap().replacen("$2b$", "$2y$", 1))
    }

    async fn status(basic: &Basic, headers: &HeaderMap) -> u16 {
        basic.check(headers).await.map_or_else(|refusal| refusal.status.as_u16(), |_| 200)
    }

    #[tokio::test]
    async fn right_credentials_pass_twice_and_wrong_ones_never() {
        let file = file(&format!("# people\n{}", line("admin", "secret")));
        let basic = Basic::open(file.path()).unwrap();
        for _ in 0..2 {
            assert_eq!(basic.check(&header("admin", "secret")).await, Ok("admin".into()));
            assert_eq!(status(&basic, &header("admin", "Secret")).await, 401);
            assert_eq!(status(&basic, &header("nobody", "secret")).await, 401);
        }
        assert_eq!(status(&basic, &HeaderMap::new()).await, 401);
        for text in ["Bearer x", "Basic %%%", "x"] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(text))]);
            assert_eq!(status(&basic, &headers).await, 400, "{text}");
        }
    }

    #[tokio::test]
    async fn a_changed_file_counts_at_once_and_a_broken_one_never() {
        let file = file(&line("old", "secret"));
        let basic = Basic::open(file.path()).unwrap();
        assert_eq!(status(&basic, &header("old", "secret")).await, 200);
        let due = || basic.users().looked = Instant::now() - LOOK;
        std::fs::write(file.path(), line("newcomer", "secret")).unwrap();
        assert_eq!(status(&basic, &header("old", "secret")).await, 200, "it is not looked at with every request");
        due();
        assert_eq!(status(&basic, &header("old", "secret")).await, 401, "and what was remembered is forgotten");
        assert_eq!(status(&basic, &header("newcomer", "secret")).await, 200);
        for broken in ["newcomer:plain\n", ""] {
            std::fs::write(file.path(), broken).unwrap();
            due();
            assert_eq!(status(&basic, &header("newcomer", "secret")).await, 200);
        }
        std::fs::remove_file(file.path()).unwrap();
        due();
        assert_eq!(status(&basic, &header("newcomer", "secret")).await, 200);
    }

    #[test]
    fn only_bcrypt_is_accepted_and_digests_are_not_shown() {
        for text in ["admin:$apr1$abc$secretdigest", "admin", ":$2y$", "admin:{SHA}secretdigest"] {
            let error = Basic::open(file(text).path()).err().unwrap().to_string();
            assert!(error.contains("line 1") && !error.contains("secretdigest"), "{error}");
        }
        assert!(matches!(Basic::open(file("\n").path()), Err(AuthError::Empty(_))));
        assert!(matches!(Basic::open(Path::new("/nowhere/x")), Err(AuthError::Read { .. })));
    }
}
