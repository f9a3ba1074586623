//! Which CA certificates are believed: the configured file, else the bundle of the system.

use super::HomeError;
use reqwest::Certificate;
use std::path::Path;

/// Where distributions keep the bundle.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// Certificates from `file`, or the system's; none where the system has no bundle (then every HTTPS server is refused).
///
/// # Errors
/// The named file cannot be read or holds no certificate.
pub fn certificates(file: Option<&Path>) -> Result<Vec<Certificate>, HomeError> {
    let path = match file {
        Some(path) => path,
        None => match BUNDLES.iter().map(Path::new).find(|path| path.exists()) {
            Some(path) => path,
            None => {
                tracing::warn!(
                    "this system has no CA certificates and `cafile` is not set: no HTTPS server can be verified"
                );
                return Ok(Vec::new());
            }
        },
    };
    let fail = |why: String| HomeError::Trust { path: path.display().to_string(), why };
    let pem = std::fs::read(path).map_err(|cause| fail(cause.to_string()))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|cause| fail(cause.to_string()))?;
    if found.is_empty() {
        return Err(fail("there is no certificate in it".into()));
    }
    Ok(found)
}
