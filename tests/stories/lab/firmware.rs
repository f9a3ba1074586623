//! Vendors' firmware: an archive of its own, appended to the ramdisk, is unpacked where the kernel looks for it.

use serde_json::json;
use tests::machine::Spec;
use tests::ramdisk::{self, FIRMWARE, FIRMWARE_FILE};
use tests::site::Site;
use tests::story::site_after;

#[test]
fn a_bundle_of_firmware_behind_the_ramdisk_lies_where_the_kernel_looks() {
    site_after(ramdisk::build_with_firmware, async |site: Site| {
        let files = ramdisk::with_firmware(site.stage.dir.join("both.initramfs"));
        let node = site.enroll(Spec::bios()).await;
        node.set("/driver_info/deploy_kernel", json!(files.kernel)).await;
        node.set("/driver_info/deploy_ramdisk", json!(files.initramfs)).await;
        node.set("/driver_info/kernel_append_params", "%default% wrought.shell".into()).await;
        node.verb("manage").await;
        node.reaches("manageable").await;
        node.verb("inspect").await;
        node.shows("WROUGHT: agent-start").await;
        node.machine().console().types(&format!("cat /lib/firmware/{FIRMWARE_FILE}; echo"));
        node.shows(FIRMWARE).await;
        node.reaches("manageable").await;
    });
}
