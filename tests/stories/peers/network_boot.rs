//! Our ramdisk, as `image build --for-ironic` makes it, boots a virtual server under the real Ironic: switched by IPMI, started
//! by iPXE. There it makes and deletes software RAID, which the sandbox's kernel need not have, and deploys.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tests::disk::{could_boot, signatures};
use tests::image_server::ImageServer;
use tests::ipmi_sim::{Bmc, PASSWORD, USER};
use tests::machine::{Bus, GIB, Machine, Spec};
use tests::needs::require_lab;
use tests::network;
use tests::os_image::os_image;
use tests::peers::cli::Baremetal;
use tests::peers::ironic::Ironic;
use tests::peers::netboot::Netboot;
use tests::peers::require_client;
use tests::ramdisk;
use tests::story::{Stage, story_after};

/// A boot takes 15 s when nothing else runs; Ironic looks at the power of a real machine for as long again.
const PATIENCE: Duration = Duration::from_secs(240);

const DISKS: [&str; 4] = ["FOURTH", "LEFT", "RIGHT", "THIRD"];

/// What is beside the mirror of the system, as large as what is left: parity, and stripes of mirrors.
const OTHERS: [&str; 2] = ["5", "1+0"];

#[test]
fn the_real_ironic_boots_our_ramdisk_makes_an_array_and_deploys() {
    story_after(prepare, async |stage: Stage| {
        let files = ramdisk::for_ironic();
        let ironic = Ironic::start_with(&stage.dir, &configuration(&files)).await;
        let _netboot = Netboot::start(&stage.dir, &stage.dir.join("ironic/httpboot"));
        let spec = DISKS.iter().fold(Spec::bios(), |spec, serial| spec.disk(Bus::Virtio, serial, 5 * GIB));
        let machine = Machine::build(&stage.dir, 0, spec, network::tap(0));
        let bmc = Bmc::start(&machine, network::bmc_address(0));
        let baremetal = ironic.client();
        let node = enrol(&baremetal, &machine, &bmc, &files);
        let said = || format!("{}\n{}", ironic.process.said(), machine.console().tail(150));

        ironic.api.reaches(&node, "manageable", PATIENCE, said).await;
        baremetal.run(&["node", "inspect", &node]);
        ironic.api.reaches(&node, "manageable", PATIENCE, said).await;
        inspected(&baremetal, &node, &stage.dir);

        interrupted(&ironic, &baremetal, &node, &machine, said).await;
        let disks: Vec<_> = (0..DISKS.len()).map(|number| machine.disk(number)).collect();
        for level in OTHERS {
            let file = stage.dir.join("raid.json");
            fs::write(&file, arrays(level).to_string()).expect("a file");
            baremetal.run(&["node", "set", &node, "--target-raid-config", &file.to_string_lossy()]);
            clean(&baremetal, &node, &["raid.delete_configuration", "raid.create_configuration"]);
            ironic.api.reaches(&node, "manageable", PATIENCE, said).await;
            assert!(machine.reaches_power(false, PATIENCE).await, "a cleaned server is off");
            assert!(disks.iter().all(|disk| member(disk)), "a disk is in no array");
            let record = ironic.api.node(&node).await;
            let made = &record["raid_config"]["logical_disks"];
            assert_eq!((&made[0]["raid_level"], &made[1]["raid_level"]), (&json!("1"), &json!(level)), "{record:#}");
            assert_eq!(made.as_array().map(Vec::len), Some(2), "{record:#}");
        }

        clean(&baremetal, &node, &["raid.delete_configuration"]);
        ironic.api.reaches(&node, "manageable", PATIENCE, said).await;
        assert!(machine.reaches_power(false, PATIENCE).await, "a cleaned server is off");
        for disk in disks {
            assert!(!member(&disk) && !could_boot(&disk), "{} is not as new", disk.display());
        }

        deployed(&ironic, &baremetal, &node, &machine, said).await;
        let asked = bmc.asked();
        assert!(
            asked.iter().any(|order| order == "set boot pxe"),
            "the BMC was never asked for the network: {asked:?}"
        );
    });
}

/// What the node is to have.
fn arrays(level: &str) -> Value {
    json!({"logical_disks": [
        {"controller": "software", "raid_level": "1", "size_gb": 1, "is_root_volume": true},
        {"controller": "software", "raid_level": level, "size_gb": "MAX"},
    ]})
}

fn prepare() {
    require_lab();
    require_client();
    os_image();
    ramdisk::build_for_ironic();
}

fn configuration(files: &ramdisk::Ramdisk) -> String {
    let folder = files.kernel.parent().unwrap_or(Path::new("/")).display();
    format!(
        "[DEFAULT]
enabled_hardware_types = ipmi
enabled_boot_interfaces = ipxe
enabled_management_interfaces = ipmitool
enabled_power_interfaces = ipmitool
enabled_vendor_interfaces = ipmitool
[agent]
post_deploy_get_power_state_retries = 30
[conductor]
automated_clean = False
file_url_allowed_paths = {folder}
[inspector]
require_managed_boot = True
[ipmi]
min_command_interval = 1
disable_boot_timeout = False
[pxe]
kernel_append_params = console=ttyS0 ipa-debug=1 wrought.shell
"
    )
}

