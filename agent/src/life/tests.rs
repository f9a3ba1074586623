//! A life against a stub API on loopback: what is sent, what is tried again, what ends it.

use super::*;
use crate::command::{Facts, Power};
use crate::home::HomeOptions;
use bytes::Bytes;
use common::heartbeat::Heartbeat;
use common::token::Token;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Mutex;
use tokio::net::TcpListener;

const TOKEN: &str = "pY6m0c1o4v5b2hQf0m6mC6x0Q4T6bV8yqk1nJm3sR2E";
const UUID: &str = "6c2c1f4e-0f77-4d33-9b3a-0d8f1a3e5b10";

/// One request as the stub saw it.
#[derive(Clone, Debug)]
struct Seen {
    target: String,
    version: Option<String>,
    body: Value,
}

/// `script` gets the target and how often it was asked for before.
type Script = fn(&str, usize) -> (u16, Value);

struct Stub {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stub {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let log = Arc::clone(&log);
                let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let log = Arc::clone(&log);
                    async move {
                        let target = request.uri().to_string();
                        let version = request.headers().get("x-openstack-ironic-api-version");
                        let version = version.map(|text| text.to_str().unwrap().to_owned());
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let body = serde_json::from_slice(&body).unwrap_or_default();
                        let before = log.lock().unwrap().iter().filter(|seen| seen.target == target).count();
                        log.lock().unwrap().push(Seen { target: target.clone(), version, body });
                        let (status, value) = script(&target, before);
                        let answer = hyper::Response::builder().status(status);
                        Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(value.to_string()))).unwrap())
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { url, seen }
    }

    fn seen(&self, start: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.target.starts_with(start)).cloned().collect()
    }
}

struct Box2;

impl Machine for Box2 {
    fn interfaces(&self) -> Vec<Interface> {
        let address = Some("192.0.2.41".to_owned());
        let with = |name: &str, mac: &str| Interface {
            ipv4_address: address.clone(),
            name: name.into(),
            mac_address: Some(mac.into()),
            ..Default::default()
        };
        vec![with("eno1", "52:54:00:aa:bb:01"), with("eno2", "52:54:00:aa:bb:02")]
    }

    fn inspection_data(&self, collectors: &[String]) -> InspectionData {
        let plugin_data = json!({ "configuration": { "collectors": collectors } });
        let plugin_data = plugin_data.as_object().cloned().unwrap();
        InspectionData { inventory: Default::default(), error: None, plugin_data }
    }

    fn has_disk(&self) -> bool {
        true
    }
}

/// A machine whose wanted disk appears at the third look.
struct Late(std::sync::atomic::AtomicU32);

impl Machine for Late {
    fn interfaces(&self) -> Vec<Interface> {
        Box2.interfaces()
    }

    fn inspection_data(&self, collectors: &[String]) -> InspectionData {
        Box2.inspection_data(collectors)
    }

    fn has_disk(&self) -> bool {
        true
    }

    fn has_root_disk(&self, node: &serde_json::Map<String, Value>) -> bool {
        assert_eq!(node["properties"]["root_device"]["serial"], "LATE", "the looked-up node");
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= 2
    }
}

#[tokio::test]
async fn the_disk_that_the_looked_up_hints_mean_is_waited_for_but_not_for_ever() {
    let stub = Stub::start(|target, _| match target {
        "/" => (200, root()),
        _ => {
            let node = json!({"uuid": UUID, "properties": {"root_device": {"serial": "LATE"}}});
            (200, json!({"node": node, "config": {"heartbeat_timeout": 300, "agent_token": TOKEN}}))
        }
    })
    .await;
    let config = Config { disk_wait_attempts: 2, disk_wait_delay: Duration::from_millis(50), ..config(&[&stub.url]) };
    let machine = Arc::new(Late(0.into()));
    let begun = std::time::Instant::now();
    introduce(&config, &home(&config), &machine, &commands(&config)).await.unwrap().unwrap();
    let looks = machine.0.load(std::sync::atomic::Ordering::Relaxed);
    assert!(looks >= 3 && begun.elapsed() >= Duration::from_millis(90), "{looks} {:?}", begun.elapsed());
    let hasty = Config { disk_wait_attempts: 0, ..config };
    let machine = Arc::new(Late(0.into()));
    introduce(&hasty, &home(&hasty), &machine, &commands(&hasty)).await.unwrap().unwrap();
    assert_eq!(machine.0.load(std::sync::atomic::Ordering::Relaxed), 0, "0 attempts: no waiting");
}

