//! Agents that nothing waits for (`[deploy] fast_track`; rest-api section 14.1): found where that is wanted, unknown elsewhere.

use crate::site::{Site, replace};
use conductor::claim::Claim;
use conductor::model::fsm::State;
use conductor::model::power::PowerState;
use serde_json::{Value, json};
use std::time::Duration;

const MAC: &str = "52:54:00:fa:57:01";

async fn fast() -> Site {
    Site::with(|config, _| config.deploy.fast_track = true).await
}

/// A node with a NIC.
async fn node(site: &Site) -> String {
    let node = site.node("n").await;
    site.post("/v1/ports", json!({"node_uuid": node, "address": MAC})).await.expect(201);
    node
}

/// Puts the record where no request brings it in one step.
async fn becomes(site: &Site, node: &str, change: impl FnOnce(&mut conductor::model::node::Node) + Send + 'static) {
    let uuid = node.parse().unwrap();
    let edit = Box::new(move |node: &mut conductor::model::node::Node| {
        change(node);
        Some(Vec::new())
    });
    site.store().edit_node(uuid, None, edit).await.unwrap();
}

/// Status and sentence of a look-up by MAC.
async fn looked_up(site: &Site) -> (u16, String) {
    let reply = site.get(&format!("/v1/lookup?addresses={MAC}")).await;
    let text = if reply.status == 200 { String::new() } else { reply.fault() };
    (reply.status, text)
}

fn unknown() -> (u16, String) {
    (404, "Resource could not be found.".into())
}

async fn beats(site: &Site, node: &str, token: &str) -> u16 {
    let beat = json!({"callback_url": "https://192.0.2.7:9999", "agent_token": token, "agent_version": "11.0.0"});
    site.post(&format!("/v1/heartbeat/{node}"), beat).await.status
}

async fn info(site: &Site, node: &str) -> Value {
    site.get(&format!("/v1/nodes/{node}")).await.expect(200).body["driver_internal_info"].clone()
}

#[tokio::test]
async fn an_agent_that_nothing_waits_for_learns_nothing_unless_fast_track_is_on() {
    const RESTING: [State; 5] =
        [State::Enroll, State::Manageable, State::Available, State::Servicing, State::ServiceHold];
    let slow = Site::start().await;
    let known = node(&slow).await;
    for state in RESTING {
        becomes(&slow, &known, move |node| node.provision_state = state).await;
        assert_eq!(looked_up(&slow).await, unknown(), "{state}");
    }
    let site = fast().await;
    assert_eq!(looked_up(&site).await, unknown(), "nobody has this NIC");
    let known = node(&site).await;
    for state in RESTING {
        becomes(&site, &known, move |node| node.provision_state = state).await;
        assert_eq!(looked_up(&site).await.0, 200, "{state}");
    }
    for state in [State::Active, State::Verifying, State::CleanFailed, State::Rescue, State::Deleting] {
        becomes(&site, &known, move |node| node.provision_state = state).await;
        assert_eq!(looked_up(&site).await, unknown(), "{state}");
    }
    becomes(&site, &known, |node| {
        (node.provision_state, node.power_state) = (State::Available, Some(PowerState::Off));
    })
    .await;
    assert_eq!(looked_up(&site).await, unknown(), "no agent runs on a machine that is off");
}

#[tokio::test]
async fn a_node_s_own_word_wins_over_the_option() {
    for (option, word, found) in [
        (false, json!(true), 200),
        (false, json!("yes"), 200),
        (true, json!(false), 404),
        (true, json!("perhaps"), 404),
        (true, json!(null), 200),
        (false, json!(null), 404),
    ] {
        let site = Site::with(|config, _| config.deploy.fast_track = option).await;
        let node = node(&site).await;
        let patch = json!([{"op": "add", "path": "/driver_info/fast_track", "value": word}]);
        site.patch(&format!("/v1/nodes/{node}"), patch).await.expect(200);
        assert_eq!(looked_up(&site).await.0, found, "{option} {word}");
    }
}

