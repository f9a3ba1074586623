//! What the calls without credentials give away to those who guess: nothing, and not for long.

use super::persona::Guarded;
use crate::site::{NEW, Reply, Site};
use serde_json::json;

async fn ask(site: &Site, method: &str, path: &str) -> Reply {
    let headers = [("X-OpenStack-Ironic-API-Version", NEW), ("Content-Type", "application/json")];
    let body = json!({"callback_url": "https://192.0.2.1:9999", "agent_version": "1", "agent_token": "x".repeat(43)});
    let body = (method == "POST").then(|| body.to_string().into_bytes());
    site.send(method, path, &headers, body).await
}

#[tokio::test]
async fn a_look_up_by_a_guessed_mac_learns_nothing() {
    let guarded = Guarded::start().await;
    let (one, two) = (guarded.node(json!({})).await, guarded.node(json!({})).await);
    guarded.port(&one, "52:54:00:00:00:01").await;
    guarded.port(&two, "52:54:00:00:00:02").await;
    let look = async |query: &str| {
        let mut reply = ask(&guarded.site, "GET", &format!("/v1/lookup?{query}")).await.expect(404);
        for own in ["x-openstack-request-id", "openstack-request-id", "date"] {
            reply.headers.remove(own);
        }
        (reply.headers, reply.body)
    };
    let nothing = look("addresses=52:54:00:00:00:99").await;
    // Nodes that wait for no agent, one or several; by MAC or by UUID.
    for query in [
        "addresses=52:54:00:00:00:01".to_owned(),
        "addresses=52:54:00:00:00:01,52:54:00:00:00:02".to_owned(),
        "addresses=52:54:00:00:00:01,52:54:00:00:00:99".to_owned(),
        format!("node_uuid={one}"),
        "node_uuid=00000000-0000-4000-8000-000000000000".to_owned(),
    ] {
        assert_eq!(look(&query).await, nothing, "{query}");
    }
}

#[tokio::test]
async fn whoever_guesses_too_often_has_to_wait() {
    let site = Site::with(|config, _| config.api.agent_failures_per_minute = 6).await;
    let node = site.node("n").await;
    for number in 0..6 {
        let path = format!("/v1/lookup?addresses=52:54:00:00:01:{number:02x}");
        ask(&site, "GET", &path).await.expect(404);
    }
    for (method, path) in
        [("GET", "/v1/lookup?addresses=52:54:00:00:01:99".into()), ("POST", format!("/v1/heartbeat/{node}"))]
    {
        let reply = ask(&site, method, &path).await.expect(429);
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=10).contains(&wait), "{wait}");
    }
    // The rest of the API is not their concern.
    site.get("/v1/nodes").await.expect(200);
    site.get("/v1").await.expect(200);
}

#[tokio::test]
async fn two_hundred_machines_behind_one_address_are_no_attack() {
    let site = Site::start().await;
    for _ in 0..10 {
        for machine in 0..200 {
            ask(&site, "GET", &format!("/v1/lookup?addresses=52:54:00:00:02:{machine:02x}")).await.expect(404);
        }
    }
}
