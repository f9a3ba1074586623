//! Inspection rules on machines that report: what they change, what ends an inspection, and in which order they run.

use serde_json::{Value, json};
use tests::sim::{Node, Site};

async fn rule(site: &Site, priority: u32, conditions: Value, actions: Value) -> String {
    let body = json!({"priority": priority, "conditions": conditions, "actions": actions});
    let made = site.api().post("/v1/inspection_rules", &body).await.expect(201);
    made["uuid"].as_str().unwrap().to_owned()
}

async fn inspected(node: &Node) -> Value {
    node.ask("inspect").await.expect(202);
    node.reaches("manageable").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inspection_applies_its_rules_highest_priority_first() {
    let site = Site::start().await;
    let node = site.manageable().await;
    let ports = site.api().get(&node.path("/ports")).await.expect(200);
    let port = ports["ports"][0]["uuid"].as_str().unwrap().to_owned();
    let set = |path: &str, value: Value| json!({"op": "set-attribute", "args": {"path": path, "value": value}});
    // Made first, runs last: it sees what the others did.
    rule(
        &site,
        1,
        json!([{"op": "eq", "args": {"values": ["{node.extra[seen]}", "x86_64"]}}]),
        json!([set("extra/last", json!("{node.extra[seen]}-{plugin_data[found][arch]}"))]),
    )
    .await;
    rule(
        &site,
        100,
        json!([
            {"op": "!is-empty", "args": {"value": "{inventory[cpu][architecture]}"}},
            {"op": "matches", "args": {"value": "{inventory[interfaces][0][mac_address]}", "regex": "([0-9a-f]{2}:){5}[0-9a-f]{2}"}},
        ]),
        json!([
            set("extra/seen", json!("{inventory[cpu][architecture]}")),
            {"op": "set-plugin-data", "args": {"path": "found.arch", "value": "{inventory[cpu][architecture]}"}},
            {"op": "add-trait", "args": {"name": "CUSTOM_INSPECTED"}},
            {"op": "set-capability", "args": {"name": "cpu_arch", "value": "{inventory[cpu][architecture]}"}},
            {"op": "set-port-attribute", "args": {"port_id": port, "path": "extra/nic", "value": "{inventory[interfaces][0][name]}"}},
            {"op": "set-attribute", "args": {"path": "{item[path]}", "value": "{item[value]}"},
             "loop": [{"path": "description", "value": "{inventory[system_vendor][product_name]}"}]},
        ]),
    )
    .await;
    rule(
        &site,
        50,
        json!([{"op": "is-true", "args": {"value": "{node.retired}"}}]),
        json!([{"op": "fail", "args": ["no"]}]),
    )
    .await;
    let shown = inspected(&node).await;
    let inventory = site.api().get(&node.path("/inventory")).await.expect(200);
    let arch = inventory["inventory"]["cpu"]["architecture"].as_str().unwrap();
    assert_eq!(shown["extra"], json!({"seen": arch, "last": format!("{arch}-{arch}")}));
    assert_eq!(inventory["plugin_data"]["found"], json!({"arch": arch}));
    assert_eq!((&shown["traits"], &shown["last_error"]), (&json!(["CUSTOM_INSPECTED"]), &Value::Null));
    let capabilities = shown["properties"]["capabilities"].as_str().unwrap();
    assert!(capabilities.split(',').any(|one| one == format!("cpu_arch:{arch}")), "{capabilities}");
    assert_eq!(shown["description"], inventory["inventory"]["system_vendor"]["product_name"]);
    let nic = site.api().get(&format!("/v1/ports/{port}")).await.expect(200);
    assert_eq!(nic["extra"]["nic"], inventory["inventory"]["interfaces"][0]["name"]);
    // Again: what is set once stays set once.
    let again = inspected(&node).await;
    assert_eq!(again["properties"]["capabilities"], shown["properties"]["capabilities"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_ends_an_inspection_and_says_so() {
    let site = Site::start().await;
    let node = site.manageable().await;
    let told = rule(&site, 10, json!([]), json!([{"op": "fail", "args": {"msg": "too old for us"}}])).await;
    node.ask("inspect").await.expect(202);
    let shown = node.becomes("refused", |node| node["provision_state"] == "inspect failed").await;
    assert_eq!(shown["last_error"], "Failed to finish inspection: Failed to inspect hardware. Reason: too old for us");
    assert!(node.timeline().await.iter().any(|line| line.contains(&told)), "the history names the rule");
    site.api().delete(&format!("/v1/inspection_rules/{told}")).await.expect(204);

    // A rule that cannot be answered is told by its UUID, and what does not fit is not kept.
    let name = json!([{"op": "set-attribute", "args": ["name", "not a name"]}]);
    let wrong = rule(&site, 10, json!([]), name).await;
    node.ask("inspect").await.expect(202);
    let shown = node.becomes("refused", |node| {
        node["provision_state"] == "inspect failed"
            && node["last_error"].as_str().unwrap_or_default().contains("not a name")
    });
    let shown = shown.await;
    let error = shown["last_error"].as_str().unwrap();
    assert!(error.contains(&format!("Failed to apply rule {wrong} to node")), "{error}");
    assert!(error.contains("cannot be the name of a node"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_of_the_operators_file_run_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    let text = "- description: from the file\n  priority: -1\n  actions:\n  - op: set-attribute\n    args: {path: extra/file, value: '{inventory[cpu][architecture]} {node.extra[stored]}'}\n";
    std::fs::write(&file, text).unwrap();
    let site = Site::with().set("inspection_rules", "built_in_rules", file.to_str().unwrap()).start().await;
    let node = site.manageable().await;
    rule(&site, 0, json!([]), json!([{"op": "set-attribute", "args": ["extra/stored", "first"]}])).await;
    let shown = inspected(&node).await;
    assert_eq!(shown["extra"]["file"], "x86_64 first", "a lower priority runs later");

    std::fs::write(&file, "- actions: []\n").unwrap();
    node.ask("inspect").await.expect(202);
    let shown = node.becomes("refused", |node| node["provision_state"] == "inspect failed").await;
    let error = shown["last_error"].as_str().unwrap();
    assert!(error.contains("built_in_rules") && error.contains("rule 1 of it is wrong"), "{error}");
}
