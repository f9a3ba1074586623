//! Inspection rules as records. What they do is told in the stories with machines.

use crate::site::{Site, replace};
use serde_json::{Value, json};

const UUID: &str = "11111111-1111-1111-1111-111111111111";

fn rule() -> Value {
    json!({"uuid": UUID, "description": "d", "priority": 5,
        "conditions": [{"op": "!eq", "args": {"values": ["{inventory[cpu][count]}", 8]}, "loop": [1, 2]}],
        "actions": [{"op": "set-plugin-data", "args": {"path": "a", "value": 1}}]})
}

#[tokio::test]
async fn a_rule_is_made_found_changed_and_deleted() {
    let site = Site::start().await;
    let made = site.post("/v1/inspection_rules", rule()).await.expect(201);
    assert!(made.header("location").unwrap().ends_with(&format!("/v1/inspection_rules/{UUID}")));
    assert_eq!(
        made.body.as_object().unwrap().keys().collect::<Vec<_>>(),
        [
            "uuid",
            "created_at",
            "updated_at",
            "description",
            "priority",
            "sensitive",
            "phase",
            "conditions",
            "actions",
            "links"
        ]
    );
    assert!(made.body["links"][0]["href"].as_str().unwrap().ends_with(&format!("/v1/inspection_rules/{UUID}")));
    assert_eq!(made.body["conditions"][0]["multiple"], "any");
    assert_eq!(made.body["actions"][0]["args"], json!({"path": "a", "value": 1}));
    let path = format!("/v1/inspection_rules/{UUID}");
    let after = site.patch(&path, replace("/conditions/0/op", json!("lt"))).await.expect(200).body;
    assert_eq!(after["conditions"][0]["op"], "lt");
    let bare =
        site.patch(&path, json!([{"op": "remove", "path": "/conditions"}, {"op": "remove", "path": "/priority"}]));
    let bare = bare.await.expect(200).body;
    assert_eq!((&bare["conditions"], &bare["priority"], &bare["phase"]), (&json!([]), &json!(0), &json!("main")));
    let list = site.get("/v1/inspection_rules").await.expect(200).body;
    assert_eq!(
        list["inspection_rules"][0].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["uuid", "description", "priority", "phase", "links"]
    );
    site.delete(&path).await.expect(204);
    assert_eq!(site.delete(&path).await.expect(404).fault(), format!("Rule {UUID} could not be found."));
}

#[tokio::test]
async fn a_rule_without_conditions_is_a_rule() {
    let site = Site::start().await;
    // The reference stores it and answers 500 (its defect 4).
    let made =
        site.post("/v1/inspection_rules", json!({"actions": [{"op": "log", "args": ["hello"]}]})).await.expect(201);
    assert_eq!(made.body["conditions"], json!([]));
    // And this is a 500 there (its defect 5).
    site.delete("/v1/inspection_rules").await.expect(405);
}

#[tokio::test]
async fn sensitive_rules_say_nothing_and_stay_sensitive() {
    let site = Site::start().await;
    let mut secret = rule();
    secret["sensitive"] = json!(true);
    let made = site.post("/v1/inspection_rules", secret).await.expect(201).body;
    assert!(made["conditions"].is_null() && made["actions"].is_null());
    let path = format!("/v1/inspection_rules/{UUID}");
    for reply in [
        site.get(&path).await.expect(200).body,
        site.get("/v1/inspection_rules?detail=true").await.expect(200).body["inspection_rules"][0].clone(),
        site.patch(&path, replace("/description", json!("x"))).await.expect(200).body,
    ] {
        assert!(reply["conditions"].is_null() && reply["actions"].is_null(), "{reply}");
    }
    for patch in [replace("/sensitive", json!(false)), json!([{"op": "remove", "path": "/sensitive"}])] {
        let refused = site.patch(&path, patch).await.expect(400).fault();
        assert!(refused.ends_with("Reason: Inspection rules cannot have the sensitive flag unset."), "{refused}");
    }
}

#[tokio::test]
async fn refusals_name_what_is_wrong() {
    let site = Site::start().await;
    site.post("/v1/inspection_rules", rule()).await.expect(201);
    let with = |change: Value| {
        let mut body = json!({"actions": [{"op": "fail", "args": {"msg": "x"}}]});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        body
    };
    for (body, status, words) in [
        (json!({}), 400, "Schema error: 'actions' is a required property"),
        (with(json!({"actions": [{"op": "nope", "args": {}}]})), 400, "Schema error: 'nope' is not one of ['fail',"),
        // The reference answers 500 where arguments do not fit.
        (with(json!({"actions": [{"op": "fail", "args": {}}]})), 400, "missing required argument(s): msg"),
        (with(json!({"priority": 10000})), 400, "Priority must be between 0 and 9999 for user-defined rules."),
        (with(json!({"phase": "early"})), 400, "Invalid phase: early. Valid phases are: main"),
        (with(json!({"uuid": "zzz"})), 400, "Expected UUID for uuid: zzz"),
        (with(json!({"uuid": UUID})), 409, "A rule with UUID 11111111-1111-1111-1111-111111111111 already exists."),
    ] {
        let reply = site.post("/v1/inspection_rules", body.clone()).await.expect(status);
        assert!(reply.fault().contains(words), "{body}: {}", reply.fault());
    }
    let refused = site.get("/v1/inspection_rules/nope").await.expect(400);
    assert_eq!(refused.fault(), "Schema error: 'nope' is not a 'uuid'");
    let patch = json!([{"op": "remove", "path": "/actions"}]);
    let refused = site.patch(&format!("/v1/inspection_rules/{UUID}"), patch).await.expect(400);
    assert_eq!(refused.fault(), "Schema error for patch: 'actions' is a required property");
}

#[tokio::test]
async fn older_versions_have_no_rules() {
    let site = Site::start().await;
    for (method, status) in [("GET", 404), ("POST", 405)] {
        let reply = site.at("1.95", method, "/v1/inspection_rules", Some(json!({}))).await.expect(status);
        assert_eq!(reply.error()["faultstring"], "The API version does not allow inspection rules");
    }
}
