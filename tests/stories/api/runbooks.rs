//! Runbooks, their traits, and their use.

use crate::site::{NEW, Site, replace};
use serde_json::{Value, json};

fn steps() -> Value {
    json!([{"interface": "bios", "step": "b", "order": 2}, {"interface": "bios", "step": "a", "args": {"token": "x"}, "order": 1}])
}

#[tokio::test]
async fn a_runbook_is_made_found_changed_and_deleted() {
    let site = Site::start().await;
    let made =
        site.post("/v1/runbooks", json!({"name": "any.name~1", "steps": steps(), "owner": "o1"})).await.expect(201);
    let uuid = made.body["uuid"].as_str().unwrap().to_owned();
    assert_eq!(
        made.body.as_object().unwrap().keys().collect::<Vec<_>>(),
        [
            "uuid",
            "created_at",
            "updated_at",
            "name",
            "extra",
            "public",
            "owner",
            "disable_ramdisk",
            "description",
            "links",
            "steps",
            "traits"
        ]
    );
    assert_eq!(made.body["steps"][1]["args"], json!({"token": "******"}));
    let path = format!("/v1/runbooks/{uuid}");
    let public = site.patch(&path, replace("/public", json!(true))).await.expect(200).body;
    assert!(public["public"] == true && public["owner"].is_null(), "a public runbook has no owner");
    let owned = site.patch(&path, replace("/owner", json!("o2"))).await.expect(400);
    assert!(owned.fault().contains("There cannot be an owner for a public runbook"), "{}", owned.fault());
    let both = json!([{"op": "replace", "path": "/public", "value": false}, {"op": "replace", "path": "/owner", "value": "o2"}]);
    assert_eq!(site.patch(&path, both).await.expect(200).body["owner"], "o2");
    let refused = site.patch(&path, replace("/public", json!("x"))).await.expect(400);
    assert_eq!(refused.fault(), "Schema error for patch: 'x' is not of type 'boolean', 'null'");
    site.delete("/v1/runbooks/any.name~1").await.expect(204);
    site.get(&path).await.expect(404);
}

#[tokio::test]
async fn before_1_112_names_are_traits_and_there_are_no_traits() {
    let site = Site::start().await;
    let body = |name: &str| json!({"name": name, "steps": steps()});
    let refused = site.at("1.111", "POST", "/v1/runbooks", Some(body("lower"))).await.expect(400);
    assert!(refused.fault().contains("'lower' does not match '^CUSTOM_[A-Z0-9_]+$'"));
    let made = site.at("1.111", "POST", "/v1/runbooks", Some(body("CUSTOM_A"))).await.expect(201).body;
    assert!(made.get("traits").is_none() && made.get("description").is_none());
    site.at("1.111", "GET", "/v1/runbooks/CUSTOM_A/traits", None).await.expect(404);
    let mut described = body("CUSTOM_B");
    described["description"] = json!("x");
    site.at("1.111", "POST", "/v1/runbooks", Some(described)).await.expect(400);
    for (method, status) in [("GET", 404), ("POST", 405)] {
        let reply = site.at("1.91", method, "/v1/runbooks", Some(json!({}))).await.expect(status);
        assert_eq!(reply.error()["description"], "The API version does not allow runbooks");
    }
}

#[tokio::test]
async fn traits_are_set_one_by_one_and_together() {
    let site = Site::start().await;
    site.post("/v1/runbooks", json!({"name": "r", "steps": steps()})).await.expect(201);
    let one = site.at(NEW, "PUT", "/v1/runbooks/r/traits/CUSTOM_B", None).await.expect(204);
    assert!(one.header("location").unwrap().ends_with("/v1/runbooks/r/traits/CUSTOM_B"));
    site.at(NEW, "PUT", "/v1/runbooks/r/traits/CUSTOM_A", None).await.expect(204);
    assert_eq!(site.get("/v1/runbooks/r/traits").await.expect(200).body, json!({"traits": ["CUSTOM_A", "CUSTOM_B"]}));
    site.put("/v1/runbooks/r/traits", json!({"traits": ["CUSTOM_C", "CUSTOM_C"]})).await.expect(204);
    site.delete("/v1/runbooks/r/traits/CUSTOM_NONE").await.expect(204);
    assert_eq!(site.get("/v1/runbooks/r").await.expect(200).body["traits"], json!(["CUSTOM_C"]));
    for (body, words) in [
        (json!({"traits": ["bad"]}), "Schema error for body: 'bad' is not valid under any of the given schemas"),
        (json!({"x": 1}), "Additional properties are not allowed ('x' was unexpected)"),
        (json!({}), "A single runbook trait may be added via PUT"),
    ] {
        let reply = site.put("/v1/runbooks/r/traits", body).await.expect(400);
        assert!(reply.fault().contains(words), "{}", reply.fault());
    }
    site.delete("/v1/runbooks/r/traits").await.expect(204);
    assert_eq!(site.get("/v1/runbooks/r/traits").await.body, json!({"traits": []}));
    // The reference fails here (its defect 8).
    site.delete("/v1/runbooks//traits/CUSTOM_A").await.expect(404);
    site.patch("/v1/runbooks/r", json!([{"op": "add", "path": "/traits", "value": []}])).await.expect(400);
}

