//! Service of an active node: in band, out of band, held, paused, failed, aborted.

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::sim::Site;

fn step(interface: &str, name: &str) -> Value {
    json!({"interface": interface, "step": name})
}

fn steps(steps: &[Value]) -> Value {
    json!({ "service_steps": steps })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_of_the_agent_run_in_their_order_and_the_instance_boots_again() {
    let site = Site::start().await;
    let node = site.active().await;
    let update = json!({"interface": "deploy", "step": "update_nic", "args": {"url": "http://x/y"}});
    let asked = steps(&[step("deploy", "test_memory"), step("deploy", "update_bios"), update]);
    node.ask_with("service", asked).await.expect(202);
    node.becomes("servicing", |node| node["provision_state"] != "active").await;
    let shown = node.reaches("active").await;
    let diary = node.machine.diary();
    let services: Vec<_> = diary.iter().filter(|line| line.starts_with("service ")).collect();
    assert_eq!(
        services,
        ["service test_memory", "service update_bios", "service update_nic {\"url\":\"http://x/y\"}"],
        "{diary:?}"
    );
    assert_eq!((node.machine.runs(), node.machine.disk().as_deref()), ("disk", Some("first")));
    assert_eq!((&shown["service_step"], &shown["last_error"]), (&json!({}), &json!(null)));
    assert!(!site.has_boot_entry(node.machine.mac()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_needs_no_ramdisk_boots_none_and_one_that_may_not_have_one_says_so() {
    let site = Site::start().await;
    let node = site.active().await;
    let boots = node.machine.boots();
    let wait = json!({"interface": "power", "step": "wait", "args": {"seconds": 1}});
    let begun = Instant::now();
    node.ask_with("service", steps(&[step("power", "power_off"), wait, step("power", "power_on")])).await.expect(202);
    node.becomes("paused", |node| {
        node["provision_state"] == "service wait" && node["reservation"].is_null() && node["power_state"] == "power off"
    })
    .await;
    node.reaches("active").await;
    assert!(begun.elapsed() >= Duration::from_secs(1), "it paused");
    assert_eq!((node.machine.boots(), node.machine.runs()), (boots + 1, "disk"));

    let mut asked = steps(&[step("deploy", "test_memory")]);
    asked["disable_ramdisk"] = json!(true);
    node.ask_with("service", asked).await.expect(202);
    let shown = node.reaches("service failed").await;
    let error = node.last_error().await;
    assert!(
        error.starts_with("Cannot service node")
            && error
                .contains("node does not support this service step: {'interface': 'deploy', 'step': 'test_memory'}"),
        "{error}"
    );
    assert_eq!((&shown["maintenance"], node.machine.runs()), (&json!(false), "disk"), "no step ran");
    node.ask("abort").await.expect(202);
    node.becomes("active", |node| node["provision_state"] == "active" && node["reservation"].is_null()).await;
    assert_eq!(node.last_error().await, "By request, the service operation was aborted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_service_waits_for_a_person_and_its_ramdisk_stays() {
    let site = Site::start().await;
    let node = site.active().await;
    let asked = steps(&[
        step("deploy", "test_memory"),
        step("power", "hold"),
        step("power", "reboot"),
        step("deploy", "test_memory"),
    ]);
    node.ask_with("service", asked).await.expect(202);
    let shown = node.reaches("service hold").await;
    assert_eq!(shown["service_step"]["step"], "hold");
    site.kill();
    site.start_again().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((node.show().await["provision_state"].clone(), node.machine.runs()), (json!("service hold"), "ramdisk"));
    node.ask("unhold").await.expect(202);
    node.becomes("unheld", |node| node["provision_state"] != "service hold").await;
    node.reaches("active").await;
    assert_eq!(node.machine.did("service test_memory"), 2);
    assert_eq!(node.machine.runs(), "disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_step_leaves_a_fault_and_an_abort_brings_the_instance_back() {
    let site = Site::start().await;
    let node = site.active().await;
    node.machine.faults(|faults| {
        faults.fails.insert("test_memory".into(), "bank 3 is bad".into());
    });
    node.ask_with("service", steps(&[step("deploy", "test_memory")])).await.expect(202);
    let shown = node.reaches("service failed").await;
    assert!(node.last_error().await.contains("bank 3 is bad"), "{}", node.last_error().await);
    assert_eq!((&shown["maintenance"], &shown["fault"]), (&json!(true), &json!("service failure")));
    assert_eq!((&shown["target_provision_state"], &shown["service_step"]), (&json!("active"), &json!({})));
    assert_eq!(node.ask("abort").await.status, 409, "not in maintenance");
    site.api().delete(&node.path("/maintenance")).await.expect(202);
    node.ask("abort").await.expect(202);
    node.becomes("active", |node| node["provision_state"] == "active" && node["reservation"].is_null()).await;
    node.becomes("started again", |node| node["power_state"] == "power on").await;
    assert_eq!((node.machine.runs(), node.machine.disk().as_deref()), ("disk", Some("first")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_ends_a_step_that_allows_it_at_once_and_another_when_it_is_over() {
    let site = Site::start().await;
    let node = site.active().await;
    for (name, at_once) in [("update_nic", true), ("test_memory", false)] {
        node.machine.takes(name, Duration::from_secs(if at_once { 60 } else { 1 }));
        let asked =
            json!({"interface": "deploy", "step": name, "args": if at_once { json!({"url": "u"}) } else { json!({}) }});
        node.ask_with("service", steps(&[asked, step("deploy", "update_bios")])).await.expect(202);
        node.becomes("waiting", |node| {
            node["provision_state"] == "service wait"
                && node["service_step"]["step"] == name
                && node["reservation"].is_null()
        })
        .await;
        node.ask("abort").await.expect(202);
        node.becomes("active", |node| node["provision_state"] == "active" && node["reservation"].is_null()).await;
        let error = node.last_error().await;
        assert_eq!(
            error,
            format!(
                "By request, the service operation was aborted during or after the completion of step \"deploy.{name}\""
            )
        );
        assert_eq!(node.machine.runs(), "disk", "the instance runs again");
        assert_eq!(node.machine.did("service update_bios"), 0);
    }
    let timeline = node.timeline().await;
    assert!(timeline.contains(&"service failed -> active (abort)".to_owned()), "{timeline:?}");
}
