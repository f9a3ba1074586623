//! Vendor methods: what a node's own interface has, any verb, any body.

use crate::site::{NEW, Site};
use conductor::claim::Claim;
use serde_json::{Value, json};

#[tokio::test]
async fn methods_are_those_of_the_node_s_own_interface() {
    let site = Site::start().await;
    site.node("n").await;
    let bare = json!({"driver": "fake-hardware", "name": "bare", "vendor_interface": "no-vendor"});
    site.post("/v1/nodes", bare).await.expect(201);
    let methods = site.get("/v1/nodes/n/vendor_passthru/methods").await.expect(200).body;
    assert_eq!(
        methods["third_method_sync"],
        json!({"http_methods": ["POST"], "async": false, "description": "Test if the value of bar is meow",
            "attach": false, "require_exclusive_lock": true})
    );
    assert_eq!(methods.as_object().unwrap().len(), 4);
    // The reference would show those of `n` here: its defect 12.
    assert_eq!(site.get("/v1/nodes/bare/vendor_passthru/methods").await.expect(200).body, json!({}));
    site.get("/v1/nodes/nobody/vendor_passthru/methods").await.expect(404);
}

#[tokio::test]
async fn a_method_runs_at_once_or_behind() {
    let site = Site::start().await;
    let uuid = site.node("n").await;
    let base = "/v1/nodes/n/vendor_passthru";
    for (path, body, status, answer) in [
        ("/third_method_sync", json!({"bar": "meow"}), 200, json!(true)),
        ("?method=third_method_sync", json!({"bar": "x"}), 200, json!(false)),
        ("/second_method", json!({"bar": "kazoo"}), 202, Value::Null),
        ("?method=log_passthrough", json!({"anything": [1]}), 202, Value::Null),
    ] {
        assert_eq!(site.post(&format!("{base}{path}"), body).await.expect(status).body, answer, "{path}");
        site.reaches("n", "enroll").await;
    }
    let history = site.get(&format!("/v1/nodes/{uuid}/history")).await.expect(200).body.to_string();
    assert!(history.contains("vendor method second_method done"), "{history}");
}

#[tokio::test]
async fn refusals_name_the_method_the_verb_and_the_argument() {
    let site = Site::start().await;
    site.node("n").await;
    let base = "/v1/nodes/n/vendor_passthru";
    for (method, path, body, words) in [
        ("POST", "", Some(json!({})), "Missing mandatory parameter: method"),
        ("POST", "/first_method", Some(json!({"bar": "baz"})), "No handler for method first_method"),
        ("PATCH", "/zz", None, "No handler for method zz"),
        ("PUT", "/second_method", Some(json!({"bar": 1})), "The method second_method does not support HTTP PUT"),
        ("GET", "?method=second_method", None, "The method second_method does not support HTTP GET"),
        ("DELETE", "/second_method", None, "The method second_method does not support HTTP DELETE"),
        ("POST", "/second_method", None, "Parameter 'bar' not passed to method 'second_method'."),
        ("POST", "/second_method", Some(json!({"bar": 1, "x": 2})), "takes no argument 'x'"),
        ("POST", "/second_method", Some(json!([1])), "is not of type 'object'"),
        ("POST", "/second_method?bar=1", Some(json!({})), "Unexpected arguments: bar"),
    ] {
        let reply = site.at(NEW, method, &format!("{base}{path}"), body).await.expect(400);
        assert!(reply.fault().contains(words), "{method} {path}: {}", reply.fault());
    }
}

#[tokio::test]
async fn only_a_method_that_needs_the_node_for_itself_waits_for_it() {
    let site = Site::start().await;
    let uuid = site.node("n").await;
    let held = Claim::take(&site.conductor().holder, uuid.parse().unwrap(), "a test").await.unwrap();
    let base = "/v1/nodes/n/vendor_passthru";
    let reply = site.post(&format!("{base}/third_method_sync"), json!({"bar": "meow"})).await.expect(409);
    assert!(reply.fault().contains("is locked by host here"), "{}", reply.fault());
    site.post(&format!("{base}/fourth_method_shared_lock"), json!({"bar": "woof"})).await.expect(202);
    site.get(&format!("{base}/methods")).await.expect(200);
    held.release().await;
    site.post(&format!("{base}/third_method_sync"), json!({"bar": "meow"})).await.expect(200);
}
