//! Cleaning by hand: what is asked for is really done to the disk.

use serde_json::json;
use std::fs::File;
use std::os::unix::fs::FileExt;
use tests::machine::{Bus, GIB, Spec};
use tests::site::Site;
use tests::story::site;

/// What a former tenant left, at both ends and in between.
const LEFT: &[u8] = b"a former tenant's secret";
const SIZE: u64 = 6 * GIB;
const PLACES: [u64; 5] = [0, 1 << 20, 3 * GIB + 4096, 5 * GIB, SIZE - (1 << 20)];

#[test]
fn an_nvme_disk_is_erased_and_nothing_of_a_former_tenant_can_be_read() {
    site(async |site: Site| {
        let node = site.enroll(Spec::bios().disk(Bus::Nvme, "ERASE-ME", SIZE)).await;
        let disk = node.machine().disk(0);
        let file = File::options().read(true).write(true).open(&disk).expect("the disk's file");
        for place in PLACES {
            file.write_all_at(LEFT, place).expect("room on the disk");
        }
        node.verb("manage").await;
        node.reaches("manageable").await;
        node.provision(json!({
            "target": "clean", "clean_steps": [{ "interface": "deploy", "step": "erase_devices" }],
        }))
        .await;
        node.reaches("clean wait").await;
        node.reaches("manageable").await;
        assert!(!node.machine().is_on(), "a cleaned server is off");
        for place in PLACES {
            let mut found = vec![0; LEFT.len()];
            file.read_exact_at(&mut found, place).expect("the disk's file");
            assert_ne!(found, LEFT, "at byte {place}");
        }
        let history = node.history().await;
        assert!(history.contains("clean step deploy.erase_devices done"), "{history}");
    });
}
