//! Every call of the table by every kind of caller. A new row is asked for without anybody adding it here; one whose
//! object the test cannot make is asked for with one that does not exist.

use super::persona::{Guarded, LEASE, OWN, personas, reference};
use crate::site::Reply;
use serde_json::{Value, json};

/// A UUID that nothing has.
const NOTHING: &str = "00000000-0000-4000-8000-000000000000";

/// Who may, by the real engine's answers. `at`: 0 about the thing in the test, 1 about nothing in particular.
struct Expected {
    reference: std::collections::BTreeMap<String, [Vec<String>; 2]>,
}

impl Expected {
    fn may(&self, rule: &str, persona: &str, at: usize) -> bool {
        self.reference.get(rule).unwrap_or_else(|| panic!("{rule} is no rule of the reference"))[at]
            .iter()
            .any(|allowed| allowed == persona)
    }

    /// 200 stands for "not refused by the policy".
    fn status(&self, method: &str, path: &str, rule: &str, persona: &str) -> u16 {
        let of_node = PLACES.iter().any(|start| path.starts_with(start));
        if of_node && !self.may("baremetal:node:get", persona, 0) {
            return 404;
        }
        // What has an owner of its own is shown to whom its rule shows it; a project's runbooks to all of the project.
        let owned = OWNED.iter().find(|(start, ..)| path.starts_with(start));
        if let Some((_, rule, whole_project)) = owned {
            let mine = *whole_project && persona.starts_with("owner");
            if !mine && !self.may(rule, persona, 0) {
                return 404;
            }
        }
        let at = usize::from(!of_node && owned.is_none());
        let listed = rule.strip_suffix(":list").filter(|kind| kind.matches(':').count() == 1);
        let in_project =
            persona.starts_with("owner") || persona.starts_with("lessee") || persona.starts_with("stranger");
        let allowed = match (method, path, listed) {
            // Whoever may not list all lists what his project has.
            (_, _, Some(kind)) => {
                self.may(&format!("{kind}:list_all"), persona, 1) || in_project && self.may(rule, persona, 1)
            }
            ("POST", "/v1/nodes", _) => {
                self.may(rule, persona, 1) || self.may("baremetal:node:create:self_owned_node", persona, 1)
            }
            ("DELETE", "/v1/nodes/{}", _) => {
                self.may(rule, persona, 0) || self.may("baremetal:node:delete:self_owned_node", persona, 0)
            }
            ("GET", "/v1/nodes/validate", _) if !self.may("baremetal:node:get", persona, 0) => return 404,
            ("GET", "/v1/nodes/validate", _) => self.may(rule, persona, 0),
            ("POST", path, _) if PLACES.iter().any(|place| place.strip_suffix("/{}") == Some(path)) => {
                self.may(rule, persona, 0)
            }
            _ => self.may(rule, persona, at),
        };
        if allowed { 200 } else { 403 }
    }
}

/// The objects that paths are filled with, by the beginning of the path; made anew for every call that could take one away.
struct Things {
    node: String,
    all: Vec<(&'static str, &'static str, String)>,
}

impl Things {
    async fn make(guarded: &Guarded, number: u32) -> Self {
        let node = guarded.node(json!({"owner": OWN, "lessee": LEASE})).await;
        let mut all = vec![("/v1/nodes/{}", "Node", node.clone())];
        for (path, place, what) in [
            ("/v1/ports", "/v1/ports/{}", "Port"),
            ("/v1/portgroups", "/v1/portgroups/{}", "Portgroup"),
            ("/v1/volume/connectors", "/v1/volume/connectors/{}", "Volume connector"),
            ("/v1/volume/targets", "/v1/volume/targets/{}", "Volume target"),
        ] {
            let reply = guarded.ask("system admin", "POST", path, new(path, &node, "52:54", number)).await.expect(201);
            all.push((place, what, reply.body["uuid"].as_str().unwrap().to_owned()));
        }
        for (path, place, what) in [
            ("/v1/allocations", "/v1/allocations/{}", "Allocation"),
            ("/v1/runbooks", "/v1/runbooks/{}", "Runbook"),
            ("/v1/chassis", "/v1/chassis/{}", "Chassis"),
            ("/v1/deploy_templates", "/v1/deploy_templates/{}", "Template"),
            ("/v1/inspection_rules", "/v1/inspection_rules/{}", "Rule"),
        ] {
            let mut body = new(path, &node, "52:54", number).unwrap();
            if OWNED.iter().any(|(owned, ..)| *owned == place) {
                body["owner"] = json!(OWN);
            }
            let reply = guarded.ask("system admin", "POST", path, Some(body)).await.expect(201);
            all.push((place, what, reply.body["uuid"].as_str().unwrap().to_owned()));
        }
        all.push(("/v1/drivers/{}", "Driver", "fake-hardware".to_owned()));
        all.push(("/v1/conductors/{}", "Conductor", "here".to_owned()));
        Things { node, all }
    }

    fn fill(&self, path: &str) -> String {
        let first = self.all.iter().find(|(place, ..)| path.starts_with(place)).map_or(NOTHING, |(_, _, uuid)| uuid);
        path.replacen("{}", first, 1).replace("{}", NOTHING)
    }
}

/// Paths about something with an owner: who sees it, and whether everybody of its project does.
const OWNED: &[(&str, &str, bool)] =
    &[("/v1/allocations/{}", "baremetal:allocation:get", false), ("/v1/runbooks/{}", "baremetal:runbook:get", true)];

