//! Whole deployments: enrolled, cleaned, written, booted. Each has another firmware, disk, and form of the image.

use serde_json::json;
use tests::disk::{is_blank, signatures};
use tests::machine::{Bus, GIB, Spec};
use tests::site::Site;
use tests::story::site;

#[test]
fn a_bios_server_with_a_virtio_disk_is_deployed_and_calls_itself_as_it_was_told() {
    site(async |site: Site| {
        // The least memory the deploy ramdisk promises to run in.
        let node = site.ready(Spec::bios().memory(256).disk(Bus::Virtio, "LAB0", 5 * GIB)).await;
        node.deploy(&site.raw(), "first-server").await;
        node.reaches("active").await;
        node.shows("OS: ready host=first-server").await;
        assert_eq!(node.text("last_error").await, "");
        let told = node.bmc().asked();
        assert!(told.iter().any(|order| order == "set boot pxe"), "the BMC was never asked for the network: {told:?}");
    });
}

#[test]
fn a_uefi_server_with_an_nvme_disk_boots_by_its_own_network_stack_and_is_deployed_from_qcow2() {
    site(async |site: Site| {
        let node = site.ready(Spec::uefi().disk(Bus::Nvme, "LAB0", 5 * GIB)).await;
        node.deploy(&site.qcow2(), "nvme-server").await;
        node.reaches("active").await;
        node.shows("OS: booted Lab OS 1 firmware=uefi").await;
        node.shows("OS: ready host=nvme-server").await;
    });
}

#[test]
fn the_root_device_hint_decides_which_disk_is_written_and_the_other_stays_as_it_was() {
    site(async |site: Site| {
        let spec = Spec::uefi().nic("e1000e").disk(Bus::Scsi, "SPARE", 6 * GIB).disk(Bus::Scsi, "WANTED", 5 * GIB);
        let node = site.ready(spec).await;
        node.set("/properties/root_device", json!({ "serial": "WANTED" })).await;
        node.deploy(&site.zstd(), "second-disk").await;
        node.reaches("active").await;
        node.shows("OS: ready host=second-disk").await;
        node.machine().power_off();
        assert!(signatures(&node.machine().disk(1), 0).contains("gpt"), "the wanted disk has no partition table");
        assert!(is_blank(&node.machine().disk(0)), "the spare disk was written to");
    });
}

#[test]
fn an_inspected_server_tells_what_it_is_made_of() {
    site(async |site: Site| {
        let node = site.enroll(Spec::bios().memory(256).disk(Bus::Ahci, "SATA0", 5 * GIB)).await;
        node.verb("manage").await;
        node.reaches("manageable").await;
        node.verb("inspect").await;
        node.reaches("manageable").await;
        let found = site.api.get(&format!("/v1/nodes/{}/inventory", node.uuid())).await.expect("an inventory");
        let inventory = &found["inventory"];
        assert_eq!(inventory["memory"]["physical_mb"], 256, "{inventory:#}");
        assert_eq!(inventory["disks"][0]["serial"], "SATA0", "{inventory:#}");
        assert_eq!(inventory["disks"][0]["size"], 5 * GIB, "{inventory:#}");
        assert_eq!(inventory["interfaces"][0]["mac_address"], node.machine().mac(), "{inventory:#}");
        assert_eq!(inventory["bmc_address"], node.bmc().address.to_string(), "in-band IPMI: {inventory:#}");
        assert_eq!(inventory["boot"]["current_boot_mode"], "bios", "{inventory:#}");
    });
}
