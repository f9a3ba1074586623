//! Requests against a real server on loopback: the table of agent-protocol section 5, over TLS as the conductor comes.

use super::*;
use crate::command::{Facts, Power};
use crate::config::Config;
use crate::tls::{Identity, Wish};
use common::token::Token;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

const TOKEN: &str = "pY6m0c1o4v5b2hQf0m6mC6x0Q4T6bV8yqk1nJm3sR2E";

struct Server {
    base: String,
    client: Client,
    stop: watch::Sender<bool>,
    address: SocketAddr,
}

async fn start(min_version: &str) -> Server {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config { agent_token: Some(Token::new(TOKEN)), ..Config::default() };
    let commands = Commands::new(Facts::new(&config, vec![]), Power::Kernel);
    let wish =
        Wish { address: Ipv4Addr::LOCALHOST.into(), hostname: "agent", curve: "p384", skew: Duration::from_secs(3600) };
    let identity = Identity::generate(&wish, SystemTime::now()).unwrap();
    let listener = listen(Some("127.0.0.1"), 0).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let tls = identity.server_config(min_version, None).unwrap();
    tokio::spawn(run(listener, Some(tls), Site::new(commands, true), stopped));
    // As a conductor does: the certificate from the heartbeat is the only anchor.
    let anchor = reqwest::Certificate::from_pem(identity.certificate_pem.as_bytes()).unwrap();
    let client = Client::builder().tls_certs_only([anchor]).no_proxy().redirect(reqwest::redirect::Policy::none());
    Server { base: format!("https://{address}"), client: client.build().unwrap(), stop, address }
}

impl Server {
    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let answer = self.client.get(format!("{}{path}", self.base)).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        let answer = self.client.post(format!("{}{path}", self.base)).body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        let value: Value = answer.json().await.unwrap();
        (status, value["faultstring"].as_str().unwrap_or_default().to_owned())
    }
}

#[tokio::test]
async fn one_address_with_many_idle_connections_keeps_no_other_out() {
    let server = start("1.3").await;
    let from = async |last: u8| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
        socket.connect(server.address).await.unwrap()
    };
    let mut idle = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        idle.push(from(2).await);
    }
    // The last of them has been closed: what stands before it in the queue has been accepted.
    assert_eq!(idle.last_mut().unwrap().read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(server.get("/v1/status").await.0, StatusCode::OK);
    drop(idle);
}

#[tokio::test]
async fn documents_need_no_token_and_have_the_contracts_keys() {
    let server = start("1.3").await;
    let (status, root) = server.get("/").await;
    assert_eq!(
        (status, &root["versions"][0], &root["default_version"]["id"]),
        (StatusCode::OK, &root["default_version"], &json!("v1"))
    );
    assert_eq!(root["default_version"]["links"][0]["href"], format!("{}/v1", server.base));
    let (_, one) = server.get("/v1/").await;
    assert_eq!(one["media_types"][0]["type"], "application/vnd.openstack.ironic-python-agent.v1+json");
    for path in ["/v1/status", "/status"] {
        let (_, status) = server.get(path).await;
        assert!(status["started_at"].as_f64().unwrap() > 1e9 && status["version"].is_string());
    }
}

#[tokio::test]
async fn every_command_call_needs_the_token() {
    let server = start("1.2").await;
    for query in ["", "?agent_token=", "?agent_token=wrong", "?Agent_Token=x", &format!("?agent_token={TOKEN}x")] {
        for path in ["/v1/commands/", "/commands/", "/v1/commands/some-id"] {
            let (status, body) = server.get(&format!("{path}{query}")).await;
            assert_eq!(status, 401, "{path}{query}");
            assert_eq!(body, json!({"faultcode": "Client", "faultstring": "401 Unauthorized: Token invalid."}));
        }
        let (status, _) = server.post(&format!("/v1/commands/{query}"), "{}").await;
        assert_eq!(status, 401);
    }
    let (status, body) = server.get(&format!("/v1/commands/?agent_token={TOKEN}")).await;
    assert_eq!((status.as_u16(), body), (200, json!({"commands": []})));
}

