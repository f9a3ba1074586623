//! A receiver of events, as the configuration names it; and texts that are never printed.

use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A text that is never printed and is wiped when it is done with.
#[derive(Clone, Default, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for a digest or the wire only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SecretText(hidden)")
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("******")
    }
}

/// One `[[events.webhooks]]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookOptions {
    /// Its own name: the place in the log is kept under it.
    pub name: String,
    /// Where events go.
    pub url: String,
    /// What the signature is made with.
    pub secret: SecretText,
    /// Types of events, as in `GET /v1/events`; empty: all.
    #[serde(default)]
    pub types: Vec<String>,
    /// Project: only what it owns or has on lease; not set: everything.
    #[serde(default)]
    pub owner: Option<String>,
}