#[tokio::test]
async fn a_runbook_runs_only_where_the_node_approves_of_it() {
    let site = Site::start().await;
    site.node("n").await;
    site.provision("n", "manage", "manageable").await;
    let steps = json!([{"interface": "deploy", "step": "nobody_has_this", "order": 1}]);
    site.post("/v1/runbooks", json!({"name": "CUSTOM_R", "steps": steps})).await.expect(201);
    let clean = |version: &'static str, more: Value| {
        let mut body = json!({"target": "clean", "runbook": "CUSTOM_R"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let site = &site;
        async move { site.at(version, "PUT", "/v1/nodes/n/states/provision", Some(body)).await }
    };
    clean("1.91", json!({})).await.expect(406);
    assert!(clean("1.111", json!({})).await.expect(400).fault().contains("add it to your node traits"));
    assert!(clean(NEW, json!({})).await.expect(400).fault().contains("has no traits configured"));
    site.at(NEW, "PUT", "/v1/runbooks/CUSTOM_R/traits/CUSTOM_T", None).await.expect(204);
    assert!(clean(NEW, json!({})).await.expect(400).fault().contains("any of the runbook's traits ['CUSTOM_T']"));
    site.put("/v1/nodes/n/traits", json!({"traits": ["CUSTOM_T", "CUSTOM_R"]})).await.expect(204);
    let own = json!({"clean_steps": [{"interface": "deploy", "step": "x"}]});
    assert!(clean(NEW, own).await.expect(400).fault().contains("either \"clean_steps\" or a runbook, but not both"));
    let unknown = json!({"target": "clean", "runbook": "nope"});
    assert_eq!(
        site.put("/v1/nodes/n/states/provision", unknown).await.expect(404).fault(),
        "Runbook nope could not be found."
    );
    clean(NEW, json!({})).await.expect(202);
    let node = site.until("/v1/nodes/n", |node| node["provision_state"] == "clean failed").await;
    let error = node["last_error"].to_string();
    assert!(error.contains("nobody_has_this"), "the runbook's step was asked for: {error}");
    let other = json!({"target": "manage", "runbook": "CUSTOM_R"});
    assert!(
        site.put("/v1/nodes/n/states/provision", other)
            .await
            .expect(400)
            .fault()
            .contains("any of ['clean', 'service']")
    );
    site.provision("n", "manage", "manageable").await;
    site.provision("n", "provide", "available").await;
    site.provision("n", "active", "active").await;
    let service = |body: Value| site.put("/v1/nodes/n/states/provision", body);
    service(json!({"target": "service"})).await.expect(400);
    service(json!({"target": "service", "runbook": "CUSTOM_R"})).await.expect(202);
}

#[tokio::test]
async fn a_service_takes_its_steps_from_a_runbook_in_their_order() {
    let site = Site::start().await;
    site.node("n").await;
    for (verb, state) in [("manage", "manageable"), ("provide", "available"), ("active", "active")] {
        site.provision("n", verb, state).await;
    }
    let step = |name: &str, order: u32| json!({"interface": "power", "step": name, "order": order});
    let steps = json!([step("power_off", 3), step("power_on", 1), step("hold", 2)]);
    let book = json!({"name": "CUSTOM_S", "steps": steps, "disable_ramdisk": true});
    site.post("/v1/runbooks", book).await.expect(201);
    site.put("/v1/runbooks/CUSTOM_S/traits", json!({"traits": ["CUSTOM_S"]})).await.expect(204);
    site.put("/v1/nodes/n/traits", json!({"traits": ["CUSTOM_S"]})).await.expect(204);
    let service = json!({"target": "service", "runbook": "CUSTOM_S"});
    let mut both = service.clone();
    both["service_steps"] = json!([{"interface": "power", "step": "reboot"}]);
    let refused = site.put("/v1/nodes/n/states/provision", both).await.expect(400);
    assert!(refused.fault().contains("either \"service_steps\" or a runbook"), "{}", refused.fault());
    site.put("/v1/nodes/n/states/provision", service).await.expect(202);
    let held = site.until("/v1/nodes/n", |node| node["provision_state"] == "service hold").await;
    assert_eq!((&held["power_state"], &held["service_step"]["step"]), (&json!("power on"), &json!("hold")));
    // What becomes of the book later is for later services.
    site.delete("/v1/runbooks/CUSTOM_S").await.expect(204);
    site.until("/v1/nodes/n", |node| node["reservation"].is_null()).await;
    site.put("/v1/nodes/n/states/provision", json!({"target": "unhold"})).await.expect(202);
    let done = |node: &Value| node["provision_state"] == "active" && node["power_state"] == "power off";
    site.until("/v1/nodes/n", done).await;
}
