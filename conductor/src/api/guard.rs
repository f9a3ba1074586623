//! What is refused before anything is parsed: bodies too large, too slow, too deep (rest-api section 1.1, limits).

use super::error::ApiError;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::time::Duration;
use tokio::time::Instant;

const KIB: usize = 1024;

/// A body must have arrived after this time plus a second for every 64 KiB it brings.
const BODY_TIME: Duration = Duration::from_secs(30);

/// Largest body of a path, bytes.
pub fn limit(path: &str) -> usize {
    let path = path.trim_end_matches('/');
    if path.ends_with("/states/provision") {
        64 * KIB * KIB
    } else if path.ends_with("/continue_inspection") {
        16 * KIB * KIB
    } else {
        KIB * KIB
    }
}

/// Reads a body to its end, never more than `limit`, never for ever.
///
/// # Errors
/// 413, 408 or 400, unwrapped.
pub async fn read(mut body: Incoming, headers: &HeaderMap, limit: usize) -> Result<Bytes, ApiError> {
    let said = headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|said| said > limit as u64) || body.size_hint().lower() > limit as u64 {
        return Err(ApiError::too_large(limit));
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let begin = Instant::now();
    let mut bytes = BytesMut::new();
    loop {
        let patience = BODY_TIME + Duration::from_secs((bytes.len() / (64 * KIB)) as u64);
        let frame = tokio::time::timeout_at(begin + patience, body.frame()).await.map_err(|_| ApiError::too_slow())?;
        match frame {
            None => return Ok(bytes.freeze()),
            Some(Err(_)) => return Err(ApiError::broken_body()),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                if bytes.len() + data.len() > limit {
                    return Err(ApiError::too_large(limit));
                }
                bytes.extend_from_slice(&data);
            }
        }
    }
}

/// Counts brackets outside strings; whether the rest is JSON is for the parser.
///
/// # Errors
/// 400, unwrapped.
pub fn depth(bytes: &[u8], limit: usize) -> Result<(), ApiError> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for &byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return Err(ApiError::too_deep(limit));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_only_outside_strings() {
        let deep = "[".repeat(26);
        assert!(depth(deep.as_bytes(), 25).is_err());
        assert!(depth(&deep.as_bytes()[1..], 25).is_ok());
        assert!(depth(format!("\"\\\"{deep}\"").as_bytes(), 25).is_ok());
        assert!(depth("[][][]{}{}".repeat(50).as_bytes(), 1).is_ok());
    }

    #[test]
    fn two_routes_take_more() {
        assert_eq!(limit("/v1/nodes/x/states/provision/"), 64 << 20);
        assert_eq!(limit("/v1/continue_inspection"), 16 << 20);
        assert_eq!(limit("/v1/nodes"), 1 << 20);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_counted_without_a_panic(bytes: Vec<u8>) {
            let _ = depth(&bytes, 3);
        }
    }
}
