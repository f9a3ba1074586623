//! A disk that is reached over two paths: one disk for inspection, cleaning and deployment, worked on through its map.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::{Value, json};
use tests::disk::{could_boot, is_blank, signatures};
use tests::machine::{Bus, GIB, Spec};
use tests::node::Node;
use tests::os_image::partition;
use tests::site::Site;
use tests::story::site_after;

/// As the harness gives it to the first SCSI disk.
const WWN: &str = "0x5000c50000000000";
const SIZE: u64 = 5 * GIB;
/// What a former tenant left where no metadata is.
const LEFT: &[u8] = b"a former tenant's secret";
const PLACE: u64 = 3 * GIB;

/// The disk of somebody's instance: a table, file systems on its partitions, data behind them.
fn used(disk: &Path, system: &Path) {
    fs::copy(system, disk).expect("the disk can be written");
    let file = File::options().write(true).open(disk).expect("a disk's file");
    file.set_len(SIZE).expect("the disk grows");
    file.write_all_at(LEFT, PLACE).expect("room on the disk");
}

fn holds(disk: &Path) -> bool {
    let mut found = vec![0; LEFT.len()];
    File::open(disk).and_then(|file| file.read_exact_at(&mut found, PLACE)).expect("a disk's file");
    found == LEFT
}

/// Where a partition of the image begins that has a file system.
fn file_system(disk: &Path) -> u64 {
    let found = (1..512).map(|mib| mib << 20).find(|at| signatures(disk, *at).contains("ext4"));
    found.expect("the image has a root file system that begins at a whole MiB")
}

async fn clean(node: &Node, steps: &[&str]) -> Vec<Value> {
    let before = node.proofs().await.len();
    let steps: Vec<Value> = steps.iter().map(|step| json!({"interface": "deploy", "step": step})).collect();
    node.provision(json!({"target": "clean", "clean_steps": steps})).await;
    node.reaches("clean wait").await;
    node.reaches("manageable").await;
    let proofs = node.proofs().await;
    assert_eq!(proofs.len() - before, steps.len(), "a proof for each step: {proofs:#?}");
    proofs
}

/// The map once, with the names of its paths; the other disk beside it; nothing else.
fn proves_once(proof: &Value) {
    let told = proof["document"]["disks"].as_array().cloned().unwrap_or_default();
    let mut devices: Vec<&str> = told.iter().filter_map(|disk| disk["device"].as_str()).collect();
    devices.sort_unstable();
    let [map, spare] = devices[..] else { panic!("two disks: {proof:#}") };
    assert!(map.starts_with("/dev/dm-") && spare.starts_with("/dev/sd"), "{proof:#}");
    let map = told.iter().find(|disk| disk["device"] == map).expect("it was there");
    assert_eq!((map["serial"].as_str(), map["read_back"]["verdict"].as_str()), (Some("LUN7"), Some("pass")));
    let notes = map["notes"].to_string();
    assert!(notes.contains("a multipath map over sd"), "{notes}");
    assert_eq!(proof["verified"], true, "{proof:#}");
}

#[test]
fn a_disk_with_two_paths_is_one_disk_from_inspection_to_the_first_start() {
    site_after(
        || drop(partition()),
        async |site: Site| {
            let spec = Spec::uefi().disk(Bus::Scsi, "LUN7", SIZE).two_paths().disk(Bus::Scsi, "SPARE", 6 * GIB);
            let node = site.enroll(spec).await;
            let (lun, spare) = (node.machine().disk(0), node.machine().disk(1));
            used(&lun, &site.os.raw.path);
            let root = file_system(&lun);
            node.verb("manage").await;
            node.reaches("manageable").await;

            node.verb("inspect").await;
            node.reaches("manageable").await;
            let found = site.api.get(&format!("/v1/nodes/{}/inventory", node.uuid())).await.expect("an inventory");
            let disks = found["inventory"]["disks"].as_array().cloned().unwrap_or_default();
            assert_eq!(disks.len(), 2, "the paths are no disks: {disks:#?}");
            let map = disks.iter().find(|disk| disk["serial"] == "LUN7").expect("the disk with two paths");
            assert!(map["name"].as_str().is_some_and(|name| name.starts_with("/dev/dm-")), "{map:#}");
            assert_eq!((map["wwn"].as_str(), map["size"].as_u64()), (Some(WWN), Some(SIZE)), "{map:#}");

            let proofs = clean(&node, &["erase_devices_metadata"]).await;
            proofs.iter().for_each(proves_once);
            assert!(!could_boot(&lun), "something is left that boots");
            assert_eq!((signatures(&lun, 0), signatures(&lun, root)), (String::new(), String::new()));
            assert!(holds(&lun), "only metadata was to be wiped");

            used(&lun, &site.os.raw.path);
            let proofs = clean(&node, &["erase_devices_express", "erase_devices"]).await;
            proofs.iter().for_each(proves_once);
            assert!(!could_boot(&lun) && !holds(&lun) && signatures(&lun, root).is_empty());

            node.set("/automated_clean", false.into()).await;
            node.verb("provide").await;
            node.reaches("available").await;
            // A root file system alone: table, loader, boot entry and config drive are the agent's, all through the map.
            node.set("/properties/root_device", json!({ "wwn": WWN })).await;
            for (key, value) in [("image_type", json!("partition")), ("root_gb", json!(1)), ("swap_mb", json!(64))] {
                node.set(&format!("/instance_info/{key}"), value).await;
            }
            node.deploy(&site.partition(), "two-paths").await;
            node.reaches("active").await;
            node.shows("OS: booted Lab OS 1 firmware=uefi").await;
            node.shows("OS: ready host=two-paths").await;
            node.machine().power_off();
            assert!(signatures(&lun, 0).contains("gpt"), "the map's disk has no partition table");
            assert!(is_blank(&spare), "the other disk was written to");
        },
    );
}

#[test]
fn a_whole_disk_image_over_a_used_disk_with_two_paths_boots_under_bios() {
    site_after(
        || (),
        async |site: Site| {
            let spec = Spec::bios().memory(256).disk(Bus::Scsi, "LUN7", SIZE).two_paths();
            let node = site.ready_uncleaned(spec).await;
            let lun = node.machine().disk(0);
            // Its old partitions have maps of their own when the image is written.
            used(&lun, &site.os.raw.path);
            node.set("/properties/root_device", json!({ "serial": "LUN7" })).await;
            node.deploy(&site.zstd(), "two-paths").await;
            node.shows("root disk chosen device=/dev/dm-").await;
            node.reaches("active").await;
            node.shows("OS: ready host=two-paths").await;
            node.machine().power_off();
            assert!(signatures(&lun, 0).contains("gpt"), "the map's disk has no partition table");
            let end = SIZE >> 20;
            let drive = (end - 200..end).any(|mib| signatures(&lun, mib << 20).contains("config-2"));
            assert!(drive, "no config drive at the end of the disk");
        },
    );
}
