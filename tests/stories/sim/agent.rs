//! Agents that fall silent, fail, forget, lose their power, or are not who they say.

use serde_json::json;
use std::time::Duration;
use tests::sim::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_agent_fails_the_deploy_and_the_node_can_be_tried_again() {
    let site = Site::with().set("conductor", "deploy_callback_timeout", 2.0).start().await;
    let node = site.available().await;
    node.machine.faults(|faults| faults.silent_during = Some("write_image".into()));
    node.deploy("image").await;
    node.reaches("deploy failed").await;
    let error = node.last_error().await;
    assert!(error.contains("Timeout reached while waiting for callback"), "{error}");
    assert!(error.contains("It waited for the agent to finish deploy.write_image"), "{error}");
    assert_eq!((node.machine.disk(), node.machine.is_on()), (None, false), "not written, and switched off");

    node.machine.recovers();
    node.ask("active").await.expect(202);
    node.becomes("deploying", |node| node["provision_state"] != "deploy failed").await;
    let shown = node.reaches("active").await;
    assert_eq!((&shown["last_error"], node.machine.disk().as_deref()), (&json!(null), Some("image")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_text_of_a_failed_step_is_the_last_error_and_the_logs_are_kept() {
    let site = Site::start().await;
    let node = site.available().await;
    node.machine.faults(|faults| {
        faults.fails.insert("write_image".into(), "checksum 00 was expected, the image has 3f".into());
    });
    node.deploy("image").await;
    let shown = node.reaches("deploy failed").await;
    let expected = "Deploy step deploy.write_image failed: checksum 00 was expected, the image has 3f";
    assert_eq!((&shown["last_error"], &shown["target_provision_state"]), (&json!(expected), &json!("active")));
    assert_eq!(shown["maintenance"], false, "a failed deployment is no fault of the hardware");
    let kept: Vec<_> = std::fs::read_dir(site.data_dir().join("deploy-logs")).expect("the logs").collect();
    assert_eq!(kept.len(), 1, "one bundle");
    assert!(!node.machine.is_on());
    // What failed can be undeployed as well.
    node.machine.recovers();
    node.ask("deleted").await.expect(202);
    node.becomes("released", |node| node["provision_state"] != "deploy failed").await;
    node.reaches("available").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_whose_agent_forgot_it_runs_again_but_not_for_ever() {
    let site = Site::start().await;
    let node = site.available().await;
    node.machine.faults(|faults| faults.forgets_during = Some(("write_image".into(), 2)));
    node.deploy("image").await;
    node.reaches("active").await;
    assert_eq!(node.machine.did("deploy write_image"), 3);

    node.machine.faults(|faults| faults.forgets_during = Some(("write_image".into(), 9)));
    node.ask("rebuild").await.expect(202);
    node.reaches("deploy failed").await;
    let error = node.last_error().await;
    assert!(error.contains("restarted 3 times while it ran deploy.write_image"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_started_anew_gets_no_token_and_an_agent_without_power_is_missed() {
    let site = Site::with().set("conductor", "deploy_callback_timeout", 2.0).start().await;
    let node = site.available().await;
    node.machine.faults(|faults| faults.restarts_during = Some("write_image".into()));
    node.deploy("image").await;
    node.reaches("deploy failed").await;
    assert_eq!(node.machine.did("no token"), 1, "look-up gives a token once a boot");
    assert!(node.last_error().await.contains("Timeout reached"), "{}", node.last_error().await);

    node.machine.faults(|faults| faults.off_during = Some("write_image".into()));
    node.ask("active").await.expect(202);
    node.does("lost power", 1).await;
    node.reaches("deploy failed").await;

    node.ask("active").await.expect(202);
    node.becomes("deploying", |node| node["provision_state"] != "deploy failed").await;
    node.reaches("active").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_agent_that_got_the_token_is_heard_and_at_its_first_address_only() {
    let site = Site::start().await;
    let node = site.manageable().await;
    node.machine.takes("erase_devices", Duration::from_secs(60));
    node.ask("provide").await.expect(202);
    node.does("clean erase_devices", 1).await;

    let lookup = format!("/v1/lookup?addresses={}", node.machine.mac());
    let found = site.api().get(&lookup).await.expect(200);
    assert_eq!(found["node"]["uuid"], node.uuid.as_str());
    assert_eq!(found["config"]["agent_token"], "******", "handed out before");
    assert!(!found.to_string().contains("calvin"), "no secrets");

    let url = node.show().await["driver_internal_info"]["agent_url"].as_str().expect("it has called").to_owned();
    let beat =
        |url: &str, token: Option<&str>| json!({"callback_url": url, "agent_version": "11.0.0", "agent_token": token});
    let path = format!("/v1/heartbeat/{}", node.uuid);
    let guess = "guessed-token-guessed-token-guessed-token-00";
    let refused = site.api().post(&path, &beat(&url, Some(guess))).await;
    assert_eq!((refused.status, refused.error().contains("token")), (400, true), "{}", refused.error());
    let refused = site.api().post(&path, &beat(&url, None)).await;
    assert_eq!(refused.status, 400, "{}", refused.error());
    let moved = site.api().post(&path, &beat("https://203.0.113.9:9999", Some(guess))).await;
    assert_eq!((moved.status, moved.error().contains("callback_url")), (400, true), "{}", moved.error());
    assert_eq!(node.show().await["driver_internal_info"]["agent_url"], url, "nothing was taken over");
    // A stranger's look-up finds nothing, and cannot tell whether the node exists.
    assert_eq!(site.api().get("/v1/lookup?addresses=52:54:00:ff:ff:ff").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_refuses_its_own_token_fails_the_deploy_with_its_words() {
    let site = Site::start().await;
    let node = site.available().await;
    node.machine.faults(|faults| faults.refuses_token = true);
    node.deploy("image").await;
    node.reaches("deploy failed").await;
    let error = node.last_error().await;
    assert!(error.contains("401") && error.contains("Token invalid"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ramdisk_that_does_not_switch_off_is_switched_off_by_the_bmc() {
    let site = Site::with().set("agent", "post_deploy_get_power_state_retries", 3).start().await;
    let node = site.available().await;
    node.machine.faults(|faults| faults.ignores_power_off = true);
    node.deploy("image").await;
    node.reaches("active").await;
    assert_eq!((node.machine.disk().as_deref(), node.machine.runs()), (Some("image"), "disk"));
    assert!(node.timeline().await.iter().any(|event| event.contains("the BMC does it")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_whose_ramdisk_never_calls_is_booted_again_and_one_that_calls_is_left_alone() {
    let site =
        Site::with().set("pxe", "boot_retry_timeout", 1.5).set("pxe", "boot_retry_check_interval", 0.2).start().await;
    let node = site.available().await;
    node.machine.faults(|faults| faults.never_boots = true);
    let boots = node.machine.boots();
    node.deploy("image").await;
    node.becomes("booted again", |_| node.machine.boots() >= boots + 2).await;
    node.machine.recovers();
    // It beats while it writes: longer than the machine would have been given to boot.
    node.machine.takes("write_image", Duration::from_secs(4));
    node.reaches("active").await;
    assert_eq!(node.machine.did("deploy write_image"), 1, "{}", node.story().await);
    let timeline = node.timeline().await;
    assert!(timeline.iter().any(|line| line.contains("is booted again")), "{timeline:?}");
}