fn enrol(baremetal: &Baremetal, machine: &Machine, bmc: &Bmc, files: &ramdisk::Ramdisk) -> String {
    let url = |path: &Path| format!("file://{}", path.display());
    let info = [
        ("ipmi_address", bmc.address.to_string()),
        ("ipmi_username", USER.to_owned()),
        ("ipmi_password", PASSWORD.to_owned()),
        // What the simulated BMC speaks.
        ("ipmi_cipher_suite", "3".to_owned()),
        ("deploy_kernel", url(&files.kernel)),
        ("deploy_ramdisk", url(&files.initramfs)),
    ];
    let info: Vec<String> = info.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut line = vec!["node", "create", "--driver", "ipmi", "--name", "heron", "--raid-interface", "agent"];
    line.extend(["--deploy-interface", "direct", "--inspect-interface", "agent"]);
    line.extend(["--property", "capabilities=boot_mode:bios"]);
    line.extend(info.iter().flat_map(|pair| ["--driver-info", pair]));
    let node = baremetal.json(&line)["uuid"].as_str().expect("a UUID").to_owned();
    baremetal.run(&["port", "create", machine.mac(), "--node", &node]);
    baremetal.run(&["node", "manage", &node]);
    node
}

fn clean(baremetal: &Baremetal, node: &str, steps: &[&str]) {
    let step = |step: &str| {
        let (interface, step) = step.split_once('.').expect("interface and step");
        json!({"interface": interface, "step": step})
    };
    let steps: Value = steps.iter().map(|name| step(name)).collect();
    baremetal.run(&["node", "clean", node, "--clean-steps", &steps.to_string()]);
}

fn inspected(baremetal: &Baremetal, node: &str, dir: &Path) {
    let file = dir.join("inventory.json");
    baremetal.run(&["node", "inventory", "save", node, "--file", &file.to_string_lossy()]);
    let kept: Value = serde_json::from_slice(&fs::read(&file).expect("the inventory")).expect("JSON");
    let mut serials: Vec<&str> = kept["inventory"]["disks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|disk| disk["serial"].as_str())
        .collect();
    serials.sort_unstable();
    assert_eq!(serials, DISKS, "{kept:#}");
}

/// The first partition is part of an array.
fn member(disk: &Path) -> bool {
    [1 << 20, 8 << 20].iter().any(|at| signatures(disk, *at).contains("linux_raid_member"))
}

/// An agent that is killed in the middle of a step is started again by the ramdisk, and the real Ironic knows it. It must hear
/// that the step did not end, or it would take the restart for a boot and the step for done.
async fn interrupted(ironic: &Ironic, baremetal: &Baremetal, node: &str, machine: &Machine, said: impl Fn() -> String) {
    baremetal.run(&["node", "set", node, "--driver-info", "agent_burnin_cpu_timeout=1h"]);
    let mark = machine.console().mark();
    clean(baremetal, node, &["deploy.burnin_cpu", "deploy.erase_devices_metadata"]);
    let begun = machine.console().find(mark, "burn-in:", PATIENCE).await;
    assert!(begun.is_some(), "the step does not begin:\n{}", said());
    machine.console().types("killall -9 agent");
    ironic.api.reaches(node, "clean failed", PATIENCE, &said).await;
    let error = ironic.api.node(node).await["last_error"].to_string();
    assert!(error.contains("burnin_cpu") && error.contains("the agent was restarted"), "{error}");
    baremetal.run(&["node", "maintenance", "unset", node]);
    baremetal.run(&["node", "manage", node]);
    ironic.api.reaches(node, "manageable", PATIENCE, &said).await;
}

/// From the image to a system that has started and knows its name.
async fn deployed(ironic: &Ironic, baremetal: &Baremetal, node: &str, machine: &Machine, said: impl Fn() -> String) {
    let images = ImageServer::start(network::CONDUCTOR).await.expect("the image server");
    let image = os_image().qcow2;
    super::node::order(baremetal, node, &images.offer("os.qcow2", &image.path), &image.sha256);
    baremetal.run(&["node", "set", node, "--instance-info", "image_disk_format=qcow2"]);
    baremetal.run(&["node", "provide", node]);
    ironic.api.reaches(node, "available", PATIENCE, &said).await;
    let mark = machine.console().mark();
    baremetal.run(&["node", "deploy", node, "--config-drive", &super::image::config_drive("by-ironic")]);
    ironic.api.reaches(node, "active", PATIENCE, &said).await;
    let ready = machine.console().find(mark, "OS: ready host=by-ironic", PATIENCE).await;
    assert!(ready.is_some(), "the deployed system does not start:\n{}", said());
}
