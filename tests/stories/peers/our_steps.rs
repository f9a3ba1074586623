//! Every step that our agent offers for cleaning is ordered by the real Ironic: by itself with the operator's priorities, and
//! by hand.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use agent::disk::boot_option::{BootPartition, DiskSignature, encode};
use agent::sys::efivars::EfiVariables;
use serde_json::{Value, json};
use tests::machine::{Firmware, GIB};
use tests::peers::require_sandbox;
use tests::story::{Stage, story_after};

use super::our_rig::{Rig, Server};

/// The operator's wishes for automated cleaning (the metadata have 10 in the rig's configuration) and for containers.
const WISHES: &str = "[conductor]
clean_step_priority_override = deploy.burnin_cpu:20
clean_step_priority_override = deploy.burnin_memory:30
[agent_containers]
allowed_containers = registry.example/tool:1
";
const AUTOMATED: [&str; 3] = ["burnin_memory", "burnin_cpu", "erase_devices_metadata"];

/// What one machine does by hand, in this order: what fills the disks comes before what empties them. Each step takes the time
/// between two heartbeats, so the other machine does the rest meanwhile.
const DISKS: [&str; 6] = [
    "deploy.generic_container_step",
    "deploy.burnin_disk",
    "raid.delete_configuration",
    "deploy.erase_devices_express",
    "deploy.erase_devices_metadata",
    "deploy.erase_devices",
];
const REST: [&str; 6] = [
    "deploy.container_clean_step",
    "deploy.burnin_cpu",
    "deploy.burnin_memory",
    "deploy.burnin_gpu",
    "deploy.clean_uefi_nvram",
    "deploy.erase_pstore",
];
/// Needs a second machine.
const IN_PAIRS: &str = "deploy.burnin_network";
/// Needs a kernel with software RAID, which is in our ramdisk; `network_boot` has it done there.
const ARRAYS: &str = "raid.create_configuration";

#[test]
fn the_real_ironic_cleans_with_every_step_of_our_agent() {
    story_after(require_sandbox, async |stage: Stage| {
        let rig = Rig::start(stage, WISHES).await;
        let server = rig.server(0, Firmware::Uefi, &[GIB, GIB]).await;
        let partner = rig.server(1, Firmware::Uefi, &[GIB]).await;
        burn_in_settings(&[&server, &partner], &rig.stage.dir);

        server.node("provide", &[]);
        server.reaches("available").await;
        assert_eq!(begun(&server), AUTOMATED, "the priorities decide what is done, and in which order");
        for disk in &server.machine.disks {
            assert_eq!(disk.dirt(), Vec::<&str>::new(), "cleaning left marks on {}", disk.file.display());
        }
        server.node("manage", &[]);
        server.reaches("manageable").await;
        by_hand(&server, &partner).await;
        together(&server, &partner).await;
        no_arrays_here(&server, &rig.stage.dir).await;
    });
}

async fn by_hand(server: &Server, partner: &Server) {
    server.machine.disks.iter().for_each(|disk| disk.soil());
    let variables = EfiVariables::at(&partner.machine.variables());
    variables.write("Boot0001", &entry(r"\EFI\debian\shimx64.efi")).expect("a variable");
    server.clean(&DISKS);
    partner.clean(&REST);
    server.says("step begins").await;
    every_step_is_tried(server).await;
    server.reaches("manageable").await;
    partner.reaches("manageable").await;
    let name = |step: &'static str| step.split_once('.').expect("interface and step").1;
    assert_eq!(begun(server), DISKS.map(name));
    assert_eq!(begun(partner), REST.map(name));
    for disk in &server.machine.disks {
        assert_eq!(disk.first_data(), None, "{} was to be erased", disk.file.display());
    }
    assert_eq!(variables.read("Boot0001").expect("a variable"), None, "the boot entry was to go");
    for server in [server, partner] {
        let said = server.machine.said();
        assert!(
            said.contains("called: podman run") && said.contains("registry.example/tool:1"),
            "no container ran:\n{said}"
        );
    }
    let reports = |server: &Server| server.machine.said().matches("all right").count();
    assert_eq!(
        (reports(server), reports(partner)),
        (2, 3),
        "each disk, processors, memory and the GPU are reported on"
    );
}

