//! The body of a command request: bounded in length, depth and time before anything of it is believed.

use super::answer::{Answer, http_fault};
use common::command::CommandRequest;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use serde_json::Value;
use std::time::Duration;

/// A config drive of 64 MiB in base64 is 86 MiB; the node record is some kilobytes.
const MAX_BODY: usize = 96 * 1024 * 1024;

/// For the whole body; config drives over a slow management network included.
const BODY_TIME: Duration = Duration::from_secs(120);

/// Deepest nesting. The API's own limit is 25 (agent-protocol 2.5); a command wraps what came through it.
const MAX_DEPTH: usize = 64;

/// Reads a command.
///
/// # Errors
/// The answer to give instead.
pub async fn read_command<B>(body: B) -> Result<CommandRequest, Box<Answer>>
where
    B: Body<Data = bytes::Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let collected = tokio::time::timeout(BODY_TIME, Limited::new(body, MAX_BODY).collect()).await;
    let bytes = match collected {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => {
            return Err(bad(StatusCode::PAYLOAD_TOO_LARGE, &format!("a command has at most {MAX_BODY} bytes")));
        }
        Ok(Err(cause)) => return Err(bad(StatusCode::BAD_REQUEST, &format!("the body broke off: {cause}"))),
        Err(_) => return Err(bad(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    };
    parse(&bytes)
}

fn bad(status: StatusCode, text: &str) -> Box<Answer> {
    Box::new(http_fault(status, text))
}

/// A command out of the bytes of a request.
///
/// # Errors
/// The answer to give instead.
pub fn parse(bytes: &[u8]) -> Result<CommandRequest, Box<Answer>> {
    let bad = |text: &str| bad(StatusCode::BAD_REQUEST, text);
    if depth(bytes) > MAX_DEPTH {
        return Err(bad(&format!("Failed to decode JSON object: nested deeper than {MAX_DEPTH}")));
    }
    let value: Value =
        serde_json::from_slice(bytes).map_err(|cause| bad(&format!("Failed to decode JSON object: {cause}")))?;
    serde_json::from_value(value).map_err(|_| bad("Missing or invalid name or params"))
}

/// How deep brackets are nested outside of strings; for text that is no JSON, some number.
fn depth(bytes: &[u8]) -> usize {
    let (mut deepest, mut now, mut in_string, mut escaped) = (0usize, 0usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' if !in_string => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings() {
        assert_eq!(depth(br#"{"a": ["[[[[", {"b\"{": 1}]}"#), 3);
        assert!(parse(&[b'['; 100_000]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