#[tokio::test]
async fn beats_of_an_agent_that_nothing_waits_for_are_recorded_with_the_token_of_its_look_up_alone() {
    let site = fast().await;
    let node = node(&site).await;
    site.provision(&node, "manage", "manageable").await;
    assert_eq!(beats(&site, &node, &"x".repeat(43)).await, 400, "it has no token yet");
    let lookup = async || site.get(&format!("/v1/lookup?addresses={MAC}")).await.expect(200).body;
    let token = lookup().await["config"]["agent_token"].as_str().expect("a token").to_owned();
    assert_eq!(lookup().await["config"]["agent_token"], "******", "it is given away once");
    assert_eq!(beats(&site, &node, &"x".repeat(43)).await, 400);
    assert!(info(&site, &node).await.get("agent_url").is_none());
    assert_eq!(beats(&site, &node, &token).await, 202);
    let first = info(&site, &node).await;
    assert_eq!(first["agent_url"], "https://192.0.2.7:9999");
    // Maintenance keeps flows from going on, not the record from being true.
    site.put(&format!("/v1/nodes/{node}/maintenance"), json!({"reason": "look"})).await.expect(202);
    assert_eq!(beats(&site, &node, &token).await, 202);
    assert_ne!(info(&site, &node).await["agent_last_heartbeat"], first["agent_last_heartbeat"]);
    site.delete(&format!("/v1/nodes/{node}/maintenance")).await.expect(202);

    // The same node without fast track: the answer is the same, and nothing is recorded.
    let patch = json!([{"op": "add", "path": "/driver_info/fast_track", "value": false}]);
    site.patch(&format!("/v1/nodes/{node}"), patch).await.expect(200);
    let before = info(&site, &node).await;
    assert_eq!(beats(&site, &node, &token).await, 202);
    assert_eq!(info(&site, &node).await["agent_last_heartbeat"], before["agent_last_heartbeat"]);
    site.patch(&format!("/v1/nodes/{node}"), replace("/driver_info/fast_track", json!(true))).await.expect(200);

    // Whoever switches the machine ends the boot, and with it the token.
    site.put(&format!("/v1/nodes/{node}/states/power"), json!({"target": "power off"})).await.expect(202);
    site.until(&format!("/v1/nodes/{node}"), |node| node["power_state"] == "power off").await;
    let left = info(&site, &node).await;
    assert!(["agent_url", "agent_secret_token"].iter().all(|key| left.get(*key).is_none()), "{left}");
    assert_eq!((beats(&site, &node, &token).await, looked_up(&site).await), (400, unknown()));
}

#[tokio::test]
async fn a_look_up_that_waited_while_its_machine_was_reset_gets_no_token() {
    let site = fast().await;
    let node = node(&site).await;
    let mut claim = Claim::take(&site.conductor().holder, node.parse().unwrap(), "a reset").await.unwrap();
    let path = format!("/v1/lookup?addresses={MAC}");
    let (late, ()) = tokio::join!(site.get(&path), async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        claim.node.driver_internal_info.insert("last_power_state_change".into(), json!("2026-11-29T12:00:00.000000"));
        claim.save().await.unwrap();
        claim.release().await;
    });
    assert_eq!(late.status, 409, "{late:?}");
    assert!(info(&site, &node).await.get("agent_secret_token").is_none());
    let reply = site.get(&path).await.expect(200).body;
    assert_eq!(reply["config"]["agent_token"].as_str().map(str::len), Some(43), "it is there for who runs now");
}

#[tokio::test]
async fn one_agent_cannot_keep_the_conductor_busy() {
    let few = Site::with(|config, _| (config.deploy.fast_track, config.api.agent_beats_per_minute) = (true, 3)).await;
    let node = node(&few).await;
    few.provision(&node, "manage", "manageable").await;
    let token = few.get(&format!("/v1/lookup?addresses={MAC}")).await.expect(200).body["config"]["agent_token"].clone();
    let token = token.as_str().expect("a token");
    for _ in 0..5 {
        assert_eq!(beats(&few, &node, &"x".repeat(43)).await, 400, "who has no token spends nothing of the agent's");
    }
    for _ in 0..3 {
        assert_eq!(beats(&few, &node, token).await, 202);
    }
    let beat = json!({"callback_url": "https://192.0.2.7:9999", "agent_token": token, "agent_version": "11.0.0"});
    let refused = few.post(&format!("/v1/heartbeat/{node}"), beat).await.expect(429).fault();
    assert!(refused.contains("agent_beats_per_minute allows. Wait 2"), "{refused}");
}
