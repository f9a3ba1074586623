//! What an answer carries: JSON, a text of another kind, or a stream whose length nobody knows.

use bytes::Bytes;
use http::HeaderValue;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde_json::Value;
use std::convert::Infallible;
use std::io;

/// A body on its way to the wire. An error in the middle closes the connection: the client sees that the answer is cut.
pub type WireBody = UnsyncBoxBody<Bytes, io::Error>;

/// JSON, the kind of nearly every answer.
pub const JSON: &str = "application/json";

/// What an answer carries.
pub enum Content {
    /// A document.
    Json(Value),
    /// Bytes of this kind.
    Bytes(&'static str, Bytes),
    /// A stream of this kind; sent in chunks, without a length. Made with [`Content::stream`].
    Stream(&'static str, WireBody),
}

impl Content {
    /// Wraps a stream of pieces. It is asked for the next piece only when the client has taken the ones before.
    pub fn stream(
        kind: &'static str,
        pieces: impl futures_util::Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Self {
        let frames = futures_util::StreamExt::map(pieces, |piece| piece.map(Frame::data));
        Content::Stream(kind, BodyExt::boxed_unsync(StreamBody::new(frames)))
    }

    /// Content type, length when it is known, and the body itself.
    pub fn into_parts(self) -> (HeaderValue, Option<usize>, WireBody) {
        match self {
            Content::Json(value) => {
                let bytes = text(&value);
                (HeaderValue::from_static(JSON), Some(bytes.len()), whole(bytes))
            }
            Content::Bytes(kind, bytes) => (HeaderValue::from_static(kind), Some(bytes.len()), whole(bytes)),
            Content::Stream(kind, body) => (HeaderValue::from_static(kind), None, body),
        }
    }
}

impl From<Value> for Content {
    fn from(value: Value) -> Self {
        Content::Json(value)
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Content::Json(value) => write!(out, "{value}"),
            Content::Bytes(kind, bytes) => write!(out, "{} bytes of {kind}", bytes.len()),
            Content::Stream(kind, _) => write!(out, "a stream of {kind}"),
        }
    }
}

/// A document as it goes over the wire.
pub fn text(value: &Value) -> Bytes {
    // A value in memory can always be written.
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// Bytes that are all there.
pub fn whole(bytes: Bytes) -> WireBody {
    Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync()
}
