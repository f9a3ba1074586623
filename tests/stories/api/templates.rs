//! Deploy templates.

use crate::site::{Site, replace};
use serde_json::{Value, json};

fn steps() -> Value {
    json!([{"interface": "deploy", "step": "deploy", "args": {"password": "hunter2", "n": 1}, "priority": 100}])
}

#[tokio::test]
async fn a_template_is_made_found_changed_and_deleted() {
    let site = Site::start().await;
    let body = json!({"name": "CUSTOM_A", "steps": steps(), "extra": {"a": 1}, "description": "forgotten"});
    let made = site.post("/v1/deploy_templates", body).await.expect(201);
    let uuid = made.body["uuid"].as_str().unwrap().to_owned();
    assert!(made.header("location").unwrap().ends_with(&format!("/v1/deploy_templates/{uuid}")));
    assert_eq!(
        made.body.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["uuid", "created_at", "updated_at", "name", "extra", "links", "steps"]
    );
    assert_eq!(made.body["steps"][0]["args"], json!({"password": "******", "n": 1}));
    let list = site.get("/v1/deploy_templates").await.expect(200).body;
    assert_eq!(list["deploy_templates"][0].as_object().unwrap().keys().collect::<Vec<_>>(), ["uuid", "name", "links"]);
    assert_eq!(site.get("/v1/deploy_templates/CUSTOM_A").await.expect(200).body["uuid"], uuid.as_str());
    let path = format!("/v1/deploy_templates/{uuid}");
    let add = json!([{"op": "add", "path": "/steps/-", "value": {"interface": "bios", "step": "b", "args": {}, "priority": "7"}}]);
    let after = site.patch(&path, add).await.expect(200).body;
    assert_eq!(after["steps"][1]["priority"], 7);
    let renamed = site.patch(&path, replace("/name", json!("CUSTOM_B"))).await.expect(200).body;
    assert!(renamed["name"] == "CUSTOM_B" && renamed["updated_at"].is_string());
    // What people see masked and write back stays what it was: the deployment still gets the secret.
    let same = site.patch(&path, replace("/steps", renamed["steps"].clone())).await.expect(200).body;
    assert_eq!(same["updated_at"], renamed["updated_at"], "nothing was changed");
    site.delete("/v1/deploy_templates/CUSTOM_B").await.expect(204);
    site.delete(&path).await.expect(404);
    assert_eq!(site.get("/v1/deploy_templates").await.body, json!({"deploy_templates": []}));
}

#[tokio::test]
async fn refusals_name_what_is_wrong() {
    let site = Site::start().await;
    let uuid = "22222222-2222-2222-2222-222222222222";
    site.post("/v1/deploy_templates", json!({"name": "CUSTOM_A", "steps": steps(), "uuid": uuid})).await.expect(201);
    let twice = json!([steps()[0], steps()[0]]);
    for (body, status, words) in [
        (json!({}), 400, "Schema error for template: 'steps' is a required property"),
        (json!({"name": "CUSTOM_B", "steps": []}), 400, "Schema error for template: [] should be non-empty"),
        (json!({"name": "lower", "steps": steps()}), 400, "'lower' does not match '^CUSTOM_[A-Z0-9_]+$'"),
        (json!({"name": null, "steps": steps()}), 400, "Schema error for template: None is not of type 'string'"),
        (json!({"name": "CUSTOM_B", "steps": twice}), 400, "Duplicates: interface: deploy, step: deploy."),
        (json!({"name": "CUSTOM_B", "steps": steps(), "x": 1}), 400, "('x' was unexpected)"),
        (json!({"name": "CUSTOM_B", "steps": steps(), "uuid": "zz"}), 400, "Expected UUID for uuid: zz"),
        (json!({"name": "CUSTOM_A", "steps": steps()}), 409, "A deploy template with name CUSTOM_A already exists."),
        (
            json!({"name": "CUSTOM_B", "steps": steps(), "uuid": uuid}),
            409,
            "A deploy template with UUID 22222222-2222-2222-2222-222222222222 already exists.",
        ),
    ] {
        let reply = site.post("/v1/deploy_templates", body.clone()).await.expect(status);
        assert!(reply.fault().contains(words), "{body}: {}", reply.fault());
    }
    let path = format!("/v1/deploy_templates/{uuid}");
    for (patch, words) in [
        (json!([{"op": "remove", "path": "/name"}]), "Schema error for patch: 'name' is a required property"),
        (json!([{"op": "remove", "path": "/steps/0"}]), "Schema error for patch: [] should be non-empty"),
        (replace("/uuid", json!("x")), "Cannot patch /uuid. Only the following can be updated"),
        (replace("/steps/0/nope", json!(1)), "can't replace a non-existent object 'nope'"),
    ] {
        let reply = site.patch(&path, patch.clone()).await.expect(400);
        assert!(reply.fault().contains(words), "{patch}: {}", reply.fault());
    }
    assert!(
        site.get("/v1/deploy_templates/NOPE").await.expect(404).fault().starts_with("Deploy template NOPE could not")
    );
}