/// Paths about things that nobody owns.
const SITE: &[&str] = &[
    "/v1/chassis/{}",
    "/v1/deploy_templates/{}",
    "/v1/inspection_rules/{}",
    "/v1/drivers/{}",
    "/v1/conductors/{}",
    "/v1/shards/{}",
];

/// Paths about something that belongs to a node which this test makes.
const PLACES: &[&str] =
    &["/v1/nodes/{}", "/v1/ports/{}", "/v1/portgroups/{}", "/v1/volume/connectors/{}", "/v1/volume/targets/{}"];

/// The body that makes something of the node.
fn new(path: &str, node: &str, prefix: &str, number: u32) -> Option<Value> {
    let [a, b, c, d] = number.to_be_bytes();
    let address = format!("{prefix}:{a:02x}:{b:02x}:{c:02x}:{d:02x}");
    let name = |kind: &str| format!("CUSTOM_{kind}_{}_{number}", prefix.replace(':', "_"));
    match path {
        "/v1/nodes" => Some(json!({"driver": "fake-hardware"})),
        "/v1/ports" | "/v1/portgroups" => Some(json!({"node_uuid": node, "address": address})),
        "/v1/volume/connectors" => Some(json!({"node_uuid": node, "type": "iqn", "connector_id": address})),
        "/v1/allocations" => Some(json!({"resource_class": "none"})),
        "/v1/chassis" => Some(json!({"description": address})),
        "/v1/runbooks" => Some(json!({"name": name("BOOK"),
            "steps": [{"interface": "bios", "step": "factory_reset", "order": 1}]})),
        "/v1/deploy_templates" => Some(json!({"name": name("TEMPLATE"),
            "steps": [{"interface": "bios", "step": "factory_reset", "args": {}, "priority": 1}]})),
        "/v1/inspection_rules" => Some(json!({"conditions": [],
            "actions": [{"op": "fail", "args": {"msg": address}}]})),
        "/v1/volume/targets" => Some(json!({"node_uuid": node, "volume_type": "iscsi", "volume_id": address,
            "boot_index": i32::from(prefix == "02:00")})),
        _ => None,
    }
}

fn body(method: &str, path: &str, things: &Things, number: u32) -> Option<Value> {
    match (method, path) {
        ("POST", path) => new(path, &things.node, "02:00", number).or_else(|| Some(json!({}))),
        ("PATCH", "/v1/nodes/{}") => Some(json!([{"op": "add", "path": "/description", "value": "x"}])),
        ("PATCH", _) => Some(json!([])),
        ("GET" | "DELETE", _) => None,
        _ => Some(json!({})),
    }
}

/// Refusals by the policy, told apart from those of handlers.
fn seen(reply: &Reply, things: &Things) -> u16 {
    let text = reply.body["error_message"].as_str().unwrap_or_default();
    let hidden = things.all.iter().any(|(_, what, uuid)| text.contains(&format!("{what} {uuid} could not be found")));
    match reply.status {
        401 => 401,
        403 if text.contains("Access was denied") => 403,
        404 if hidden => 404,
        500.. if reply.status != 501 => panic!("{reply:?}"),
        _ => 200,
    }
}

#[tokio::test]
async fn every_call_is_allowed_to_whom_the_real_policy_allows_it() {
    let guarded = Guarded::start().await;
    let expected = Expected { reference: reference() };
    let mut wrong = Vec::new();
    let mut number = 0;
    let rows: Vec<_> =
        conductor::api::rules().into_iter().filter_map(|(method, path, rule)| Some((method, path, rule?))).collect();
    assert!(rows.len() > 80, "the table is read");
    // A row about something that this test does not make would be asked for in vain.
    let known = |path: &str| {
        let starts = PLACES.iter().chain(SITE).copied().chain(OWNED.iter().map(|(start, ..)| *start));
        !path.contains("{}") || starts.into_iter().any(|start| path.starts_with(start))
    };
    for (_, path, _) in &rows {
        assert!(known(path), "make something that {path} is about: its authorisation is not tested");
    }
    for (method, path, rule) in rows {
        // Somebody may have taken the things of the row before away.
        number += 1;
        let mut things = Things::make(&guarded, number).await;
        for persona in personas() {
            number += 1;
            // A stream that is allowed has no end; its own stories read it.
            if (method, path) == ("GET", "/v1/events") && expected.status(method, path, rule, &persona) == 200 {
                continue;
            }
            if method != "GET" {
                things = Things::make(&guarded, number).await;
            }
            let mut url = things.fill(path);
            if path == "/v1/nodes/validate" {
                url = format!("{url}?node={}", things.node);
            }
            let reply = guarded.ask(&persona, method, &url, body(method, path, &things, number)).await;
            let what = format!("{method} {path} as {persona}");
            // A node's allocation belongs to whoever asked for it; the node has none here, so nobody may see one.
            let none_there = path.ends_with("/allocation");
            let (wanted, got) = (expected.status(method, path, rule, &persona), seen(&reply, &things));
            if wanted != got && !none_there || none_there && reply.status < 400 {
                wrong.push(format!("{what}: {got} ({}), not {wanted}", reply.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {wrong:#?}", wrong.len());
}

#[tokio::test]
async fn without_a_token_only_the_open_calls_answer() {
    let guarded = Guarded::start().await;
    for (method, path, rule) in conductor::api::rules() {
        let path = path.replace("{}", NOTHING);
        let headers = [("X-OpenStack-Ironic-API-Version", crate::site::NEW)];
        let reply = guarded.site.send(method, &path, &headers, None).await;
        assert_eq!(reply.status == 401, rule.is_some(), "{method} {path}: {}", reply.status);
        if rule.is_some() {
            assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer "));
        }
    }
}
