//! One GET: redirects followed with care, status and lengths checked. Retrying is `fetch`'s business.

use super::client::chain;
use super::error::FetchError;
use super::origin::follow;
use super::request::Request;
use common::url_text::shown;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_RANGE, ETAG, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue};
use reqwest::{Client, Response};
use std::time::Duration;
use url::Url;

/// More hops than this are a loop.
const MAX_REDIRECTS: u32 = 10;

/// Which part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// From this byte to the end; a server may send the whole instead.
    From(u64),
    /// So many bytes from this byte.
    Slice(u64, u64),
}

/// A response whose head is in order.
pub struct Opened {
    /// The body is still to be read.
    pub response: Response,
    /// File offset of the body's first byte.
    pub start: u64,
    /// Size of the whole file, if the server said so.
    pub total: Option<u64>,
    /// Strong ETag, or Last-Modified.
    pub validator: Option<HeaderValue>,
}

/// Sends a GET for `part` of `url`. With `validator` the server sends the part only if the file is still the same.
///
/// # Errors
/// See [`FetchError`].
pub async fn open(
    client: &Client,
    request: &Request,
    url: &Url,
    part: Part,
    validator: Option<&HeaderValue>,
    timeout: Duration,
) -> Result<Opened, FetchError> {
    let mut at = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        let mut headers = HeaderMap::new();
        // The digest is of the file, not of what a server makes of it under way.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(accept) = request.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        let range = match part {
            Part::Whole => None,
            Part::From(start) => Some(format!("bytes={start}-")),
            Part::Slice(start, length) => {
                Some(format!("bytes={start}-{}", start.saturating_add(length).saturating_sub(1)))
            }
        };
        if let Some(range) = range.and_then(|range| HeaderValue::from_str(&range).ok()) {
            headers.insert(RANGE, range);
            if let Some(validator) = validator {
                headers.insert(IF_RANGE, validator.clone());
            }
        }
        if let Some(value) = request.authorization.as_ref().and_then(|secret| secret.for_url(&at)) {
            headers.insert(AUTHORIZATION, value.clone());
        }
        let sent = tokio::time::timeout(timeout * 2, client.get(at.clone()).headers(headers).send()).await;
        let response = match sent {
            Err(_) => return Err(FetchError::Stalled { url: shown(&at), seconds: (timeout * 2).as_secs() }),
            Ok(Err(cause)) => return Err(broken(&at, cause, timeout)),
            Ok(Ok(response)) => response,
        };
        if matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            at = follow(&at, location.unwrap_or_default())?;
            continue;
        }
        return check(response, &at, part);
    }
    Err(FetchError::Redirect { url: shown(url), target: shown(&at), reason: "too many redirects" })
}

fn check(response: Response, url: &Url, part: Part) -> Result<Opened, FetchError> {
    let headers = response.headers();
    let validator = validator(headers);
    match (response.status().as_u16(), part) {
        (200, Part::Whole | Part::From(_)) => {
            let total = response.content_length();
            Ok(Opened { response, start: 0, total, validator })
        }
        (200, Part::Slice(..)) => Err(FetchError::NoRanges { url: shown(url) }),
        (206, Part::From(wanted) | Part::Slice(wanted, _)) => {
            let range = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).and_then(content_range);
            let Some((start, total)) = range.filter(|(start, _)| *start == wanted) else {
                return Err(FetchError::NoRanges { url: shown(url) });
            };
            Ok(Opened { response, start, total, validator })
        }
        (status, _) => {
            let challenge = headers.get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).map(str::to_owned);
            Err(FetchError::Status { url: shown(url), status, challenge })
        }
    }
}

/// First byte and total size of `bytes A-B/TOTAL`.
pub fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end): (u64, u64) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        number => Some(number.parse::<u64>().ok()?),
    };
    (start <= end && total.is_none_or(|total| end < total)).then_some((start, total))
}

/// What If-Range may carry: weak ETags may not.
fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let strong = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""));
    strong.or_else(|| headers.get(LAST_MODIFIED)).cloned()
}

/// A reqwest error as ours, without the URL it carries.
pub(super) fn broken(url: &Url, cause: reqwest::Error, timeout: Duration) -> FetchError {
    if cause.is_timeout() {
        return FetchError::Stalled { url: shown(url), seconds: timeout.as_secs() };
    }
    FetchError::Broken { url: shown(url), cause: chain(&cause.without_url()) }
}

#[cfg(test)]
mod tests {
    use super::content_range;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 0-0/*"), Some((0, None)));
        for bad in ["bytes 9-5/10", "bytes 5-10/10", "items 1-2/3", "bytes -1/3", "bytes */10", ""] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
