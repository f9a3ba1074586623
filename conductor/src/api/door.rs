//! From a request on the wire to the answer on the wire: guards, credentials, route, version, handler, headers.

use super::args::cut;
use super::auth::{Auth, Proof};
use super::body::{Content, JSON, WireBody};
use super::call::{Answer, BodyKind, Call};
use super::condition::{self, Conditions};
use super::cors::{Cors, Page};
use super::error::{ApiError, Shape};
use super::finish::finish;
use super::proxies::{Line, Proxies};
use super::refusal_text::Asked;
use super::reply::{closing, refused, write, write_for};
use super::route::{self, Found, Route, Since};
use super::table::TABLE;
use super::version::{self, Version};
use super::{accept, guard, health, ident, metrics, permit};
use crate::flow::request::{Caller, Conductor};
use crate::model::event::Origin;
use crate::store::{expect, origin};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use std::cell::Cell;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

const REQUEST_ID_IN: &str = "x-openstack-request-id";

/// Longest query, bytes: a list of MACs of a machine with a hundred NICs fits ten times.
const MAX_QUERY: usize = 16 * 1024;

/// Which calls an address serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    Everything,
    /// Those of the ramdisk, and the version documents.
    Agents,
}

/// What requests meet that come by one address.
pub struct Way {
    /// Which calls it serves.
    pub scope: Scope,
    /// Whose words about clients count.
    pub proxies: Arc<Proxies>,
    /// What pages of other origins may do.
    pub cors: Arc<Cors>,
}

/// Paths that answer something else than JSON to who asks for it.
const OTHER_KINDS: &[&str] = &["/v1/events", "/openapi.json", "/docs"];

/// What every request needs.
pub struct Site {
    /// Who does the work.
    pub conductor: Arc<Conductor>,
    /// Who may ask.
    pub auth: Auth,
}

tokio::task_local! {
    /// The row of the table that the present request has met.
    static ROUTE: Cell<Option<usize>>;
}

/// What happened on the way; becomes the answer.
struct Outcome {
    result: Result<Answer, ApiError>,
    /// Version headers: none, the range, or the range and the version used.
    versions: Option<Option<Version>>,
}

impl Outcome {
    fn early(error: ApiError) -> Self {
        Outcome { result: Err(error), versions: None }
    }
}

/// Serves one request. Never fails: every trouble is an answer.
pub async fn answer(
    site: Arc<Site>,
    way: Arc<Way>,
    line: Line,
    stopping: CancellationToken,
    request: Request<Incoming>,
) -> Response<WireBody> {
    let begin = Instant::now();
    let page = Page::of(request.method(), request.headers());
    // A name, no secret: it needs no call of the kernel.
    let request_id = format!("req-{}", uuid::Builder::from_random_bytes(rand::random()).into_uuid());
    let global =
        request.headers().get(REQUEST_ID_IN).and_then(|value| value.to_str().ok()).filter(|id| is_request_id(id));
    let is_usual = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
        || request.uri().path().contains("/heartbeat/");
    // The path only: queries may carry what logs must not.
    let path: String = cut(request.uri().path());
    let span = tracing::info_span!("request", id = %request_id, global_id = global.unwrap_or_default(),
        method = %request.method(), path = %path.escape_debug());
    async {
        let serving = async {
            let response = serve(&site, &way, &line, stopping, request, &request_id).await;
            metrics::note(ROUTE.with(Cell::get), response.status().as_u16(), begin.elapsed());
            response
        };
        let mut response = ROUTE.scope(Cell::new(None), serving).await;
        for name in ["x-openstack-request-id", "openstack-request-id"] {
            if let Ok(value) = HeaderValue::from_str(&request_id) {
                response.headers_mut().insert(name, value);
            }
        }
        response.headers_mut().insert(header::SERVER, HeaderValue::from_static("ironic_api"));
        way.cors.apply(&page, response.headers_mut());
        let (status, milliseconds) = (response.status().as_u16(), begin.elapsed().as_secs_f64() * 1000.0);
        // Reads and heartbeats that went well are the bulk of all calls, and nobody looks for them.
        if is_usual && status < 400 {
            tracing::debug!(status, milliseconds, "answered");
        } else {
            tracing::info!(status, milliseconds, "answered");
        }
        response
    }
    .instrument(span.clone())
    .await
}

