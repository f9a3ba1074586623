//! A server in use, under the real Ironic with our agent: served while it is its tenant's, rescued, and given back.

use std::process::{Command, Stdio};

use serde_json::json;
use tests::machine::{Firmware, GIB};
use tests::peers::{require_sandbox, venv};
use tests::story::{Stage, story_after};

use super::image::{config_drive, partition_image};
use super::on_disk::{ext4_faults, ext4_file, partitions};
use super::our_images::UNCLEANED;
use super::our_rig::{Rig, Server};

/// With boot interfaces that know of rescue the real Ironic would need a machine that boots from its network.
const BOOTS_BY_ITSELF: &str = "[agent]\nmanage_agent_boot = False\n";

const PASSWORD: &str = "correct horse: battery";

#[test]
fn the_real_ironic_services_and_rescues_with_our_agent() {
    story_after(require_sandbox, async |stage: Stage| {
        let rig = Rig::start(stage, &format!("{UNCLEANED}{BOOTS_BY_ITSELF}")).await;
        let server = rig.server(0, Firmware::Uefi, &[5 * GIB]).await;
        server.image(&partition_image(&rig.stage.dir), &rig.images, "partition");
        server.instance_info(&[("root_gb", json!(1))]);
        server.driver_info(&[("agent_burnin_cpu_timeout", json!(1))]);
        server.node("provide", &[]);
        server.reaches("available").await;
        server.node("deploy", &["--config-drive", &config_drive("heron")]);
        server.reaches("active").await;

        serviced(&server).await;
        rescued(&server).await;
        server.node("unrescue", &[]);
        server.reaches("active").await;
        assert_eq!(server.error().await, "");
    });
}

/// A burn-in and a file in the tenant's system; then a step that is stopped.
async fn serviced(server: &Server) {
    let file = json!({"path": "/etc/motd", "content": "c2VydmljZWQK", "mode": 0o644});
    let steps = json!([
        {"interface": "deploy", "step": "burnin_cpu"},
        {"interface": "deploy", "step": "inject_files", "args": {"files": [file]}},
    ]);
    server.node("service", &["--service-steps", &steps.to_string()]);
    server.reaches("active").await;
    let disk = server.machine.disk.settled();
    let root = partitions(disk).pop().expect("a root partition");
    assert_eq!(ext4_file(disk, root.start, "/etc/motd"), "serviced\n");
    assert_eq!(ext4_faults(disk, root.start), "");

    server.driver_info(&[("agent_burnin_cpu_timeout", json!("1h"))]);
    server.node("service", &["--service-steps", &json!([steps[0]]).to_string()]);
    server.says("burn-in:").await;
    server.node("abort", &[]);
    server.reaches("active").await;
    assert!(server.error().await.contains("abort"), "{}", server.error().await);
}

/// The ramdisk has the password that the operator chose, as a hash, and the agent is gone.
async fn rescued(server: &Server) {
    server.node("rescue", &["--rescue-password", PASSWORD]);
    server.reaches("rescue").await;
    server.says("this agent ends").await;
    let etc = server.machine.etc();
    let hash = std::fs::read_to_string(etc.join("ipa-rescue-config/ipa-rescue-password")).expect("the password's hash");
    assert!(etc.join(".rescued").exists(), "nothing keeps a second agent from starting");
    let judge = "import crypt, sys; sys.exit(crypt.crypt(sys.argv[1], sys.argv[2]) != sys.argv[2])";
    let opens = |password: &str| {
        let mut python = Command::new(venv().join("bin/python"));
        python.args(["-W", "ignore", "-c", judge, password, &hash]).stdin(Stdio::null());
        python.status().expect("python").success()
    };
    assert!(opens(PASSWORD) && !opens("another"), "the hash is of another password");
    assert!(!server.machine.said().contains(PASSWORD), "the password is in the log");
}
