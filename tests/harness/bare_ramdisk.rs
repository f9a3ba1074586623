//! The least that a deploy ramdisk could be: busybox, drivers, an init script that gets an address and reports. What the real
//! one is measured against in the bench; it boots with the same kernel.

use std::fs;
use std::path::{Path, PathBuf};

use image::kernel;
use image::modules::Choice;
use image::packages::Shelf;

use crate::os_image::{boot, package_cache};

/// What the lab's first ramdisk had: the lab's cards and disks, and what a deployment would need at least.
#[rustfmt::skip]
const DRIVERS: Choice = Choice {
    folders: &[],
    except: &[],
    names: &[
        "virtio_pci", "virtio_net", "virtio_blk", "virtio_scsi", "virtio_rng", "e1000e", "igb", "e1000", "nvme", "ahci",
        "ata_piix", "sd_mod", "sr_mod", "sg", "usb_storage", "xhci_pci", "uhci_hcd", "ipmi_si", "ipmi_devintf",
        "qemu_fw_cfg", "efivarfs", "loop", "ext4", "crc32c_generic", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1",
        "isofs", "udf", "raid0", "raid1", "raid10", "raid456", "dm_mod", "8021q", "bonding", "af_packet",
    ],
};
const APPLETS: &[&str] = &[
    "cat", "chmod", "cut", "echo", "find", "grep", "ip", "ls", "mkdir", "modprobe", "mount", "sed", "sh", "sleep",
    "sort", "tail", "tr", "udhcpc", "wget", "xargs",
];

/// Said on the console when the report was answered.
pub const REPORTED: &str = "BARE: reported";

/// Writes it into `dir` and returns its file.
///
/// # Panics
/// When it cannot be built.
pub fn build(dir: &Path) -> PathBuf {
    write(dir).unwrap_or_else(|error| panic!("building the bare ramdisk: {error}"))
}

fn write(dir: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let shelf = Shelf::open(&package_cache())?;
    let name = shelf.resolve("linux-image-amd64", "linux-image-")?;
    let packages = shelf.take(&[&name, "busybox-static"])?;
    let (package, busybox) = boot::parts(&packages)?;
    let work = tempfile::tempdir_in(dir)?;
    let tree = boot::ramdisk(package, &busybox, &DRIVERS, APPLETS, include_bytes!("bare-init.sh"), work.path())?;
    let path = dir.join("bare.initramfs");
    fs::write(&path, zstd::encode_all(&tree.pack(Vec::new(), kernel::take(package)?.time)?[..], 3)?)?;
    Ok(path)
}
