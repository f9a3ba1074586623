//! The conductor is killed at every save of a whole life, and from outside at any moment: nothing fails, nothing stays behind.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::time::Duration;
use tests::sim::{Node, Site};

/// A verb, where it starts, where it ends.
const LIFE: &[(&str, &str, &str)] = &[
    ("manage", "enroll", "manageable"),
    ("inspect", "manageable", "manageable"),
    ("provide", "manageable", "available"),
    ("active", "available", "active"),
    ("rebuild", "active", "active"),
    ("deleted", "active", "available"),
];

/// A verb, and what is about to be saved (state, stage, step, signs of the agent) when each piece of `model::plan` ends.
/// A position that is not reached means that the flow does not go through that piece any more.
#[rustfmt::skip]
const POSITIONS: &[(&str, &[&str])] = &[
    ("manage", &["verifying|||", "manageable|||"]),
    ("inspect", &["inspecting|||", "inspect wait|||", "inspecting|arrived||", "inspecting|kept||", "manageable|||"]),
    ("provide", &["cleaning|||", CLEAN[0], CLEAN[1], CLEAN[2], CLEAN[3], CLEAN[4], CLEAN[5], CLEAN[6], CLEAN[7], CLEAN[8], CLEAN[9], CLEAN[10]]),
    ("active", DEPLOY),
    ("rebuild", DEPLOY),
    ("deleted", &["deleting|||", "cleaning|||", CLEAN[0], CLEAN[1], CLEAN[2], CLEAN[3], CLEAN[4], CLEAN[5], CLEAN[6], CLEAN[7], CLEAN[8], CLEAN[9], CLEAN[10]]),
];

const CLEAN: &[&str] = &[
    "clean wait|ramdisk||",                                        // PrepareClean: the ramdisk boots
    "clean wait|ramdisk||token",                                   // look-up
    "clean wait|ramdisk||token+called",                            // first heartbeat
    "cleaning|ramdisk||token+called",                              // Resume
    "cleaning|steps||token+called",                                // LoadSteps; the end of each PollStep
    "cleaning|steps|erase_devices_metadata|token+called",          // EnterStep
    "clean wait|steps|erase_devices_metadata|handed+token+called", // RunStep
    "cleaning|steps|erase_devices|token+called",
    "clean wait|steps|erase_devices|handed+token+called",
    "cleaning|end||token+called", // no step is left
    "available|||",               // EndClean
];

const DEPLOY: &[&str] = &[
    "deploying|||",                                         // the verb is taken
    "deploying|steps||",                                    // PrepareDeploy
    "deploying|steps|deploy|",                              // EnterStep
    "wait call-back|ramdisk||",                             // RunStep: the ramdisk boots
    "wait call-back|ramdisk||token",                        // look-up
    "wait call-back|ramdisk||token+called",                 // first heartbeat
    "deploying|ramdisk||token+called",                      // Resume
    "deploying|steps||token+called",                        // LoadSteps; the end of each step
    "deploying|steps|write_image|token+called",             // EnterStep
    "wait call-back|steps|write_image|handed+token+called", // RunStep in band
    "deploying|steps|prepare_instance_boot|token+called",   // RunStep: boot entry, boot device
    "deploying|steps|tear_down_agent|token+called",
    "deploying|steps|switch_to_tenant_network|",
    "deploying|steps|boot_instance|",
    "deploying|end||",
    "active|||", // EndDeploy
];

async fn live(node: &Node, (verb, from, to): (&str, &str, &str)) {
    if let "active" | "rebuild" = verb {
        node.wants(verb).await;
    }
    node.ask_until_taken(verb, from).await;
    node.reaches(to).await;
    if let "active" | "rebuild" = verb {
        assert_eq!(
            (node.machine.disk().as_deref(), node.machine.runs()),
            (Some(verb), "disk"),
            "{}",
            node.story().await
        );
    }
}

