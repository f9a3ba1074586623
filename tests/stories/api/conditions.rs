//! Conditional requests: entity tags, `If-Match`, `If-None-Match`; and no update that is lost.

use crate::site::{NEW, Reply, Site, replace};
use serde_json::{Value, json};
use std::sync::Arc;

async fn conditional(site: &Site, method: &str, path: &str, header: (&str, &str), body: Option<Value>) -> Reply {
    let headers = [("X-OpenStack-Ironic-API-Version", NEW), ("Content-Type", "application/json"), header];
    site.send(method, path, &headers, body.map(|body| body.to_string().into_bytes())).await
}

fn tag(reply: &Reply) -> String {
    reply.header("etag").unwrap_or_else(|| panic!("no tag on {reply:?}")).to_owned()
}

#[tokio::test]
async fn a_reader_with_the_tag_gets_304_until_something_changes() {
    let site = Site::start().await;
    site.node("n").await;
    let first = tag(&site.get("/v1/nodes/n").await.expect(200));
    let again = conditional(&site, "GET", "/v1/nodes/n", ("If-None-Match", &first), None).await.expect(304);
    assert_eq!((again.header("etag"), &again.body), (Some(first.as_str()), &Value::Null));
    let other = tag(&site.get("/v1/nodes/n?fields=name").await.expect(200));
    assert_ne!(first, other, "another representation is another tag");
    let changed = tag(&site.patch("/v1/nodes/n", replace("/description", json!("x"))).await.expect(200));
    let now = conditional(&site, "GET", "/v1/nodes/n", ("If-None-Match", &first), None).await.expect(200);
    assert_eq!(tag(&now), changed, "the answer of a PATCH is the node as GET shows it");
    for path in ["/v1", "/v1/nodes", "/v1/drivers", "/v1/nodes/n/states"] {
        let tag = tag(&site.get(path).await.expect(200));
        conditional(&site, "GET", path, ("If-None-Match", &format!("W/{tag}")), None).await.expect(304);
    }
}

#[tokio::test]
async fn a_write_counts_only_for_what_its_author_has_read() {
    let site = Site::start().await;
    site.node("n").await;
    let old = tag(&site.get("/v1/nodes/n?fields=uuid").await.expect(200));
    let patch = |text: &str| Some(replace("/description", json!(text)));
    let new = tag(&conditional(&site, "PATCH", "/v1/nodes/n", ("If-Match", &old), patch("one")).await.expect(200));
    for (method, path, body) in [
        ("PATCH", "/v1/nodes/n", patch("two")),
        ("PUT", "/v1/nodes/n/maintenance", Some(json!({"reason": "x"}))),
        ("PUT", "/v1/nodes/n/states/power", Some(json!({"target": "power on"}))),
        ("PUT", "/v1/nodes/n/states/provision", Some(json!({"target": "manage"}))),
        ("PUT", "/v1/nodes/n/traits", Some(json!({"traits": ["CUSTOM_A"]}))),
        ("DELETE", "/v1/nodes/n", None),
    ] {
        let refused = conditional(&site, method, path, ("If-Match", &old), body).await.expect(412);
        assert!(refused.fault().contains("Read it again"), "{}", refused.fault());
    }
    let now = site.get("/v1/nodes/n").await.expect(200).body;
    assert_eq!((&now["description"], &now["maintenance"]), (&json!("one"), &json!(false)));
    conditional(&site, "PATCH", "/v1/nodes/n", ("If-Match", &format!("W/{new}")), patch("w")).await.expect(412);
    conditional(&site, "PATCH", "/v1/nodes/n", ("If-Match", "nonsense"), patch("w")).await.expect(400);
    conditional(&site, "PATCH", "/v1/nodes/n", ("If-Match", "*"), patch("any")).await.expect(200);
    let now = tag(&site.get("/v1/nodes/n").await.expect(200));
    let both = format!("\"9-9-9\", {now}");
    conditional(&site, "PUT", "/v1/nodes/n/maintenance", ("If-Match", &both), Some(json!({}))).await.expect(202);
    let now = tag(&site.get("/v1/nodes/n").await.expect(200));
    conditional(&site, "DELETE", "/v1/nodes/n", ("If-Match", &now), None).await.expect(204);
    // The same name again is another node, and an old tag does not fit it.
    site.node("n").await;
    conditional(&site, "DELETE", "/v1/nodes/n", ("If-Match", &now), None).await.expect(412);
    conditional(&site, "DELETE", "/v1/nodes/gone", ("If-Match", &now), None).await.expect(412);
}

#[tokio::test]
async fn ports_have_tags_of_their_own() {
    let site = Site::start().await;
    let node = site.node("n").await;
    let made = site.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:00:00:01"})).await.expect(201);
    let path = format!("/v1/ports/{}", made.body["uuid"].as_str().unwrap());
    let first = tag(&made);
    assert_eq!(tag(&site.get(&path).await.expect(200)), first);
    let patch = |text: &str| Some(replace("/extra", json!({"at": text})));
    let second = tag(&conditional(&site, "PATCH", &path, ("If-Match", &first), patch("a")).await.expect(200));
    conditional(&site, "PATCH", &path, ("If-Match", &first), patch("b")).await.expect(412);
    conditional(&site, "DELETE", &path, ("If-Match", &first), None).await.expect(412);
    conditional(&site, "DELETE", &path, ("If-Match", &second), None).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_with_one_tag_one_wins_and_without_tags_all_survive() {
    let site = Arc::new(Site::start().await);
    let node = site.node("n").await;
    let made = site.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:00:00:01"})).await.expect(201);
    let port = format!("/v1/ports/{}", made.body["uuid"].as_str().unwrap());
    for path in ["/v1/nodes/n".to_owned(), port] {
        let all = (0..40).map(|number| {
            let (site, path) = (Arc::clone(&site), path.clone());
            tokio::spawn(async move {
                let patch = json!([{"op": "add", "path": format!("/extra/k{number}"), "value": number}]);
                site.patch(&path, patch).await.expect(200);
            })
        });
        for task in all.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let now = site.get(&path).await.expect(200);
        assert_eq!(now.body["extra"].as_object().unwrap().len(), 40, "no update is lost: {}", now.body["extra"]);
        let tag = tag(&now);
        let all = (0..20).map(|number| {
            let (site, path, tag) = (Arc::clone(&site), path.clone(), tag.clone());
            tokio::spawn(async move {
                let patch = Some(json!([{"op": "add", "path": "/extra/winner", "value": number}]));
                conditional(&site, "PATCH", &path, ("If-Match", &tag), patch).await.status
            })
        });
        let mut statuses = Vec::new();
        for task in all.collect::<Vec<_>>() {
            statuses.push(task.await.unwrap());
        }
        statuses.sort_unstable();
        assert_eq!((statuses[0], &statuses[1..]), (200, &[412; 19][..]));
    }
}
