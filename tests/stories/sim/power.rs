//! BMCs that are dead, slow, or refuse; machines whose power changes behind the conductor's back.

use serde_json::json;
use std::time::Duration;
use tests::sim::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bmc_that_is_dead_during_a_deploy_and_comes_back_fails_nothing() {
    let site = Site::start().await;
    let node = site.available().await;
    node.machine.takes("write_image", Duration::from_millis(400));
    node.deploy("image").await;
    node.does("deploy write_image", 1).await;
    node.machine.bmc().faults(|faults| faults.dead = true);
    // The agent goes on without its BMC; the conductor needs it for the boot device and the power.
    node.does("install_bootloader", 1).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let shown = node.show().await;
    assert_eq!(shown["provision_state"], "deploying", "{}", node.story().await);
    node.machine.bmc().faults(|faults| faults.dead = false);
    node.reaches("active").await;
    let timeline = node.timeline().await;
    assert!(timeline.iter().any(|event| event.contains("the BMC answers again")), "{timeline:?}");
    assert_eq!(node.machine.runs(), "disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_at_verify_and_corrected_there() {
    let site = Site::start().await;
    let node = site.enroll_with_password("wrong").await;
    node.ask("manage").await.expect(202);
    let refused = node.becomes("refused", |node| node["provision_state"] == "enroll" && !node["last_error"].is_null());
    let error = refused.await["last_error"].as_str().expect("a text").to_owned();
    assert!(error.contains("Failed to get power state") && !error.contains("wrong"), "no password in it: {error}");
    node.set("/driver_info/ipmi_password", json!("calvin")).await;
    node.ask("manage").await.expect(202);
    assert_eq!(node.reaches("manageable").await["last_error"], json!(null));
}

/// The count of a family with these labels.
async fn counted(site: &Site, family: &str, labels: &str) -> u64 {
    let page = site.api().get("/metrics").await.expect(200);
    let line = format!("{family}{{{labels}}} ");
    let count = page.as_str().and_then(|page| page.lines().find_map(|text| text.strip_prefix(&line)));
    count.map_or(0, |count| count.parse().expect("a count"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_bmcs_and_agents_refuse_is_counted() {
    let site = Site::with().set("api", "enable_metrics", true).start().await;
    let node = site.enroll_with_password("wrong").await;
    node.ask("manage").await.expect(202);
    node.becomes("refused", |node| node["provision_state"] == "enroll" && !node["last_error"].is_null()).await;
    assert!(counted(&site, "wrought_bmc_errors_total", "driver=\"ipmi\",kind=\"login\"").await > 0);
    node.set("/driver_info/ipmi_password", json!("calvin")).await;
    node.ask("manage").await.expect(202);
    node.reaches("manageable").await;
    node.machine.faults(|faults| faults.refuses_token = true);
    let refused = "kind=\"refused\"";
    assert_eq!(counted(&site, "wrought_agent_errors_total", refused).await, 0);
    node.ask("provide").await.expect(202);
    node.reaches("clean failed").await;
    assert!(counted(&site, "wrought_agent_errors_total", refused).await > 0, "{}", node.story().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_sync_restores_what_the_record_says() {
    let site = Site::with().set("conductor", "sync_power_state_interval", 0.3).start().await;
    let node = site.active().await;
    node.machine.switch(false);
    node.becomes("told about", |_| node.machine.is_on()).await;
    node.becomes("settled", |node| node["reservation"].is_null() && node["power_state"] == "power on").await;
    let timeline = node.timeline().await;
    assert!(timeline.iter().any(|event| event.contains("corrected")), "{timeline:?}");
    assert_eq!(node.show().await["maintenance"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bmc_that_stays_dead_puts_the_node_in_maintenance_until_it_answers_again() {
    let site = Site::with()
        .set("conductor", "sync_power_state_interval", 0.3)
        .set("conductor", "power_failure_recovery_interval", 0.3)
        .set("conductor", "power_state_sync_max_retries", 1)
        .start()
        .await;
    let node = site.active().await;
    node.machine.bmc().faults(|faults| faults.dead = true);
    let shown = node.becomes("in maintenance", |node| node["maintenance"] == true).await;
    assert_eq!(shown["fault"], "power failure");
    assert!(node.last_error().await.contains("max retries exceeded"), "{}", node.last_error().await);
    node.machine.bmc().faults(|faults| faults.dead = false);
    let shown = node.becomes("out of maintenance", |node| node["maintenance"] == false).await;
    assert_eq!((&shown["fault"], &shown["power_state"]), (&json!(null), &json!("power on")));
    assert_eq!(shown["provision_state"], "active", "the instance was never touched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_is_switched_on_request() {
    let site = Site::start().await;
    let node = site.active().await;
    for (target, on) in [("power off", false), ("power on", true), ("soft power off", false), ("rebooting", true)] {
        let boots = node.machine.boots();
        site.api().put(&node.path("/states/power"), &json!({ "target": target })).await.expect(202);
        let done = |node: &serde_json::Value| node["target_power_state"].is_null() && node["reservation"].is_null();
        node.becomes("done", done).await;
        assert_eq!(node.machine.is_on(), on, "{target}");
        assert_eq!(node.machine.boots(), boots + u32::from(on), "{target}");
    }
    assert_eq!(node.machine.runs(), "disk", "an instance boots its disk, whoever switched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_change_is_seen_while_it_happens_and_is_over_also_when_it_fails() {
    let site = Site::with().set("conductor", "power_state_change_timeout", 1.0).start().await;
    let node = site.available().await;
    node.machine.bmc().faults(|faults| faults.delay = Duration::from_millis(400));
    node.deploy("image").await;
    let seen = node.becomes("booting", |node| node["target_power_state"] == "power on").await;
    assert!(["deploying", "wait call-back"].contains(&seen["provision_state"].as_str().unwrap()), "{seen}");
    assert!(!seen["driver_internal_info"].as_object().unwrap().contains_key("agent_secret_token"), "{seen}");
    node.machine.bmc().faults(|faults| faults.delay = Duration::ZERO);
    let done = node.reaches("active").await;
    assert_eq!(done["target_power_state"], json!(null));
    node.becomes("given back", |node| node["reservation"].is_null()).await;
    node.machine.bmc().faults(|faults| faults.dead = true);
    site.api().put(&node.path("/states/power"), &json!({"target": "rebooting"})).await.expect(202);
    assert_eq!(node.show().await["target_power_state"], "power on");
    let failed = node.becomes("failed", |node| node["target_power_state"].is_null()).await;
    let error = failed["last_error"].as_str().unwrap_or_default();
    assert!(error.starts_with("Failed to change power state to 'power on' by 'rebooting': "), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_of_a_boot_is_not_believed_once_its_end_is_decided() {
    let site = Site::start().await;
    let node = site.available().await;
    node.machine.takes("write_image", Duration::from_secs(20));
    node.deploy("image").await;
    node.does("deploy write_image", 1).await;
    node.becomes("waiting", |node| node["reservation"].is_null()).await;
    // The BMC does not hear of it: the agent lives on, and calls.
    node.machine.bmc().faults(|faults| faults.dead = true);
    site.api().put(&node.path("/states/power"), &json!({"target": "power off"})).await.expect(202);
    let info = node.show().await["driver_internal_info"].clone();
    let left = ["agent_url", "agent_secret_token", "agent_verify_ca"].iter().any(|key| info.get(key).is_some());
    assert!(!left && node.machine.is_on(), "{info}");
    node.becomes("not switched", |node| node["target_power_state"].is_null()).await;
    let info = node.show().await["driver_internal_info"].clone();
    assert!(info.get("agent_url").is_none() && node.machine.is_on(), "what it says is refused: {info}");
}
