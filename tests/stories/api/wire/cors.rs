//! Pages of other origins: what browsers are told, as the reference tells them (`stories/peers/browsers.rs` compares).

use crate::site::{NEW, Reply, Site};

const HORIZON: &str = "https://horizon.example.com";

async fn site() -> Site {
    Site::with(|config, _| {
        config.cors.allowed_origin = vec![HORIZON.into(), "http://other.example:8080".into()];
        config.cors.allow_headers = vec!["X-Custom".into()];
    })
    .await
}

async fn preflight(site: &Site, origin: &str, method: &str, headers: &str) -> Reply {
    let mut all = vec![("Origin", origin), ("Access-Control-Request-Method", method)];
    if !headers.is_empty() {
        all.push(("Access-Control-Request-Headers", headers));
    }
    site.send("OPTIONS", "/v1/nodes", &all, None).await.expect(200)
}

#[tokio::test]
async fn pages_that_are_allowed_are_told_so_and_others_nothing() {
    let site = site().await;
    let said = |reply: &Reply, name: &str| reply.header(&format!("access-control-{name}")).map(str::to_owned);
    let good = preflight(&site, HORIZON, "PATCH", "x-custom, X-Auth-Token,content-type").await;
    assert_eq!(said(&good, "allow-origin").as_deref(), Some(HORIZON));
    assert_eq!(said(&good, "allow-credentials").as_deref(), Some("true"));
    assert_eq!(said(&good, "max-age").as_deref(), Some("3600"));
    assert_eq!(said(&good, "allow-methods").as_deref(), Some("PATCH"));
    assert_eq!(said(&good, "allow-headers").as_deref(), Some("x-custom,X-Auth-Token,content-type"));
    assert_eq!(good.header("vary"), Some("Origin"));
    for (origin, method, headers) in [
        ("https://evil.example.com", "GET", ""),
        ("https://horizon.example.com.evil.example", "GET", ""),
        ("http://horizon.example.com", "GET", ""),
        ("null", "GET", ""),
        (HORIZON, "TRACE", ""),
        (HORIZON, "GET", "x-evil"),
    ] {
        let bad = preflight(&site, origin, method, headers).await;
        assert_eq!(said(&bad, "allow-origin"), None, "{origin} {method} {headers}");
        assert_eq!(bad.header("vary"), Some("Origin"), "a cache must not give it to others");
    }
    for (path, status) in [("/v1/nodes", 200), ("/v1/nodes/nobody", 404), ("/nothing", 404), ("/docs", 200)] {
        let headers = [("Origin", HORIZON), ("X-OpenStack-Ironic-API-Version", NEW)];
        let reply = site.send("GET", path, &headers, None).await.expect(status);
        assert_eq!(said(&reply, "allow-origin").as_deref(), Some(HORIZON), "{path}");
        assert!(said(&reply, "expose-headers").unwrap().contains("X-OpenStack-Ironic-API-Version"));
        let reply = site.send("GET", path, &[("Origin", "https://evil.example.com")], None).await.expect(status);
        assert_eq!(said(&reply, "allow-origin"), None, "{path}");
    }
}

#[tokio::test]
async fn refusals_before_the_api_say_it_too_and_without_an_option_nothing_does() {
    let guarded = Site::with(|config, folder| {
        config.cors.allowed_origin = vec!["*".into()];
        config.cors.allow_credentials = false;
        config.top.auth_strategy = Some("http_basic".into());
        let file = folder.join("htpasswd");
        std::fs::write(&file, "admin:$2y$04$J5OQYqf0vUzQE73zs79W/eX52V2dSSsMs8DhJaQg3Wq42XQDjiThy\n").unwrap();
        config.top.http_basic_auth_user_file = file;
    })
    .await;
    let reply = guarded.send("GET", "/v1/nodes", &[("Origin", HORIZON)], None).await.expect(401);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("access-control-allow-credentials"), None);
    // A browser asks without credentials whether it may.
    let asked = [("Origin", HORIZON), ("Access-Control-Request-Method", "GET")];
    let reply = guarded.send("OPTIONS", "/v1/nodes", &asked, None).await.expect(200);
    assert_eq!(reply.header("access-control-allow-methods"), Some("GET"));
    let plain = Site::start().await;
    for method in ["GET", "OPTIONS"] {
        let reply = plain.send(method, "/v1/nodes", &asked, None).await.expect(200);
        assert!(reply.headers.keys().all(|name| !name.as_str().starts_with("access-control") && name != "vary"));
    }
}