fn config(urls: &[&str]) -> Config {
    Config {
        api_urls: urls.iter().map(|url| url.to_string()).collect(),
        lookup_interval: Duration::from_millis(10),
        lookup_timeout: Duration::from_millis(600),
        ..Config::default()
    }
}

fn home(config: &Config) -> Arc<Home> {
    let options = HomeOptions {
        urls: config.api_urls.clone(),
        request_id: Some("req-1".into()),
        timeout: Duration::from_secs(5),
        insecure: false,
        ca_file: None,
        client: None,
        tls_min_version: "1.2".into(),
        version: None,
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    Arc::new(Home::new(options, &[]).unwrap())
}

fn commands(config: &Config) -> Commands {
    Commands::new(Facts::new(config, vec![]), Power::Kernel)
}

async fn introduced(config: &Config) -> (Result<Option<Introduction>, LifeError>, Commands) {
    let commands = commands(config);
    (introduce(config, &home(config), &Arc::new(Box2), &commands).await, commands)
}

fn root() -> Value {
    json!({"name": "OpenStack Ironic API", "default_version": {"id": "v1", "version": "1.115"}, "versions": []})
}

fn reply(token: &str) -> Value {
    let config = json!({"heartbeat_timeout": 300, "agent_token": token, "agent_heartbeat_min_gap": 0.2, "new_key": {}});
    json!({"node": {"uuid": UUID, "properties": {}, "links": []}, "config": config})
}

#[tokio::test]
async fn look_up_is_tried_again_until_the_node_is_found() {
    let stub = Stub::start(|target, before| match (target, before) {
        ("/", 0) => (503, json!({"title": "starting"})),
        ("/", _) => (200, root()),
        (_, 0) => (404, json!({"error_message": {"faultstring": "not found"}})),
        (_, 1) => (200, json!({"node": {}})),
        _ => (200, reply(TOKEN)),
    })
    .await;
    let (who, commands) = introduced(&config(&[&stub.url])).await;
    let who = who.unwrap().unwrap();
    assert_eq!((who.node_uuid.as_str(), who.heartbeat_timeout.as_secs(), who.min_gap.as_millis()), (UUID, 300, 200));
    assert!(commands.facts().accepts(Some(TOKEN)));
    let asked = stub.seen("/v1/lookup");
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0].target, "/v1/lookup?addresses=52%3A54%3A00%3Aaa%3Abb%3A01%2C52%3A54%3A00%3Aaa%3Abb%3A02");
    assert_eq!(asked[0].version.as_deref(), Some("1.62"));
    assert_eq!(stub.seen("/").iter().filter(|seen| seen.target == "/").count(), 2, "the version is remembered");
}

#[tokio::test]
async fn a_node_that_is_not_found_in_time_ends_the_process() {
    let stub = Stub::start(|target, _| if target == "/" { (200, root()) } else { (404, json!({})) }).await;
    let (who, _) = introduced(&config(&[&stub.url])).await;
    assert!(matches!(who, Err(LifeError::Lookup { source: HomeError::Status { status: 404, .. }, .. })));
}

#[tokio::test]
async fn a_token_that_went_to_somebody_else_ends_the_process() {
    let stub = Stub::start(|target, _| if target == "/" { (200, root()) } else { (200, reply("******")) }).await;
    let (who, commands) = introduced(&config(&[&stub.url])).await;
    assert!(matches!(who, Err(LifeError::TokenRefused)));
    assert!(!commands.facts().accepts(Some("******")));
    let with_token = Config { agent_token: Some(Token::new(TOKEN)), ..config(&[&stub.url]) };
    assert!(introduced(&with_token).await.0.unwrap().is_some(), "who has it already may go on");
}

#[tokio::test]
async fn a_dead_api_is_passed_over_and_the_living_one_is_asked_first_from_then_on() {
    let stub = Stub::start(|target, _| if target == "/" { (200, root()) } else { (200, reply(TOKEN)) }).await;
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = format!("http://{}", unused.local_addr().unwrap());
    drop(unused);
    let config = config(&[&dead, &stub.url]);
    let home = home(&config);
    introduce(&config, &home, &Arc::new(Box2), &commands(&config)).await.unwrap();
    assert_eq!(home.urls(), [stub.url.clone(), dead]);
}

