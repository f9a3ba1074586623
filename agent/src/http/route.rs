//! Which URL means what (agent-protocol section 5), and the token check before anything that needs it.

use super::{Site, answer, body};
use answer::Answer;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Instant;

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Root,
    VersionOne,
    Status,
    Commands,
    Command(&'a str),
    /// Right but for the slash at its end.
    Slashless,
}

/// The place; paths with and without `/v1` are the same but for the documents.
fn find(path: &str) -> Option<Place<'_>> {
    let inner = match path {
        "/" => return Some(Place::Root),
        "/v1" => return Some(Place::Slashless),
        "/v1/" => return Some(Place::VersionOne),
        _ => path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path),
    };
    match inner {
        "/status" => Some(Place::Status),
        "/commands" => Some(Place::Slashless),
        "/commands/" => Some(Place::Commands),
        _ => inner.strip_prefix("/commands/").filter(|id| !id.contains('/')).map(Place::Command),
    }
}

/// Answers one request and logs it.
pub async fn answer(request: Request<Incoming>, peer: SocketAddr, site: &Site) -> Answer {
    let begun = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = dispatch(request, site).await;
    let (status, ms) = (answer.status().as_u16(), begun.elapsed().as_millis() as u64);
    tracing::debug!(%peer, %method, path = path.chars().take(200).collect::<String>(), status, ms, "request");
    answer
}

async fn dispatch(request: Request<Incoming>, site: &Site) -> Answer {
    let path = request.uri().path().to_owned();
    let Some(place) = find(&path) else {
        return answer::http_fault(StatusCode::NOT_FOUND, "there is nothing at this URL.");
    };
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_post = request.method() == Method::POST;
    match place {
        Place::Slashless => answer::redirect(&path, request.uri().query()),
        Place::Root | Place::VersionOne | Place::Status if !is_get => answer::not_allowed("GET, HEAD"),
        Place::Root => answer::root(site, request.headers()),
        Place::VersionOne => answer::version_one(site, request.headers()),
        Place::Status => answer::status(site),
        Place::Command(_) if !is_get => answer::not_allowed("GET, HEAD"),
        Place::Commands if !is_get && !is_post => answer::not_allowed("GET, HEAD, POST"),
        _ if !has_token(&request, site) => answer::http_fault(StatusCode::UNAUTHORIZED, "Token invalid."),
        Place::Commands if is_get => answer::json(&site.commands.list()),
        Place::Commands => run(request, site).await,
        Place::Command(id) => match site.commands.get(id, wants_wait(&request)).await {
            Ok(result) => answer::json(&result),
            Err(refused) => answer::refused(&refused),
        },
    }
}

/// Runs before a byte of the body is read: a stranger cannot make the agent hold one.
fn has_token(request: &Request<Incoming>, site: &Site) -> bool {
    site.commands.facts().accepts(query(request, "agent_token").as_deref())
}

async fn run(request: Request<Incoming>, site: &Site) -> Answer {
    let wait = wants_wait(&request);
    let command = match body::read_command(request.into_body()).await {
        Ok(command) => command,
        Err(answer) => return *answer,
    };
    match site.commands.run(command, wait).await {
        Ok(result) => answer::result(&site.commands, &result),
        Err(refused) => {
            tracing::info!(%refused, "command refused");
            answer::refused(&refused)
        }
    }
}

fn wants_wait(request: &Request<Incoming>) -> bool {
    query(request, "wait").is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// The first value of `key` in the query.
fn query<'a>(request: &'a Request<Incoming>, key: &str) -> Option<Cow<'a, str>> {
    let pairs = request.uri().query().unwrap_or_default();
    url::form_urlencoded::parse(pairs.as_bytes()).find(|pair| pair.0 == key).map(|pair| pair.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, place) in [
            ("/", Some(Place::Root)),
            ("/v1", Some(Place::Slashless)),
            ("/v1/", Some(Place::VersionOne)),
            ("/v1/status", Some(Place::Status)),
            ("/status", Some(Place::Status)),
            ("/v1/status/", None),
            ("/v1/commands", Some(Place::Slashless)),
            ("/commands", Some(Place::Slashless)),
            ("/v1/commands/", Some(Place::Commands)),
            ("/commands/", Some(Place::Commands)),
            ("/v1/commands/abc", Some(Place::Command("abc"))),
            ("/commands/abc", Some(Place::Command("abc"))),
            ("/v1/commands/abc/", None),
            ("/v1status", None),
            ("/v2/", None),
            ("", None),
        ] {
            assert_eq!(find(path), place, "{path}");
        }
    }
}
