//! What happens before a handler is asked: credentials, guards, methods, the end.

use crate::site::{NEW, Site, replace};
use base64::Engine;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn with_http_basic_only_the_ramdisk_and_the_documents_are_open() {
    let site = Site::with(|config, folder| {
        let file = folder.join("htpasswd");
        // bcrypt of "secret", lowest cost.
        let line = format!("admin:{}\n", bcrypt_of_secret());
        std::fs::write(&file, line).unwrap();
        config.top.auth_strategy = Some("http_basic".into());
        config.top.http_basic_auth_user_file = file;
    })
    .await;
    let missing = site.get("/v1/nodes").await.expect(401);
    assert_eq!(missing.body, json!({"error": {"message": "Authorization required", "code": 401}}));
    assert_eq!(missing.header("www-authenticate"), Some("Basic realm=\"Baremetal API\""));
    for path in ["/", "/v1", "/v1/"] {
        site.get(path).await.expect(200);
    }
    site.get("/v1/lookup?addresses=52:54:00:00:00:01").await.expect(404);
    site.post("/v1/heartbeat/1be26c0b-03f2-4d2e-ae87-c02d7f33c123", json!({"callback_url": "http://192.0.2.1"}))
        .await
        .expect(404);
    let basic = |text: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text));
    for (value, status, message) in [
        (basic("admin:wrong"), 401, "Incorrect username or password"),
        (basic("admin"), 400, "Could not parse Authorization header"),
        ("Bearer x".into(), 400, "Unsupported authorization type. Only Basic is supported"),
    ] {
        let reply = site.send("GET", "/v1/nodes", &[("Authorization", &value)], None).await.expect(status);
        assert_eq!(reply.body["error"]["message"], message);
    }
    site.send("GET", "/v1/nodes", &[("Authorization", &basic("admin:secret"))], None).await.expect(200);
}

fn bcrypt_of_secret() -> &'static str {
    "$2y$04$J5OQYqf0vUzQE73zs79W/eX52V2dSSsMs8DhJaQg3Wq42XQDjiThy"
}

#[tokio::test]
async fn bodies_that_are_too_deep_too_large_or_no_json_are_refused() {
    let site = Site::start().await;
    let headers = [("X-OpenStack-Ironic-API-Version", NEW), ("Content-Type", "application/json")];
    let deep = format!("{}{}", "[".repeat(26), "]".repeat(26)).into_bytes();
    let reply = site.send("POST", "/v1/nodes", &headers, Some(deep)).await.expect(400);
    assert!(reply.body["faultstring"].as_str().unwrap().starts_with("Request body JSON is nested too deeply"));
    let large = vec![b' '; 1024 * 1024 + 1];
    let reply = site.send("POST", "/v1/nodes", &headers, Some(large)).await.expect(413);
    assert!(reply.body["faultstring"].as_str().unwrap().starts_with("Request body is too large"));
    let reply = site.send("POST", "/v1/nodes", &headers, Some(b"{bad".to_vec())).await.expect(400);
    assert_eq!(reply.error()["faultcode"], "Client");
    site.node("still-serving").await;
}

