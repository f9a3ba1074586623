//! A rescue as its operator sees it: a password, a log-in over the network, a look at the instance's disk, and the way back.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tests::machine::{Bus, GIB, Spec};
use tests::node::Node;
use tests::site::Site;
use tests::story::site;

const PASSWORD: &str = "correct horse: battery";

#[test]
fn a_rescued_server_lets_its_operator_in_by_ssh_and_nobody_else_and_comes_back() {
    site(async |site: Site| {
        let node = site.ready_uncleaned(Spec::bios().memory(256).disk(Bus::Virtio, "LAB0", 5 * GIB)).await;
        node.set("/rescue_interface", json!("agent")).await;
        node.deploy(&site.zstd(), "patient").await;
        node.reaches("active").await;
        node.shows("OS: ready host=patient").await;

        node.provision(json!({ "target": "rescue", "rescue_password": PASSWORD })).await;
        node.reaches("rescue").await;
        let line = node.shows("WROUGHT: rescue-ready").await;
        let address = address(&node);
        let disk = ssh(
            &address,
            PASSWORD,
            "id -u; sudo dd if=/dev/vda bs=512 count=1 2>/dev/null | tail -c 2 | hexdump -e '2/1 \"%02x\"'",
        )
        .await;
        assert_eq!(disk, Ok("0\n55aa".to_owned()), "no look at the instance's disk; {line}");
        // The conductor's secrets are gone before the tenant comes.
        let left = ssh(
            &address,
            PASSWORD,
            "ls /run/ironic-python-agent /etc/ipa-rescue-config 2>&1; grep -c agent_token /run/log/agent.log; ps",
        )
        .await;
        let left = left.expect("a second log-in");
        assert!(
            !left.contains("agent.key") && !left.contains("boot-memory") && !left.contains("ipa-rescue-password"),
            "{left}"
        );
        assert!(!left.contains("agent serve"), "the agent still runs: {left}");
        let refused = ssh(&address, "wrong", "true").await.expect_err("anybody may come in");
        assert!(refused.contains("ermission denied"), "{refused}");

        node.verb("unrescue").await;
        node.reaches("active").await;
        node.shows("OS: ready host=patient").await;
    });
}

/// The address that the ramdisk got last.
fn address(node: &Node) -> String {
    let console = node.machine().console().tail(4000);
    let ip = console.lines().rev().find_map(|line| line.split(" ip=").nth(1)?.split('/').next().map(str::to_owned));
    ip.unwrap_or_else(|| panic!("no address on the console:\n{console}"))
}

/// Logs in as `rescue`; the new lease may come a moment after the word on the console, so a refused connection is tried again.
async fn ssh(address: &str, password: &str, order: &str) -> Result<String, String> {
    let mut said = String::new();
    for _ in 0..20 {
        let done = Command::new("sshpass")
            .args([
                "-e",
                "ssh",
                "-F",
                "/dev/null",
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
            ])
            .args([
                "-o",
                "PubkeyAuthentication=no",
                "-o",
                "NumberOfPasswordPrompts=1",
                "-o",
                "ConnectTimeout=10",
                "-o",
                "LogLevel=ERROR",
            ])
            .args([&format!("rescue@{address}"), order])
            .env("SSHPASS", password)
            .output()
            .expect("sshpass and ssh (.ci/setup installs them)");
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        said = String::from_utf8_lossy(&done.stderr).into_owned();
        if said.contains("ermission denied") {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(said)
}
