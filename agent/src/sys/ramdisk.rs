//! Is `/` a ramdisk? Only then are this machine's disks ours to destroy.

use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};

/// `linux/magic.h`; nix does not name it.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// True when `/`, as we and as process 1 see it, lives in memory. Every doubt answers no.
///
/// Process 1 is asked so that a container with a memory-backed root on a machine with disks is not taken for a ramdisk.
pub fn root_is_ramdisk() -> bool {
    let in_memory =
        |path: &str| statfs(path).is_ok_and(|facts| [RAMFS_MAGIC, TMPFS_MAGIC].contains(&facts.filesystem_type()));
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    in_memory("/") && in_memory("/proc/1/root") && root_type(&mounts).is_some_and(|kind| MEMORY.contains(&kind))
}

const MEMORY: [&str; 3] = ["rootfs", "tmpfs", "ramfs"];

/// The file system mounted on `/`; of several the last, which lies on top.
fn root_type(mounts: &str) -> Option<&str> {
    let rows = mounts.lines().map(|row| row.split(' ').collect::<Vec<_>>());
    rows.filter(|row| row.get(1) == Some(&"/")).filter_map(|row| row.get(2).copied()).next_back()
}

#[cfg(test)]
mod tests {
    use super::root_type;

    #[test]
    fn the_topmost_mount_of_the_root_counts() {
        assert_eq!(root_type("rootfs / rootfs rw 0 0\nproc /proc proc rw 0 0\n"), Some("rootfs"));
        assert_eq!(root_type("rootfs / rootfs rw 0 0\n/dev/vda / ext4 rw 0 0\n"), Some("ext4"));
        assert_eq!(root_type("tmpfs /run tmpfs rw 0 0\n"), None);
    }

    #[test]
    fn this_machine_runs_from_a_disk() {
        let kind = std::process::Command::new("stat").args(["--file-system", "--format", "%T", "/"]).output().unwrap();
        let kind = String::from_utf8_lossy(&kind.stdout).trim().to_string();
        assert_eq!(super::root_is_ramdisk(), ["tmpfs", "ramfs"].contains(&kind.as_str()), "{kind}");
    }
}
