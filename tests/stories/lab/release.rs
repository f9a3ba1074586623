//! The end of a deployment: the server is given back clean.

use tests::disk::{could_boot, signatures};
use tests::machine::{Bus, GIB, Spec};
use tests::site::Site;
use tests::story::site;

#[test]
fn an_undeployed_server_has_no_signature_left_on_its_disk() {
    site(async |site: Site| {
        let node = site.ready(Spec::bios().disk(Bus::Virtio, "LAB0", 5 * GIB)).await;
        node.deploy(&site.gzip(), "short-lived").await;
        node.reaches("active").await;
        node.shows("OS: ready host=short-lived").await;
        node.verb("deleted").await;
        node.reaches("available").await;
        assert!(!node.machine().is_on(), "an available server is off");
        let disk = node.machine().disk(0);
        assert!(!could_boot(&disk), "something is left that boots");
        assert_eq!(signatures(&disk, 0), "", "of the whole disk");
        let instance = node.show().await["instance_info"].clone();
        assert_eq!(instance, serde_json::json!({}), "the next tenant must not see the last one's image");
    });
}
