//! The conductor is killed before every save of a rescue, a service and a cleaning that hold and pause: nothing fails.

use serde_json::{Value, json};
use tests::sim::{Node, Site};

/// A verb with its arguments, where it starts, where it ends, and what is about to be saved when it dies (at least).
struct Part {
    verb: &'static str,
    arguments: Value,
    from: &'static str,
    to: &'static str,
    positions: &'static [&'static str],
}

fn part(
    verb: &'static str,
    arguments: Value,
    from: &'static str,
    to: &'static str,
    positions: &'static [&'static str],
) -> Part {
    Part { verb, arguments, from, to, positions }
}

fn step(interface: &str, name: &str) -> Value {
    json!({"interface": interface, "step": name})
}

#[rustfmt::skip]
fn life() -> Vec<Part> {
    let pause = json!({"interface": "power", "step": "wait", "args": {"seconds": 1}});
    let service = json!({"service_steps": [step("deploy", "test_memory"), step("power", "hold"), pause, step("power", "reboot"), step("deploy", "test_memory")]});
    let dry = json!({"service_steps": [step("power", "power_off"), pause, step("power", "power_on")], "disable_ramdisk": true});
    let clean = json!({"clean_steps": [step("deploy", "slow_fan_test"), pause, step("power", "hold"), step("deploy", "erase_devices")]});
    vec![
        part("manage", json!({}), "enroll", "manageable", &[]),
        part("provide", json!({}), "manageable", "available", &[]),
        part("active", json!({}), "available", "active", &[]),
        part("rescue", json!({"rescue_password": "x"}), "active", "rescue", &[
            "rescuing|||", "rescue wait|ramdisk||", "rescue wait|ramdisk||token", "rescue wait|ramdisk||token+called",
            "rescuing|ramdisk||token+called", "rescuing|finalize||token+called", "rescue|||",
        ]),
        part("unrescue", json!({}), "rescue", "active", &["unrescuing|||", "active|||"]),
        part("service", service, "active", "service hold", &[
            "servicing|||", "service wait|ramdisk||", "service wait|ramdisk||token+called", "servicing|steps||token+called",
            "service wait|steps|test_memory|handed+token+called", "servicing|steps|hold|token+called", "service hold|steps|hold|token+called",
        ]),
        part("unhold", json!({}), "service hold", "active", &[
            "service wait|steps|hold|token+called", "servicing|steps|wait|token+called", "service wait|steps|wait|token+called",
            "servicing|steps|reboot|token+called", "servicing|end||token+called", "active|||",
        ]),
        part("service", dry, "active", "active", &["servicing|||", "servicing|steps|power_off|", "service wait|steps|wait|", "servicing|end||", "active|||"]),
        part("deleted", json!({}), "active", "available", &[]),
        part("manage", json!({}), "available", "manageable", &[]),
        part("clean", clean, "manageable", "clean hold", &["clean wait|steps|wait|token+called", "clean hold|steps|hold|token+called"]),
        part("unhold", json!({}), "clean hold", "manageable", &["clean wait|steps|hold|token+called", "cleaning|end||token+called", "manageable|||"]),
    ]
}

/// Runs a part to its end. A part that begins where it ends must have left in between.
async fn live(node: &Node, part: &Part) {
    if part.verb == "active" {
        node.wants("image").await;
    }
    node.ask_with_until_taken(part.verb, part.arguments.clone(), part.from).await;
    node.reaches(part.to).await;
    if part.to == "active" {
        assert_eq!(
            (node.machine.disk().as_deref(), node.machine.runs()),
            (Some("image"), "disk"),
            "{}",
            node.story().await
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_every_save_of_rescue_service_and_cleaning_with_hold() {
    // An agent that took its password and left is asked once more after this time, then its ramdisk is booted again.
    let site = Site::with().set("api", "ramdisk_heartbeat_timeout", 2).that_dies_at_every_save().start().await;
    let node = site.enroll().await;
    node.set("/rescue_interface", json!("agent")).await;
    for part in life() {
        live(&node, &part).await;
        let deaths = site.take_deaths();
        println!("{}: killed {} times: {deaths:?}", part.verb, deaths.values().sum::<usize>());
        let missed: Vec<_> = part.positions.iter().filter(|position| deaths.get(**position) != Some(&2)).collect();
        assert!(missed.is_empty(), "{}: the conductor did not die twice at {missed:?}: {deaths:?}", part.verb);
    }
    let timeline = node.timeline().await;
    let bad: Vec<_> = timeline.iter().filter(|event| event.ends_with("(fail)") || event.contains("failed")).collect();
    assert!(bad.is_empty(), "{bad:?}\n{}", node.story().await);
    let shown = node.becomes("given back", |node| node["reservation"].is_null()).await;
    for field in ["target_provision_state", "last_error", "fault"] {
        assert_eq!(shown[field], json!(null), "{field}");
    }
    assert_eq!((&shown["service_step"], &shown["clean_step"]), (&json!({}), &json!({})));
    assert!(!site.has_boot_entry(node.machine.mac()).await);
    assert_eq!(
        (node.machine.did("service test_memory"), node.machine.is_on()),
        (2, false),
        "{:?}",
        node.machine.diary()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_that_was_promised_is_done_by_the_process_after_the_one_that_promised_it() {
    let site = Site::with().that_dies_at_every_save().start().await;
    let node = site.enroll().await;
    node.ask_until_taken("manage", "enroll").await;
    node.reaches("manageable").await;
    let clean = json!({"clean_steps": [step("deploy", "slow_fan_test"), step("power", "hold")]});
    node.ask_with_until_taken("clean", clean, "manageable").await;
    node.reaches("clean hold").await;
    node.becomes("given back", |node| node["reservation"].is_null()).await;
    site.take_deaths();
    // Asked for until it is promised, and then not again.
    loop {
        let answer = node.ask("abort").await;
        if answer.status == 202 {
            break;
        }
        assert!([0, 409].contains(&answer.status), "{} {}", answer.status, answer.error());
    }
    let failed = node.reaches("clean failed").await;
    assert!(
        failed["last_error"].as_str().unwrap_or_default().starts_with("By request, the clean operation was aborted")
    );
    assert_eq!((&failed["maintenance"], &failed["clean_step"]), (&json!(false), &json!({})));
    let deaths = site.take_deaths();
    assert_eq!(deaths.get("clean failed|||"), Some(&2), "{deaths:?}");
}
