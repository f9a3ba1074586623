//! Instance images: what a node's instance_info asks for, where the bytes come from, and what the agent is told.
//!
//! `request` reads instance_info without touching anything; `local_file` opens `file://` sources below allowed folders;
//! `fetch` downloads; `cache` keeps downloads; `service` joins them and answers with an `image_info`.

pub mod cache;
pub mod checksum;
pub mod digest;
pub mod fetch;
mod hosts;
pub mod local_file;
pub mod request;
pub mod service;

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// instance_info is wrong or not allowed: HTTP 400 at validation. The text is for the user.
    #[error("{0}")]
    Invalid(String),
    /// The image server, the disk or the network: may work later.
    #[error("{0}")]
    Failed(String),
}

impl ImageError {
    fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }
}
