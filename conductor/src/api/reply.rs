//! Answers and refusals on their way to the wire: status, headers, body.

use super::auth::Refusal;
use super::body::{Content, WireBody, whole};
use super::call::Answer;
use super::error::ApiError;
use super::refusal_text::Asked;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

/// The guards before routing do not ask what the client takes.
pub fn write(result: Result<Answer, ApiError>) -> Response<WireBody> {
    write_for(&Asked { method: "", accept: None }, result)
}

/// In the words that the client takes.
pub fn write_for(asked: &Asked<'_>, result: Result<Answer, ApiError>) -> Response<WireBody> {
    let (status, body, headers) = match result {
        Ok(answer) => (answer.status, answer.body, answer.headers),
        Err(error) => {
            if error.status.is_server_error() {
                tracing::warn!(status = error.status.as_u16(), error = %error.text, "refused");
            }
            let allow = error.allow.clone().map(|allow| (header::ALLOW, allow));
            (error.status, Some(asked.body(&error).into()), allow.into_iter().collect())
        }
    };
    let mut response = with_content(status, body);
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn with_content(status: StatusCode, content: Option<Content>) -> Response<WireBody> {
    let (kind, length, body) = match content {
        Some(content) => {
            let (kind, length, body) = content.into_parts();
            (Some(kind), length, body)
        }
        None => (None, Some(0), whole(Bytes::new())),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    // Written down also when hyper would leave it out: clients want to see it on 202 and 204.
    // 304 has no body, and says nothing about the length of the one that the client has.
    if let Some(length) = length.filter(|_| status != StatusCode::NOT_MODIFIED) {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

/// The rest of a body that nobody will read must not be taken for the next request.
pub fn closing(mut response: Response<WireBody>) -> Response<WireBody> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Whoever asks is not let in.
pub fn refused(refusal: &Refusal) -> Response<WireBody> {
    let mut response = with_content(refusal.status, Some(refusal.body().into()));
    let headers = response.headers_mut();
    if let Some(challenge) = refusal.challenge.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = refusal.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
