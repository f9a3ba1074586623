//! Answers: documents, errors in the contract's words, and a body that knows who waits for it to leave.

use super::Site;
use super::departures::Departures;
use crate::command::{Commands, Refused};
use bytes::Bytes;
use common::command::{AgentStatus, Fault};
use http::header::{ALLOW, CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use serde::Serialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A whole body. When the connection has taken it, its departures hear which command waits for it to leave.
pub struct Payload {
    bytes: Option<Bytes>,
    tell: Option<(Commands, String)>,
    departures: Departures,
}

impl Payload {
    /// Names the connection that it leaves by.
    pub fn leave_by(&mut self, departures: &Departures) {
        self.departures = departures.clone();
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if let Some((commands, id)) = self.tell.take() {
            self.departures.await_flush(commands, id);
        }
    }
}

/// An answer.
pub type Answer = Response<Payload>;

fn with(status: StatusCode, bytes: Bytes) -> Answer {
    let mut answer = Response::new(Payload {
        bytes: (!bytes.is_empty()).then_some(bytes),
        tell: None,
        departures: Departures::default(),
    });
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// 200 with JSON.
pub fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(bytes) => with(StatusCode::OK, bytes.into()),
        Err(cause) => fault(500, cause.to_string()),
    }
}

/// 200 with a command's result; `commands` hears when it has left.
pub fn result(commands: &Commands, value: &common::command::CommandResult) -> Answer {
    let mut answer = json(value);
    answer.body_mut().tell = Some((commands.clone(), value.id.clone()));
    answer
}

/// An error body.
pub fn fault(code: u16, faultstring: String) -> Answer {
    let faultcode = if code >= 500 { "Server" } else { "Client" }.to_owned();
    let bytes = serde_json::to_vec(&Fault { faultcode, faultstring }).unwrap_or_default();
    with(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), bytes.into())
}

/// An error of the HTTP layer: `"<code> <reason>: <text>"`.
pub fn http_fault(status: StatusCode, text: &str) -> Answer {
    fault(status.as_u16(), format!("{} {}: {text}", status.as_u16(), status.canonical_reason().unwrap_or("Error")))
}

/// A command that was not accepted.
pub fn refused(refused: &Refused) -> Answer {
    fault(refused.code(), refused.to_string())
}

/// 405, with what would be allowed.
pub fn not_allowed(allowed: &'static str) -> Answer {
    let mut answer = http_fault(StatusCode::METHOD_NOT_ALLOWED, "this URL does not take that method.");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

/// 308 to the form with the slash, query repeated.
pub fn redirect(path: &str, query: Option<&str>) -> Answer {
    let target = query.map_or_else(|| format!("{path}/"), |query| format!("{path}/?{query}"));
    let mut answer = http_fault(StatusCode::PERMANENT_REDIRECT, "this URL ends in a slash.");
    if let Ok(location) = HeaderValue::from_str(&target) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

/// `GET /`.
pub fn root(site: &Site, headers: &HeaderMap) -> Answer {
    let version = json!({
        "id": "v1",
        "links": [link(site, headers, "self", "v1"), {
            "href": "https://docs.openstack.org/ironic-python-agent/",
            "rel": "describedby",
            "type": "text/html",
        }],
    });
    json(&json!({
        "name": "Wrought agent",
        "description": "Inventory, erase and image writing for a bare-metal conductor; speaks the ironic-python-agent API.",
        "versions": [version],
        "default_version": version,
    }))
}

/// `GET /v1/`.
pub fn version_one(site: &Site, headers: &HeaderMap) -> Answer {
    let pair =
        |name: &str| json!([link(site, headers, "self", &format!("v1/{name}")), link(site, headers, "bookmark", name)]);
    json(&json!({
        "commands": pair("commands"),
        "status": pair("status"),
        "media_types": [{
            "base": "application/json",
            "type": "application/vnd.openstack.ironic-python-agent.v1+json",
        }],
        "id": "v1",
        "links": [link(site, headers, "self", "v1"), {
            "href": "https://docs.openstack.org/ironic-python-agent/",
            "rel": "describedby",
            "type": "text/html",
        }],
    }))
}

/// `GET /v1/status`.
pub fn status(site: &Site) -> Answer {
    json(&AgentStatus { started_at: site.started_at, version: crate::VERSION.to_owned() })
}

/// A link on the host the client named; a host that is none is left out.
fn link(site: &Site, headers: &HeaderMap, rel: &str, path: &str) -> Value {
    let named = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(|host| {
        host.len() <= 255 && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:[]-_%".contains(&byte))
    });
    let base = named.map(|host| format!("{}://{host}", site.scheme)).unwrap_or_default();
    json!({ "href": format!("{base}/{path}"), "rel": rel })
}