#[tokio::test]
async fn config_drives_and_inspection_data_may_be_larger_and_are_bounded_too() {
    let site = Site::start().await;
    site.node("n").await;
    let headers = [("X-OpenStack-Ironic-API-Version", NEW), ("Content-Type", "application/json")];
    let of = |head: &str, size: usize| [head.as_bytes(), &vec![b'A'; size], b"\"}"].concat();
    let provision = |size| of(r#"{"target": "active", "configdrive": ""#, size);
    let send = async |method, path, body| site.send(method, path, &headers, Some(body)).await;
    // The state refuses what the door has let in.
    send("PUT", "/v1/nodes/n/states/provision", provision(2 << 20)).await.expect(400);
    send("PUT", "/v1/nodes/n/states/provision", provision(64 << 20)).await.expect(413);
    let data = |size| of(r#"{"inventory": {}, "logs": ""#, size);
    send("POST", "/v1/continue_inspection", data(2 << 20)).await.expect(400);
    send("POST", "/v1/continue_inspection", data(16 << 20)).await.expect(413);
    site.node("still-serving").await;
}

#[tokio::test]
async fn methods_request_ids_and_old_spellings_of_paths() {
    let site = Site::start().await;
    site.node("n").await;
    let reply = site.at(NEW, "PUT", "/v1/nodes/n", Some(json!({}))).await.expect(405);
    assert_eq!(reply.header("allow"), Some("DELETE, GET, PATCH"));
    site.send("HEAD", "/v1/nodes", &[], None).await.expect(405);
    site.send("HEAD", "/v1", &[], None).await.expect(200);
    site.send("OPTIONS", "/v1/nodes", &[], None).await.expect(200);
    let id = reply.header("x-openstack-request-id").unwrap();
    assert!(id.starts_with("req-") && reply.header("openstack-request-id") == Some(id));
    site.get("/nodes/n").await.expect(200);
    site.at("1.90", "GET", "/v1/nodes/n.json", None).await.expect(200);
    site.at("1.91", "GET", "/v1/nodes/n.json", None).await.expect(404);
    let bad = site.get("/v1/nodes/a%20b").await.expect(400);
    assert_eq!(bad.error()["description"], "Expected UUID or name for node: a b");
}

#[tokio::test]
async fn the_ramdisk_endpoints_can_be_switched_off() {
    let site = Site::with(|config, _| config.api.enable_ramdisk_endpoints = false).await;
    site.get("/v1/lookup?addresses=52:54:00:00:00:01").await.expect(403);
    site.post("/v1/heartbeat/1be26c0b-03f2-4d2e-ae87-c02d7f33c123", json!({"callback_url": "x"})).await.expect(403);
    site.post("/v1/continue_inspection", json!({"inventory": {}})).await.expect(403);
}

#[tokio::test]
async fn heartbeats_say_what_their_version_knows() {
    let site = Site::start().await;
    let node = site.node("n").await;
    let path = format!("/v1/heartbeat/{node}");
    for (version, body, words) in [
        (NEW, json!({}), "Missing mandatory parameter: callback_url"),
        (NEW, json!({"callback_url": "http://x", "foo": 1}), "Unexpected arguments: foo"),
        ("1.35", json!({"callback_url": "http://x", "agent_version": "1"}), "Field \"agent_version\" not recognised"),
        (
            "1.67",
            json!({"callback_url": "http://x", "agent_verify_ca": "x"}),
            "Field \"agent_verify_ca\" not recognised",
        ),
        ("1.71", json!({"callback_url": "http://x", "agent_status": "end"}), "Fields \"agent_status\""),
        (NEW, json!({"callback_url": "ftp://x"}), "An issue with the supplied \"callback_url\" has been detected."),
        (NEW, json!({"callback_url": "http://x"}), "Agent token is required for heartbeat processing."),
    ] {
        let reply = site.at(version, "POST", &path, Some(body.clone())).await.expect(400);
        assert!(reply.fault().contains(words), "{body}: {}", reply.fault());
    }
    let lookup = site.get(&format!("/v1/lookup?node_uuid={node}")).await.expect(404);
    assert_eq!(lookup.fault(), "Resource could not be found.");
}

#[tokio::test]
async fn a_stop_finishes_what_was_begun_and_the_store_keeps_it() {
    let site = Site::start().await;
    site.node("n").await;
    let address = site.base.strip_prefix("http://").unwrap().to_owned();
    let body = replace("/description", json!("kept")).to_string();
    let head = format!(
        "PATCH /v1/nodes/n HTTP/1.1\r\nHost: x\r\nX-OpenStack-Ironic-API-Version: {NEW}\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut begun = [0; 25];
    stream.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 100 Continue\r\n\r\n", "the request is being served");
    site.ask_to_stop();
    let client = async move {
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let (answer, _folder) = tokio::join!(client, site.stop());
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"description\":\"kept\""), "{answer}");
    assert!(tokio::net::TcpStream::connect(&address).await.is_err(), "nobody listens any more");
}
