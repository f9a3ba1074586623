//! Multipath maps: made before anybody looks at disks, where the ramdisk has the programs and the machine has paths to join.

use crate::sys::child::{ChildError, Program};
use crate::sys::disk_list;
use crate::sys::sysfs::Roots;
use std::collections::BTreeSet;
use std::path::Path;

/// Makes the maps and starts the daemon that watches their paths. Returns when maps and their partitions have their nodes.
pub fn start(roots: &Roots) {
    // Loading the programs takes a second on a slow machine, and most machines have one path to each disk.
    if !is_wanted(roots) {
        tracing::debug!("no disk has a second path: no multipath maps");
        return;
    }
    let configured = Path::new("/etc/multipath.conf").exists();
    let wanted = ["--enable", "--find_multipaths", "yes", "--with_module", "y", "--with_multipathd", "y"];
    if configured || !run("mpathconf", &wanted) {
        run("modprobe", &["-q", "dm_multipath"]);
    }
    // The daemon makes maps, too, but at a time of its own; this one has made them when it ends.
    if run("multipath", &[]) | run("multipathd", &[]) {
        run("udevadm", &["settle", "--timeout=10"]);
    }
}

/// Two disks with one world wide name and one serial number are paths to one (some makers give all their disks the name 0, or 1);
/// behind Fibre Channel and in iSCSI sessions the second path may only be
/// late, and the daemon takes it in when it comes.
fn is_wanted(roots: &Roots) -> bool {
    let late = ["/sys/class/fc_host", "/sys/class/iscsi_session"];
    let mut seen = BTreeSet::new();
    late.iter().any(|class| !roots.entries(class).is_empty())
        || disk_list::list(roots)
            .into_iter()
            .filter_map(|disk| Some((disk.identity.wwn_with_extension?, disk.identity.serials.into_iter().next())))
            .any(|(name, serial)| !name.is_empty() && !seen.insert((name, serial)))
}

/// Runs a program that the ramdisk may not have.
pub(super) fn run(program: &str, args: &[&str]) -> bool {
    match Program::new(program).args(args).succeed() {
        Ok(_) => {
            tracing::info!(program, "ran");
            true
        }
        Err(ChildError::Missing { .. }) => false,
        Err(error) => {
            tracing::info!(program, %error, "did nothing");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_wanted;
    use crate::sys::test_tree::TestTree;

    #[test]
    fn a_second_path_or_a_network_of_disks_wants_maps() {
        let tree = TestTree::new();
        let name = |number: &str, wwn: &str| {
            tree.file(&format!("run/udev/data/b{number}"), format!("E:ID_WWN_WITH_EXTENSION={wwn}\n"));
        };
        tree.disk("sda", "8:0", 2, "sys/devices/pci/host0");
        tree.disk("sdb", "8:16", 2, "sys/devices/pci/host1");
        assert!(!is_wanted(&tree.roots()), "disks without names");
        name("8:0", "0x5000c500a1");
        name("8:16", "0x5000c500a2");
        assert!(!is_wanted(&tree.roots()));
        tree.folder("sys/class/fc_host");
        assert!(!is_wanted(&tree.roots()), "the driver is there, no port");
        name("8:16", "0x5000c500a1");
        assert!(is_wanted(&tree.roots()));
        // As the disks of github.com/harvester/harvester/issues/6604 (serial numbers are cut off there): only the name is the same.
        for (number, serial) in [("8:0", "TPBF230-one"), ("8:16", "TPBF230-two")] {
            let name = "0x0000000000000000";
            let lines = format!("E:ID_WWN_WITH_EXTENSION={name}\nE:ID_WWN={name}\nE:SCSI_IDENT_SERIAL={serial}\n");
            tree.file(&format!("run/udev/data/b{number}"), lines);
        }
        assert!(!is_wanted(&tree.roots()));
        name("8:16", "0x5000c500a2");
        tree.folder("sys/class/fc_host/host7");
        assert!(is_wanted(&tree.roots()));
    }
}
