//! What browsers, proxies and load balancers see of the reference and of ours: the same, but for what the list of differences
//! says.

use reqwest::{Client, Method, Response};
use std::collections::BTreeMap;
use std::time::Duration;
use tests::peers::pair::Pair;
use tests::peers::require_client;
use tests::story::{Stage, story_after};

const HORIZON: &str = "https://horizon.example.com";

/// Both are told the same, each in its own language.
const THEIRS: &str = "[cors]\nallowed_origin = https://horizon.example.com,http://other.example:8080\nallow_headers = X-Custom\n\
    expose_headers = X-OpenStack-Ironic-API-Version\nallow_methods = GET,PUT,POST,DELETE,PATCH\n\
    [healthcheck]\nenabled = True\n[oslo_middleware]\nenable_proxy_headers_parsing = True\n";
const OURS: &str = "[cors]\nallowed_origin = [\"https://horizon.example.com\", \"http://other.example:8080\"]\n\
    allow_headers = [\"X-Custom\"]\nexpose_headers = [\"X-OpenStack-Ironic-API-Version\"]\n\
    [healthcheck]\nenabled = true\n[oslo_middleware]\nenable_proxy_headers_parsing = true\n";

/// Method, path, headers.
type Asked<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

struct Both {
    client: Client,
    bases: [String; 2],
}

impl Both {
    async fn ask(&self, side: usize, (method, path, headers): Asked<'_>) -> Response {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.bases[side]));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// Status, the headers that count, and the body: that of the health to the letter, others by their meaning.
    async fn seen(&self, side: usize, asked: Asked<'_>) -> (u16, BTreeMap<String, String>, String) {
        let answer = self.ask(side, asked).await;
        let counts = |name: &str| name.starts_with("access-control") || matches!(name, "vary" | "content-type");
        let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap().to_owned();
        let headers = answer.headers().iter().filter(|(name, _)| counts(name.as_str()));
        let headers = headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let status = answer.status().as_u16();
        let body = answer.text().await.unwrap();
        // JSON in JSON: spaces behind punctuation are nobody's concern.
        let tight = |text: &str| text.replace(": ", ":").replace(", ", ",");
        let body = if asked.1.starts_with("/health") { body } else { tight(&body) };
        (status, headers, body)
    }

    /// Both answer alike. `vary`: ours says it where theirs does not, which is a listed difference.
    async fn alike(&self, asked: Asked<'_>) {
        let theirs = self.seen(0, asked).await;
        let mut ours = self.seen(1, asked).await;
        assert_eq!(ours.1.get("vary").map(String::as_str), Some("Origin"), "{asked:?}");
        if !theirs.1.contains_key("vary") {
            ours.1.remove("vary");
        }
        assert_eq!(ours, theirs, "{asked:?}");
    }
}

#[test]
fn browsers_proxies_and_load_balancers_see_no_difference() {
    story_after(require_client, async |stage: Stage| {
        let address = format!("trusted_proxies = [\"{}\"]\n", tests::network::CONDUCTOR);
        let pair = Pair::start_with(&stage.dir, (THEIRS, OURS, &address)).await;
        let bases = [pair.ironic.api.base.clone(), pair.ours.api.base.clone()];
        let client = Client::builder().tls_certs_only([]).no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        let both = Both { client, bases };
        let asks = |method: &'static str| ("Access-Control-Request-Method", method);
        let wants = |names: &'static str| ("Access-Control-Request-Headers", names);
        for headers in [
            vec![],
            vec![("Origin", HORIZON)],
            vec![("Origin", HORIZON), asks("GET")],
            vec![("Origin", "http://other.example:8080"), asks("PUT")],
            vec![("Origin", HORIZON), asks("PATCH"), wants("x-custom, X-OpenStack-Ironic-API-Version,x-auth-token")],
            vec![("Origin", HORIZON), asks("POST"), wants("Content-Type,accept")],
            vec![("Origin", HORIZON), asks("TRACE")],
            vec![("Origin", HORIZON), asks("get")],
            vec![("Origin", HORIZON), asks("GET"), wants("x-evil")],
            vec![("Origin", "https://evil.example.com"), asks("GET")],
            vec![("Origin", "https://horizon.example.com/"), asks("GET")],
            vec![("Origin", "null"), asks("GET")],
        ] {
            for path in ["/v1/nodes", "/nothing"] {
                both.alike(("OPTIONS", path, &headers)).await;
                both.alike(("GET", path, &headers)).await;
            }
        }
        both.alike(("GET", "/healthcheck", &[("Origin", HORIZON)])).await;
        for accept in [
            "text/html",
            "text/plain",
            "application/json",
            "*/*",
            "application/xml",
            "text/*;q=0.5, application/json",
            "text/html;q=0.5,application/json;q=0.9",
            "nonsense",
        ] {
            for (method, path) in [("GET", "/healthcheck"), ("POST", "/healthcheck"), ("GET", "/healthcheck/x")] {
                both.alike((method, path, &[("Accept", accept)])).await;
            }
        }
        both.alike(("HEAD", "/healthcheck", &[])).await;
        for headers in [
            &[("X-Forwarded-Proto", "https")][..],
            &[("X-Forwarded-Host", "api.example:99"), ("X-Forwarded-Proto", "https")][..],
            &[("X-Forwarded-Prefix", "/baremetal")][..],
            &[("Forwarded", "for=1.2.3.4;proto=https;host=fwd.example")][..],
            &[("X-Forwarded-Host", "ignored.example"), ("Forwarded", "proto=https")][..],
        ] {
            let links = async |side: usize| {
                let root: serde_json::Value = both.ask(side, ("GET", "/", headers)).await.json().await.unwrap();
                let link = root["versions"][0]["links"][0]["href"].as_str().unwrap().to_owned();
                // Where a header leaves the name alone it is that of the request.
                link.replace(both.bases[side].trim_start_matches("http://"), "HOST")
            };
            assert_eq!(links(1).await, links(0).await, "{headers:?}");
        }
    });
}
