//! Which device is the virtual medium? By label, and then only what a BMC can show: a CD, or a small USB disk.

use crate::sys::sysfs::Roots;
use crate::sys::udev_db::block_properties;

/// Labels of media with configuration, in any case.
const IMAGE_LABELS: [&str; 2] = ["config-2", "vmedia_boot_iso"];
const FLOPPY_LABEL: &str = "ir-vfd-dev";
/// A USB disk of this size or more is no virtual medium.
const TOO_LARGE: u64 = 4_294_967_296;

/// A medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Medium {
    /// `/dev/sr0`.
    pub path: String,
    /// `iso9660`, `vfat`, as udev found it.
    pub file_system: Option<String>,
}

/// The medium with configuration files.
pub fn image(roots: &Roots) -> Option<Medium> {
    labelled(roots, &IMAGE_LABELS)
}

/// The medium with parameters: by label, else by what the BMC calls it.
pub fn floppy(roots: &Roots) -> Option<Medium> {
    labelled(roots, &[FLOPPY_LABEL]).or_else(|| {
        let named = |name: &String| {
            let model = roots.text(format!("/sys/class/block/{name}/device/model"));
            model.is_some_and(|model| model.to_ascii_lowercase().contains("virtual media"))
        };
        // A disk of the machine may call itself what it likes: the same check as for labels.
        let fits = |name: &String| named(name) && !is_cd(roots, name) && is_virtual(roots, name);
        let name = roots.entries("/sys/class/block").into_iter().find(fits)?;
        Some(medium(roots, &name))
    })
}

fn labelled(roots: &Roots, labels: &[&str]) -> Option<Medium> {
    let fits = |name: &String| {
        let label = label(roots, name).unwrap_or_default();
        labels.iter().any(|known| known.eq_ignore_ascii_case(&label)) && is_virtual(roots, name)
    };
    let name = roots.entries("/sys/class/block").into_iter().find(fits)?;
    Some(medium(roots, &name))
}

fn medium(roots: &Roots, name: &str) -> Medium {
    let number = roots.text(format!("/sys/class/block/{name}/dev")).unwrap_or_default();
    let file_system = block_properties(roots, name, &number).get("ID_FS_TYPE").cloned();
    Medium { path: format!("/dev/{}", name.replace('!', "/")), file_system }
}

fn label(roots: &Roots, name: &str) -> Option<String> {
    let number = roots.text(format!("/sys/class/block/{name}/dev"))?;
    block_properties(roots, name, &number).get("ID_FS_LABEL").cloned()
}

/// A CD; or a whole disk on USB, smaller than 4 GiB. Never a partition: that is how tenants' config drives look.
fn is_virtual(roots: &Roots, name: &str) -> bool {
    let folder = format!("/sys/class/block/{name}");
    if roots.exists(format!("{folder}/partition")) {
        tracing::info!(device = name, "has the label of virtual media, but is a partition: not used");
        return false;
    }
    if is_cd(roots, name) {
        return true;
    }
    let bytes = roots.number(format!("{folder}/size")).and_then(|blocks| blocks.checked_mul(512));
    let is_small = bytes.is_some_and(|bytes| bytes < TOO_LARGE);
    let usb = |part: &std::ffi::OsStr| {
        let rest = part.to_str().and_then(|part| part.strip_prefix("usb"));
        rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let is_usb = roots.real(&folder).is_some_and(|place| place.iter().any(usb));
    if !(is_small && is_usb) {
        tracing::info!(device = name, "has the label of virtual media, but is a disk of the machine: not used");
    }
    is_small && is_usb
}

/// SCSI type 5.
fn is_cd(roots: &Roots, name: &str) -> bool {
    name.strip_prefix("sr").is_some_and(|rest| rest.bytes().all(|digit| digit.is_ascii_digit()))
        || roots.number(format!("/sys/class/block/{name}/device/type")) == Some(5)
}

#[cfg(test)]
mod tests {
    use super::{floppy, image};
    use crate::sys::test_tree::TestTree;

    const USB: &str = "sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0";
    const SATA: &str = "sys/devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0";

    fn labelled(tree: &TestTree, number: &str, label: &str) {
        tree.file(&format!("run/udev/data/b{number}"), format!("E:ID_FS_LABEL={label}\nE:ID_FS_TYPE=iso9660\n"));
    }

    #[test]
    fn a_cd_and_a_small_usb_disk_are_media_and_a_tenants_drive_is_none() {
        let tree = TestTree::new();
        let disk = tree.disk("sda", "8:0", 100, SATA);
        tree.file(&format!("{disk}/sda1/partition"), "1\n").file(&format!("{disk}/sda1/dev"), "8:1\n");
        tree.link("sys/class/block/sda1", &format!("{disk}/sda1"));
        labelled(&tree, "8:1", "config-2");
        labelled(&tree, "8:0", "config-2");
        assert_eq!(image(&tree.roots()), None, "a partition and a disk of the machine");
        tree.disk("sdb", "8:16", 2, USB);
        labelled(&tree, "8:16", "Config-2");
        let found = image(&tree.roots()).unwrap();
        assert_eq!((found.path.as_str(), found.file_system.as_deref()), ("/dev/sdb", Some("iso9660")));
    }

    #[test]
    fn the_size_limit_and_the_cd() {
        let tree = TestTree::new();
        tree.disk("sdb", "8:16", 4, USB);
        labelled(&tree, "8:16", "VMEDIA_BOOT_ISO");
        assert_eq!(image(&tree.roots()), None, "4 GiB are too many");
        tree.disk("sr0", "11:0", 8, "sys/devices/pci/ata2/host1/target1/1:0:0:0");
        labelled(&tree, "11:0", "VMEDIA_BOOT_ISO");
        assert_eq!(image(&tree.roots()).unwrap().path, "/dev/sr0");
        assert_eq!(image(&TestTree::new().roots()), None);
    }

    #[test]
    fn the_floppy_has_a_label_or_a_telling_model() {
        let tree = TestTree::new();
        tree.disk("sda", "8:0", 100, SATA);
        tree.file(&format!("{SATA}/model"), "Virtual Media SSD\n");
        tree.disk("sdc", "8:32", 1, USB);
        assert_eq!(floppy(&tree.roots()), None, "a disk of the machine may call itself what it likes");
        tree.file(&format!("{USB}/model"), "Virtual Media FDD\n");
        assert_eq!(floppy(&tree.roots()).unwrap().path, "/dev/sdc");
        tree.disk("sdd", "8:48", 1, "sys/devices/usb3/3-1/host7");
        labelled(&tree, "8:48", "ir-vfd-dev");
        assert_eq!(floppy(&tree.roots()).unwrap().path, "/dev/sdd", "the label goes first");
    }
}
