//! What may be linked to what: parents, parts of nodes, chassis, runbooks, allocations. Both ends must be the caller's.

use super::persona::{Guarded, LEASE, OWN};
use serde_json::{Value, json};

fn set(path: &str, value: Value) -> Option<Value> {
    Some(json!([{"op": "add", "path": path, "value": value}]))
}

#[tokio::test]
async fn whoever_gives_a_node_away_links_it_to_a_node_of_its_new_owner() {
    let guarded = Guarded::start().await;
    let node = guarded.node(json!({"owner": OWN})).await;
    let (old, new) = (guarded.node(json!({"owner": OWN})).await, guarded.node(json!({"owner": "other"})).await);
    let patch = |parent: &str| {
        Some(
            json!([{"op": "add", "path": "/owner", "value": "other"}, {"op": "add", "path": "/parent_node", "value": parent}]),
        )
    };
    let path = format!("/v1/nodes/{node}");
    guarded.ask("system admin", "PATCH", &path, patch(&old)).await.expect(400);
    assert_eq!(guarded.ask("system admin", "GET", &path, None).await.body["owner"], OWN, "nothing of it was done");
    let done = guarded.ask("system admin", "PATCH", &path, patch(&new)).await.expect(200);
    assert_eq!((&done.body["owner"], &done.body["parent_node"]), (&json!("other"), &json!(new)));
}

#[tokio::test]
async fn what_belongs_to_a_node_moves_only_within_its_owner() {
    let guarded = Guarded::start().await;
    let (mine, second) = (guarded.node(json!({"owner": OWN})).await, guarded.node(json!({"owner": OWN})).await);
    let theirs = guarded.node(json!({"owner": "other"})).await;
    for (path, mut body) in [
        ("/v1/ports", json!({"address": "52:54:00:00:0a:01"})),
        ("/v1/portgroups", json!({"address": "52:54:00:00:0a:02"})),
        ("/v1/volume/connectors", json!({"type": "iqn", "connector_id": "a"})),
        ("/v1/volume/targets", json!({"volume_type": "iscsi", "volume_id": "a", "boot_index": 0})),
    ] {
        body["node_uuid"] = json!(theirs);
        guarded.ask("owner admin", "POST", path, Some(body.clone())).await.expect(403);
        body["node_uuid"] = json!(mine);
        let made = guarded.ask("owner admin", "POST", path, Some(body)).await.expect(201).body;
        let one = format!("{path}/{}", made["uuid"].as_str().unwrap());
        // To a node of somebody else, and to none at all: the same words.
        let nothing = "00000000-0000-4000-8000-000000000000";
        let foreign = guarded.ask("owner admin", "PATCH", &one, set("/node_uuid", json!(theirs))).await;
        let missing = guarded.ask("owner admin", "PATCH", &one, set("/node_uuid", json!(nothing))).await;
        assert_eq!((foreign.status, missing.status), (400, 400), "{path}");
        assert_eq!(foreign.fault().replace(&theirs, nothing), missing.fault(), "{path}");
        // Volumes move only while the machine is off, so 400 there has another reason; it is not hidden.
        let moved = guarded.ask("owner admin", "PATCH", &one, set("/node_uuid", json!(second))).await;
        assert!(
            [200, 400].contains(&moved.status) && !moved.fault_or_nothing().contains("Requested value"),
            "{moved:?}"
        );
    }
}

#[tokio::test]
async fn which_chassis_exist_is_the_site_s_secret() {
    let guarded = Guarded::start().await;
    let chassis = guarded.ask("system admin", "POST", "/v1/chassis", Some(json!({}))).await.expect(201).body;
    let chassis = chassis["uuid"].as_str().unwrap();
    let node = guarded.node(json!({"owner": OWN, "chassis_uuid": chassis})).await;
    guarded.node(json!({"owner": "other", "chassis_uuid": chassis})).await;
    let nothing = "00000000-0000-4000-8000-000000000000";
    for path in ["/v1/nodes?chassis_uuid=ID", "/v1/chassis/ID/nodes", "/v1/chassis/ID/nodes/detail"] {
        let asked = async |persona: &str, id: &str| guarded.ask(persona, "GET", &path.replace("ID", id), None).await;
        assert_eq!(asked("stranger reader", chassis).await.expect(200).body["nodes"], json!([]), "{path}");
        assert_eq!(asked("stranger reader", nothing).await.expect(200).body["nodes"], json!([]), "{path}");
        let own = asked("owner reader", chassis).await.expect(200).body;
        assert_eq!((own["nodes"].as_array().unwrap().len(), &own["nodes"][0]["uuid"]), (1, &json!(node)), "{path}");
        assert_eq!(asked("system reader", chassis).await.expect(200).body["nodes"].as_array().unwrap().len(), 2);
        asked("system reader", nothing).await.expect(404);
    }
}

