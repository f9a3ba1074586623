//! The agent's HTTPS door: TLS, the token, the three calls of the contract.

use super::agent::Agent;
use super::faults::Faults;
use super::machine::{lock, spawn};
use super::work;
use common::command::{AgentStatus, CommandList, CommandRequest, Fault};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use serde::Serialize;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

type Reply = Response<Full<Bytes>>;

/// Serves until the agent ends.
pub async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, agent: Arc<Agent>) {
    let acceptor = TlsAcceptor::from(tls);
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&agent));
        spawn(&agent.life, async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| {
                let agent = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(answer(&agent, request).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(agent: &Arc<Agent>, request: Request<Incoming>) -> Reply {
    if agent.silent.load(Ordering::Relaxed) {
        return std::future::pending().await;
    }
    let path = request.uri().path().trim_end_matches('/').to_owned();
    let query: HashMap<String, String> = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    if path == "/v1/status" {
        return json(&AgentStatus { started_at: 0.0, version: "11.0.0".into() });
    }
    let right = query.get("agent_token").is_some_and(|token| agent.token.matches(token));
    if !right || lock(&agent.body.faults).refuses_token {
        return fault(401, "Token invalid.");
    }
    let wait = query.get("wait").is_some_and(|word| word == "true");
    match (request.method().clone(), path.as_str()) {
        (Method::GET, "/v1/commands") => json(&CommandList { commands: agent.board.all() }),
        (Method::POST, "/v1/commands") => run(agent, request, wait).await,
        (Method::GET, other) => match other.strip_prefix("/v1/commands/").and_then(|id| agent.board.entry(id)) {
            Some(entry) => json(&entry),
            None => fault(404, "Command not found"),
        },
        _ => fault(404, "Not found"),
    }
}

async fn run(agent: &Arc<Agent>, request: Request<Incoming>, wait: bool) -> Reply {
    let Ok(body) = request.into_body().collect().await else { return fault(400, "no body") };
    let Ok(command) = serde_json::from_slice::<CommandRequest>(&body.to_bytes()) else {
        return fault(400, "not a command");
    };
    let strikes = |faults: &mut Faults| match &mut faults.silent_at {
        Some((name, times)) if *name == command.name && *times > 0 => {
            *times -= 1;
            true
        }
        _ => false,
    };
    if strikes(&mut lock(&agent.body.faults)) {
        agent.body.note(format!("silent at {}", command.name));
        agent.silent.store(true, Ordering::Relaxed);
        return std::future::pending().await;
    }
    let Ok(entry) = agent.board.begin(&command.name) else { return fault(409, "Agent is busy") };
    let (worker, id) = (Arc::clone(agent), entry.id.clone());
    if work::is_quick(&command.name) {
        work::run(worker, id, command).await;
        return json(&agent.board.entry(&entry.id).unwrap_or(entry));
    }
    spawn(&agent.life, work::run(worker, id, command));
    if wait {
        // Silent in the middle: the caller waits for nothing.
        return match agent.board.wait(&entry.id).await {
            Some(ended) => json(&ended),
            None => fault(500, "forgotten"),
        };
    }
    json(&entry)
}

fn json(value: &impl Serialize) -> Reply {
    reply(StatusCode::OK, serde_json::to_vec(value).expect("JSON"))
}

fn fault(code: u16, text: &str) -> Reply {
    let fault = Fault { faultcode: if code < 500 { "Client" } else { "Server" }.into(), faultstring: text.into() };
    reply(StatusCode::from_u16(code).expect("a status"), serde_json::to_vec(&fault).expect("JSON"))
}

fn reply(status: StatusCode, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    reply.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    reply
}
