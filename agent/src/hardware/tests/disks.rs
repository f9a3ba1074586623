//! Disks of every bus, with and without udev, and what is not a disk.

use crate::hardware::block::{facts, list};
use crate::sys::test_tree::TestTree;
use common::inventory::Disk;

fn named(tree: &TestTree, name: &str) -> Disk {
    list(&tree.roots()).into_iter().find(|disk| disk.name == name).unwrap_or_else(|| panic!("{name} is missing"))
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("(none)")
}

const VIRTIO: &str = "sys/devices/pci0000:00/0000:00:02.0/virtio1";
const SATA: &str = "sys/devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0";
const SAS: &str = "sys/devices/pci0000:3a/0000:3b:00.0/host5/port-5:0/end_device-5:0/target5:0:0/5:0:0:0";
const USB: &str = "sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0";
const NVME: &str = "sys/devices/pci0000:64/0000:65:00.0/nvme/nvme0";

#[test]
fn a_virtio_disk_has_its_serial_from_sysfs() {
    let tree = TestTree::new();
    let folder = tree.disk("vda", "254:0", 20, VIRTIO);
    tree.file(&format!("{folder}/serial"), "ROOTDISK01");
    tree.file(&format!("{VIRTIO}/vendor"), "0x1af4\n");
    tree.folder("sys/bus/virtio").link(&format!("{VIRTIO}/subsystem"), "sys/bus/virtio");
    let disk = named(&tree, "/dev/vda");
    assert_eq!((disk.size, disk.logical_sectors, disk.physical_sectors), (20 << 30, Some(512), Some(4096)));
    assert_eq!((text(&disk.serial), text(&disk.vendor), text(&disk.tran)), ("ROOTDISK01", "0x1af4", "virtio"));
    assert_eq!((disk.model, disk.wwn, disk.hctl, disk.rotational), (None, None, None, Some(false)));
}

#[test]
fn a_sata_disk_is_read_from_its_pages_without_udev_and_from_udev_with_it() {
    let tree = TestTree::new();
    tree.disk("sda", "8:0", 447, SATA);
    tree.file(&format!("{SATA}/model"), "MZ7L3480HCHQ    \n").file(&format!("{SATA}/vendor"), "ATA     \n");
    tree.file(&format!("{SATA}/type"), "0\n").folder(&format!("{SATA}/scsi_device/0:0:0:0"));
    tree.file(&format!("{SATA}/vpd_pg80"), b"\0\x80\0\x14      S5SUNA0R700111");
    let name = [0, 0x83, 0, 12, 1, 3, 0, 8, 0x50, 0x02, 0x53, 0x8f, 0x02, 0x10, 0x5a, 0x31];
    tree.file(&format!("{SATA}/vpd_pg83"), name);
    tree.link("dev/disk/by-path/pci-0000:00:17.0-ata-1", "dev/sda");
    tree.link("dev/disk/by-path/pci-0000:00:17.0-ata-1-part1", "dev/sda1");
    let disk = named(&tree, "/dev/sda");
    assert_eq!((text(&disk.model), text(&disk.vendor), text(&disk.tran)), ("MZ7L3480HCHQ", "ATA", "sata"));
    assert_eq!((text(&disk.serial), text(&disk.wwn)), ("S5SUNA0R700111", "0x5002538f02105a31"));
    assert_eq!((text(&disk.wwn_with_extension), text(&disk.hctl)), ("0x5002538f02105a31", "0:0:0:0"));
    assert_eq!(text(&disk.by_path), "/dev/disk/by-path/pci-0000:00:17.0-ata-1");

    tree.file(
        "run/udev/data/b8:0",
        "E:ID_MODEL=MZ7L3480HCHQ_X\nE:ID_MODEL_ENC=MZ7L3480HCHQ\\x20X\\x20\\x20\nE:ID_SERIAL=MZ7L3480HCHQ_S5SU\n\
         E:ID_SERIAL_SHORT=S5SU\nE:ID_WWN=0x5002538f02105a32\nE:ID_WWN_WITH_EXTENSION=0x5002538f02105a32\n",
    );
    let disk = named(&tree, "/dev/sda");
    assert_eq!((text(&disk.model), text(&disk.serial)), ("MZ7L3480HCHQ X", "S5SU"));
    assert_eq!(text(&disk.wwn), "0x5002538f02105a32");
    let all = facts(&tree.roots()).remove(0);
    assert_eq!(all.serials, ["S5SU", "MZ7L3480HCHQ_S5SU", "S5SUNA0R700111"], "a hint may name any of them");
    assert_eq!(all.wwns, ["0x5002538f02105a32", "0x5002538f02105a31"]);
}

/// What udev said of real disks: github.com/util-linux/util-linux/issues/1143 (HGST, SAS), 321 (HP Smart Array), and what
/// their owners expect.
#[test]
fn real_sas_disks_and_raid_volumes_have_the_names_their_owners_expect() {
    let tree = TestTree::new();
    tree.disk("sdc", "8:32", 1000, SAS);
    tree.file(
        "run/udev/data/b8:32",
        "E:SCSI_IDENT_SERIAL=KJGATM4R\nE:ID_SERIAL=35000cca0541ae674\nE:ID_SERIAL_SHORT=5000cca0541ae674\n",
    );
    tree.disk("sda", "8:0", 3700, "sys/devices/pci0000:00/0000:00:02.2/0000:03:00.0/host0/target0:1:0/0:1:0:0");
    tree.file(
        "run/udev/data/b8:0",
        "E:ID_WWN=0x600508b1001c57fe\nE:ID_WWN_VENDOR_EXTENSION=0x14cf3e577b87be3f\n\
         E:ID_WWN_WITH_EXTENSION=0x600508b1001c57fe14cf3e577b87be3f\n",
    );
    assert_eq!(text(&named(&tree, "/dev/sdc").serial), "KJGATM4R", "not a world wide name");
    let volume = named(&tree, "/dev/sda");
    assert_eq!(text(&volume.wwn), "0x600508b1001c57fe14cf3e577b87be3f", "as in /dev/disk/by-id");
    assert_eq!((text(&volume.wwn_vendor_extension), volume.tran), ("0x14cf3e577b87be3f", None));
    let hints = facts(&tree.roots()).remove(0);
    assert!(hints.wwns.contains(&"0x600508b1001c57fe".to_owned()), "what old programs print is a hint, too");
}

