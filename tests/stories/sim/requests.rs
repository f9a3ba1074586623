//! What is asked for at the wrong moment, or too often; nodes that come with an instance; maintenance.

use serde_json::json;
use std::time::Duration;
use tests::sim::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_deployments_than_allowed_are_told_to_come_later() {
    let site = Site::with().set("conductor", "max_concurrent_deploy", 1).start().await;
    let (first, second) = (site.available().await, site.available().await);
    first.machine.takes("write_image", Duration::from_secs(30));
    first.deploy("image").await;
    first.does("deploy write_image", 1).await;
    second.wants("image").await;
    let refused = second.ask("active").await;
    assert_eq!(refused.status, 503, "{}", refused.error());
    assert!(refused.error().contains("concurrent action limit for provisioning"), "{}", refused.error());
    first.becomes("waiting", |node| node["reservation"].is_null()).await;
    first.ask("abort").await.expect(202);
    first.reaches("deploy failed").await;
    second.ask("active").await.expect(202);
    second.reaches("active").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_worked_on_is_locked_and_the_answer_names_who_has_it() {
    let site = Site::start().await;
    let node = site.manageable().await;
    node.machine.bmc().faults(|faults| faults.delay = Duration::from_millis(900));
    node.ask("inspect").await.expect(202);
    node.becomes("held", |node| !node["reservation"].is_null()).await;
    let refused = site.api().put(&node.path("/states/power"), &json!({"target": "power off"})).await;
    assert_eq!(refused.status, 409, "{}", refused.error());
    assert!(refused.error().contains("locked by host site"), "{}", refused.error());
    node.machine.bmc().faults(|faults| faults.delay = Duration::ZERO);
    node.becomes("idle", |node| node["provision_state"] == "manageable" && node["reservation"].is_null()).await;
    let refused = node.ask("rebuild").await;
    assert_eq!(refused.status, 400);
    assert!(refused.error().contains("can not be performed on node"), "{}", refused.error());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_runs_already_is_adopted_untouched() {
    let site = Site::start().await;
    let node = site.enroll().await;
    node.machine.switch(true);
    let boots = node.machine.boots();
    node.ask("manage").await.expect(202);
    assert_eq!(node.reaches("manageable").await["power_state"], "power on");
    node.wants("theirs").await;
    node.ask("adopt").await.expect(202);
    node.reaches("active").await;
    assert_eq!((node.machine.boots(), node.machine.is_on()), (boots, true), "neither booted nor switched off");

    let lost = site.manageable().await;
    lost.wants("theirs").await;
    lost.machine.bmc().faults(|faults| faults.dead = true);
    lost.ask("adopt").await.expect(202);
    lost.reaches("adopt failed").await;
    assert!(lost.last_error().await.contains("attempting to adopt"), "{}", lost.last_error().await);
    lost.machine.recovers();
    lost.ask("adopt").await.expect(202);
    lost.becomes("adopted", |node| node["provision_state"] == "active").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_in_maintenance_are_left_alone() {
    let site = Site::with().set("conductor", "deploy_callback_timeout", 1.0).start().await;
    let node = site.available().await;
    node.wants("image").await;
    site.api().put(&node.path("/maintenance"), &json!({"reason": "the fan rattles"})).await.expect(202);
    assert_eq!(node.show().await["maintenance_reason"], "the fan rattles");
    let refused = node.ask("active").await;
    assert_eq!(refused.status, 400);
    assert!(refused.error().contains("maintenance mode"), "{}", refused.error());
    site.api().delete(&node.path("/maintenance")).await.expect(202);

    // In the middle of a deployment: neither heartbeats nor deadlines move the node until maintenance is over.
    node.machine.takes("write_image", Duration::from_millis(800));
    node.ask("active").await.expect(202);
    node.does("deploy write_image", 1).await;
    node.becomes("waiting", |node| node["provision_state"] == "wait call-back" && node["reservation"].is_null()).await;
    site.api().put(&node.path("/maintenance"), &json!({})).await.expect(202);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(node.show().await["provision_state"], "wait call-back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_may_run_in_maintenance_it_is_failed() {
    let site = Site::with().set("conductor", "allow_provisioning_in_maintenance", false).start().await;
    let node = site.available().await;
    node.machine.takes("write_image", Duration::from_secs(1));
    node.deploy("image").await;
    node.does("deploy write_image", 1).await;
    node.becomes("waiting", |node| node["provision_state"] == "wait call-back" && node["reservation"].is_null()).await;
    site.api().put(&node.path("/maintenance"), &json!({})).await.expect(202);
    node.reaches("deploy failed").await;
    assert_eq!(node.last_error().await, "Deploy aborted as node is in maintenance mode");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conductor_that_is_told_to_stop_stops_and_the_next_one_goes_on() {
    let site = Site::start().await;
    let node = site.available().await;
    node.machine.takes("write_image", Duration::from_millis(1500));
    node.deploy("image").await;
    node.does("deploy write_image", 1).await;
    let ended = site.stop();
    assert!(ended.success(), "{ended}\n{}", site.log_tail());
    site.start_again().await;
    node.reaches("active").await;
    assert_eq!(node.machine.did("deploy write_image"), 1, "the step ran on meanwhile and was not begun again");
}