/// Nothing failed on the way, and nothing of the work is left.
async fn nothing_failed_and_nothing_stays(site: &Site, node: &Node) {
    let timeline = node.timeline().await;
    let bad: Vec<_> = timeline.iter().filter(|event| event.ends_with("(fail)") || event.contains("failed")).collect();
    assert!(bad.is_empty(), "{bad:?}\n{}", node.story().await);
    let idle = |node: &Value| node["reservation"].is_null();
    let shown = node.becomes("given back", idle).await;
    for field in ["target_provision_state", "target_power_state", "last_error", "fault", "instance_uuid"] {
        assert_eq!(shown[field], json!(null), "{field}");
    }
    for field in ["clean_step", "deploy_step", "instance_info"] {
        assert_eq!(shown[field], json!({}), "{field}");
    }
    let info = shown["driver_internal_info"].as_object().expect("an object");
    let left =
        ["agent_url", "agent_secret_token", "agent_verify_ca", "clean_steps", "deploy_steps", "user_clean_steps"];
    assert!(left.iter().all(|key| !info.contains_key(*key)), "{info:?}");
    assert!(!site.has_boot_entry(node.machine.mac()).await);
    let tokens = std::fs::read_dir(site.data_dir().join("boot-tokens")).expect("the folder of boot tokens");
    assert_eq!(tokens.count(), 0, "a boot token is left");
    assert_eq!((node.machine.disk(), node.machine.is_on()), (None, false), "cleaned and off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_every_save_of_a_life_twice_and_the_life_goes_on() {
    let site = Site::with().that_dies_at_every_save().start().await;
    let node = site.enroll().await;
    let mut all = 0;
    for part in LIFE {
        live(&node, *part).await;
        let deaths = site.take_deaths();
        println!("{}: killed {} times", part.0, deaths.values().sum::<usize>());
        deaths.iter().for_each(|(position, times)| println!("  {times} x {position}"));
        let (_, positions) = POSITIONS.iter().find(|(verb, _)| *verb == part.0).expect("every verb has its positions");
        let missed: Vec<_> = positions.iter().filter(|position| deaths.get(**position) != Some(&2)).collect();
        assert!(missed.is_empty(), "{}: the conductor did not die twice at {missed:?}", part.0);
        all += deaths.values().sum::<usize>();
    }
    nothing_failed_and_nothing_stays(&site, &node).await;
    assert_eq!(site.starts() as usize, all + 1, "each death was one of these");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_from_outside_at_any_moment_and_the_life_goes_on() {
    let site = Site::start().await;
    let node = site.enroll().await;
    let seed: u64 = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("SEED={seed}");
    let other = site.clone();
    let killer = tokio::spawn(async move {
        let mut chance = StdRng::seed_from_u64(seed);
        loop {
            tokio::time::sleep(Duration::from_millis(chance.random_range(20..900))).await;
            other.kill();
            other.start_again().await;
        }
    });
    let second_life = LIFE.iter().skip_while(|part| part.0 != "active");
    for part in LIFE.iter().chain(second_life) {
        live(&node, *part).await;
    }
    killer.abort();
    let _ = killer.await;
    site.start_again().await;
    println!("killed {} times", site.starts() - 1);
    nothing_failed_and_nothing_stays(&site, &node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_never_left_a_killed_conductor_is_given_anew_and_only_then() {
    let site = Site::start().await;
    let node = site.manageable().await;
    node.machine.faults(|faults| faults.lost_lookups = 1);
    node.machine.takes("lookup", Duration::from_secs(2));
    node.ask("provide").await.expect(202);
    node.does("lost a look-up", 1).await;
    site.kill();
    site.start_again().await;
    node.reaches("available").await;
    assert_eq!(node.machine.did("token"), 1);

    // The same without a restart: somebody else may have it, so the second one who asks learns nothing.
    node.machine.faults(|faults| faults.lost_lookups = 1);
    node.deploy("image").await;
    node.does("no token", 1).await;
    assert_eq!(node.show().await["provision_state"], "wait call-back");
}
