//! The HTTP client of the ways to log in: one peer, its authorities, short patience, bounded answers.

use super::AuthError;
use crate::boot::images::fetch::{bundle, system_authorities};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// To connect.
const CONNECT: Duration = Duration::from_secs(5);

/// For the whole answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Larger answers are none.
const MAX_ANSWER: usize = 1024 * 1024;

/// A client that trusts `cafile`, or what the system trusts, or anybody.
///
/// # Errors
/// [`AuthError::Option`] when the file is no bundle of certificates.
pub fn client(strategy: &'static str, cafile: Option<&Path>, insecure: bool) -> Result<Client, AuthError> {
    let failed = |text: String| AuthError::Option { strategy, text };
    let builder = Client::builder().redirect(Policy::none()).connect_timeout(CONNECT).timeout(PATIENCE).no_proxy();
    let builder = match cafile {
        _ if insecure => builder.tls_danger_accept_invalid_certs(true),
        Some(path) => builder.tls_certs_only(bundle(path).map_err(|error| failed(format!("cafile: {error}")))?),
        None => builder.tls_certs_only(system_authorities()),
    };
    builder.build().map_err(|error| failed(format!("no HTTP client: {error}")))
}

/// The body of an answer, if it is JSON and not too long.
///
/// # Errors
/// A sentence for the log.
pub async fn json(mut answer: Response) -> Result<Value, String> {
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| error.to_string())? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAX_ANSWER {
            return Err("the answer is longer than 1 MiB".into());
        }
    }
    serde_json::from_slice(&bytes).map_err(|error| format!("the answer is no JSON: {error}"))
}
