//! Lists in pieces, filtered, sorted, with chosen fields.

use crate::site::{Reply, Site, replace};
use serde_json::{Value, json};

fn names(reply: &Reply) -> Vec<String> {
    let nodes = reply.body["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn following_next_shows_every_node_once() {
    let site = Site::start().await;
    for number in 0..5 {
        site.node(&format!("n{number}")).await;
    }
    for order in ["", "&sort_key=name&sort_dir=desc", "&sort_key=owner"] {
        let mut seen = Vec::new();
        let mut next = Some(format!("/v1/nodes?limit=2{order}"));
        while let Some(path) = next {
            let reply = site.get(&path).await.expect(200);
            seen.extend(names(&reply));
            next = reply.body["next"].as_str().map(|url| url.strip_prefix(&site.base).expect("absolute").to_owned());
        }
        if order.contains("desc") {
            seen.reverse();
        }
        assert_eq!(seen, ["n0", "n1", "n2", "n3", "n4"], "{order}");
    }
    let exact = site.get("/v1/nodes?limit=5").await.expect(200);
    assert!(exact.body["next"].is_string(), "a full page has a next, also when nothing follows");
    assert!(site.get("/v1/nodes?limit=6").await.body.get("next").is_none());
}

#[tokio::test]
async fn filters_choose_and_unknown_ones_are_refused() {
    let site = Site::start().await;
    site.node("a").await;
    site.node("b").await;
    let instance = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123";
    let patch = json!([
        {"op": "add", "path": "/instance_uuid", "value": instance},
        {"op": "add", "path": "/owner", "value": "me"},
        {"op": "add", "path": "/description", "value": "the one by the door"},
        {"op": "add", "path": "/shard", "value": "s1"},
    ]);
    site.patch("/v1/nodes/b", patch).await.expect(200);
    site.put("/v1/nodes/a/maintenance", json!({"reason": "fan"})).await.expect(202);
    for (query, expected) in [
        ("associated=true", vec!["b"]),
        ("associated=off", vec!["a"]),
        ("maintenance=1", vec!["a"]),
        ("owner=me", vec!["b"]),
        ("project=me", vec!["b"]),
        ("description_contains=door", vec!["b"]),
        ("shard=s1,s2", vec!["b"]),
        ("sharded=false", vec!["a"]),
        ("provision_state=enroll", vec!["a", "b"]),
        ("provision_state=active", vec![]),
        ("driver=fake-hardware&maintenance=false", vec!["b"]),
        ("conductor=elsewhere", vec![]),
        ("retired=true", vec![]),
        (&format!("instance_uuid={instance}"), vec!["b"]),
    ] {
        assert_eq!(names(&site.get(&format!("/v1/nodes?{query}")).await.expect(200)), expected, "{query}");
    }
    for (query, status, words) in [
        ("foo=1", 400, "Unexpected arguments: foo"),
        ("provision_state=zzz", 400, "Provision state \"zzz\" is not valid"),
        ("limit=0", 400, "Limit must be positive"),
        ("limit=abc", 400, "Expected an integer for limit: abc"),
        ("sort_key=properties", 400, "The sort_key value properties is an invalid field for sorting"),
        ("sort_dir=up", 400, "Invalid sort direction"),
        ("fields=uuid,foo", 400, "Field foo is not a valid field."),
        ("fields=uuid&detail=true", 400, "Can not specify ?detail=True and fields in the same request."),
        ("marker=1be26c0b-03f2-4d2e-ae87-c02d7f33c123", 404, "could not be found."),
        ("maintenance=maybe", 400, "Invalid maintenance: Unrecognized value 'maybe'"),
    ] {
        let reply = site.get(&format!("/v1/nodes?{query}")).await.expect(status);
        assert!(reply.fault().contains(words), "{query}: {}", reply.fault());
    }
}

#[tokio::test]
async fn short_elements_detail_and_chosen_fields() {
    let site = Site::start().await;
    site.node("a").await;
    let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let element = |reply: Reply| reply.expect(200).body["nodes"][0].clone();
    let short = element(site.get("/v1/nodes").await);
    let mut names = keys(&short);
    names.sort();
    assert_eq!(names, ["instance_uuid", "links", "maintenance", "name", "power_state", "provision_state", "uuid"]);
    assert_eq!(keys(&element(site.get("/v1/nodes?fields=driver,name").await)), ["driver", "name", "links"]);
    let full = element(site.get("/v1/nodes/detail").await);
    assert_eq!(full, element(site.get("/v1/nodes?detail=true").await));
    assert_eq!(full, site.get("/v1/nodes/a").await.body);
    site.patch("/v1/nodes/a", replace("/shard", json!("s"))).await.expect(200);
    assert_eq!(site.get("/v1/shards").await.body, json!({"shards": [{"name": "s", "count": 1}]}));
}
