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
    use rustls::server::WebPkiClientVerifier;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A server that takes nobody but the owner of this identity, and answers one request.
    async fn guarded(owner: &Identity) -> String {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(owner.certificates[0].clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.unwrap())
            .with_single_cert(owner.certificates.clone(), owner.key.clone_key())
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await else { return };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            let _ = stream.shutdown().await;
        });
        url
    }

    #[tokio::test]
    async fn a_server_that_asks_for_a_certificate_gets_it_and_refuses_who_has_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let wish = Wish {
            address: "127.0.0.1".parse().unwrap(),
            hostname: "agent",
            curve: "p256",
            skew: Duration::from_secs(60),
        };
        let owner = Identity::generate(&wish, SystemTime::now()).unwrap();
        owner.leave_files(dir.path()).unwrap();
        let files = ClientFiles { certificate: dir.path().join("agent.crt"), key: dir.path().join("agent.key") };
        let client = || reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
        let shows = client().identity(files.identity().unwrap()).build().unwrap();
        let answer = shows.get(guarded(&owner).await).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "ok");
        let hides = client().build().unwrap();
        assert!(hides.get(guarded(&owner).await).send().await.is_err());
    }

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
