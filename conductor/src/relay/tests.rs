//! Receivers that are there, dead, late and choosy, against a real store.

use super::signature::verify;
use super::spawn;
use crate::config::{Config, Secret, WebhookOptions};
use crate::model::node::Node;
use crate::store::Store;
use crate::store::sqlite::SqliteStore;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const SECRET: &str = "a secret of some length";

/// One delivery: head and body.
type Delivery = (String, String);

/// A receiver that answers with these statuses, then with 204.
async fn receiver(statuses: &[u16]) -> (String, mpsc::UnboundedReceiver<Delivery>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let statuses = Arc::new(Mutex::new(VecDeque::from(statuses.to_vec())));
    let (sender, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (statuses, sender) = (Arc::clone(&statuses), sender.clone());
            tokio::spawn(async move {
                let mut text = String::new();
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = socket.read(&mut buffer).await {
                    text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
                    let Some(end) = text.find("\r\n\r\n") else { continue };
                    let head = text[..end].to_owned();
                    let length: usize = header(&head, "content-length").unwrap().parse().unwrap();
                    if text.len() < end + 4 + length {
                        continue;
                    }
                    let body = text[end + 4..end + 4 + length].to_owned();
                    text.clear();
                    let status = statuses.lock().unwrap().pop_front().unwrap_or(204);
                    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
                    sender.send((head, body)).unwrap();
                    socket.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (url, received)
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
}

fn hook(name: &str, url: &str) -> WebhookOptions {
    WebhookOptions {
        name: name.into(),
        url: url.into(),
        secret: Secret::from(SECRET),
        types: vec!["node".into()],
        owner: None,
    }
}

fn config(hooks: Vec<WebhookOptions>) -> Config {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = Config::default();
    config.events.webhooks = hooks;
    config.events.webhook_retry_max.0 = 0.05;
    config
}

fn store(folder: &tempfile::TempDir) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(&folder.path().join("db"), 10).unwrap())
}

async fn enrol(store: &Arc<dyn Store>, name: &str, owner: Option<&str>) {
    let node = Node { name: Some(name.into()), owner: owner.map(Into::into), ..Node::new(Uuid::new_v4(), "x") };
    store.create_node(node).await.unwrap();
}

async fn name_of_next(received: &mut mpsc::UnboundedReceiver<Delivery>) -> String {
    let (_, body) = tokio::time::timeout(Duration::from_secs(20), received.recv()).await.expect("a delivery").unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    body["name"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

/// A receiver has its place once it was started; what comes after is for it.
async fn started(store: &Arc<dyn Store>, config: &Config, stop: &CancellationToken) -> tokio::task::JoinSet<()> {
    for hook in &config.events.webhooks {
        store.cursor(&format!("webhook:{}", hook.name)).await.unwrap();
    }
    spawn(config, store, stop).unwrap()
}

#[tokio::test]
async fn events_are_signed_come_in_order_and_are_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let (url, mut received) = receiver(&[503, 429, 401]).await;
    let stop = CancellationToken::new();
    let _tasks = started(&store, &config(vec![hook("a", &url)]), &stop).await;
    enrol(&store, "one", None).await;
    enrol(&store, "two", None).await;
    for _ in 0..3 {
        assert_eq!(name_of_next(&mut received).await, "one", "refused, so it comes again");
    }
    let (head, body) = received.recv().await.unwrap();
    let timestamp = header(&head, "x-wrought-timestamp").unwrap().parse().unwrap();
    let signature = header(&head, "x-wrought-signature").unwrap();
    assert!(verify(SECRET.as_bytes(), timestamp, body.as_bytes(), &signature), "{head}");
    assert_eq!(header(&head, "x-wrought-event").as_deref(), Some("node.create"));
    assert!(!format!("{head}{body}").contains(SECRET));
    assert_eq!(name_of_next(&mut received).await, "two");
}

#[tokio::test]
async fn a_dead_receiver_delays_nobody_and_misses_nothing_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(&folder);
    let (url, mut received) = receiver(&[]).await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = dead.local_addr().unwrap();
    drop(dead);
    let hooks = |late: &str| config(vec![hook("late", late), hook("alive", &url)]);
    let stop = CancellationToken::new();
    let mut tasks = started(&first, &hooks(&format!("http://{address}/")), &stop).await;
    for name in ["one", "two"] {
        enrol(&first, name, None).await;
        assert_eq!(name_of_next(&mut received).await, name);
    }
    // What is under way at a stop comes again; this is about what was done.
    while first.cursor("webhook:alive").await.unwrap() < *first.events_grow().borrow() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    while tasks.join_next().await.is_some() {}
    drop(first);
    let second = store(&folder);
    enrol(&second, "three", None).await;
    let (url, mut late) = receiver(&[]).await;
    let _tasks = spawn(&hooks(&url), &second, &CancellationToken::new()).unwrap();
    for name in ["one", "two", "three"] {
        assert_eq!(name_of_next(&mut late).await, name);
    }
    assert_eq!(name_of_next(&mut received).await, "three", "what it had does not come again");
}

#[tokio::test]
async fn an_owner_is_told_of_its_own_and_one_bad_event_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let (url, mut received) = receiver(&[400; 5]).await;
    let mine = WebhookOptions { owner: Some("p1".into()), ..hook("mine", &url) };
    let stop = CancellationToken::new();
    let _tasks = started(&store, &config(vec![mine]), &stop).await;
    enrol(&store, "theirs", Some("p2")).await;
    enrol(&store, "nobody's", None).await;
    enrol(&store, "bad", Some("p1")).await;
    enrol(&store, "good", Some("p1")).await;
    for _ in 0..5 {
        assert_eq!(name_of_next(&mut received).await, "bad");
    }
    assert_eq!(name_of_next(&mut received).await, "good");
}

#[tokio::test]
async fn options_that_cannot_work_are_refused_without_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let good = || hook("a", "http://127.0.0.1/");
    for (hooks, word) in [
        (vec![WebhookOptions { url: "ftp://x".into(), ..good() }], "http"),
        (vec![WebhookOptions { secret: Secret::from("short"), ..good() }], "16 characters"),
        (vec![WebhookOptions { name: "a b".into(), ..good() }], "letters"),
        (vec![good(), good()], "twice"),
    ] {
        let error = spawn(&config(hooks), &store, &CancellationToken::new()).err().unwrap().to_string();
        assert!(error.contains(word) && !error.contains("short"), "{error}");
    }
    assert!(!format!("{:?}", good()).contains(SECRET));
    assert!(!serde_json::to_string(&good()).unwrap().contains(SECRET));
}