#[tokio::test]
async fn older_versions_have_no_templates() {
    let site = Site::start().await;
    for (method, status) in [("GET", 404), ("POST", 405)] {
        let reply = site.at("1.54", method, "/v1/deploy_templates", Some(json!({}))).await.expect(status);
        assert_eq!(reply.error()["description"], "The API version does not allow deploy templates");
    }
    site.at("1.55", "GET", "/v1/deploy_templates", None).await.expect(200);
}

#[tokio::test]
async fn a_deployment_runs_the_templates_of_its_instance_s_traits() {
    let site = Site::start().await;
    let uuid = site.node("n").await;
    site.put("/v1/nodes/n/traits", json!({"traits": ["CUSTOM_OFF", "CUSTOM_OTHER"]})).await.expect(204);
    let off = json!([{"interface": "deploy", "step": "deploy", "args": {}, "priority": 7}]);
    site.post("/v1/deploy_templates", json!({"name": "CUSTOM_OFF", "steps": off})).await.expect(201);
    site.post("/v1/deploy_templates", json!({"name": "CUSTOM_OTHER", "steps": off})).await.expect(201);
    site.provision("n", "manage", "manageable").await;
    site.provision("n", "provide", "available").await;
    let traits = |names: &[&str]| replace("/instance_info", json!({"traits": names, "image_source": "fake"}));
    site.patch("/v1/nodes/n", traits(&["CUSTOM_MISSING"])).await.expect(200);
    let active = || site.put("/v1/nodes/n/states/provision", json!({"target": "active"}));
    assert!(active().await.expect(400).fault().contains(&format!("Node {uuid} is missing traits CUSTOM_MISSING")));
    site.patch("/v1/nodes/n", traits(&["CUSTOM_OFF", "CUSTOM_OTHER"])).await.expect(200);
    let refused = active().await.expect(400).fault();
    assert!(
        refused.contains("templates: CUSTOM_OFF,CUSTOM_OTHER.") && refused.contains("for deploy.deploy"),
        "{refused}"
    );
    site.patch("/v1/nodes/n", traits(&["CUSTOM_OFF"])).await.expect(200);
    let refused = active().await.expect(400).fault();
    assert!(
        refused.contains("Matching deploy templates: CUSTOM_OFF. Errors: ") && refused.contains("core step"),
        "{refused}"
    );
    // A priority of 0 takes the step out: the template counts.
    site.patch("/v1/deploy_templates/CUSTOM_OFF", replace("/steps/0/priority", json!(0))).await.expect(200);
    active().await.expect(202);
    let node = site.until("/v1/nodes/n", |node| node["provision_state"] == "deploy failed").await;
    assert!(node["last_error"].as_str().unwrap().contains("left out by its priority"), "{node}");
    assert!(node["driver_internal_info"].get("template_deploy_steps").is_none(), "{node}");
}
