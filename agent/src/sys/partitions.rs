//! Which partitions a disk has: those of the kernel, and of a map those that kpartx has made. The one place that knows both.

use super::device_map;
use super::sysfs::Roots;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// `sda1`, or `dm-1` on a map.
    pub name: String,
    /// Its folder in sysfs.
    pub folder: String,
}

/// The partitions of a disk.
pub fn of(roots: &Roots, disk: &str) -> Vec<Part> {
    let folder = format!("/sys/class/block/{disk}");
    let own = roots.entries(&folder).into_iter();
    let own = own.filter(|name| roots.exists(format!("{folder}/{name}/partition")));
    let own = own.map(|name| Part { folder: format!("{folder}/{name}"), name });
    let mapped = device_map::partitions(roots, disk).into_iter();
    own.chain(mapped.map(|name| Part { folder: format!("/sys/class/block/{name}"), name })).collect()
}

/// `sda` for `sda1`; none for what is no partition.
pub fn disk_of(roots: &Roots, name: &str) -> Option<String> {
    let folder = format!("/sys/class/block/{name}");
    if !roots.exists(format!("{folder}/partition")) {
        return device_map::whole_of(roots, name);
    }
    let place = roots.real(folder)?;
    Some(place.parent()?.file_name()?.to_str()?.to_owned())
}

/// Its number in the table.
pub fn number(roots: &Roots, name: &str) -> Option<u32> {
    let own = roots.number(format!("/sys/class/block/{name}/partition")).and_then(|number| u32::try_from(number).ok());
    own.or_else(|| device_map::partition_number(roots, name))
}

/// Who lies on a device, its own partitions aside.
pub fn users(roots: &Roots, folder: &str, parts: &[Part]) -> Vec<String> {
    let holders = roots.entries(format!("{folder}/holders")).into_iter();
    holders.filter(|holder| !parts.iter().any(|part| part.name == *holder)).collect()
}

#[cfg(test)]
mod tests {
    use super::{disk_of, number, of, users};
    use crate::sys::test_tree::TestTree;

    #[test]
    fn both_kinds_of_partitions_are_found_with_their_disk_and_number() {
        let tree = TestTree::new();
        let sda = tree.disk("sda", "8:0", 2, "sys/devices/pci0");
        tree.file(&format!("{sda}/sda3/partition"), "3\n").file(&format!("{sda}/holders/md0"), "");
        tree.link("sys/class/block/sda3", &format!("{sda}/sda3"));
        tree.multipath("dm-0", &["sdb", "sdc"]);
        tree.map_part("dm-1", "part7-mpath-3600", "dm-0");
        tree.map_part("dm-2", "LVM-x", "dm-0");
        let roots = tree.roots();
        let names = |disk: &str| of(&roots, disk).into_iter().map(|part| part.name).collect::<Vec<_>>();
        assert_eq!((names("sda"), names("dm-0")), (vec!["sda3".to_owned()], vec!["dm-1".to_owned()]));
        assert_eq!((disk_of(&roots, "sda3").as_deref(), number(&roots, "sda3")), (Some("sda"), Some(3)));
        assert_eq!((disk_of(&roots, "dm-1").as_deref(), number(&roots, "dm-1")), (Some("dm-0"), Some(7)));
        assert_eq!((disk_of(&roots, "sda"), disk_of(&roots, "dm-0"), number(&roots, "dm-2")), (None, None, None));
        assert_eq!(users(&roots, "/sys/class/block/dm-0", &of(&roots, "dm-0")), ["dm-2"]);
        assert_eq!(users(&roots, "/sys/class/block/sda", &of(&roots, "sda")), ["md0"]);
    }
}
