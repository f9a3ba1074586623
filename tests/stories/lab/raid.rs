//! Software RAID: made by cleaning, deployed on, started from; then a disk is pulled out and the server starts again.

use serde_json::{Value, json};
use tests::disk::{could_boot, signatures};
use tests::machine::{Bus, GIB, Spec};
use tests::node::Node;
use tests::site::Site;
use tests::story::site;

/// A mirror for the system.
fn mirror() -> Value {
    json!({"logical_disks": [
        {"controller": "software", "raid_level": "1", "size_gb": 1, "volume_name": "root", "is_root_volume": true}]})
}

async fn clean(node: &Node, steps: &[&str]) {
    let steps: Vec<Value> = steps.iter().map(|step| json!({"interface": "raid", "step": step})).collect();
    node.provision(json!({"target": "clean", "clean_steps": steps})).await;
    node.reaches("clean wait").await;
    node.reaches("manageable").await;
}

async fn serve(node: &Node, steps: Value) {
    node.provision(json!({"target": "service", "service_steps": steps})).await;
    node.reaches("service wait").await;
    node.reaches("active").await;
    node.machine().power_off();
}

/// Enrolled, with the mirror made by hand.
async fn mirrored(site: &Site, spec: Spec) -> Node {
    let node = site.enroll(spec).await;
    node.set("/raid_interface", "agent".into()).await;
    node.verb("manage").await;
    node.reaches("manageable").await;
    node.raid(&mirror()).await;
    clean(&node, &["delete_configuration", "create_configuration"]).await;
    let record = node.show().await;
    assert_eq!(record["raid_config"]["logical_disks"], mirror()["logical_disks"], "{record:#}");
    assert!(record["raid_config"]["last_updated"].is_string(), "{record:#}");
    assert_eq!(record["properties"]["local_gb"], 1, "{record:#}");
    node
}

/// Deploys on it, starts it, pulls the first disk, starts it again.
async fn lives_on_one_disk(site: &Site, node: &Node, firmware: &str) {
    // Automated cleaning would wipe the arrays' contents, and takes time that other stories spend.
    node.set("/automated_clean", false.into()).await;
    node.verb("provide").await;
    node.reaches("available").await;
    node.deploy(&site.raw(), "mirrored").await;
    node.reaches("active").await;
    node.shows("OS: raid md0 level=raid1 of=2 missing=0").await;
    node.shows(&format!("OS: booted Lab OS 1 firmware={firmware} root=/dev/md0p3")).await;
    node.shows("OS: ready host=mirrored").await;
    node.machine().power_off();
    node.machine().pull(0);
    let mark = node.machine().console().mark();
    node.machine().power_on();
    node.shows_since(mark, "level=raid1 of=2 missing=1").await;
    node.shows_since(mark, "OS: ready host=mirrored").await;
}

#[test]
fn a_uefi_server_starts_from_a_mirror_and_again_when_a_disk_is_pulled_out() {
    site(async |site: Site| {
        let spec = Spec::uefi().disk(Bus::Virtio, "LEFT", 3 * GIB).disk(Bus::Virtio, "RIGHT", 3 * GIB);
        let node = mirrored(&site, spec).await;
        lives_on_one_disk(&site, &node, "uefi").await;
    });
}

#[test]
fn a_bios_server_starts_from_a_mirror_and_again_when_a_disk_is_pulled_out() {
    site(async |site: Site| {
        let spec = Spec::bios().disk(Bus::Virtio, "LEFT", 3 * GIB).disk(Bus::Virtio, "RIGHT", 3 * GIB);
        let node = mirrored(&site, spec).await;
        lives_on_one_disk(&site, &node, "bios").await;
    });
}

#[test]
fn several_arrays_share_disks_a_volume_is_kept_and_in_the_end_nothing_is_left() {
    site(async |site: Site| {
        let disks = ["A", "B", "C", "D"];
        let spec = disks.iter().fold(Spec::bios(), |spec, serial| spec.disk(Bus::Scsi, serial, 3 * GIB));
        let node = site.enroll(spec).await;
        node.set("/raid_interface", "agent".into()).await;
        node.set("/properties/capabilities", "disk_label:gpt".into()).await;
        node.verb("manage").await;
        node.reaches("manageable").await;
        // Somebody's instance: its disks change while it is in service.
        node.set("/instance_info/image_source", site.raw().url.into()).await;
        node.verb("adopt").await;
        node.reaches("active").await;
        let disk = |level: &str, size: Value, name: &str| json!({"controller": "software", "raid_level": level, "size_gb": size, "volume_name": name});
        let levels = ["0", "5", "6", "1+0"];
        let applied = levels.map(|level| {
            let config = json!({"logical_disks": [disk("1", json!(1), "root"), disk(level, json!("MAX"), "data")]});
            json!({"interface": "raid", "step": "apply_configuration", "args": {"raid_config": config}})
        });
        serve(&node, json!(applied)).await;
        for level in ["0", "5", "6", "10"] {
            node.shows(&format!("making a RAID {level} of 4 members")).await;
        }
        let record = node.show().await;
        assert_eq!(record["raid_config"]["logical_disks"][1]["raid_level"], "1+0", "{record:#}");
        node.set("/properties/skip_block_devices", json!([{"volume_name": "data"}])).await;
        serve(&node, json!([{"interface": "raid", "step": "delete_configuration"}])).await;
        let members = |disk: usize, at: u64| signatures(&node.machine().disk(disk), at).contains("linux_raid_member");
        for disk in 0..4 {
            assert!(members(disk, GIB), "data is kept on disk {disk}");
            assert!(members(disk, 8 << 20), "its neighbour is emptied and stays on disk {disk}");
        }
        node.set("/properties/skip_block_devices", json!([])).await;
        serve(&node, json!([{"interface": "raid", "step": "delete_configuration"}])).await;
        for disk in 0..4 {
            assert!(!members(disk, GIB) && !members(disk, 8 << 20), "disk {disk} is no member any more");
            assert!(!could_boot(&node.machine().disk(disk)), "disk {disk} has no partition table");
        }
        assert_eq!(node.show().await["raid_config"], json!({}));
    });
}
