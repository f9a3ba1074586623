//! Identifiers: UUIDs and names (rest-api section 3, "Idents").

use super::args::cut;
use super::error::ApiError;
use super::version::Version;
use uuid::Uuid;

/// Words that stand for sub-resources and can be no node's name.
pub const RESERVED: &[&str] = &["maintenance", "management", "states", "vendor_passthru", "detail", "validate"];

/// A UUID in any of its usual spellings.
pub fn uuid(text: &str) -> Option<Uuid> {
    // Only the two forms with hex digits; the others that the crate knows are names to us.
    matches!(text.len(), 32 | 36).then(|| Uuid::parse_str(text).ok()).flatten()
}

/// Characters of a name from 1.10 on: RFC 3986 "unreserved".
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// A UUID in its canonical spelling, or a name, from a path or a query; `what` for the refusal.
///
/// # Errors
/// 400 in the shape of routing.
pub fn of_path(text: &str, what: &str) -> Result<String, ApiError> {
    match uuid(text) {
        Some(uuid) => Ok(uuid.to_string()),
        None if is_name(text) => Ok(text.to_owned()),
        None => Err(ApiError::bad_ident(format!("Expected UUID or name for {what}: {}", cut(text)))),
    }
}

/// A node may have this name.
pub fn is_node_name(name: &str, version: Version) -> bool {
    if RESERVED.contains(&name) || uuid(name).is_some() || !is_name(name) {
        return false;
    }
    version.has(10) || is_host_name(name)
}

/// Below 1.10: labels of letters, digits and inner hyphens, separated by dots.
fn is_host_name(name: &str) -> bool {
    name.split('.').all(|label| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_brought_to_one_spelling_and_names_pass() {
        let upper = "1BE26C0B-03F2-4D2E-AE87-C02D7F33C123";
        assert_eq!(of_path(upper, "node").unwrap(), upper.to_lowercase());
        assert_eq!(of_path("rack~1.node_2", "node").unwrap(), "rack~1.node_2");
        for bad in ["", "a b", "a/b", "ü", "a%"] {
            assert_eq!(of_path(bad, "node").unwrap_err().status, 400, "{bad}");
        }
    }

    #[test]
    fn names_of_nodes_are_no_uuids_and_no_reserved_words() {
        let (old, new) = (Version(9), Version(10));
        assert!(is_node_name("n_1~x", new) && !is_node_name("n_1~x", old) && is_node_name("n-1.example", old));
        for bad in ["states", "detail", "1be26c0b-03f2-4d2e-ae87-c02d7f33c123", "1be26c0b03f24d2eae87c02d7f33c123", ""]
        {
            assert!(!is_node_name(bad, new), "{bad}");
        }
    }
}
