//! What happens is told as it happens: streams of events, their filters, resuming, gaps, slow readers.

use super::site::{NEW, Site};
use reqwest::Response;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One event as a browser would see it.
#[derive(Debug, Clone)]
struct Told {
    id: Option<i64>,
    kind: String,
    data: Value,
}

/// A reader of the stream.
struct Reader {
    response: Response,
    text: String,
    comments: usize,
}

impl Reader {
    async fn open(site: &Site, query: &str, last: Option<i64>) -> Self {
        let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        let mut request = client.get(format!("{}/v1/events?{query}", site.base)).header("Accept", "text/event-stream");
        if let Some(id) = last {
            request = request.header("Last-Event-ID", id.to_string());
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Reader { response, text: String::new(), comments: 0 }
    }

    /// The next event; `None`: the stream ended.
    async fn next(&mut self) -> Option<Told> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                if let Some(data) = field("data: ") {
                    let data = serde_json::from_str(&data).unwrap();
                    return Some(Told {
                        id: field("id: ").map(|id| id.parse().unwrap()),
                        kind: field("event: ")?,
                        data,
                    });
                }
                self.comments += usize::from(block.starts_with(':'));
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.response.chunk()).await;
            let chunk = chunk.expect("an event within 20 s").unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn until(&mut self, kind: &str) -> Vec<Told> {
        let mut told = Vec::new();
        loop {
            let next = self.next().await.expect("the stream goes on");
            let end = next.kind == kind;
            told.push(next);
            if end {
                return told;
            }
        }
    }

    async fn rest(mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(next) = self.next().await {
            told.push(next);
        }
        told
    }
}

#[tokio::test]
async fn a_machine_s_way_is_told_in_order_and_only_to_whom_it_concerns() {
    let site = Site::start().await;
    let other = site.node("other").await;
    let mut all = Reader::open(&site, "", None).await;
    let node = site.node("told").await;
    let mut states = Reader::open(&site, "node=told&type=node.provision_state,node.power_state", None).await;
    let mut others = Reader::open(&site, &format!("node={other}"), None).await;
    site.provision(&node, "manage", "manageable").await;
    site.put(&format!("/v1/nodes/{node}/states/power"), json!({"target": "power on"})).await.expect(202);
    site.reaches(&node, "manageable").await;
    site.put(&format!("/v1/nodes/{node}/maintenance"), json!({"reason": "tea"})).await.expect(202);
    site.delete(&format!("/v1/nodes/{node}")).await.expect(204);

    let told = all.until("node.delete").await;
    let ids: Vec<_> = told.iter().map(|event| event.id.unwrap()).collect();
    assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ids:?}");
    let created = &told[0];
    assert_eq!((created.kind.as_str(), created.data["uuid"].as_str()), ("node.create", Some(node.as_str())));
    assert!(created.data["request_id"].as_str().unwrap().starts_with("req-"), "{created:?}");
    let moves: Vec<_> = told.iter().filter(|event| event.kind == "node.provision_state").collect();
    let way: Vec<_> = moves.iter().map(|event| event.data["data"]["to"].as_str().unwrap()).collect();
    assert_eq!(way, ["verifying", "manageable"]);
    let maintenance = told.iter().find(|event| event.kind == "node.maintenance").unwrap();
    assert_eq!(
        (&maintenance.data["data"]["reason"], &maintenance.data["data"]["by_person"]),
        (&json!("tea"), &json!(true))
    );

    let first = states.next().await.unwrap();
    assert_eq!((first.kind.as_str(), &first.data["data"]["event"]), ("node.provision_state", &json!("manage")));
    let power = states.until("node.power_state").await;
    assert!(power.iter().all(|event| event.data["node"] == node.as_str()));
    site.put(&format!("/v1/nodes/{other}/maintenance"), json!({})).await.expect(202);
    assert_eq!(others.next().await.unwrap().kind, "node.maintenance", "nothing of the other machine before");
    site.stop().await;
    assert!(others.next().await.is_none(), "a stop ends the streams");
}