#[tokio::test]
async fn runbooks_are_read_by_their_project_used_by_its_managers_and_public_ones_read_by_all() {
    let guarded = Guarded::start().await;
    let body =
        |name: &str| Some(json!({"name": name, "steps": [{"interface": "bios", "step": "factory_reset", "order": 1}]}));
    let made = guarded.ask("owner manager", "POST", "/v1/runbooks", body("own-book")).await.expect(201).body;
    assert_eq!((&made["owner"], &made["public"]), (&json!(OWN), &json!(false)));
    let public = guarded.ask("system admin", "POST", "/v1/runbooks", body("open-book")).await.expect(201).body;
    let open = format!("/v1/runbooks/{}", public["uuid"].as_str().unwrap());
    guarded.ask("stranger reader", "GET", &open, None).await.expect(404);
    guarded.ask("system member", "PATCH", &open, set("/public", json!(true))).await.expect(200);
    guarded.ask("stranger reader", "GET", &open, None).await.expect(200);
    guarded.ask("stranger reader", "GET", "/v1/runbooks/own-book", None).await.expect(404);
    guarded.ask("owner reader", "GET", "/v1/runbooks/own-book", None).await.expect(200);
    guarded.ask("owner reader", "PATCH", "/v1/runbooks/own-book", set("/extra/a", json!(1))).await.expect(403);
    guarded.ask("owner manager", "PATCH", "/v1/runbooks/own-book", set("/extra/a", json!(1))).await.expect(200);
    guarded.ask("owner manager", "PATCH", "/v1/runbooks/own-book", set("/public", json!(true))).await.expect(403);
    guarded.ask("owner manager", "PATCH", "/v1/runbooks/own-book", set("/owner", json!("other"))).await.expect(403);
    guarded.ask("stranger manager", "PATCH", &open, set("/extra/a", json!(1))).await.expect(403);
    // Use: a manager of the node's owner may clean it; the runbook must be his, too.
    let node = guarded.node(json!({"owner": OWN, "lessee": LEASE})).await;
    let clean = |book: &str| Some(json!({"target": "clean", "runbook": book}));
    let path = format!("/v1/nodes/{node}/states/provision");
    guarded.ask("system admin", "PUT", &path, Some(json!({"target": "manage"}))).await.expect(202);
    let begin = std::time::Instant::now();
    while guarded.ask("system admin", "GET", &format!("/v1/nodes/{node}"), None).await.body["provision_state"]
        != "manageable"
    {
        assert!(begin.elapsed().as_secs() < 20, "it does not become manageable");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let refusal = guarded.ask("lessee manager", "PUT", &path, clean("own-book")).await;
    assert!(refusal.status == 403 || refusal.status == 404, "{refusal:?}");
    let refusal = guarded.ask("owner member", "PUT", &path, clean("own-book")).await.expect(403);
    assert!(refusal.fault().contains("baremetal:runbook:use"), "{refusal:?}");
    let refusal = guarded.ask("owner manager", "PUT", &path, clean("own-book")).await.expect(400);
    assert!(refusal.fault().contains("has no traits configured"), "{refusal:?}");
}

#[tokio::test]
async fn an_allocation_holds_only_nodes_of_its_project() {
    let guarded = Guarded::start().await;
    let theirs = guarded.node(json!({"owner": "other", "name": "theirs"})).await;
    let mine = guarded.node(json!({"owner": OWN, "name": "mine"})).await;
    let ask = async |persona: &str, body: Value| guarded.ask(persona, "POST", "/v1/allocations", Some(body)).await;
    // A node of others is no candidate and cannot be taken over; it does not exist.
    for body in [
        json!({"resource_class": "x", "candidate_nodes": [theirs]}),
        json!({"node": theirs}),
        json!({"node": "theirs"}),
    ] {
        let reply = ask("owner member", body).await.expect(400);
        assert!(reply.fault().contains("could not be found") || reply.fault().contains("cannot be found"), "{reply:?}");
    }
    // For somebody else only with a right of its own.
    let refusal = ask("owner member", json!({"resource_class": "x", "owner": "other"})).await.expect(403);
    assert!(refusal.fault().contains("baremetal:allocation:create_restricted"), "{refusal:?}");
    let made = ask("owner member", json!({"resource_class": "x", "candidate_nodes": [mine]})).await.expect(201).body;
    assert_eq!(made["owner"], OWN);
    let site = ask("system member", json!({"node": theirs, "owner": OWN, "resource_class": "x"})).await.expect(409);
    assert!(site.fault().contains("belongs neither to own"), "{site:?}");
    // Its owner's people see it, others do not; a reader does not change it.
    let path = format!("/v1/allocations/{}", made["uuid"].as_str().unwrap());
    guarded.ask("stranger admin", "GET", &path, None).await.expect(404);
    guarded.ask("owner reader", "PATCH", &path, set("/extra/a", json!(1))).await.expect(403);
    guarded.ask("owner member", "PATCH", &path, set("/extra/a", json!(1))).await.expect(200);
    guarded.ask("owner member", "PATCH", &path, set("/owner", json!("other"))).await.expect(400);
    let seen = guarded.ask("stranger reader", "GET", "/v1/allocations", None).await.expect(200).body;
    assert_eq!(seen["allocations"], json!([]));
}