/// Steps of the last boot, as they began.
fn begun(server: &Server) -> Vec<String> {
    let said = server.machine.said();
    let steps = said.lines().filter(|line| line.contains("step begins"));
    let name = |line: &str| Some(line.split("step=").nth(1)?.split(' ').next()?.trim_matches('"').to_owned());
    steps.filter_map(name).collect()
}

/// What the agent told Ironic is what this story does: no step can be added without being tried.
async fn every_step_is_tried(server: &Server) {
    let node = server.show().await;
    let cached = node["driver_internal_info"]["agent_cached_clean_steps"].as_object().cloned().unwrap_or_default();
    let offered: BTreeSet<String> = cached
        .values()
        .flat_map(|steps| steps.as_array().cloned().unwrap_or_default())
        .map(|step| format!("{}.{}", step["interface"].as_str().unwrap_or(""), step["step"].as_str().unwrap_or("")))
        .collect();
    let tried = DISKS.iter().chain(&REST).chain([&IN_PAIRS, &ARRAYS]);
    let tried: BTreeSet<String> = tried.map(|step| (*step).to_owned()).collect();
    assert_eq!(offered, tried);
}

fn burn_in_settings(servers: &[&Server], dir: &Path) {
    let folder = dir.join("gpu-burn");
    fs::create_dir_all(&folder).expect("a folder");
    let program = folder.join("gpu_burn");
    // Answers as gpu_burn does where there is one processor.
    fs::write(&program, "#!/bin/sh\n[ \"$1\" = -l ] && echo 'ID 0: Lab GPU'\nexit 0\n").expect("a program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a program");
    let settings = [
        ("cpu_timeout", json!(1)),
        ("vm_timeout", json!(1)),
        ("vm_vm-bytes", json!("16m")),
        ("fio_disk_loops", json!(1)),
        ("fio_disk_runtime", json!(1)),
        ("gpu_install_dir", json!(folder.to_string_lossy())),
        ("gpu_count", json!(1)),
        ("gpu_timeout", json!(1)),
    ];
    let settings = settings.map(|(key, value)| (format!("agent_burnin_{key}"), value));
    for server in servers {
        server.driver_info(&settings.each_ref().map(|(key, value)| (key.as_str(), value.clone())));
    }
}

fn entry(path: &str) -> Vec<u8> {
    let partition = BootPartition { number: 1, start: 2048, blocks: 4096, signature: DiskSignature::Gpt([7; 16]) };
    encode("left by a tenant", &partition, path)
}

/// Two machines burn in the network between them, each ordered by the same Ironic.
async fn together(server: &Server, partner: &Server) {
    for (one, role, other) in [(server, "writer", "172.22.0.62"), (partner, "reader", "172.22.0.61")] {
        let pair: Value = json!({"role": role, "partner": other});
        one.driver_info(&[
            ("agent_burnin_fio_network_config", pair),
            ("agent_burnin_fio_network_runtime", json!(1)),
            ("agent_burnin_fio_network_pairing_timeout", json!(60)),
        ]);
    }
    server.clean(&[IN_PAIRS]);
    partner.clean(&[IN_PAIRS]);
    server.reaches("manageable").await;
    partner.reaches("manageable").await;
    let both = ["network: writer with 172.22.0.61", "network: reader with 172.22.0.61"];
    for part in both {
        assert!(partner.machine.said().contains(part), "{part}:\n{}", partner.machine.said());
    }
}

/// A kernel without software RAID says so before a disk is touched.
async fn no_arrays_here(server: &Server, dir: &Path) {
    if Path::new("/proc/mdstat").exists() {
        println!("this machine's kernel has software RAID: its arrays are its own, so none is made from the sandbox");
        return;
    }
    let wanted = json!({"logical_disks": [{"controller": "software", "raid_level": "1", "size_gb": "MAX"}]});
    let file = dir.join("raid.json");
    fs::write(&file, wanted.to_string()).expect("a file");
    server.node("set", &["--target-raid-config", &file.to_string_lossy()]);
    server.clean(&[ARRAYS]);
    server.reaches("clean failed").await;
    let error = server.error().await;
    assert!(error.contains("software RAID") && error.contains("kernel"), "{error}");
    for disk in &server.machine.disks {
        assert_eq!(disk.first_data(), None, "{} was touched for nothing", disk.file.display());
    }
}
