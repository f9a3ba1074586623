//! Whole deployments: enrolled, cleaned, written, booted.

use tests::machine::{Bus, GIB, Spec};
use tests::site::Site;
use tests::story::site;

#[test]
fn a_bios_server_with_a_virtio_disk_is_deployed_and_calls_itself_as_it_was_told() {
    site(async |site: Site| {
        let node = site.ready(Spec::bios().disk(Bus::Virtio, "LAB0", 5 * GIB)).await;
        node.deploy(&site.raw(), "first-server").await;
        node.reaches("active").await;
        node.shows("OS: ready host=first-server").await;
        assert_eq!(node.text("last_error").await, "");
    });
}