async fn serve(
    site: &Arc<Site>,
    way: &Way,
    line: &Line,
    stopping: CancellationToken,
    request: Request<Incoming>,
    request_id: &str,
) -> Response<WireBody> {
    let (head, body) = request.into_parts();
    let scope = way.scope;
    let wish = accept::header(&head.headers);
    if let Some(answer) = aside(site, scope, &head, wish.as_deref()).await {
        return write(answer);
    }
    if head.method == Method::OPTIONS {
        return write(Ok(Answer { status: StatusCode::OK, body: None, headers: Vec::new() }));
    }
    let path = head.uri.path();
    if scope == Scope::Agents && !is_open(path) {
        return write(Err(ApiError::forbidden(
            "This address serves agents only. Set auth_strategy to open the whole API on it, or use the loopback address.",
        )));
    }
    let seen = way.proxies.seen(line, &head.headers, site.conductor.config.api.public_endpoint.as_deref());
    // Counted are the calls that anybody may make and that name something.
    let guesser = seen.client.filter(|_| is_guessable(path));
    if let Some(Err(wait)) = guesser.map(|peer| site.auth.guesses.check(peer)) {
        let mut response = closing(write(Err(ApiError::too_often())));
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        return response;
    }
    let proof = if is_open(path) { Ok(site.auth.nobody()) } else { site.auth.check(&head.headers).await };
    let Proof { credentials, user } = match proof {
        Ok(proof) => proof,
        Err(refusal) => return refused(&refusal),
    };
    let config = &site.conductor.config.api;
    let bytes = match guard::read(body, &head.headers, guard::limit(path)).await {
        Ok(bytes) => bytes,
        Err(error) => return closing(write(Err(error))),
    };
    let kind = body_kind(&head.headers);
    let looks_like_json =
        bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| b"{[".contains(byte));
    if (kind == BodyKind::Json || looks_like_json)
        && let Err(error) = guard::depth(&bytes, config.max_json_body_depth)
    {
        return write(Err(error));
    }
    let query = head.uri.query().unwrap_or_default();
    if query.len() > MAX_QUERY {
        return write(Err(ApiError::invalid("The query is longer than 16 KiB; ask for less at a time")));
    }
    let call = Call {
        conductor: site.conductor.clone(),
        method: head.method.clone(),
        version: Version(version::OLDEST),
        params: Vec::new(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        body: bytes,
        kind,
        base: seen.base,
        headers: head.headers.clone(),
        stopping,
        caller: Caller { request_id: request_id.to_owned(), user, credentials },
        asked: Arc::new(AtomicBool::new(false)),
        read: Arc::default(),
    };
    let Outcome { result, versions } = dispatch(&head.method, path, wish.as_deref(), call).await;
    let asked = Asked { method: head.method.as_str(), accept: wish.as_deref() };
    let mut response = write_for(&asked, result);
    if let Some(peer) = guesser.filter(|_| is_refusal(response.status())) {
        site.auth.guesses.failed(peer);
    }
    if let Some(used) = versions {
        let headers = response.headers_mut();
        headers.insert("x-openstack-ironic-api-minimum-version", HeaderValue::from_static("1.1"));
        headers.insert("x-openstack-ironic-api-maximum-version", HeaderValue::from_static("1.115"));
        if let Some(value) = used.and_then(|used| HeaderValue::from_str(&used.to_string()).ok()) {
            headers.insert(version::HEADER, value);
        }
    }
    response
}

/// What is no part of the API and asks for no credentials: whether it lives, and its figures. Both are options.
async fn aside(
    site: &Site,
    scope: Scope,
    head: &http::request::Parts,
    wish: Option<&str>,
) -> Option<Result<Answer, ApiError>> {
    let (config, path) = (&site.conductor.config, head.uri.path());
    if config.healthcheck.enabled && health::is_here(path) {
        return Some(Ok(health::answer(&head.method, wish)));
    }
    if config.api.enable_metrics && head.method == Method::GET && path == "/metrics" && scope == Scope::Everything {
        let page = metrics::page(&*site.conductor.store).await.map_err(ApiError::from);
        return Some(page.map(|page| Answer::content(Content::Bytes(metrics::KIND, page.into()))));
    }
    None
}

