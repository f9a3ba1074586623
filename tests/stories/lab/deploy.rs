//! Whole deployments: enrolled, cleaned, written, booted. Each has another firmware, disk, and form of the image.

use serde_json::json;
use tests::disk::{is_blank, signatures};
use tests::machine::{Bus, GIB, Spec};
use tests::os_image::{native_4k, partition};
use tests::site::Site;
use tests::story::{site, site_after};

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
fn a_uefi_server_with_sectors_of_4096_bytes_is_deployed_and_reads_its_config_drive() {
    site_after(
        || drop(native_4k()),
        async |site: Site| {
            let node = site.ready_uncleaned(Spec::uefi().disk(Bus::Scsi, "LARGE", 5 * GIB).native_4k()).await;
            node.deploy(&site.native_4k(), "large-sectors").await;
            node.reaches("active").await;
            node.shows("OS: booted Lab OS 1 firmware=uefi root=/dev/sda3").await;
            node.shows("type=vfat").await;
            node.shows("OS: ready host=large-sectors").await;
        },
    );
}

#[test]
fn a_partition_image_is_started_by_the_loader_that_its_maker_signed() {
    site_after(
        || drop(partition()),
        async |site: Site| {
            let node = site.ready_uncleaned(Spec::uefi().disk(Bus::Virtio, "PARTS", 5 * GIB)).await;
            for (key, value) in [("image_type", json!("partition")), ("root_gb", json!(1)), ("swap_mb", json!(64))] {
                node.set(&format!("/instance_info/{key}"), value).await;
            }
            node.deploy(&site.partition(), "by-its-parts").await;
            node.reaches("active").await;
            node.shows("OS: booted Lab OS 1 firmware=uefi").await;
            node.shows("OS: ready host=by-its-parts").await;
            // Without entries in the firmware the same loader is found under the name for removable media.
            node.machine().power_off();
            node.machine().forget_variables();
            let mark = node.machine().console().mark();
            node.machine().power_on();
            node.shows_since(mark, "OS: boot-count later").await;
            node.shows_since(mark, "OS: ready host=by-its-parts").await;
        },
    );
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
