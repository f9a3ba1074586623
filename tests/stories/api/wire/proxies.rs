//! Proxies before the API: named ones are believed about their clients, nobody else is.

use crate::site::{NEW, Reply, Site};

const CLIENT: &str = "203.0.113.9";

async fn behind(trusted: &'static [&'static str], public: Option<&'static str>) -> Site {
    Site::with(|config, _| {
        config.oslo_middleware.enable_proxy_headers_parsing = true;
        config.api.trusted_proxies = trusted.iter().map(|text| (*text).to_owned()).collect();
        config.api.public_endpoint = public.map(str::to_owned);
        config.api.agent_failures_per_minute = 6;
    })
    .await
}

async fn get(site: &Site, path: &str, headers: &[(&str, &str)]) -> Reply {
    let all: Vec<_> = headers.iter().copied().chain([("X-OpenStack-Ironic-API-Version", NEW)]).collect();
    site.send("GET", path, &all, None).await
}

#[tokio::test]
async fn links_bear_the_name_by_which_the_client_called_the_proxy() {
    let site = behind(&["127.0.0.0/8"], Some("https://not.this.one")).await;
    site.node("a").await;
    let node = site.node("b").await;
    for (headers, base) in [
        (&[("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "api.example:99")][..], "https://api.example:99"),
        (
            &[("X-Forwarded-Host", "api.example"), ("X-Forwarded-Prefix", "/baremetal")][..],
            "http://api.example/baremetal",
        ),
        (&[("Forwarded", "for=203.0.113.9;proto=https;host=\"fwd.example:1\"")][..], "https://fwd.example:1"),
    ] {
        let links = get(&site, &format!("/v1/nodes/{node}"), headers).await.expect(200).body["links"].clone();
        assert_eq!(links[0]["href"], format!("{base}/v1/nodes/{node}"));
        let page = get(&site, "/v1/nodes?limit=1", headers).await.expect(200).body;
        assert!(page["next"].as_str().unwrap().starts_with(&format!("{base}/v1/nodes?")), "{page}");
        let root = get(&site, "/", headers).await.expect(200).body;
        assert_eq!(root["versions"][0]["links"][0]["href"], format!("{base}/v1/"));
    }
}

#[tokio::test]
async fn a_peer_that_is_no_proxy_of_ours_can_say_what_it_likes() {
    let site = behind(&["192.0.2.1"], None).await;
    let node = site.node("n").await;
    let spoof = [
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Prefix", "/evil"),
        ("Forwarded", "for=1.2.3.4;host=evil.example;proto=https"),
    ];
    let reply = get(&site, &format!("/v1/nodes/{node}"), &spoof).await.expect(200).body;
    assert_eq!(reply["links"][0]["href"], format!("{}/v1/nodes/{node}", site.base));
    // It guesses under ever new names and is one client all the same.
    for number in 0..6 {
        let name = format!("198.51.100.{number}");
        get(&site, "/v1/lookup?addresses=52:54:00:00:00:99", &[("X-Forwarded-For", &name)]).await.expect(404);
    }
    let name = [("X-Forwarded-For", "198.51.100.77")];
    get(&site, "/v1/lookup?addresses=52:54:00:00:00:99", &name).await.expect(429);
    let public = behind(&["192.0.2.1"], Some("https://api.example")).await;
    let root = get(&public, "/", &spoof).await.expect(200).body;
    assert_eq!(root["default_version"]["links"][0]["href"], "https://api.example/v1/");
}

#[tokio::test]
async fn guesses_are_put_down_to_the_client_behind_the_proxy() {
    let site = behind(&["127.0.0.1"], None).await;
    let guess = async |names: &str| {
        get(&site, "/v1/lookup?addresses=52:54:00:00:00:99", &[("X-Forwarded-For", names)]).await.status
    };
    for number in 0..6 {
        // What the client wrote itself stands before what the proxy wrote, and means nothing.
        assert_eq!(guess(&format!("198.51.100.{number}, {CLIENT}")).await, 404);
    }
    assert_eq!(guess(CLIENT).await, 429);
    assert_eq!(guess("203.0.113.10").await, 404, "another client of the same proxy");
}
