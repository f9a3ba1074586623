//! Our agent, on a loop device in the sandbox, is inspected, cleaned and deployed by the real Ironic.

use std::time::Duration;

use serde_json::json;
use tests::image_server::ImageServer;
use tests::machine::Firmware;
use tests::network;
use tests::peers::cli::Baremetal;
use tests::peers::emulated::{Machine, Spec};
use tests::peers::ironic::Ironic;
use tests::peers::loop_disk::LoopDisk;
use tests::peers::ramdisk::Agent;
use tests::peers::require_sandbox;
use tests::peers::sandbox::Containers;
use tests::story::{Stage, story_after};

use super::image::{config_drive, has_config_drive, image};
use super::node::{clean_step, enrol, inventory, order};

const MAC: &str = "52:54:00:70:00:21";
const DISK: u64 = 5 << 30;
/// The real conductor looks at a fake power state for half a minute before it believes it.
const PATIENCE: Duration = Duration::from_secs(240);

#[test]
fn the_real_ironic_inspects_cleans_and_deploys_with_our_agent() {
    story_after(require_sandbox, async |stage: Stage| {
        let ironic = Ironic::start(&stage.dir).await;
        let baremetal = ironic.client();
        let node = enrol(&baremetal, "heron", MAC, "noop");
        let disk = LoopDisk::new(&stage.dir, "disk.raw", DISK);
        disk.soil();
        let spec = Spec {
            dir: stage.dir.clone(),
            agent: Agent::Ours,
            mac: MAC,
            address: "172.22.0.41",
            firmware: Firmware::Bios,
            containers: Containers::Noted,
            disks: vec![disk],
        };
        let machine = Machine::plug_in(spec, &ironic.api, &node);
        let said = || format!("{}\n{}", ironic.process.said(), machine.said());

        ironic.api.reaches(&node, "manageable", PATIENCE, said).await;
        baremetal.run(&["node", "inspect", &node]);
        ironic.api.reaches(&node, "manageable", PATIENCE, said).await;
        inspected(&baremetal, &node, &stage);

        baremetal.run(&["node", "provide", &node]);
        ironic.api.reaches(&node, "available", PATIENCE, said).await;
        assert_eq!(machine.disk.dirt(), Vec::<&str>::new(), "cleaning left marks on the disk");

        let (file, sum) = image(&stage.dir, "os.raw", 7);
        let server = ImageServer::start(network::CONDUCTOR).await.expect("the image server");
        let url = server.offer("os.raw", &file);
        order(&baremetal, &node, &url, &"0".repeat(64));
        baremetal.run(&["node", "deploy", &node]);
        ironic.api.reaches(&node, "deploy failed", PATIENCE, said).await;
        let error = ironic.api.node(&node).await["last_error"].to_string();
        assert!(error.contains("checksum") && error.contains(&sum), "our agent's reason is not shown: {error}");
        assert!(machine.disk.dirt().is_empty(), "a system that was refused would boot: {:?}", machine.disk.dirt());

        order(&baremetal, &node, &url, &sum);
        baremetal.run(&["node", "deploy", &node, "--config-drive", &config_drive("heron-1")]);
        ironic.api.reaches(&node, "active", PATIENCE, said).await;
        assert_eq!(machine.disk.differs_from(&file), None, "the disk is not the image");
        assert!(has_config_drive(&machine.disk, "heron-1"), "no config drive");
        assert!(machine.said().contains("https://172.22.0.41:9999"), "{}", machine.said());
        assert!(server.requests().iter().any(|request| request.method == "GET"), "nobody fetched the image");

        baremetal.run(&["node", "undeploy", &node]);
        ironic.api.reaches(&node, "available", PATIENCE, said).await;
        assert_eq!(machine.disk.dirt(), Vec::<&str>::new(), "undeploy left marks on the disk");

        baremetal.run(&["node", "manage", &node]);
        ironic.api.reaches(&node, "manageable", PATIENCE, said).await;
        baremetal.run(&["node", "clean", &node, "--clean-steps", &clean_step("erase_devices")]);
        ironic.api.reaches(&node, "manageable", PATIENCE, said).await;
        assert_eq!(machine.disk.first_data(), None, "the whole disk was to be erased");
        machine.unplug().await;
    });
}

fn inspected(baremetal: &Baremetal, node: &str, stage: &Stage) {
    let inventory = inventory(baremetal, node, stage, MAC);
    // The loop device is no disk of this machine, and our agent says so; it takes it only because it was allowed by name.
    assert_eq!(inventory["disks"], json!([]), "{inventory}");
}