/// Route, version, method, handler: in the order in which the contract refuses.
async fn dispatch(method: &Method, path: &str, wish: Option<&str>, mut call: Call) -> Outcome {
    let version = version::negotiate(&call.headers);
    let strip_json = version.as_ref().is_ok_and(|version| !version.has(91));
    let Some(parts) = route::parts(path, strip_json) else { return Outcome::early(ApiError::no_route()) };
    // HEAD is served where clients probe for us, and nowhere else.
    let probe = *method == Method::HEAD && parts == ["v1"];
    let found = route::find(TABLE, if probe { &Method::GET } else { method }, &parts);
    if matches!(found, Found::Nothing) {
        return Outcome::early(ApiError::no_route());
    }
    call.version = match version {
        Ok(version) => version,
        Err(error) => return Outcome { result: Err(error), versions: Some(None) },
    };
    let versions = Some(Some(call.version));
    if let Found::Route(route, _) = &found {
        let _ = ROUTE.try_with(|noted| noted.set(TABLE.iter().position(|row| std::ptr::eq(row, *route))));
    }
    let json = wish.is_none_or(|wish| accept::takes(Some(wish), JSON) || wish.starts_with(JSON));
    let result = match found {
        Found::Route(route, params) => match route.since {
            // Collections below a node are no routes at all for older versions.
            Since::Hidden(since) if !call.version.has(since) && is_no_route(route.path) => {
                return Outcome::early(ApiError::no_route());
            }
            Since::Hidden(since) if !call.version.has(since) => Err(ApiError::not_in_version()),
            Since::Refused(since) if !call.version.has(since) => Err(ApiError::too_new()),
            // What is refused while routing has no version headers.
            Since::Resource(since) if !call.version.has(since) => {
                return Outcome::early(ApiError::resource_not_in_version(&parts, method, Shape::Routing));
            }
            Since::HandledResource(since) if !call.version.has(since) => {
                Err(ApiError::resource_not_in_version(&parts, method, Shape::Fault))
            }
            _ if !json && !OTHER_KINDS.contains(&route.path) => {
                // Names of nodes are looked at while routing, kinds of answers after it.
                let named = params.first().filter(|_| route.path.starts_with("/v1/nodes/"));
                let checked = named.map_or(Ok(String::new()), |name| ident::of_path(name, "node"));
                return Outcome::early(checked.err().unwrap_or_else(ApiError::not_acceptable));
            }
            _ => {
                call.params = params;
                conditionally(route, call).await
            }
        },
        Found::OtherMethods(methods) => return Outcome::early(ApiError::wrong_method(methods.join(", "))),
        Found::Nothing => Err(ApiError::no_route()),
    };
    Outcome { result, versions }
}

/// Collections below a node or below `volume`; what is one document says itself that it is too new.
fn is_no_route(path: &str) -> bool {
    let below = |part: &str| !part.starts_with("states/") && !part.starts_with("management/") && part != "volume";
    path.strip_prefix("/v1/nodes/{}/").is_some_and(below) || path.starts_with("/v1/volume/")
}

/// The conditions of the request before, the tag of its answer behind the handler.
async fn conditionally(route: &'static Route, call: Call) -> Result<Answer, ApiError> {
    let conditions = Conditions::of(&call.headers)?;
    let (read, reads) = (Arc::clone(&call.read), call.method == Method::GET);
    let answer = run(route, call, conditions.clone()).await?;
    let reading = *read.lock().unwrap_or_else(PoisonError::into_inner);
    // A look-up hands a token out: nobody has that already. Of a write, only the answer that shows the record has a tag.
    if route.path == "/v1/lookup" || !(reads || reading.is_some() && answer.status != StatusCode::ACCEPTED) {
        return Ok(answer);
    }
    Ok(condition::tagged(answer, reading, |tag| reads && conditions.has_already(tag)))
}

/// A client that hangs up cannot stop half-way what it began, and a panic is an answer.
async fn run(route: &'static Route, call: Call, conditions: Conditions) -> Result<Answer, ApiError> {
    let origin = Origin { request_id: Some(call.caller.request_id.clone()), user: call.caller.user.clone() };
    let work = async move {
        permit::permit(&call, route).await?;
        let expected = conditions.expectation(&call, &call.method, route).await?;
        let answer = expect::with(expected, (route.serve)(&call)).await?;
        if permit::asked(&call, route) {
            return Ok(answer);
        }
        tracing::error!(route = route.path, "the handler never asked the policy: its answer is withheld");
        Err(ApiError::internal())
    };
    let work = origin::by(origin, work).in_current_span();
    finish(work).await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        tracing::error!(panic = text, "the handler of this request failed");
        Err(ApiError::internal())
    })
}

/// Routes that never need credentials (rest-api section 1.5).
fn is_open(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let beat = path.strip_prefix("/v1/heartbeat/").is_some_and(|ident| {
        !ident.is_empty()
            && ident.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    });
    beat || matches!(path, "" | "/v1" | "/v1/lookup" | "/v1/continue_inspection" | "/openapi.json" | "/docs")
}

/// Those of them that name a machine.
fn is_guessable(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    path.starts_with("/v1/") && is_open(path)
}

/// A node that is busy is no refusal, nor is a fault of ours.
fn is_refusal(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::CONFLICT
}

fn is_request_id(text: &str) -> bool {
    text.len() == 40 && text.strip_prefix("req-").is_some_and(|rest| Uuid::parse_str(rest).is_ok())
}

fn body_kind(headers: &HeaderMap) -> BodyKind {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/json" | "application/json-patch+json" => BodyKind::Json,
        "application/x-www-form-urlencoded" => BodyKind::Form,
        _ => BodyKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ramdisk_and_the_version_documents_are_open() {
        for path in ["", "/", "/v1", "/v1/", "/v1/lookup", "/v1/heartbeat/1be26c0b-03f2", "/v1/continue_inspection"] {
            assert!(is_open(path), "{path}");
        }
        for path in ["/v1/nodes", "/nodes", "/v1/heartbeat/", "/v1/heartbeat/a/b", "/v1/heartbeat/%2e", "/v1/lookup/x"]
        {
            assert!(!is_open(path), "{path}");
        }
    }
}
