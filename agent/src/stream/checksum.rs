//! Which digest an image must have: from `image_info`, or from a checksum file. No checksum is an error, never skipped.
//!
//! Agent-protocol section 11, ipa-features section 19.

use common::image_ref::{DigestKind, ImageInfo};
use url::Url;

/// Larger checksum files are refused, bytes.
pub const MAX_FILE: u64 = 1 << 20;

/// Digest and algorithm that the downloaded bytes must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Algorithm.
    pub kind: DigestKind,
    /// Lower-case hex.
    pub hex: String,
}

/// Where the digest comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Given with the image.
    Known(Expected),
    /// In a file that must be fetched first.
    File {
        /// Its URL.
        url: Url,
        /// Algorithm, if it was named.
        kind: Option<DigestKind>,
    },
    /// In the manifest of the registry that has the image.
    Manifest,
}

/// Why an image cannot be verified, or is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ChecksumError {
    /// Nothing usable in `image_info`.
    #[error(
        "image_info has no usable checksum: {0}. Set image_os_hash_algo and image_os_hash_value, or image_checksum"
    )]
    Unusable(String),
    /// MD5 where the operator does not want it.
    #[error("the image has an MD5 checksum only, and MD5 is not allowed here. Use sha256 or sha512")]
    Md5Forbidden,
    /// The checksum file does not help.
    #[error("the checksum file {url} {problem}")]
    File {
        /// Which.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Wrong bytes.
    #[error(
        "the image does not match its checksum: {} {found} after {bytes} bytes, but {} was expected. The disk was left \
         unbootable. Check the image on the server, and its checksum", .expected.kind.name(), .expected.hex
    )]
    Mismatch {
        /// What was promised.
        expected: Expected,
        /// What came.
        found: String,
        /// Bytes digested.
        bytes: u64,
    },
}

/// Chooses: `os_hash_algo` with its value if supported, else `checksum`, by its length or as a URL. A registry's manifest
/// has a digest of its own.
///
/// # Errors
/// [`ChecksumError::Unusable`] and [`ChecksumError::Md5Forbidden`].
pub fn choose(info: &ImageInfo, md5: bool) -> Result<Choice, ChecksumError> {
    let given =
        |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let algorithm = given(&info.os_hash_algo);
    if let (Some(name), Some(value)) = (&algorithm, given(&info.os_hash_value)) {
        match DigestKind::from_name(name) {
            Some(kind) => return one(&value, Some(kind), md5),
            None => tracing::warn!(os_hash_algo = %name, "unknown digest algorithm, looking for another checksum"),
        }
    }
    match given(&info.checksum) {
        Some(value) => one(&value, None, md5),
        None if info.urls.iter().all(|url| url.starts_with("oci://")) && !info.urls.is_empty() => Ok(Choice::Manifest),
        None => Err(ChecksumError::Unusable(match algorithm {
            Some(name) => format!("os_hash_algo `{name}` is not md5, sha1, sha256, sha384 or sha512, or has no value"),
            None => "there is none".into(),
        })),
    }
}

fn one(value: &str, kind: Option<DigestKind>, md5: bool) -> Result<Choice, ChecksumError> {
    if value.contains("://") {
        if kind == Some(DigestKind::Md5) && !md5 {
            return Err(ChecksumError::Md5Forbidden);
        }
        let url = super::origin::parse(value).map_err(ChecksumError::Unusable)?;
        return Ok(Choice::File { url, kind });
    }
    known(value, kind, md5).map(Choice::Known)
}

fn known(value: &str, kind: Option<DigestKind>, md5: bool) -> Result<Expected, ChecksumError> {
    let hex = value.to_ascii_lowercase();
    if !is_hex(&hex) {
        return Err(ChecksumError::Unusable("the value is neither hex digits nor a URL".into()));
    }
    let by_length = DigestKind::from_hex_len(hex.len());
    let kind = kind.or(by_length).ok_or_else(|| {
        ChecksumError::Unusable(format!("{} hex digits are none of md5 (32), sha256 (64), sha512 (128)", hex.len()))
    })?;
    if hex.len() != kind.hex_len() {
        let text = format!("a {} digest has {} hex digits, not {}", kind.name(), kind.hex_len(), hex.len());
        return Err(ChecksumError::Unusable(text));
    }
    if kind == DigestKind::Md5 && !md5 {
        return Err(ChecksumError::Md5Forbidden);
    }
    Ok(Expected { kind, hex })
}

fn is_hex(text: &str) -> bool {
    text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Finds the digest of the file called `name` in the text of a checksum file fetched from `url`.
///
/// Understood: a lone digest; `digest  name`, `digest *name`, `name digest`; `ALGORITHM (name) = digest`; `#` comments.
///
/// # Errors
/// [`ChecksumError::File`] if there is none, or several that differ.
pub fn from_file(
    text: &[u8],
    url: &Url,
    name: &str,
    kind: Option<DigestKind>,
    md5: bool,
) -> Result<Expected, ChecksumError> {
    let fail = |problem: String| ChecksumError::File { url: common::url_text::shown(url), problem };
    let text = std::str::from_utf8(text).map_err(|_| fail("is not text".into()))?;
    let usable = |digest: &str| is_hex(digest) && kind.is_none_or(|kind| kind.hex_len() == digest.len());
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let mut found: Vec<String> = Vec::new();
    if let [line] = lines[..]
        && usable(line)
    {
        found.push(line.to_ascii_lowercase());
    }
    for line in lines {
        let Some((digest, file)) = split(line) else { continue };
        let file = file.strip_prefix("./").unwrap_or(file);
        if file == name && usable(digest) {
            found.push(digest.to_ascii_lowercase());
        }
    }
    found.sort();
    found.dedup();
    // A file with several algorithms (BSD style): the longest digest is the strongest.
    found.sort_by_key(|digest| std::cmp::Reverse(digest.len()));
    match &found[..] {
        [] => Err(fail(format!("has no digest for `{name}`"))),
        [first, second, ..] if first.len() == second.len() => Err(fail(format!("has several digests for `{name}`"))),
        [digest, ..] => known(digest, kind, md5),
    }
}

/// Digest and file name of one line.
fn split(line: &str) -> Option<(&str, &str)> {
    if let Some((head, digest)) = line.rsplit_once('=')
        && let Some((_, name)) = head.trim_end().strip_suffix(')').and_then(|head| head.split_once('('))
    {
        return Some((digest.trim(), name));
    }
    let (first, rest) = line.split_once(char::is_whitespace)?;
    if is_hex(first) {
        let rest = rest.trim_start();
        return Some((first, rest.strip_prefix('*').unwrap_or(rest)));
    }
    let (rest, last) = line.rsplit_once(char::is_whitespace)?;
    is_hex(last).then(|| (last, rest.trim_end()))
}

#[cfg(test)]
mod tests;
