//! Where an image is, what it must hash to, which format it is in: `image_info` of a write_image step.
//!
//! Agent-protocol section 11.

use crate::token::Token;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `image_info` as the conductor sends it; keys that only partition images use are kept in `other`.
#[derive(Clone, Serialize, Deserialize)]
pub struct ImageInfo {
    /// Last path segment of the source. Never empty, never with a path separator.
    pub id: String,
    /// Tried in order.
    pub urls: Vec<String>,
    /// `raw`, `qcow2` ...; null: found by content.
    #[serde(default)]
    pub disk_format: Option<String>,
    /// Unused by agents.
    #[serde(default)]
    pub container_format: Option<String>,
    /// Raw images go straight to the disk.
    #[serde(default)]
    pub stream_raw_images: bool,
    /// Hex (its length names the algorithm) or the URL of a checksum file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// `md5`, `sha256`, `sha512` ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_hash_algo: Option<String>,
    /// Hex or the URL of a checksum file; preferred over `checksum`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_hash_value: Option<String>,
    /// base64 of a whole Authorization header value. A secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_request_authorization: Option<Token>,
    /// `http_basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_server_auth_strategy: Option<String>,
    /// For http_basic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_server_user: Option<String>,
    /// For http_basic. A secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_server_password: Option<Token>,
    /// Keys `http` and `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxies: Option<std::collections::BTreeMap<String, String>>,
    /// Comma list; only with proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_proxy: Option<String>,
    /// For messages.
    #[serde(default)]
    pub node_uuid: Option<String>,
    /// Same as the step argument, from old conductors; the argument wins. A secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configdrive: Option<Token>,
    /// `partition`, or absent for whole disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_type: Option<String>,
    /// Partition image details.
    #[serde(flatten)]
    pub other: serde_json::Map<String, Value>,
}

impl std::fmt::Debug for ImageInfo {
    /// Leaves credentials and the config drive out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageInfo")
            .field("id", &self.id)
            .field("urls", &self.urls)
            .field("disk_format", &self.disk_format)
            .finish_non_exhaustive()
    }
}

/// A digest algorithm that images may be checked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestKind {
    /// Only when the conductor allows it.
    Md5,
    /// Accepted by name only.
    Sha1,
    /// 64 hex digits.
    Sha256,
    /// Accepted by name only.
    Sha384,
    /// 128 hex digits.
    Sha512,
}

impl DigestKind {
    /// By `os_hash_algo`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "md5" => Self::Md5,
            "sha1" => Self::Sha1,
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            _ => return None,
        })
    }

    /// By the number of hex digits, as `checksum` is understood.
    pub fn from_hex_len(digits: usize) -> Option<Self> {
        match digits {
            32 => Some(Self::Md5),
            64 => Some(Self::Sha256),
            128 => Some(Self::Sha512),
            _ => None,
        }
    }

    /// Number of hex digits of a digest.
    pub fn hex_len(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha1 => 40,
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }

    /// `sha256` and so on.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}
