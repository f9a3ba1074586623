//! TLS of the API: certificate and key from files, read again when they change, so that a renewal needs no restart.

use crate::config::Config;
use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio_rustls::TlsAcceptor;

/// Between two looks at the files.
const PAUSE: Duration = Duration::from_secs(1);

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// An option is missing.
    #[error("[api] enable_ssl_api is set, but [api] {0} is not: set it to a PEM file")]
    Option(&'static str),
    /// A file cannot be used. Its content is not shown.
    #[error("[api] {option} {path} cannot be used: {text}")]
    File {
        /// Which option.
        option: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        text: String,
    },
    /// A version that is none or too old.
    #[error("[api] server_tls_minimum_version `{0}` is not served: use 1.2 or 1.3")]
    Version(String),
}

/// Certificate, key and what was made of them.
#[derive(Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    minimum: String,
    present: Mutex<Present>,
}

struct Present {
    config: Arc<ServerConfig>,
    stamps: Stamps,
    looked: Instant,
}

impl std::fmt::Debug for Present {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Present").field("stamps", &self.stamps).finish_non_exhaustive()
    }
}

/// When and how long the files were.
type Stamps = [Option<(SystemTime, u64)>; 2];

impl Tls {
    /// Reads the files when the configuration asks for TLS.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(config: &Config) -> Result<Option<Arc<Self>>, TlsError> {
        let api = &config.api;
        if !api.enable_ssl_api {
            return Ok(None);
        }
        let certificate = api.cert_file.clone().ok_or(TlsError::Option("cert_file"))?;
        let key = api.key_file.clone().ok_or(TlsError::Option("key_file"))?;
        let minimum = api.server_tls_minimum_version.clone();
        let stamps = stamps(&certificate, &key);
        let config = read(&certificate, &key, &minimum)?;
        let present = Mutex::new(Present { config, stamps, looked: Instant::now() });
        Ok(Some(Arc::new(Tls { certificate, key, minimum, present })))
    }

    /// For the next connection. Files that changed and cannot be used leave the old certificate in service.
    pub fn acceptor(&self) -> TlsAcceptor {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.looked.elapsed() >= PAUSE {
            present.looked = Instant::now();
            let now = stamps(&self.certificate, &self.key);
            if now != present.stamps {
                match read(&self.certificate, &self.key, &self.minimum) {
                    Ok(config) => {
                        present.config = config;
                        present.stamps = now;
                        tracing::info!(certificate = %self.certificate.display(), "the new certificate of the API is in service");
                    }
                    Err(error) => tracing::warn!(%error, "the old certificate of the API stays in service"),
                }
            }
        }
        TlsAcceptor::from(Arc::clone(&present.config))
    }
}

fn stamps(certificate: &Path, key: &Path) -> Stamps {
    [certificate, key].map(|path| {
        let facts = std::fs::metadata(path).ok()?;
        Some((facts.modified().ok()?, facts.len()))
    })
}

fn read(certificate: &Path, key: &Path, minimum: &str) -> Result<Arc<ServerConfig>, TlsError> {
    let wrong = |option: &'static str, path: &Path, error: &dyn std::fmt::Display| TlsError::File {
        option,
        path: path.into(),
        text: error.to_string(),
    };
    let of_certificate = |error: &dyn std::fmt::Display| wrong("cert_file", certificate, error);
    let of_key = |error: &dyn std::fmt::Display| wrong("key_file", key, error);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| of_certificate(&error))?;
    if chain.is_empty() {
        return Err(of_certificate(&"it holds no certificate in PEM"));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| of_key(&error))?;
    let versions: &[&rustls::SupportedProtocolVersion] = match minimum {
        "1.3" => &[&TLS13],
        "1.2" => &[&TLS13, &TLS12],
        other => return Err(TlsError::Version(other.into())),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| of_certificate(&error))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| of_key(&error))?;
    Ok(Arc::new(config))
}
