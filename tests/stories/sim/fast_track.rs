//! Fast track: one boot of the ramdisk for inspection, cleaning and deployment, and what happens when it is gone.

use serde_json::{Value, json};
use std::time::Duration;
use tests::sim::{Node, Site, SiteBuilder};

fn fast() -> SiteBuilder {
    Site::with().set("deploy", "fast_track", true)
}

/// Its agent has called, and nobody holds it.
async fn is_heard(node: &Node) {
    let called = |node: &Value| node["driver_internal_info"]["agent_url"].is_string() && node["reservation"].is_null();
    node.becomes("heard", called).await;
}

/// One inspection, to its end.
async fn inspects(node: &Node) {
    let before = node.show().await["inspection_finished_at"].clone();
    node.ask("inspect").await.expect(202);
    let ended = |node: &Value| node["provision_state"] == "manageable" && node["inspection_finished_at"] != before;
    node.becomes("inspected", ended).await;
}

/// Inspected, and its ramdisk left running.
async fn inspected(site: &Site) -> Node {
    let node = site.manageable().await;
    inspects(&node).await;
    is_heard(&node).await;
    node
}

async fn deployed(node: &Node) {
    node.wants("image").await;
    node.ask_until_taken("active", "available").await;
    node.reaches("active").await;
    let runs = (node.machine.disk(), node.machine.runs());
    assert_eq!(runs, (Some("image".into()), "disk"), "{}", node.story().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_boot_serves_inspection_cleaning_by_hand_cleaning_and_deployment() {
    let site = fast().start().await;
    let node = inspected(&site).await;
    let shown = node.show().await;
    assert_eq!((&shown["power_state"], node.machine.is_on()), (&json!("power on"), true), "left running");
    assert!(!site.has_boot_entry(node.machine.mac()).await, "nothing boots it");

    let steps = json!({"clean_steps": [{"interface": "deploy", "step": "slow_fan_test"}]});
    node.ask_with("clean", steps).await.expect(202);
    node.does("clean slow_fan_test", 1).await;
    node.reaches("manageable").await;
    node.ask("provide").await.expect(202);
    node.reaches("available").await;
    assert_eq!((node.machine.boots(), node.machine.is_on()), (1, true), "{}", node.story().await);
    // It goes on beating in between.
    let beat = node.show().await["driver_internal_info"]["agent_last_heartbeat"].clone();
    node.becomes("heard again", |node| node["driver_internal_info"]["agent_last_heartbeat"] != beat).await;

    deployed(&node).await;
    let diary = [
        "inventory",
        "token",
        "clean slow_fan_test",
        "clean erase_devices_metadata",
        "clean erase_devices",
        "deploy write_image",
        "install_bootloader",
        "power_off",
    ];
    assert_eq!(node.machine.diary(), diary);
    assert_eq!(node.machine.boots(), 2, "the ramdisk, then the instance");
    let shown = node.show().await;
    let info = shown["driver_internal_info"].as_object().expect("an object");
    assert!(["agent_url", "agent_secret_token"].iter().all(|key| !info.contains_key(*key)), "{info:?}");

    // An instance is no ramdisk: undeploying switches off, boots the ramdisk for cleaning, and leaves that one running.
    node.ask("deleted").await.expect(202);
    node.reaches("available").await;
    assert_eq!((node.machine.boots(), node.machine.is_on(), node.machine.runs()), (3, true, "ramdisk"));
    deployed(&node).await;
    assert_eq!(node.machine.boots(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_may_be_left_out_and_an_inspection_or_a_service_always_boots() {
    let site = fast().start().await;
    let node = inspected(&site).await;
    inspects(&node).await;
    is_heard(&node).await;
    assert_eq!((node.machine.boots(), node.machine.did("inventory")), (2, 2), "an agent inspects as it starts");
    node.set("/driver_info/fast_track", json!(false)).await;
    node.ask("provide").await.expect(202);
    node.reaches("available").await;
    assert_eq!((node.machine.boots(), node.machine.is_on()), (3, false), "as ever");
    node.set("/driver_info/fast_track", json!(true)).await;
    deployed(&node).await;
    assert_eq!(node.machine.boots(), 5);
    let steps = json!({"service_steps": [{"interface": "deploy", "step": "test_memory"}]});
    node.ask_with("service", steps).await.expect(202);
    node.does("service test_memory", 1).await;
    node.reaches("active").await;
    assert_eq!((node.machine.boots(), node.machine.runs()), (7, "disk"), "the ramdisk, then the instance again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ramdisk_that_has_died_is_booted_again_and_nothing_fails() {
    let site = fast().start().await;
    let node = inspected(&site).await;
    // Its beats are fresh, and it never answers.
    node.machine.faults(|faults| faults.silent_at = Some(("clean.get_clean_steps".into(), 1)));
    node.ask("provide").await.expect(202);
    node.reaches("available").await;
    assert_eq!((node.machine.boots(), node.machine.did("token")), (2, 2), "{}", node.story().await);
    let timeline = node.timeline().await;
    assert!(timeline.iter().any(|line| line.contains("it is booted again")), "{timeline:?}");
    is_heard(&node).await;

    // The same in a deployment; this one answers that it knows no such token.
    node.machine.faults(|faults| faults.refuses_token = true);
    node.machine.takes("agent start", Duration::from_secs(1)); // it has recovered by then
    node.wants("image").await;
    node.ask("active").await.expect(202);
    node.becomes("booted again", |_| node.machine.boots() == 3).await;
    node.machine.recovers();
    node.reaches("active").await;
    assert_eq!(node.machine.disk().as_deref(), Some("image"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_was_switched_off_is_booted() {
    let site = fast().start().await;
    let node = inspected(&site).await;
    // By its operator: the record knows.
    site.api().put(&node.path("/states/power"), &json!({"target": "power off"})).await.expect(202);
    node.becomes("off", |node| node["power_state"] == "power off" && node["reservation"].is_null()).await;
    assert!(node.show().await["driver_internal_info"].get("agent_url").is_none());
    node.ask("provide").await.expect(202);
    node.reaches("available").await;
    assert_eq!((node.machine.boots(), node.machine.is_on()), (2, true), "{}", node.story().await);
    is_heard(&node).await;
    // By somebody else: the BMC knows.
    node.machine.switch(false);
    deployed(&node).await;
    assert_eq!(node.machine.boots(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_lost_its_power_meanwhile_has_no_agent_any_more() {
    let site = fast().set("conductor", "sync_power_state_interval", 0.2).start().await;
    let node = inspected(&site).await;
    node.machine.switch(false);
    let forgotten = |node: &Value| {
        let info = &node["driver_internal_info"];
        info.get("agent_url").is_none() && info.get("agent_secret_token").is_none() && node["reservation"].is_null()
    };
    node.becomes("forgotten", forgotten).await;
    node.ask("provide").await.expect(202);
    node.reaches("available").await;
    // Inspection, power sync that brings the power back, cleaning.
    assert_eq!((node.machine.boots(), node.machine.did("token")), (3, 2), "{}", node.story().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ramdisk_that_has_not_called_after_its_inspection_is_given_time_and_then_booted() {
    let site = fast().set("deploy", "fast_track_timeout", 4.0).start().await;
    let node = site.manageable().await;
    node.machine.takes("agent start", Duration::from_secs(2));
    inspects(&node).await;
    node.ask("provide").await.expect(202);
    let waiting = node.reaches("clean wait").await;
    assert!(waiting["driver_internal_info"].get("agent_url").is_none());
    node.reaches("available").await;
    assert_eq!(node.machine.boots(), 1, "it called in time\n{}", node.story().await);

    node.ask("manage").await.expect(202);
    node.reaches("manageable").await;
    node.machine.takes("agent start", Duration::from_secs(3600));
    inspects(&node).await;
    node.ask("provide").await.expect(202);
    node.reaches("clean wait").await;
    node.machine.takes("agent start", Duration::ZERO);
    node.reaches("available").await;
    assert_eq!((node.machine.boots(), node.machine.did("token")), (3, 2), "{}", node.story().await);
}

/// A verb, where it starts and ends, and what is about to be saved when the conductor dies (at least).
type Part = (&'static str, &'static str, &'static str, &'static [&'static str]);

const LIFE: &[Part] = &[
    ("inspect", "manageable", "manageable", &["inspecting|||", "inspect wait|||", "inspecting|arrived||"]),
    (
        "provide",
        "manageable",
        "available",
        &[
            "cleaning|||token+called",      // the verb is taken
            "cleaning|fast||token+called",  // PrepareClean: the ramdisk that runs
            "cleaning|steps||token+called", // LoadSteps
            "clean wait|steps|erase_devices|handed+token+called",
            "cleaning|end||token+called",
            "available|||token+called", // EndClean: left running
        ],
    ),
    (
        "active",
        "available",
        "active",
        &[
            "deploying|||token+called",
            "deploying|steps||token+called", // PrepareDeploy: not switched off
            "deploying|steps|deploy|token+called",
            "deploying|fast||token+called", // RunStep
            "wait call-back|steps|write_image|handed+token+called",
            "deploying|steps|boot_instance|",
            "active|||",
        ],
    ),
    ("deleted", "active", "available", &["deleting|||", "clean wait|ramdisk||", "clean wait|ramdisk||token+called"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_every_save_of_a_life_on_the_fast_track_and_it_goes_on_without_another_boot() {
    let site = fast().that_dies_at_every_save().start().await;
    let node = site.enroll().await;
    node.ask_until_taken("manage", "enroll").await;
    node.reaches("manageable").await;
    for (verb, from, to, positions) in LIFE {
        site.take_deaths();
        let boots = node.machine.boots();
        if *verb == "active" {
            node.wants("image").await;
        }
        node.ask_until_taken(verb, from).await;
        node.reaches(to).await;
        let deaths = site.take_deaths();
        println!("{verb}: killed {} times: {deaths:?}", deaths.values().sum::<usize>());
        let missed: Vec<_> = positions.iter().filter(|position| deaths.get(**position) != Some(&2)).collect();
        assert!(missed.is_empty(), "{verb}: the conductor did not die twice at {missed:?}: {deaths:?}");
        if *verb == "active" {
            assert_eq!((node.machine.disk().as_deref(), node.machine.runs()), (Some("image"), "disk"));
            continue;
        }
        if *verb == "provide" {
            assert_eq!(node.machine.boots(), boots, "{}", node.story().await);
        }
        is_heard(&node).await;
    }
    let timeline = node.timeline().await;
    let bad: Vec<_> = timeline.iter().filter(|event| event.ends_with("(fail)") || event.contains("failed")).collect();
    assert!(bad.is_empty(), "{bad:?}\n{}", node.story().await);
    assert!(!timeline.iter().any(|line| line.contains("it is booted again")), "{timeline:?}");
    assert_eq!((node.machine.disk(), node.machine.runs()), (None, "ramdisk"), "cleaned, and left running");
    assert!(!site.has_boot_entry(node.machine.mac()).await);
}
