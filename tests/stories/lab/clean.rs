//! Cleaning by hand: what is asked for is really done to each kind of disk, and proven; what is to be kept is kept.

use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::fs::FileExt;
use tests::machine::{Bus, GIB, Spec};
use tests::site::Site;
use tests::story::site;

/// What a former tenant left, at both ends and in between.
const LEFT: &[u8] = b"a former tenant's secret";
const SIZE: u64 = 2 * GIB;
const PLACES: [u64; 5] = [0, 1 << 20, GIB + 4096, 2 * GIB - (64 << 20), SIZE - (1 << 20)];

/// The fastest safe way for each, by what QEMU's disks say they can do.
const METHODS: &[(&str, &str)] =
    &[("NVME-1", "nvme-format-user-data"), ("VIRTIO-1", "discard-and-zero"), ("SCSI-1", "discard-and-zero")];

#[test]
fn each_kind_of_disk_is_erased_in_its_own_way_with_a_proof_and_the_one_to_keep_is_not_touched() {
    site(async |site: Site| {
        let kinds = [(Bus::Nvme, "NVME-1"), (Bus::Virtio, "VIRTIO-1"), (Bus::Scsi, "SCSI-1"), (Bus::Ahci, "KEEP-1")];
        let spec = kinds.iter().fold(Spec::bios(), |spec, (bus, serial)| spec.disk(*bus, serial, SIZE));
        let node = site.enroll(spec).await;
        let disks: Vec<File> = (0..kinds.len())
            .map(|number| {
                File::options().read(true).write(true).open(node.machine().disk(number)).expect("a disk's file")
            })
            .collect();
        for (disk, place) in disks.iter().flat_map(|disk| PLACES.map(|place| (disk, place))) {
            disk.write_all_at(LEFT, place).expect("room on the disk");
        }
        node.set("/properties/skip_block_devices", json!([{ "serial": "KEEP-1" }])).await;
        node.verb("manage").await;
        node.reaches("manageable").await;
        node.provision(json!({
            "target": "clean", "clean_steps": [{ "interface": "deploy", "step": "erase_devices" }],
        }))
        .await;
        node.reaches("clean wait").await;
        node.reaches("manageable").await;
        assert!(!node.machine().is_on(), "a cleaned server is off");

        let holds = |disk: &File, place| {
            let mut found = vec![0; LEFT.len()];
            disk.read_exact_at(&mut found, place).expect("a disk's file");
            found == LEFT
        };
        for ((_, serial), disk) in kinds.iter().zip(&disks) {
            for place in PLACES {
                assert_eq!(holds(disk, place), *serial == "KEEP-1", "{serial} at byte {place}");
            }
        }
        let history = node.history().await;
        assert!(history.contains("clean step deploy.erase_devices done"), "{history}");

        let proofs = node.proofs().await;
        let [proof] = &proofs[..] else { panic!("one step, one proof: {proofs:#?}") };
        assert_eq!(proof["verified"], true, "{proof:#}");
        let told = proof["document"]["disks"].as_array().cloned().unwrap_or_default();
        let of = |serial: &str| told.iter().find(|disk| disk["serial"] == serial).cloned().unwrap_or(Value::Null);
        for (serial, method) in METHODS {
            let disk = of(serial);
            assert_eq!(disk["method"], *method, "{serial}: {proof:#}");
            assert_eq!(disk["read_back"]["verdict"], "pass", "{serial}: {proof:#}");
        }
        assert_eq!(of("KEEP-1"), Value::Null, "what was not erased is proven: {proof:#}");
    });
}
