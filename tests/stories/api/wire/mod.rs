//! What a connection meets before the API: sockets, TLS, proxies, pages of other origins, a cap, health and figures.

mod cors;
mod crowd;
mod figures;
mod kinds;
mod memory;
mod outward;
mod proxies;
mod socket;
mod tls;

use crate::site::Site;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn health_and_figures_are_served_when_they_are_switched_on() {
    let site = Site::start().await;
    for path in ["/healthcheck", "/metrics"] {
        site.get(path).await.expect(404);
    }
    let site = Site::with(|config, _| {
        config.healthcheck.enabled = true;
        config.api.enable_metrics = true;
    })
    .await;
    site.node("n").await;
    let base = site.base.strip_prefix("http://").unwrap().to_owned();
    let ask = async |path: &str| {
        let mut stream = TcpStream::connect(&base).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let health = ask("/healthcheck").await;
    assert!(health.starts_with("HTTP/1.1 200") && health.contains("content-length: 0\r\n"), "{health}");
    let page = ask("/metrics").await;
    assert!(page.contains("wrought_nodes{state=\"enroll\"} 1\n"), "{page}");
    let line = "wrought_http_requests_total{method=\"POST\",route=\"/v1/nodes\",status=\"2xx\"}";
    assert!(page.contains(line), "{page}");
}

#[tokio::test]
async fn a_connection_too_many_gets_a_clear_answer_and_room_is_given_back() {
    let site = Site::with(|config, _| config.api.max_connections = 2).await;
    let address = site.base.strip_prefix("http://").unwrap().to_owned();
    let held = [TcpStream::connect(&address).await.unwrap(), TcpStream::connect(&address).await.unwrap()];
    let mut answer = String::new();
    TcpStream::connect(&address).await.unwrap().read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("max_connections"), "{answer}");
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    assert!(answer.contains(&format!("Content-Length: {}\r\n", body.len())), "{answer}");
    drop(held);
    for _ in 0..200 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let _ = stream.write_all(b"GET /v1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        if answer.starts_with("HTTP/1.1 200") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the room was not given back");
}