#[test]
fn sas_usb_and_nvme_disks_say_so() {
    let tree = TestTree::new();
    tree.disk("sdb", "8:16", 1000, SAS);
    let mut page = vec![0, 0x83, 0, 20, 1, 3, 0, 16];
    page.extend(0x60..0x70u8);
    tree.file(&format!("{SAS}/vpd_pg83"), page);
    tree.disk("sdc", "8:32", 8, USB);
    tree.file("sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/idVendor", "0951\n");
    tree.file("sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/serial", "E0D55EA5\n");
    let folder = tree.disk("nvme0n1", "259:0", 3576, NVME);
    tree.file(&format!("{folder}/wwid"), "eui.36344830547007240025385800000001\n");
    tree.file(&format!("{NVME}/serial"), "S64HNJ0T700724      \n");
    tree.file(&format!("{NVME}/model"), "SAMSUNG MZQL23T8HCLS-00A07              \n");
    let (sas, usb, nvme) = (named(&tree, "/dev/sdb"), named(&tree, "/dev/sdc"), named(&tree, "/dev/nvme0n1"));
    assert_eq!((text(&sas.tran), text(&sas.wwn_vendor_extension)), ("sas", "0x68696a6b6c6d6e6f"));
    assert_eq!((text(&usb.tran), text(&usb.serial)), ("usb", "E0D55EA5"));
    assert_eq!((text(&nvme.tran), text(&nvme.serial)), ("nvme", "S64HNJ0T700724"));
    assert_eq!(text(&nvme.wwn), "eui.36344830547007240025385800000001");
    assert_eq!((nvme.wwn_with_extension, nvme.vendor), (None, None));
    let names: Vec<String> = list(&tree.roots()).into_iter().map(|disk| disk.name).collect();
    assert_eq!(names, ["/dev/sdb", "/dev/sdc", "/dev/nvme0n1"], "the kernel's order");
}

#[test]
fn what_is_no_disk_is_left_out() {
    let tree = TestTree::new();
    let host = |number: u32| format!("sys/devices/pci/host{number}");
    for (at, name) in ["loop0", "ram0", "zram0", "fd0", "sr0"].iter().enumerate() {
        tree.disk(name, &format!("7:{at}"), 1, &host(at as u32));
    }
    tree.disk("sde", "8:64", 0, &host(10)); // a card reader without card
    tree.disk("sdf", "8:80", 4, &host(11));
    tree.file(&format!("{}/type", host(11)), "5\n"); // optical under another name
    let hidden = tree.disk("nvme0c0n1", "259:9", 4, &host(12));
    tree.file(&format!("{hidden}/hidden"), "1\n");
    let lvm = tree.disk("dm-0", "253:0", 4, &host(13));
    tree.file(&format!("{lvm}/dm/uuid"), "LVM-abc\n");
    let linear = tree.disk("md1", "9:1", 4, &host(14));
    tree.file(&format!("{linear}/md/level"), "linear\n");
    assert_eq!(list(&tree.roots()), []);
    assert_eq!(list(&TestTree::new().roots()), []);

    // A map over two paths stands for them; an array stands beside its members.
    let map = tree.disk("dm-1", "253:1", 4, &host(15));
    tree.file(&format!("{map}/dm/uuid"), "mpath-3600\n").folder(&format!("{map}/slaves/sdg"));
    tree.disk("sdg", "8:96", 4, &host(16));
    let array = tree.disk("md0", "9:0", 4, &host(17));
    tree.file(&format!("{array}/md/level"), "raid1\n");
    tree.disk("ramdisk1", "8:112", 4, &host(18));
    let names: Vec<String> = list(&tree.roots()).into_iter().map(|disk| disk.name).collect();
    assert_eq!(names, ["/dev/ramdisk1", "/dev/md0", "/dev/dm-1"], "only NAME and digits is a RAM disk");
}

#[test]
fn hostile_attributes_are_cut_and_cleaned() {
    let tree = TestTree::new();
    let folder = tree.disk("sda", "8:0", 5, SATA);
    tree.file(&format!("{SATA}/model"), [b"\x1b]0;owned\x07\xff\xfe ".as_slice(), &[b'A'; 100_000]].concat());
    tree.file(&format!("{SATA}/vendor"), [0u8; 4096]).file(&format!("{SATA}/vpd_pg80"), [0xff; 5000]);
    tree.file(&format!("{SATA}/vpd_pg83"), [0x83; 60_000]).file(&format!("{folder}/queue/rotational"), "maybe\n");
    tree.file(&format!("{folder}/dev"), "not a number\n").file("run/udev/data/bnot a number", [0xc3; 10_000]);
    let disk = named(&tree, "/dev/sda");
    let model = disk.model.unwrap();
    assert!(model.starts_with("]0;owned") && model.len() <= 1024 && !model.chars().any(char::is_control), "{model}");
    assert_eq!((disk.vendor, disk.wwn, disk.rotational), (None, None, Some(false)));
    tree.file(&format!("{folder}/size"), "99999999999999999999\n");
    assert_eq!(list(&tree.roots()), [], "a size that is no size");
}
