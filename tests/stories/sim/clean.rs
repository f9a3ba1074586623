//! Cleaning and inspection: manual steps, aborts, failures, time-outs.

use serde_json::json;
use std::time::Duration;
use tests::sim::Site;

fn steps(names: &[&str]) -> serde_json::Value {
    let steps: Vec<_> = names.iter().map(|name| json!({"interface": "deploy", "step": name})).collect();
    json!({ "clean_steps": steps })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manual_cleaning_runs_what_was_asked_for_in_that_order_and_reboots_between() {
    let site = Site::start().await;
    let node = site.manageable().await;
    let asked = json!({"clean_steps": [
        {"interface": "deploy", "step": "burnin_cpu", "args": {"seconds": 5}},
        {"interface": "deploy", "step": "update_firmware"},
        {"interface": "deploy", "step": "erase_devices_metadata"},
    ]});
    node.ask_with("clean", asked).await.expect(202);
    node.becomes("cleaning", |node| node["provision_state"] != "manageable").await;
    node.reaches("manageable").await;
    let expected =
        ["token", "clean burnin_cpu {\"seconds\":5}", "clean update_firmware", "token", "clean erase_devices_metadata"];
    // Between the end of a boot's token and the end of its power the old agent may beat once more, in vain.
    let diary: Vec<String> = node.machine.diary().into_iter().filter(|line| line != "heartbeat refused").collect();
    assert_eq!(diary, expected, "a new boot, a new token; automated steps do not run");
    assert_eq!(node.machine.boots(), 2);

    node.ask_with("clean", steps(&["no_such_step"])).await.expect(202);
    node.reaches("clean failed").await;
    let error = node.last_error().await;
    assert!(
        error.contains("no_such_step") && error.contains("deploy.erase_devices"),
        "it names what there is: {error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_clean_step_puts_the_node_in_maintenance() {
    let site = Site::start().await;
    let node = site.manageable().await;
    node.machine.faults(|faults| {
        faults.fails.insert("erase_devices".into(), "/dev/sda: 12 sectors are not zero".into());
    });
    node.ask("provide").await.expect(202);
    let shown = node.reaches("clean failed").await;
    assert!(node.last_error().await.contains("12 sectors are not zero"));
    assert_eq!((&shown["maintenance"], &shown["fault"]), (&json!(true), &json!("clean failure")));

    node.machine.recovers();
    site.api().delete(&node.path("/maintenance")).await.expect(202);
    node.ask("manage").await.expect(202);
    node.reaches("manageable").await;
    node.ask("provide").await.expect(202);
    node.reaches("available").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_ends_a_step_that_allows_it_now_and_one_that_does_not_when_it_is_over() {
    let site = Site::start().await;
    let node = site.manageable().await;
    node.machine.takes("erase_devices", Duration::from_secs(60));
    node.ask_with("clean", steps(&["erase_devices"])).await.expect(202);
    node.does("clean erase_devices", 1).await;
    node.becomes("waiting", |node| node["provision_state"] == "clean wait" && node["reservation"].is_null()).await;
    node.ask("abort").await.expect(202);
    let shown = node.reaches("clean failed").await;
    assert!(node.last_error().await.contains("aborted"), "{}", node.last_error().await);
    assert_eq!((&shown["maintenance"], node.machine.is_on()), (&json!(false), false));

    node.ask("manage").await.expect(202);
    node.reaches("manageable").await;
    node.machine.takes("slow_fan_test", Duration::from_secs(1));
    node.ask_with("clean", steps(&["slow_fan_test", "erase_devices"])).await.expect(202);
    node.does("clean slow_fan_test", 1).await;
    node.becomes("waiting", |node| node["provision_state"] == "clean wait" && node["reservation"].is_null()).await;
    node.ask("abort").await.expect(202);
    assert_eq!(node.show().await["provision_state"], "clean wait", "not in the middle of that one");
    node.reaches("clean failed").await;
    assert!(node.last_error().await.contains("slow_fan_test"), "{}", node.last_error().await);
    assert_eq!(node.machine.did("clean erase_devices"), 1, "the step after it did not begin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_never_boots_is_missed_in_time_or_given_up_by_request() {
    let site = Site::with().set("conductor", "clean_callback_timeout", 2.0).start().await;
    let node = site.manageable().await;
    node.machine.faults(|faults| faults.never_boots = true);
    node.ask("provide").await.expect(202);
    node.reaches("clean failed").await;
    let error = node.last_error().await;
    assert!(error.contains("Timeout reached while cleaning") && error.contains("the ramdisk to call back"), "{error}");
    node.ask("manage").await.expect(202);
    node.reaches("manageable").await;

    node.ask("provide").await.expect(202);
    node.reaches("clean wait").await;
    node.ask("abort").await.expect(202);
    node.reaches("clean failed").await;
    assert!(node.last_error().await.contains("By request, the clean operation was aborted"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inspection_fails_with_the_ramdisks_words_by_abort_or_in_time() {
    let site = Site::with().set("conductor", "inspect_wait_timeout", 2.0).start().await;
    let node = site.manageable().await;
    node.machine.faults(|faults| faults.inspection_error = Some("no disk was found".into()));
    node.ask("inspect").await.expect(202);
    node.reaches("inspect failed").await;
    assert!(node.last_error().await.contains("no disk was found"));
    assert!(!node.machine.is_on());

    node.machine.faults(|faults| faults.never_reports = true);
    node.ask("inspect").await.expect(202);
    node.reaches("inspect wait").await;
    node.ask("abort").await.expect(202);
    node.becomes("aborted", |node| node["provision_state"] == "inspect failed").await;
    assert_eq!(node.last_error().await, "Inspection was aborted by request.");

    node.ask("inspect").await.expect(202);
    node.reaches("inspect wait").await;
    node.becomes("timed out", |node| node["provision_state"] == "inspect failed").await;
    let error = node.last_error().await;
    assert!(error.contains("Timeout reached while inspecting") && error.contains("the inventory"), "{error}");

    node.machine.recovers();
    node.ask("inspect").await.expect(202);
    node.becomes("inspecting", |node| node["provision_state"] != "inspect failed").await;
    node.reaches("manageable").await;
}
