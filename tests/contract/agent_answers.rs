//! Our agent is asked what the real one was asked, and its answers have the same keys, statuses and words.

use crate::fixture;
use agent::command::{Commands, Facts, Power};
use agent::config::Config;
use agent::http::{self, Site};
use common::token::Token;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::sync::watch;

const TOKEN: &str = "pY6m0c1o4v5b2hQf0m6mC6x0Q4T6bV8yqk1nJm3sR2E";

struct Agent {
    base: String,
    client: Client,
    _stop: watch::Sender<bool>,
}

async fn agent() -> Agent {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config { agent_token: Some(Token::new(TOKEN)), ..Config::default() };
    let commands = Commands::new(Facts::new(&config, vec![]), Power::Kernel);
    let listener = http::listen(Some("127.0.0.1"), 0).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(http::run(listener, None, Site::new(commands, false), stopped));
    let client = Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    Agent { base, client, _stop: stop }
}

impl Agent {
    async fn ask(&self, method: Method, path: &str, body: Option<String>) -> (u16, Value) {
        let request = self.client.request(method, format!("{}{path}", self.base));
        let request = body.into_iter().fold(request, |request, body| request.body(body));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn run(&self, name: &str, params: Value) -> Value {
        let body = json!({"name": name, "params": params}).to_string();
        let (status, result) =
            self.ask(Method::POST, &format!("/v1/commands/?agent_token={TOKEN}&wait=true"), Some(body)).await;
        assert_eq!(status, 200, "{name}: {result}");
        result
    }
}

/// The keys of an object, with those of the objects and of the first elements of the lists inside.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        Value::Array(list) => list.first().map_or(json!([]), |first| json!([shape(first)])),
        _ => Value::Null,
    }
}

/// The keys only.
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn documents_have_the_same_keys() {
    let agent = agent().await;
    for (path, name) in [("/", "root"), ("/v1/", "v1"), ("/v1/status", "status")] {
        let (status, ours) = agent.ask(Method::GET, path, None).await;
        assert_eq!((status, shape(&ours)), (200, shape(&fixture(&format!("ipa/{name}.json")))), "{path}");
    }
    let (_, empty) = agent.ask(Method::GET, &format!("/v1/commands/?agent_token={TOKEN}"), None).await;
    assert_eq!(empty, fixture("ipa/commands_empty.json"));
    // Links lead somewhere.
    let (_, one) = agent.ask(Method::GET, "/v1/", None).await;
    for link in [&one["links"][0], &one["status"][0], &one["status"][1]] {
        let href = link["href"].as_str().unwrap().strip_prefix(&agent.base).unwrap();
        assert_eq!(agent.ask(Method::GET, href, None).await.0, 200, "{href}");
    }
}

#[tokio::test]
async fn the_real_conductors_commands_are_understood() {
    let agent = agent().await;
    for kind in ["clean", "deploy"] {
        let request = fixture(&format!("ironic/request_{kind}_get_{kind}_steps.json"));
        let ours = agent.run(request["body"]["name"].as_str().unwrap(), request["body"]["params"].clone()).await;
        let theirs = fixture(&format!("ipa/get_{kind}_steps.json"));
        assert_eq!(keys(&ours), keys(&theirs));
        assert_eq!(
            (&ours["command_name"], &ours["command_status"]),
            (&theirs["command_name"], &theirs["command_status"])
        );
        assert_eq!(keys(&ours["command_result"]), keys(&theirs["command_result"]), "{kind}");
        assert!(ours["command_result"][format!("{kind}_steps")]["GenericHardwareManager"].is_array());
    }
    let sync = agent.run("standby.sync", json!({})).await;
    assert_eq!(shape(&sync), shape(&fixture("ipa/sync.json")));
    let uuids = agent.run("standby.get_partition_uuids", json!({})).await;
    assert_eq!(uuids["command_result"], fixture("ipa/get_partition_uuids_before.json")["command_result"]);
    let logs = agent.run("log.collect_system_logs", json!({})).await;
    assert_eq!(shape(&logs), shape(&fixture("ipa/collect_system_logs.json")));
}

/// The captured failures, asked for again. This machine has a disk for a root, so no step touches anything here.
#[tokio::test]
async fn failures_have_the_same_status_type_and_code() {
    let agent = agent().await;
    let step = json!({"step": "erase_devices_metadata", "interface": "deploy", "priority": 99});
    let with = |step: Value, version: Value| json!({"step": step, "node": {"uuid": "n"}, "ports": [], "clean_version": version});
    for (name, params) in [
        ("execute_unknown_step", with(json!({"step": "no_such_step", "interface": "deploy"}), Value::Null)),
        ("execute_no_step_name", with(json!({"interface": "deploy"}), Value::Null)),
        ("execute_version_mismatch", with(step.clone(), json!({"generic_hardware_manager": "0.1"}))),
        (
            "execute_unknown_args",
            with(json!({"step": "erase_devices_metadata", "interface": "deploy", "args": {"foo": 1}}), Value::Null),
        ),
    ] {
        let ours = agent.run("clean.execute_clean_step", params).await;
        let theirs = fixture(&format!("ipa/{name}.json"));
        for pointer in [
            "/command_name",
            "/command_status",
            "/command_result",
            "/command_error/type",
            "/command_error/code",
            "/command_error/message",
        ] {
            assert_eq!(ours.pointer(pointer), theirs.pointer(pointer), "{name} {pointer}: {ours}");
        }
        assert_eq!(shape(&ours), shape(&theirs), "{name}");
    }
}

#[tokio::test]
async fn refusals_have_the_same_status_and_words() {
    let agent = agent().await;
    let commands = format!("/v1/commands/?agent_token={TOKEN}");
    let post = |body: &str| (Method::POST, commands.clone(), Some(body.to_owned()));
    let get = |path: &str| (Method::GET, path.to_owned(), None);
    for (name, (method, path, body)) in [
        ("GET without token", get("/v1/commands/")),
        ("GET /v1/status/", get("/v1/status/")),
        ("GET /nowhere", get("/nowhere")),
        ("DELETE /v1/commands/", (Method::DELETE, commands.clone(), None)),
        ("POST no json", post("no json")),
        ("POST []", post("[]")),
        ("POST no params", post(r#"{"name": "clean.get_clean_steps"}"#)),
        ("POST nodot", post(r#"{"name": "nodot", "params": {}}"#)),
        ("POST clean.foo", post(r#"{"name": "clean.foo", "params": {}}"#)),
        ("POST foo.bar", post(r#"{"name": "foo.bar", "params": {}}"#)),
        ("GET unknown id", get(&format!("/v1/commands/nope?agent_token={TOKEN}"))),
    ] {
        let captured = fixture("ipa/errors.json");
        let theirs = captured.as_array().unwrap().iter().find(|error| error["request"] == name).expect(name);
        let (status, ours) = agent.ask(method, &path, body).await;
        assert_eq!(
            (json!(status), &ours["faultcode"]),
            (theirs["status"].clone(), &theirs["body"]["faultcode"]),
            "{name}"
        );
        // The words after the colon of HTTP-layer errors are free (agent-protocol section 5).
        let words = |fault: &Value| {
            let text = fault["faultstring"].as_str().unwrap().to_owned();
            let is_http = text.starts_with(&format!("{status} "));
            if is_http { text.split(": ").next().unwrap().to_owned() } else { text }
        };
        assert_eq!(words(&ours), words(&theirs["body"]), "{name}");
    }
}
