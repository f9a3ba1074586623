//! One request as handlers see it, and the answer they give.

use super::body::Content;
use super::error::ApiError;
use super::python;
use super::version::Version;
use crate::flow::request::{Caller, Conductor};
use crate::store::expect::Reading;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use serde_json::{Map, Value};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// What the content type says about a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// `application/json` or one of its kin.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Anything else, or nothing.
    Other,
}

/// A request that has passed routing and negotiation.
#[derive(Clone)]
pub struct Call {
    /// Who does the work.
    pub conductor: Arc<Conductor>,
    /// The verb: vendor methods look at it.
    pub method: Method,
    /// What the request speaks.
    pub version: Version,
    /// The parameters of the path, decoded, in order.
    pub params: Vec<String>,
    /// The query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// The body, read to its end.
    pub body: Bytes,
    /// What the body is.
    pub kind: BodyKind,
    /// `http://host:port`: where links begin.
    pub base: String,
    /// The headers of the request.
    pub headers: HeaderMap,
    /// Who asks.
    pub caller: Caller,
    /// The server is to stop: streams without an end of their own must end.
    pub stopping: CancellationToken,
    /// The handler asked the policy: rows that leave it to their handler are held to it.
    pub asked: Arc<AtomicBool>,
    /// Which state of what the answer shows, for its entity tag.
    pub read: Arc<Mutex<Option<Reading>>>,
}

impl Call {
    /// The `n`th parameter of the path. The table and its handlers are tested together; a missing one is empty.
    pub fn param(&self, n: usize) -> &str {
        self.params.get(n).map_or("", String::as_str)
    }

    /// The client names this kind of answer in `Accept`; "anything" is not enough.
    pub fn accepts(&self, kind: &str) -> bool {
        let values = self.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(kind));
            named && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
    }

    /// The answer shows this state of what the path names; the last word counts.
    pub fn shows(&self, id: i64, revision: i64) {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(Reading { id, revision });
    }

    /// The body as JSON, whatever its content type says; `None` when it is empty.
    ///
    /// # Errors
    /// 400 (the reference answers 500: its defect 21).
    pub fn json(&self) -> Result<Option<Value>, ApiError> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        serde_json::from_slice(&self.body)
            .map(Some)
            .map_err(|error| ApiError::invalid(format!("The request body is not valid JSON: {error}")))
    }

    /// The body as a JSON object, `what` for the text of the refusal.
    ///
    /// # Errors
    /// 400.
    pub fn object(&self, what: &str) -> Result<Map<String, Value>, ApiError> {
        match self.json()? {
            Some(Value::Object(map)) => Ok(map),
            Some(other) => {
                let shown = python::repr(&other);
                Err(ApiError::invalid(format!("Schema error for {what}: {shown} is not of type 'object'")))
            }
            // What is missing is then named by whoever needs it.
            None => Ok(Map::new()),
        }
    }
}

/// What a handler answers when it does not refuse.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// `None` is an empty body without content type.
    pub body: Option<Content>,
    /// Besides those every answer has.
    pub headers: Vec<(HeaderName, String)>,
}

impl Answer {
    /// 200.
    pub fn ok(body: impl Into<Content>) -> Self {
        Answer { status: StatusCode::OK, body: Some(body.into()), headers: Vec::new() }
    }

    /// 200 with something that is not a JSON value in memory.
    pub fn content(content: Content) -> Self {
        Answer { status: StatusCode::OK, body: Some(content), headers: Vec::new() }
    }

    /// 201 with the place of the new object.
    pub fn created(body: impl Into<Content>, location: String) -> Self {
        Answer { status: StatusCode::CREATED, body: Some(body.into()), headers: vec![(header::LOCATION, location)] }
    }

    /// 202, empty.
    pub fn accepted() -> Self {
        Answer { status: StatusCode::ACCEPTED, body: None, headers: Vec::new() }
    }

    /// 202, empty, with the place where the outcome will be seen.
    pub fn accepted_at(location: String) -> Self {
        Answer { status: StatusCode::ACCEPTED, body: None, headers: vec![(header::LOCATION, location)] }
    }

    /// 202 with a body.
    pub fn accepted_with(body: Value) -> Self {
        Answer { status: StatusCode::ACCEPTED, body: Some(body.into()), headers: Vec::new() }
    }

    /// 204.
    pub fn no_content() -> Self {
        Answer { status: StatusCode::NO_CONTENT, body: None, headers: Vec::new() }
    }

    /// 204 with a place.
    pub fn no_content_at(location: String) -> Self {
        Answer { status: StatusCode::NO_CONTENT, body: None, headers: vec![(header::LOCATION, location)] }
    }
}
