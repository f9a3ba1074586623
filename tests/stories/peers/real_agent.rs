//! The real ironic-python-agent, on a loop device in the sandbox, is inspected, cleaned and deployed by our conductor.

use std::time::Duration;

use serde_json::json;
use tests::image_server::ImageServer;
use tests::machine::Firmware;
use tests::network;
use tests::peers::cli::Baremetal;
use tests::peers::emulated::{Machine, Spec};
use tests::peers::loop_disk::LoopDisk;
use tests::peers::ours::OurConductor;
use tests::peers::ramdisk::Agent;
use tests::peers::require_sandbox;
use tests::peers::sandbox::Containers;
use tests::story::{Stage, story_after};

use super::image::{config_drive, has_config_drive, image};
use super::node::{clean_step, enrol, inventory, order};

const MAC: &str = "52:54:00:70:00:11";
/// Below 4 GiB the real agent waits half a minute for a disk that is large enough.
const DISK: u64 = 5 << 30;
/// The real agent takes seconds to import itself, more on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

#[test]
fn our_conductor_inspects_cleans_and_deploys_with_the_real_agent() {
    story_after(require_sandbox, async |stage: Stage| {
        let ours = OurConductor::start(&stage.dir).await;
        let baremetal = ours.client();
        let node = enrol(&baremetal, "pelican", MAC, "fake");
        let machine = machine(&stage, &ours, &node);
        let said = || format!("{}\n{}", ours.process.said(), machine.said());

        ours.api.reaches(&node, "manageable", PATIENCE, said).await;
        baremetal.run(&["node", "inspect", &node]);
        ours.api.reaches(&node, "manageable", PATIENCE, said).await;
        inspected(&baremetal, &node, &stage);

        baremetal.run(&["node", "clean", &node, "--clean-steps", &clean_step("erase_devices_metadata")]);
        ours.api.reaches(&node, "manageable", PATIENCE, said).await;
        assert_eq!(machine.disk.dirt(), Vec::<&str>::new(), "cleaning by hand left marks on the disk");
        // The conductor called an agent that serves TLS with a certificate of its own making.
        assert!(machine.said().contains("announcing callback URL https://"), "{}", machine.said());

        machine.disk.soil();
        baremetal.run(&["node", "provide", &node]);
        ours.api.reaches(&node, "available", PATIENCE, said).await;
        assert_eq!(machine.disk.dirt(), Vec::<&str>::new(), "cleaning left marks on the disk");

        refused(&ours, &node, &stage, said).await;
        for (verb, host, boots) in [("deploy", "pelican-1", 5), ("rebuild", "pelican-2", 6)] {
            let (file, sum) = image(&stage.dir, &format!("{verb}.raw"), boots);
            let server = ImageServer::start(network::CONDUCTOR).await.expect("the image server");
            order(&baremetal, &node, &server.offer("os.raw", &file), &sum);
            baremetal.run(&["node", verb, &node, "--config-drive", &config_drive(host)]);
            ours.api.reaches(&node, "active", PATIENCE, said).await;
            assert_eq!(machine.disk.differs_from(&file), None, "the disk is not the image");
            assert!(has_config_drive(&machine.disk, host), "no config drive with {host}");
            assert!(server.requests().iter().any(|request| request.method == "GET"), "nobody fetched the image");
            assert_eq!(machine.boots(), boots, "each flow boots the ramdisk once");
        }

        baremetal.run(&["node", "undeploy", &node]);
        ours.api.reaches(&node, "available", PATIENCE, said).await;
        assert_eq!(machine.disk.dirt(), Vec::<&str>::new(), "undeploy left marks on the disk");
        machine.unplug().await;
    });
}

#[test]
fn our_conductor_cleans_and_deploys_with_the_real_agent_that_inspected() {
    story_after(require_sandbox, async |stage: Stage| {
        let ours = OurConductor::start(&stage.dir).await;
        let baremetal = ours.client();
        let node = enrol(&baremetal, "heron", MAC, "fake");
        baremetal.run(&["node", "set", &node, "--driver-info", "fast_track=true"]);
        let machine = machine(&stage, &ours, &node);
        let said = || format!("{}\n{}", ours.process.said(), machine.said());
        ours.api.reaches(&node, "manageable", PATIENCE, said).await;
        baremetal.run(&["node", "inspect", &node]);
        ours.api.reaches(&node, "manageable", PATIENCE, said).await;
        inspected(&baremetal, &node, &stage);
        // At once: its agent looks the node up only now.
        baremetal.run(&["node", "provide", &node]);
        ours.api.reaches(&node, "available", PATIENCE, said).await;
        assert_eq!(machine.disk.dirt(), Vec::<&str>::new(), "cleaning left marks on the disk");
        let (file, sum) = image(&stage.dir, "fast.raw", 1);
        let server = ImageServer::start(network::CONDUCTOR).await.expect("the image server");
        order(&baremetal, &node, &server.offer("os.raw", &file), &sum);
        baremetal.run(&["node", "deploy", &node]);
        ours.api.reaches(&node, "active", PATIENCE, said).await;
        assert_eq!(machine.disk.differs_from(&file), None, "the disk is not the image");
        assert_eq!(machine.boots(), 1, "one boot for all of it\n{}", said());
        machine.unplug().await;
    });
}

/// The real agent's machine, with a disk that was used before.
fn machine(stage: &Stage, ours: &OurConductor, node: &str) -> Machine {
    let disk = LoopDisk::new(&stage.dir, "disk.raw", DISK);
    disk.soil();
    let spec = Spec {
        dir: stage.dir.clone(),
        agent: Agent::Real,
        mac: MAC,
        address: "172.22.0.31",
        firmware: Firmware::Bios,
        containers: Containers::Noted,
        disks: vec![disk],
    };
    Machine::plug_in(spec, &ours.api, node)
}

/// Another image than the one that was ordered: the node fails and says why; the next try works.
async fn refused(ours: &OurConductor, node: &str, stage: &Stage, said: impl Fn() -> String) {
    let (file, _) = image(&stage.dir, "other.raw", 99);
    let server = ImageServer::start(network::CONDUCTOR).await.expect("the image server");
    order(&ours.client(), node, &server.offer("os.raw", &file), &"0".repeat(64));
    ours.client().run(&["node", "deploy", node]);
    ours.api.reaches(node, "deploy failed", PATIENCE, said).await;
    let document = ours.api.node(node).await;
    let error = document["last_error"].as_str().unwrap_or_default();
    assert!(error.contains("checksum"), "{error}");
    assert_eq!(document["power_state"], "power off", "a machine whose deployment failed is switched off");
}

/// The machine's hardware, as the real agent tells it, is kept and shown.
fn inspected(baremetal: &Baremetal, node: &str, stage: &Stage) {
    let inventory = inventory(baremetal, node, stage, MAC);
    assert_eq!(inventory["disks"][0]["size"], json!(DISK), "{inventory}");
    let properties = baremetal.field(node, "properties");
    assert_eq!(properties["cpu_arch"], inventory["cpu"]["architecture"], "{properties}");
}
