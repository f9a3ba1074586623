//! The certificate that the agent shows to servers which ask for one: API, inspection, image servers (`certfile`, `keyfile`).

use super::TlsError;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Longest file read, bytes; a chain with its key has some kilobytes.
const LONGEST: u64 = 1024 * 1024;

/// PEM files of a client certificate (with its chain) and its key. Without both there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// Certificate.
    pub certificate: PathBuf,
    /// Key.
    pub key: PathBuf,
}

impl From<(PathBuf, PathBuf)> for ClientFiles {
    fn from((certificate, key): (PathBuf, PathBuf)) -> Self {
        Self { certificate, key }
    }
}

impl ClientFiles {
    /// Reads them.
    ///
    /// # Errors
    /// [`TlsError::Files`] names both: a server that asks for a certificate would refuse the agent later, with fewer words.
    pub fn identity(&self) -> Result<reqwest::Identity, TlsError> {
        let fail = |why: String| TlsError::Files {
            files: format!("{} and {}", self.certificate.display(), self.key.display()),
            why,
        };
        let mut pem = Zeroizing::new(Vec::new());
        for path in [&self.key, &self.certificate] {
            let length = std::fs::metadata(path).map_err(|cause| fail(format!("{}: {cause}", path.display())))?.len();
            if length > LONGEST {
                return Err(fail(format!("{} has {length} bytes, which is no certificate or key", path.display())));
            }
            let part = Zeroizing::new(std::fs::read(path).map_err(|cause| fail(cause.to_string()))?);
            pem.extend_from_slice(&part);
            pem.push(b'\n');
        }
        reqwest::Identity::from_pem(&pem).map_err(|cause| fail(cause.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::ClientFiles;
    use crate::tls::{Identity, Wish};
    use std::time::{Duration, SystemTime};

    #[test]
    fn both_files_make_an_identity_and_mistakes_name_them() {
        let dir = tempfile::tempdir().unwrap();
        let wish = Wish {
            address: "192.0.2.1".parse().unwrap(),
            hostname: "agent",
            curve: "p384",
            skew: Duration::from_secs(60),
        };
        Identity::generate(&wish, SystemTime::now()).unwrap().leave_files(dir.path()).unwrap();
        let files = |certificate: &str, key: &str| ClientFiles {
            certificate: dir.path().join(certificate),
            key: dir.path().join(key),
        };
        files("agent.crt", "agent.key").identity().unwrap();
        let missing = files("agent.crt", "none.key").identity().unwrap_err().to_string();
        assert!(missing.contains("none.key") && missing.contains("agent.crt"), "{missing}");
        let twice = files("agent.crt", "agent.crt").identity().unwrap_err().to_string();
        assert!(!twice.contains("BEGIN"), "no key is ever told: {twice}");
    }
}
