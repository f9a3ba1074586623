//! What came back: errors by kind, bodies with a bound, and the text inside the API's three forms of error body.

use reqwest::Response;
use serde_json::Value;

/// Longest answer that is read, bytes; look-ups are some kilobytes.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Longest text of an error that is passed on.
const MAX_TEXT: usize = 600;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Connect, TLS or time-out.
    #[error("no connection to {url}")]
    Connection {
        /// Base URL, without a password in it.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The answer broke off.
    #[error("the answer broke off")]
    Body(#[source] reqwest::Error),
    /// Another status than the one that means success.
    #[error("the API answered {status}: {text}")]
    Status {
        /// HTTP status.
        status: u16,
        /// What the body said.
        text: String,
    },
    /// Not what the contract says.
    #[error("the API's answer cannot be used: {0}")]
    Unusable(String),
    /// No URL configured.
    #[error("no API URL is configured; set `ipa-api-url`")]
    NoUrl,
    /// CA certificates.
    #[error("CA certificates {path}: {why}")]
    Trust {
        /// Which file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The agent's own certificate.
    #[error("the certificate for servers that ask for one")]
    Identity(#[from] crate::tls::TlsError),
    /// The client could not be made.
    #[error("making the HTTP client")]
    Client(#[source] reqwest::Error),
}

impl HomeError {
    /// The status, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Trying again may help: no connection, a server error, or a node that is locked.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Body(_) => true,
            Self::Status { status, .. } => *status >= 500 || *status == 409,
            _ => false,
        }
    }
}

/// The whole body, at most [`MAX_ANSWER`] bytes of it.
pub async fn bounded_body(mut response: Response) -> Result<Vec<u8>, HomeError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|cause| HomeError::Body(cause.without_url()))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(HomeError::Unusable(format!("it is longer than {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The sentence in an error body: `error_message` (text holding JSON, or an object) with `faultstring`, `title`, or the text itself.
pub fn fault_text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let found = serde_json::from_str::<Value>(&text).ok().and_then(|value| {
        let message = match value.get("error_message") {
            Some(Value::String(inner)) => serde_json::from_str(inner).unwrap_or_else(|_| Value::String(inner.clone())),
            Some(other) => other.clone(),
            None => value,
        };
        let pick = |key| message.get(key).and_then(Value::as_str).map(String::from);
        message.as_str().map(String::from).or_else(|| pick("faultstring")).or_else(|| pick("title"))
    });
    let sentence = found.unwrap_or_else(|| text.trim().to_owned());
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    sentence.chars().take(MAX_TEXT).map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::fault_text;

    #[test]
    fn the_sentence_is_found_in_every_form() {
        for body in [
            r#"{"error_message": "{\"faultcode\": \"Client\", \"faultstring\": \"Node is locked\"}"}"#,
            r#"{"error_message": {"faultcode": "Client", "faultstring": "Node is locked", "debuginfo": null}}"#,
            r#"{"title": "Node is locked"}"#,
            r#"{"error_message": "Node is locked"}"#,
            " Node is locked\n",
        ] {
            assert_eq!(fault_text(body.as_bytes()), "Node is locked");
        }
        assert_eq!(fault_text(&[b'x'; 5000]).len(), 600);
    }
}
