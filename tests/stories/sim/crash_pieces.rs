//! The conductor is killed before every save of pieces that write more than one record: nothing is done by halves or twice.

use serde_json::{Value, json};
use tests::sim::{Node, Site};

/// What dies must have died at these positions, twice.
fn died_at(site: &Site, positions: &[&str]) {
    let deaths = site.take_deaths();
    let missed: Vec<_> = positions.iter().filter(|position| deaths.get(**position) != Some(&2)).collect();
    assert!(missed.is_empty(), "the conductor did not die twice at {missed:?}: {deaths:?}");
}

/// A request to a conductor that may die meanwhile.
async fn posted(site: &Site, path: &str, body: &Value) -> Value {
    loop {
        let answer = site.api().post(path, body).await;
        if answer.status != 0 {
            return answer.expect(201);
        }
    }
}

async fn read(site: &Site, path: &str) -> Value {
    loop {
        let answer = site.api().get(path).await;
        if answer.status != 0 {
            return answer.expect(200);
        }
    }
}

async fn manageable(site: &Site) -> Node {
    let node = site.enroll().await;
    node.ask_until_taken("manage", "enroll").await;
    node.reaches("manageable").await;
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_change_a_node_and_its_ports_once_or_not_at_all() {
    let site = Site::with().that_dies_at_every_save().start().await;
    let node = manageable(&site).await;
    let ports = read(&site, &node.path("/ports")).await;
    let port = ports["ports"][0]["uuid"].as_str().unwrap().to_owned();
    // Neither can be done twice without a trace.
    let actions = json!([
        {"op": "extend-attribute", "args": {"path": "extra/seen", "value": "{inventory[cpu][architecture]}"}},
        {"op": "extend-port-attribute", "args": {"port_id": port, "path": "extra/seen", "value": "{inventory[interfaces][0][name]}"}},
    ]);
    posted(&site, "/v1/inspection_rules", &json!({"priority": 1, "actions": actions})).await;
    site.take_deaths();
    node.ask_until_taken("inspect", "manageable").await;
    let shown = node.reaches("manageable").await;
    died_at(&site, &["inspecting|arrived||", "inspecting|kept||", "manageable|||"]);
    let inventory = read(&site, &node.path("/inventory")).await["inventory"].clone();
    assert_eq!(shown["extra"]["seen"], json!([inventory["cpu"]["architecture"]]));
    let port = read(&site, &format!("/v1/ports/{port}")).await;
    assert_eq!(port["extra"]["seen"], json!([inventory["interfaces"][0]["name"]]));
    assert!(!node.machine.is_on(), "{}", node.story().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_on_children_goes_on_with_those_that_are_left() {
    let site = Site::with().that_dies_at_every_save().start().await;
    let parent = manageable(&site).await;
    let children = [manageable(&site).await, manageable(&site).await, manageable(&site).await];
    for child in &children {
        child.set("/parent_node", json!(parent.uuid)).await;
    }
    // A child that goes on wants its parent on, and the parent is held while its step runs.
    parent.machine.switch(true);
    site.take_deaths();
    let before: u32 = children.iter().map(|child| child.machine.boots()).sum();
    let step = json!({"interface": "power", "step": "reboot", "execute_on_child_nodes": true});
    let clean = json!({"clean_steps": [step], "disable_ramdisk": true});
    parent.ask_with_until_taken("clean", clean, "manageable").await;
    parent.reaches("manageable").await;
    // `switching+lent`: before a child is told; without either: the save of a child, and of what the next process finds of it;
    // `cleaning|steps||`: that of the parent, when all of them are done.
    died_at(&site, &["manageable|||switching+lent", "manageable|||", "cleaning|steps||"]);
    let boots: u32 = children.iter().map(|child| child.machine.boots()).sum::<u32>() - before;
    assert_eq!(boots, 3 + 1, "each child once, and once more for the save that was lost\n{}", parent.story().await);
    for child in &children {
        let done = "clean step power.reboot of the parent done";
        assert_eq!(child.timeline().await.iter().filter(|line| *line == done).count(), 1, "{}", child.uuid);
    }
}
