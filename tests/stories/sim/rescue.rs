//! Rescue and the way back: with an agent that leaves, one that refuses, one that never comes, and a person who changes his mind.

use serde_json::{Value, json};
use tests::sim::{Node, Site};

/// A machine with an instance that may be rescued.
async fn active(site: &Site) -> Node {
    let node = site.available().await;
    node.set("/rescue_interface", json!("agent")).await;
    node.deploy("first").await;
    node.reaches("active").await;
    node
}

fn password() -> Value {
    json!({"rescue_password": "correct horse battery"})
}

async fn no_password_stays(node: &Node) {
    let shown = node.show().await;
    let info = shown["instance_info"].as_object().expect("an object");
    assert!(info.keys().all(|key| !key.contains("password")), "{info:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_active_machine_is_rescued_with_a_hash_and_comes_back() {
    let site = Site::start().await;
    let node = active(&site).await;
    node.ask_with("rescue", password()).await.expect(202);
    let early = node.show().await;
    assert_eq!(early["target_provision_state"], "rescue");
    assert!(early["instance_info"]["hashed_rescue_password"].is_string() || early["provision_state"] == "rescue");
    let database = std::fs::read_dir(site.data_dir()).expect("the data folder");
    for file in database.filter_map(Result::ok).filter(|file| file.path().is_file()) {
        let bytes = std::fs::read(file.path()).expect("our own file");
        let clear = b"correct horse battery";
        assert!(!bytes.windows(clear.len()).any(|part| part == clear), "the password is in {:?}", file.path());
    }
    assert!(!site.log().contains("correct horse battery"));
    let shown = node.reaches("rescue").await;
    assert_eq!((&shown["target_provision_state"], &shown["last_error"]), (&json!(null), &json!(null)));
    assert_eq!((node.machine.runs(), node.machine.did("finalize_rescue $5$ hashed=true")), ("ramdisk", 1));
    no_password_stays(&node).await;
    assert!(!site.has_boot_entry(node.machine.mac()).await);

    node.ask("unrescue").await.expect(202);
    node.reaches("active").await;
    assert_eq!((node.machine.runs(), node.machine.disk().as_deref()), ("disk", Some("first")));
    let timeline = node.timeline().await;
    let moves: Vec<_> = timeline.iter().filter(|line| line.contains("rescu")).collect();
    for wanted in [
        "active -> rescuing (rescue)",
        "rescuing -> rescue wait (wait)",
        "rescue wait -> rescuing (resume)",
        "rescuing -> rescue (done)",
        "rescue -> unrescuing (unrescue)",
        "unrescuing -> active (done)",
    ] {
        assert!(moves.iter().any(|line| *line == wanted), "{wanted}: {moves:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sha512_is_used_when_it_is_configured() {
    let site = Site::with().set("conductor", "rescue_password_hash_algorithm", "sha512").start().await;
    let node = active(&site).await;
    node.ask_with("rescue", password()).await.expect(202);
    node.reaches("rescue").await;
    assert_eq!(node.machine.did("finalize_rescue $6$ hashed=true"), 1);
    node.ask("deleted").await.expect(202);
    node.reaches("available").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_rescue_switches_off_and_the_instance_can_be_had_back() {
    let site = Site::with().set("conductor", "rescue_callback_timeout", 2.0).start().await;
    let node = active(&site).await;
    node.machine.faults(|faults| {
        faults.fails.insert("finalize_rescue".into(), "no such directory".into());
    });
    node.ask_with("rescue", password()).await.expect(202);
    node.reaches("rescue failed").await;
    let error = node.last_error().await;
    assert!(
        error.starts_with("Node failed to perform rescue operation: Failed to rescue instance None for node")
            && error.contains("Agent returned bad result for command finalize_rescue")
            && error.contains("no such directory"),
        "{error}"
    );
    assert!(!node.machine.is_on());
    no_password_stays(&node).await;

    node.machine.faults(|faults| faults.never_boots = true);
    node.ask_with("rescue", password()).await.expect(202);
    node.becomes("waiting", |node| node["provision_state"] == "rescue wait").await;
    node.becomes("timed out", |node| node["provision_state"] == "rescue failed").await;
    let error = node.last_error().await;
    assert!(error.contains("Timeout reached while waiting for rescue ramdisk callback for node"), "{error}");
    assert!(!node.machine.is_on());

    node.machine.recovers();
    node.ask("unrescue").await.expect(202);
    node.becomes("active", |node| node["provision_state"] == "active").await;
    assert_eq!(node.machine.runs(), "disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aborted_rescue_is_no_error_and_leaves_no_password() {
    let site = Site::start().await;
    let node = active(&site).await;
    node.machine.faults(|faults| faults.never_boots = true);
    node.ask_with("rescue", password()).await.expect(202);
    node.becomes("waiting", |node| node["provision_state"] == "rescue wait" && node["reservation"].is_null()).await;
    node.ask("abort").await.expect(202);
    node.becomes("aborted", |node| node["provision_state"] == "rescue failed").await;
    assert_eq!(node.last_error().await, "");
    no_password_stays(&node).await;
    assert!(node.timeline().await.contains(&"By request, the rescue operation was aborted.".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_agents_own_word_makes_a_rescue() {
    let site = Site::with()
        .set("api", "ramdisk_heartbeat_timeout", 1)
        .set("agent", "command_timeout", 0.5)
        .set("agent", "max_command_attempts", 1)
        .start()
        .await;
    let node = active(&site).await;
    let silent = "silent at rescue.finalize_rescue";
    let falls_silent =
        |times| node.machine.faults(|faults| faults.silent_at = Some(("rescue.finalize_rescue".into(), times)));

    // It never answers, however often it is booted: it may be dead, so this is no rescue.
    falls_silent(100);
    node.ask_with("rescue", password()).await.expect(202);
    node.becomes("given up", |node| node["provision_state"] == "rescue failed").await;
    let error = node.last_error().await;
    assert!(error.starts_with("Node failed to perform rescue operation: Failed to rescue instance None"), "{error}");
    assert!(error.contains("no answer to finalize_rescue, asked 8 times in 4 boots"), "{error}");
    assert_eq!((node.machine.did(silent), node.machine.is_on()), (4, false));
    no_password_stays(&node).await;

    // Silent once: its second boot is a rescue.
    falls_silent(1);
    node.ask_with("rescue", password()).await.expect(202);
    node.becomes("left", |node| node["provision_state"] != "rescue failed").await;
    node.reaches("rescue").await;
    assert_eq!((node.machine.did(silent), node.machine.did("finalize_rescue $5$ hashed=true")), (5, 1));
    node.ask("unrescue").await.expect(202);
    node.reaches("active").await;
}
