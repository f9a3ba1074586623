//! Whole lives: a machine comes in, works, is used again, and leaves.

use serde_json::json;
use tests::sim::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_is_enrolled_inspected_cleaned_deployed_rebuilt_and_released() {
    let site = Site::start().await;
    let node = site.enroll().await;
    assert_eq!(node.show().await["provision_state"], "enroll");

    node.ask("manage").await.expect(202);
    let shown = node.reaches("manageable").await;
    assert_eq!((&shown["power_state"], &shown["target_provision_state"]), (&json!("power off"), &json!(null)));

    node.ask("inspect").await.expect(202);
    let shown = node.reaches("manageable").await;
    assert_eq!(shown["properties"]["cpu_arch"], "x86_64");
    assert!(!node.machine.is_on(), "switched off after inspection");
    let inventory = site.api().get(&node.path("/inventory")).await.expect(200);
    assert_eq!(inventory["inventory"]["interfaces"][0]["mac_address"], node.machine.mac());

    node.ask("provide").await.expect(202);
    node.reaches("available").await;
    assert_eq!(node.machine.diary(), ["inventory", "token", "clean erase_devices_metadata", "clean erase_devices"]);
    assert!(!node.machine.is_on(), "switched off after cleaning");

    node.deploy("first").await;
    let shown = node.reaches("active").await;
    assert_eq!((&shown["power_state"], &shown["last_error"]), (&json!("power on"), &json!(null)));
    assert_eq!((node.machine.disk().as_deref(), node.machine.runs()), (Some("first"), "disk"));

    node.wants("second").await;
    node.ask("rebuild").await.expect(202);
    node.becomes("deploying", |node| node["provision_state"] != "active").await;
    node.reaches("active").await;
    assert_eq!((node.machine.disk().as_deref(), node.machine.runs()), (Some("second"), "disk"));

    node.ask("deleted").await.expect(202);
    let shown = node.reaches("available").await;
    assert_eq!(shown["instance_info"], json!({}));
    assert_eq!((node.machine.disk(), node.machine.is_on()), (None, false), "cleaned and off");
    assert!(!site.has_boot_entry(node.machine.mac()).await, "nothing boots it any more");

    site.api().delete(&node.path("")).await.expect(204);
    assert_eq!(site.api().get(&node.path("")).await.status, 404);
}
