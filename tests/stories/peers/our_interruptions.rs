//! What is interrupted under the real Ironic: an operator aborts, a machine loses power, an agent comes back and is not known
//! any more. The node says so, and the next try works.

use serde_json::json;
use tests::image_server::Fault;
use tests::machine::{Firmware, GIB};
use tests::peers::emulated::Breakage;
use tests::peers::require_sandbox;
use tests::story::{Stage, story_after};

use super::image::image;
use super::our_rig::{Rig, Server};

/// An agent beats every few seconds, and is missed soon.
const IMPATIENT: &str = "[api]\nramdisk_heartbeat_timeout = 10
[conductor]\nautomated_clean = False\ncheck_provision_state_interval = 1\nclean_callback_timeout = 20\n";
const LONG: &str = "deploy.burnin_cpu";

#[test]
fn the_real_ironic_aborts_what_our_agent_does_and_misses_it_when_it_is_gone() {
    story_after(require_sandbox, async |stage: Stage| {
        let rig = Rig::start(stage, IMPATIENT).await;
        let server = rig.server(0, Firmware::Bios, &[5 * GIB]).await;
        let other = rig.server(1, Firmware::Bios, &[GIB]).await;
        for server in [&server, &other] {
            server.driver_info(&[("agent_burnin_cpu_timeout", json!("1h"))]);
        }
        working(&server).await;
        server.node("abort", &[]);
        server.reaches("clean failed").await;
        assert!(server.error().await.contains("abort"), "{}", server.error().await);
        server.node("manage", &[]);
        server.reaches("manageable").await;

        // One machine is gone; on the other the agent is started again and is a stranger: the token is handed out once.
        for server in [&server, &other] {
            working(server).await;
        }
        server.breaks(Breakage::Dark).await;
        other.breaks(Breakage::Blip).await;
        other.says("the API has given this node's token away before").await;
        for server in [&server, &other] {
            missed(server).await;
            works_again(server).await;
        }
        undeployed_while_it_writes(&rig, &server).await;
    });
}

/// A step that would take an hour has begun.
async fn working(server: &Server) {
    server.clean(&[LONG]);
    server.says("burn-in:").await;
    server.reaches("clean wait").await;
}

/// The conductor gives up, and names the step.
async fn missed(server: &Server) {
    server.reaches("clean failed").await;
    let error = server.error().await;
    assert!(error.contains("Timeout") && error.contains("burnin_cpu"), "{error}");
    server.is_mended();
}

/// Nothing of it is left: the same node is cleaned by the same machine.
async fn works_again(server: &Server) {
    server.node("manage", &[]);
    server.reaches("manageable").await;
    server.machine.disk.soil();
    server.clean(&["deploy.erase_devices_metadata"]);
    server.reaches("manageable").await;
    assert_eq!(server.machine.disk.dirt(), Vec::<&str>::new(), "cleaning left marks on the disk");
}

/// A deployment that is called off half-way leaves nothing that boots.
async fn undeployed_while_it_writes(rig: &Rig, server: &Server) {
    server.image(&image(&rig.stage.dir, "os.raw", 5), &rig.images, "whole-disk");
    rig.images.fault("os.raw", Some(Fault::Slow { rate: 2 << 20 }));
    server.node("provide", &[]);
    server.reaches("available").await;
    server.node("deploy", &[]);
    server.says("writing the image").await;
    server.reaches("wait call-back").await;
    server.node("undeploy", &[]);
    server.reaches("available").await;
    assert_eq!(server.machine.disk.dirt(), Vec::<&str>::new(), "a system that was called off would boot");
}