#[tokio::test]
async fn errors_have_the_contracts_words() {
    let server = start("1.3").await;
    let commands = format!("/v1/commands/?agent_token={TOKEN}");
    for (body, status, words) in [
        ("no json", 400, "400 Bad Request: Failed to decode JSON object"),
        ("[]", 400, "400 Bad Request: Missing or invalid name or params"),
        (r#"{"name": "clean.get_clean_steps"}"#, 400, "400 Bad Request: Missing or invalid name or params"),
        (r#"{"name": 1, "params": {}}"#, 400, "400 Bad Request: Missing or invalid name or params"),
        (
            r#"{"name": "clean.get_clean_steps", "params": []}"#,
            400,
            "400 Bad Request: Missing or invalid name or params",
        ),
        (
            r#"{"name": "nodot", "params": {}}"#,
            400,
            "Invalid command: Command name must be of the form <extension>.<name>",
        ),
        (r#"{"name": "clean.foo", "params": {}}"#, 400, "Invalid command: Unknown command: foo"),
        (r#"{"name": "foo.bar", "params": {}}"#, 404, "Not found: Extension with id foo not found."),
        (r#"{"name": "clean.execute_clean_step", "params": {}}"#, 400, "Invalid command parameters: `step` is missing"),
    ] {
        let (got, text) = server.post(&commands, body).await;
        assert_eq!((got, text.starts_with(words)), (status, true), "{body}: {text}");
    }
    let (_, text) = server.get(&format!("/v1/commands/nope?agent_token={TOKEN}")).await;
    assert_eq!(text["faultstring"], "Not found: Command Result with id nope not found.");
    let (status, text) = server.get("/v1/status/").await;
    assert_eq!((status.as_u16(), text["faultstring"].as_str().unwrap().starts_with("404 Not Found: ")), (404, true));
    let answer = server.client.delete(format!("{}{commands}", server.base)).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()), (405, "GET, HEAD, POST"));
    assert!(answer.text().await.unwrap().contains("405 Method Not Allowed: "));
}

#[tokio::test]
async fn the_slash_is_asked_for_and_the_query_repeated() {
    let server = start("1.3").await;
    for (path, location) in
        [("/v1", "/v1/"), ("/v1/commands?agent_token=t&wait=true", "/v1/commands/?agent_token=t&wait=true")]
    {
        for method in [reqwest::Method::GET, reqwest::Method::POST] {
            let answer = server.client.request(method, format!("{}{path}", server.base)).send().await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (308, location));
        }
    }
}

#[tokio::test]
async fn a_command_runs_whatever_the_content_type_and_is_found_by_its_id() {
    let server = start("1.3").await;
    for wait in ["true", "TRUE", "false"] {
        let url = format!("{}/v1/commands/?wait={wait}&agent_token={TOKEN}", server.base);
        let request = server.client.post(url).header("content-type", "text/plain");
        let answer =
            request.body(r#"{"name": "deploy.get_deploy_steps", "params": {"extra": [1]}}"#).send().await.unwrap();
        let result: Value = answer.json().await.unwrap();
        let keys: Vec<&str> = result.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["id", "command_name", "command_status", "command_error", "command_result"]);
        assert_eq!(
            (&result["command_name"], &result["command_status"]),
            (&json!("get_deploy_steps"), &json!("SUCCEEDED"))
        );
        let id = result["id"].as_str().unwrap();
        assert_eq!(server.get(&format!("/commands/{id}?agent_token={TOKEN}&wait=true")).await.1, result);
    }
    let (_, list) = server.get(&format!("/v1/commands/?agent_token={TOKEN}")).await;
    assert_eq!(list["commands"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_stranger_cannot_make_the_agent_hold_a_body_or_nest_brackets() {
    let server = start("1.3").await;
    // Refused before the body is read: the answer comes although the promised body never does.
    let (_never, silent) = tokio::io::duplex(16);
    let body = reqwest::Body::wrap_stream(futures_util::stream::unfold(silent, |mut silent| async move {
        let mut byte = [0u8; 1];
        silent.read_exact(&mut byte).await.ok()?;
        Some((Ok::<_, io::Error>(byte.to_vec()), silent))
    }));
    let asked = server.client.post(format!("{}/v1/commands/", server.base)).body(body).send();
    let answer = tokio::time::timeout(Duration::from_secs(5), asked).await.expect("answered at once").unwrap();
    assert_eq!(answer.status(), 401);
    let deep = format!(r#"{{"name": "a.b", "params": {{"x": {}}}}}"#, "[".repeat(200_000));
    let (status, text) = server.post(&format!("/v1/commands/?agent_token={TOKEN}"), deep).await;
    assert_eq!((status, text.contains("nested deeper")), (400, true), "{text}");
}

#[tokio::test]
async fn plain_http_and_old_tls_get_no_answer() {
    let server = start("1.3").await;
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    let _ = plain.read_to_end(&mut got).await;
    assert!(!got.starts_with(b"HTTP"), "{got:?}");
    let old = Client::builder().tls_certs_only([]).tls_danger_accept_invalid_certs(true).no_proxy();
    let old = old.tls_version_max(reqwest::tls::Version::TLS_1_2).build().unwrap();
    old.get(&server.base).send().await.unwrap_err();
}

#[tokio::test]
async fn told_to_stop_it_stops() {
    let server = start("1.3").await;
    server.get("/").await;
    server.stop.send_replace(true);
    let gone = async {
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("the port is closed");
}

#[tokio::test]
async fn all_addresses_of_both_families_are_listened_on() {
    let listener = listen(None, 0).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
}