#[tokio::test]
async fn inspection_comes_first_without_a_version_and_its_answer_names_the_node() {
    let stub = Stub::start(|target, _| match target {
        "/" => (200, root()),
        "/v1/continue_inspection" => (202, json!({"uuid": UUID})),
        _ => (200, reply(TOKEN)),
    })
    .await;
    let config = Config { inspection_collectors: Some(vec!["default".into()]), ..config(&[&stub.url]) };
    introduced(&config).await.0.unwrap();
    let posted = stub.seen("/v1/continue_inspection");
    assert_eq!((posted.len(), posted[0].version.as_deref()), (1, None));
    assert_eq!(posted[0].body["configuration"]["collectors"], json!(["default"]));
    assert!(posted[0].body["inventory"].is_object() && posted[0].body["error"].is_null());
    assert!(stub.seen("/v1/lookup")[0].target.ends_with(&format!("&node_uuid={UUID}")));
}

#[tokio::test]
async fn inspection_data_that_are_refused_do_not_stop_the_start() {
    let stub = Stub::start(|target, _| match target {
        "/" => (200, root()),
        "/v1/continue_inspection" => (413, json!({"title": "too large"})),
        _ => (200, reply(TOKEN)),
    })
    .await;
    let config = Config {
        inspection_callback_urls: vec![format!("{}/v1/continue_inspection", stub.url)],
        ..config(&[&stub.url])
    };
    introduced(&config).await.0.unwrap();
    assert_eq!(stub.seen("/v1/continue_inspection").len(), 1, "a 4xx is not tried again");
    assert!(!stub.seen("/v1/lookup")[0].target.contains("node_uuid"));
}

#[tokio::test]
async fn a_command_that_ends_is_told_soon_but_not_at_once() {
    let stub = Stub::start(|target, _| if target == "/" { (200, root()) } else { (202, Value::Null) }).await;
    let config = config(&[&stub.url]);
    let (home, commands) = (home(&config), commands(&config));
    let who = Introduction {
        node_uuid: UUID.into(),
        heartbeat_timeout: Duration::from_secs(300),
        min_gap: Duration::from_millis(200),
    };
    let body = Heartbeat {
        callback_url: "https://192.0.2.41:9999".into(),
        agent_token: Some(Token::new(TOKEN)),
        agent_version: Some("1".into()),
        agent_verify_ca: Some("PEM".into()),
        agent_status: None,
        agent_status_message: None,
    };
    let path = format!("/v1/heartbeat/{UUID}");
    let begun = std::time::Instant::now();
    tokio::select! {
        () = beat::run(&home, &commands, &who, &body) => {}
        () = async {
            while stub.seen(&path).is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let params = json!({"step": {"step": "none", "interface": "deploy"}});
            let request = common::command::CommandRequest { name: "clean.execute_clean_step".into(), params: params.as_object().cloned().unwrap() };
            commands.run(request, true).await.unwrap();
            while stub.seen(&path).len() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        } => {}
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(200) && begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    let beats = stub.seen(&path);
    assert_eq!(beats[0].version.as_deref(), Some("1.68"));
    assert_eq!(beats[0].body, beats[1].body);
    let wanted = json!({"callback_url": "https://192.0.2.41:9999", "agent_token": TOKEN, "agent_version": "1", "agent_verify_ca": "PEM"});
    assert_eq!(beats[0].body, wanted);
}

#[tokio::test]
async fn an_old_api_gets_only_what_it_knows() {
    let old = |target: &str, _| match target {
        "/" => (200, json!({"default_version": {"version": "1.38"}})),
        _ => (202, Value::Null),
    };
    let stub = Stub::start(old).await;
    let home = home(&config(&[&stub.url]));
    let mut body: Heartbeat = serde_json::from_value(json!({"callback_url": "http://192.0.2.41:9999"})).unwrap();
    body.agent_token = Some(Token::new(TOKEN));
    body.agent_version = Some("1".into());
    home.beat(UUID, &body).await.unwrap();
    let seen = &stub.seen("/v1/heartbeat")[0];
    assert_eq!(
        (seen.version.as_deref(), &seen.body["agent_token"], &seen.body["agent_version"]),
        (Some("1.38"), &Value::Null, &json!("1"))
    );
}
