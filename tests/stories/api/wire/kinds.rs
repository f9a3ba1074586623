//! Kinds of answers: who asks for HTML or XML, and what load balancers get. Both as the reference answers
//! (`fixtures/differential/kinds.txt`, `stories/peers/browsers.rs`).

use crate::site::Site;

#[tokio::test]
async fn who_takes_no_json_gets_406_and_markup_only_as_text() {
    let site = Site::start().await;
    site.node("n").await;
    let ask = async |path: &str, accept: &str| site.send("GET", path, &[("Accept", accept)], None).await;
    for accept in ["text/html", "application/xml", "text/plain", "text/html, application/json;q=0"] {
        for path in ["/", "/v1", "/v1/nodes", "/v1/nodes/n", "/v1/nodes/nobody"] {
            let reply = ask(path, accept).await.expect(406);
            assert_eq!(reply.header("content-type"), Some("application/json"));
            assert_eq!(reply.header("x-openstack-ironic-api-version"), None);
            assert!(reply.body["error_message"].as_str().unwrap().contains("406 Not Acceptable"), "{reply:?}");
        }
    }
    // As browsers ask: they get JSON where it is, and pages where routing refuses.
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    ask("/v1/nodes", browser).await.expect(200);
    let page = ask("/v1/nodes/a%20b%3Cscript%3Ealert(1)%3C%2Fscript%3E", browser).await.expect(400);
    let text = page.body["error_message"].as_str().unwrap();
    assert!(text.starts_with("<html>") && text.contains("a b&lt;script&gt;alert(1)&lt;/script&gt;"), "{text}");
    let page = ask("/nothing", browser).await.expect(404);
    assert!(page.body["error_message"].as_str().unwrap().contains("<h1>404 Not Found</h1>"));
    // Our own pages and streams are what they are.
    assert!(ask("/docs", "text/html").await.expect(200).header("content-type").unwrap().starts_with("text/html"));
    ask("/openapi.json", "application/json").await.expect(200);
    ask("/v1/events?follow=false", "text/event-stream").await.expect(200);
}

#[tokio::test]
async fn health_is_told_in_three_kinds_to_whoever_asks_however() {
    let site = Site::with(|config, folder| {
        config.healthcheck.enabled = true;
        // Nobody logs in for it.
        config.top.auth_strategy = Some("http_basic".into());
        let file = folder.join("htpasswd");
        std::fs::write(&file, "admin:$2y$04$J5OQYqf0vUzQE73zs79W/eX52V2dSSsMs8DhJaQg3Wq42XQDjiThy\n").unwrap();
        config.top.http_basic_auth_user_file = file;
    })
    .await;
    for (accept, kind, length) in [
        ("*/*", "text/plain; charset=UTF-8", "0"),
        ("image/png", "text/plain; charset=UTF-8", "0"),
        ("text/html", "text/html; charset=UTF-8", "211"),
        ("application/json", "application/json", "44"),
        ("text/html;q=0.5,application/json;q=0.9", "application/json", "44"),
    ] {
        for (method, path) in [("GET", "/healthcheck"), ("POST", "/healthcheck/"), ("GET", "/healthcheck/x")] {
            let reply = site.send(method, path, &[("Accept", accept)], None).await.expect(200);
            let found = (reply.header("content-type"), reply.header("content-length"));
            assert_eq!(found, (Some(kind), Some(length)), "{method} {path} {accept}");
        }
    }
    let json = site.send("GET", "/healthcheck", &[("Accept", "application/json")], None).await;
    assert_eq!(json.body, serde_json::json!({"detailed": false, "reasons": []}));
    site.send("HEAD", "/healthcheck", &[], None).await.expect(204);
    site.get("/healthcheckx").await.expect(401);
}