#[tokio::test]
async fn a_reader_resumes_where_it_was_and_is_told_what_it_missed() {
    let site = Site::with(|config, _| config.events.log_max_entries = 5).await;
    for name in ["a", "b", "c"] {
        site.node(name).await;
    }
    let read = Reader::open(&site, "follow=false&last_event_id=1", None).await.rest().await;
    let names: Vec<_> = read.iter().map(|event| event.data["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["b", "c"]);
    // The header is the browser's: it wins over the place where the page began.
    let read = Reader::open(&site, "follow=false&last_event_id=0", Some(2)).await.rest().await;
    assert_eq!(read.iter().map(|event| event.id).collect::<Vec<_>>(), [Some(3)]);
    for name in ["d", "e", "f", "g", "h"] {
        site.node(name).await;
    }
    let read = Reader::open(&site, "follow=false", Some(1)).await.rest().await;
    assert_eq!((read[0].kind.as_str(), read[0].id, &read[0].data["missed"]), ("gap", None, &json!(2)));
    assert_eq!(read[1..].iter().map(|event| event.id.unwrap()).collect::<Vec<_>>(), [4, 5, 6, 7, 8]);
    let read = Reader::open(&site, "follow=false", Some(4711)).await.rest().await;
    assert_eq!(read[0].kind, "gap", "an id of another log: {read:?}");
    assert_eq!(read.len(), 6 + 1, "a gap for each reason, and what is there: {read:?}");
}

#[tokio::test]
async fn only_who_asks_for_a_stream_gets_one_and_there_is_room_for_so_many() {
    let site = Site::with(|config, _| {
        config.events.max_streams = 1;
        config.events.heartbeat_interval.0 = 0.05;
    })
    .await;
    for headers in [&[][..], &[("Accept", "*/*")], &[("Accept", "text/event-stream;q=0, application/json")]] {
        site.send("GET", "/v1/events", headers, None).await.expect(404);
    }
    let stream = [("Accept", "text/event-stream")];
    site.send("GET", "/v1/events?type=node&colour=red", &stream, None).await.expect(400);
    site.send("GET", "/v1/events?last_event_id=-1", &stream, None).await.expect(400);
    site.send("GET", "/v1/events?node=nobody", &stream, None).await.expect(404);
    let mut reader = Reader::open(&site, "", None).await;
    let refused = site.send("GET", "/v1/events", &stream, None).await.expect(503);
    assert!(refused.fault().contains("max_streams"), "{refused:?}");
    // Signs of life come although nothing happens.
    while reader.comments < 2 {
        let chunk = reader.response.chunk().await.unwrap().unwrap();
        reader.comments += std::str::from_utf8(&chunk).unwrap().matches(": still here").count();
    }
    drop(reader);
    let begin = Instant::now();
    while site.send("GET", "/v1/events?follow=false", &stream, None).await.status == 503 {
        assert!(begin.elapsed() < Duration::from_secs(10), "the seat of a reader who left is free again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_reader_who_does_not_read_is_cut_off_and_nobody_waits_for_it() {
    let site = Site::with(|config, _| {
        config.events.max_streams = 1;
        config.api.slow_client_timeout.0 = 0.5;
    })
    .await;
    let node = site.node("talker").await;
    let address: SocketAddr = site.base.strip_prefix("http://").unwrap().parse().unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut idle = socket.connect(address).await.unwrap();
    let head = "GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
    idle.write_all(head.as_bytes()).await.unwrap();
    idle.read_exact(&mut [0; 12]).await.unwrap();
    let begin = Instant::now();
    let reason = "x".repeat(200_000);
    loop {
        site.put(&format!("/v1/nodes/{node}/maintenance"), json!({"reason": reason})).await.expect(202);
        site.delete(&format!("/v1/nodes/{node}/maintenance")).await.expect(202);
        let headers = [("Accept", "text/event-stream"), ("X-OpenStack-Ironic-API-Version", NEW)];
        if site.send("GET", "/v1/events?follow=false&last_event_id=999999999", &headers, None).await.status == 200 {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "the idle reader keeps its seat");
    }
}
