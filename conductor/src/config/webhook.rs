//! A receiver of events, as the configuration names it.

use super::secret::Secret;
use serde::{Deserialize, Serialize};

/// One `[[events.webhooks]]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookOptions {
    /// Its own name: the place in the log is kept under it.
    pub name: String,
    /// Where events go.
    pub url: String,
    /// What the signature is made with.
    pub secret: Secret,
    /// Types of events, as in `GET /v1/events`; empty: all.
    #[serde(default)]
    pub types: Vec<String>,
    /// Project: only what it owns or has on lease; not set: everything.
    #[serde(default)]
    pub owner: Option<String>,
}
