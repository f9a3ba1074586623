//! Images of every kind through the real Ironic and our agent: qcow2 on a whole disk, and a partition image that gets its
//! partition table, loader and boot entry from the agent; each with a config drive.

use std::fs;
use std::path::Path;

use serde_json::json;
use tests::disk::signatures;
use tests::machine::{Firmware, GIB};
use tests::peers::require_sandbox;
use tests::story::{Stage, story_after};

use super::image::{as_qcow2, config_drive, has_config_drive, image, partition_image};
use super::on_disk::{ext4_faults, ext4_file, fat_file, partitions};
use super::our_rig::{Rig, Server};

const MIB: u64 = 1 << 20;

/// What a former tenant left stays until the image comes: that is the image's affair here.
pub const UNCLEANED: &str = "[conductor]\nautomated_clean = False\n";

#[test]
fn the_real_ironic_deploys_qcow2_and_a_partition_image_with_our_agent() {
    story_after(require_sandbox, async |stage: Stage| {
        let rig = Rig::start(stage, UNCLEANED).await;
        let whole = rig.server(0, Firmware::Bios, &[5 * GIB]).await;
        let parts = rig.server(1, Firmware::Uefi, &[5 * GIB]).await;
        let (raw, _) = image(&rig.stage.dir, "os.raw", 11);
        whole.image(&as_qcow2(&raw), &rig.images, "whole-disk");
        parts.image(&partition_image(&rig.stage.dir), &rig.images, "partition");
        parts.instance_info(&[("root_gb", json!(1)), ("swap_mb", json!(64)), ("ephemeral_gb", json!(1))]);

        // Both at the same time: each waits for half a minute that its power state is believed.
        for (server, host) in [(&whole, "heron-whole"), (&parts, "heron-parts")] {
            server.node("provide", &[]);
            server.reaches("available").await;
            server.node("deploy", &["--config-drive", &config_drive(host)]);
        }
        whole.reaches("active").await;
        assert_eq!(whole.machine.disk.differs_from(&raw), None, "the disk is not the image");
        assert!(has_config_drive(&whole.machine.disk, "heron-whole"), "no config drive");
        parts.reaches("active").await;
        parted(&parts, "heron-parts");
    });
}

/// The disk of a deployed partition image: what belongs to it is in its place.
fn parted(server: &Server, host: &str) {
    let disk = server.machine.disk.settled();
    let list = partitions(disk);
    let [esp, ephemeral, swap, drive, root] = list[..] else {
        panic!("not the partitions that were asked for: {list:?}")
    };
    assert_eq!([ephemeral.length, swap.length, root.length], [1024 * MIB, 64 * MIB, 1024 * MIB], "{list:?}");
    assert!(
        signatures(disk, ephemeral.start).contains("LABEL=\"ephemeral0\""),
        "{}",
        signatures(disk, ephemeral.start)
    );
    assert!(signatures(disk, swap.start).contains("swap"), "{}", signatures(disk, swap.start));
    assert!(signatures(disk, drive.start).contains("LABEL=\"config-2\""), "{}", signatures(disk, drive.start));
    assert!(holds(disk, drive.start, host), "the config drive does not name {host}");
    assert_eq!(ext4_file(disk, root.start, "/boot/efi/EFI/lab/shimx64.efi"), "MZ shim");
    assert_eq!(ext4_faults(disk, root.start), "");
    assert_eq!(fat_file(disk, esp.start, "/EFI/lab/grubx64.efi"), "MZ grub");
    let uuid = signatures(disk, root.start);
    let uuid = uuid.split(" UUID=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    let stub = fat_file(disk, esp.start, "/EFI/lab/grub.cfg");
    assert!(!uuid.is_empty() && stub.contains(uuid), "GRUB is not told which root file system: {stub}");
    let entries: Vec<String> = fs::read_dir(server.machine.variables())
        .expect("the variables of the firmware")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let has = |start: &str| entries.iter().any(|name| name.starts_with(start));
    assert!(has("Boot0") && has("BootOrder"), "the firmware was not told what to start: {entries:?}");
}

/// The text is in the first MiB at `start`.
pub fn holds(disk: &Path, start: u64, text: &str) -> bool {
    let mut bytes = vec![0; 1 << 20];
    let file = fs::File::open(disk).expect("the disk's file");
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, start).expect("the disk's file");
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}
