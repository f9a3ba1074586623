//! Deployments that write no image of ours: instances that live in memory, and agents with a step of their own.

use serde_json::{Value, json};
use std::path::Path;
use tests::sim::{Node, Site};

async fn site(files: &Path) -> Site {
    for (name, text) in [("kernel", "a kernel"), ("ramdisk", "a ramdisk"), ("live.iso", "an ISO")] {
        std::fs::write(files.join(name), text).expect("our own folder");
    }
    Site::with().set("conductor", "file_url_allowed_paths", vec![files.display().to_string()]).start().await
}

fn url(files: &Path, name: &str) -> String {
    format!("file://{}", files.join(name).display())
}

async fn switched(site: &Site, node: &Node, target: &str) {
    let boots = node.machine.boots();
    site.api().put(&node.path("/states/power"), &json!({ "target": target })).await.expect(202);
    node.becomes("switched", |node| node["target_power_state"].is_null() && node["reservation"].is_null()).await;
    assert!(target == "power off" || node.machine.boots() > boots, "{}", node.story().await);
}

async fn runs(node: &Node, what: &str) {
    node.becomes(what, |_| node.machine.runs() == what).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_in_memory_boots_at_every_start_also_after_the_conductor_s() {
    let files = tempfile::tempdir().expect("a folder");
    let site = site(files.path()).await;
    let node = site.available().await;
    node.set("/deploy_interface", json!("ramdisk")).await;
    let refused = node.ask("active").await;
    assert_eq!(refused.status, 400);
    assert!(refused.error().contains("Missing are: ['kernel', 'ramdisk']"), "{}", refused.error());
    let info = json!({"kernel": url(files.path(), "kernel"), "ramdisk": url(files.path(), "ramdisk")});
    node.set("/instance_info", info).await;
    node.ask("active").await.expect(202);
    node.reaches("active").await;
    runs(&node, "ramdisk").await;
    assert_eq!(node.machine.disk(), None, "nothing is written");
    assert_eq!(node.machine.did("token"), 1, "no agent ran for the deployment, only for the cleaning before");
    switched(&site, &node, "rebooting").await;
    runs(&node, "ramdisk").await;
    site.kill();
    site.start_again().await;
    switched(&site, &node, "power off").await;
    switched(&site, &node, "power on").await;
    runs(&node, "ramdisk").await;
    // A service boots the agent's ramdisk, and the instance afterwards.
    let steps = json!({"service_steps": [{"interface": "deploy", "step": "test_memory"}]});
    node.ask_with("service", steps).await.expect(202);
    node.becomes("served", |_| node.machine.did("service test_memory") == 1).await;
    node.reaches("active").await;
    node.becomes("given back", |node| node["reservation"].is_null()).await;
    switched(&site, &node, "rebooting").await;
    runs(&node, "ramdisk").await;
    assert_eq!(node.machine.did("token"), 2);
    node.ask("deleted").await.expect(202);
    node.reaches("available").await;
    assert!(!site.has_boot_entry(node.machine.mac()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_from_an_iso() {
    let files = tempfile::tempdir().expect("a folder");
    let site = site(files.path()).await;
    let node = site.available().await;
    node.set("/deploy_interface", json!("ramdisk")).await;
    let other = json!({"boot_iso": "file:///etc/passwd"});
    node.set("/instance_info", other).await;
    let refused = node.ask("active").await;
    assert!(refused.error().contains("file_url_allowed_paths"), "{}", refused.error());
    node.set("/instance_info", json!({"boot_iso": url(files.path(), "live.iso")})).await;
    node.ask("active").await.expect(202);
    node.reaches("active").await;
    runs(&node, "iso").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_agent_writes_the_disk_by_the_step_that_is_asked_for() {
    let site = Site::start().await;
    let node = site.available().await;
    node.set("/deploy_interface", json!("custom-agent")).await;
    let write =
        json!({"interface": "deploy", "step": "write_image", "priority": 80, "args": {"image_info": {"id": "theirs"}}});
    node.ask_with("active", json!({"deploy_steps": [write]})).await.expect(202);
    node.reaches("active").await;
    assert_eq!((node.machine.disk().as_deref(), node.machine.runs()), (Some("theirs"), "disk"));
    assert_eq!(node.machine.did("install_bootloader"), 0, "whoever wrote it made it bootable");
    let names: Vec<Value> =
        node.timeline().await.into_iter().filter(|line| line.starts_with("deploy steps")).map(Value::from).collect();
    let all = "deploy.deploy, deploy.write_image, deploy.prepare_instance_boot, deploy.tear_down_agent, \
               deploy.switch_to_tenant_network, deploy.boot_instance";
    assert_eq!(names, [json!(format!("deploy steps: {all}"))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_deployment_is_follows_from_what_the_instance_names() {
    let files = tempfile::tempdir().expect("a folder");
    let site = site(files.path()).await;
    let node = site.available().await;
    let original = |node: &Value| node["driver_internal_info"]["original_deploy_interface"].clone();
    assert_eq!(node.show().await["deploy_interface"], "autodetect", "the default");
    // In memory, when the instance says so.
    node.set("/instance_info", json!({"boot_iso": url(files.path(), "live.iso")})).await;
    let refused = node.ask("active").await.error();
    assert!(refused.contains("instance_info.image_source"), "{refused}");
    assert_eq!(node.show().await["deploy_interface"], "autodetect", "a refusal leaves no trace");
    node.set("/instance_info/ironic_ramdisk_deploy", json!(true)).await;
    node.ask("active").await.expect(202);
    let active = node.reaches("active").await;
    assert_eq!((&active["deploy_interface"], original(&active)), (&json!("ramdisk"), json!("autodetect")));
    runs(&node, "iso").await;
    // A container image, with what its registry wants to see, chosen anew at the rebuild.
    let info = json!({"image_source": "oci://registry.example/os:9", "image_pull_secret": "robot:s3cret"});
    node.set("/instance_info", info).await;
    node.ask("rebuild").await.expect(202);
    let active = node.reaches("active").await;
    assert_eq!((&active["deploy_interface"], original(&active)), (&json!("bootc"), json!("autodetect")));
    assert_eq!((node.machine.disk().as_deref(), node.machine.runs()), (Some("oci://registry.example/os:9"), "disk"));
    assert_eq!((node.machine.did("pull secret \"czNjcmV0\""), node.machine.did("install_bootloader")), (1, 0));
    // An image, as most instances are.
    node.wants("rocky").await;
    node.ask("rebuild").await.expect(202);
    let active = node.reaches("active").await;
    assert_eq!((&active["deploy_interface"], original(&active)), (&json!("direct"), json!("autodetect")));
    node.ask("deleted").await.expect(202);
    let free = node.reaches("available").await;
    assert_eq!((&free["deploy_interface"], original(&free)), (&json!("autodetect"), Value::Null));
}
