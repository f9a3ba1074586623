//! Device-mapper maps: what made one, which partitions kpartx has made of it, and how those are taken away.
//!
//! The kernel makes no partitions of a map. kpartx (udev runs it) maps each row of the table again, as a map of its own that
//! lies on the first and holds it: nobody can open the whole alone until they are gone, which takes none of the data.

use super::sysfs::Roots;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// What made a map: the word before the first dash of its UUID (`mpath`, `LVM`, `CRYPT`, `DMRAID`); only those that are disks.
pub fn kind(roots: &Roots, name: &str) -> Option<&'static str> {
    let uuid = uuid(roots, name)?;
    ["mpath", "DMRAID"].into_iter().find(|kind| uuid.strip_prefix(kind).is_some_and(|rest| rest.starts_with('-')))
}

fn uuid(roots: &Roots, name: &str) -> Option<String> {
    roots.text(format!("/sys/block/{name}/dm/uuid"))
}

/// `part2-mpath-3600` is partition 2 of the map `mpath-3600`. Only of maps that are disks: kpartx may be run on a logical
/// volume, too, and that is somebody's volume.
fn parsed(uuid: &str) -> Option<(u32, &str)> {
    let (number, whole) = uuid.strip_prefix("part")?.split_once('-')?;
    (whole.starts_with("mpath-") || whole.starts_with("DMRAID-")).then_some(())?;
    Some((number.parse().ok()?, whole))
}

/// The number of the partition that this map is.
pub fn partition_number(roots: &Roots, name: &str) -> Option<u32> {
    parsed(&uuid(roots, name)?).map(|(number, _)| number)
}

/// The map whose partition this is. A logical partition lies on the extended one, and that on the whole.
pub fn whole_of(roots: &Roots, part: &str) -> Option<String> {
    let uuid = uuid(roots, part)?;
    let (_, whole) = parsed(&uuid)?;
    let mut open = roots.entries(format!("/sys/block/{part}/slaves"));
    // A part lies on one device, and that on one more at most; the bound is for a tree that is none.
    for _ in 0..8 {
        let below = open.pop()?;
        let known = self::uuid(roots, &below)?;
        if known == whole {
            return Some(below);
        }
        if parsed(&known).is_some_and(|(_, other)| other == whole) {
            open.extend(roots.entries(format!("/sys/block/{below}/slaves")));
        }
    }
    None
}

/// The partitions that kpartx has made of a map, in the order in which they lie on each other.
pub fn partitions(roots: &Roots, name: &str) -> Vec<String> {
    let Some(whole) = kind(roots, name).and_then(|_| uuid(roots, name)) else { return Vec::new() };
    let mut found = Vec::new();
    let mut open = vec![name.to_owned()];
    while let Some(below) = open.pop() {
        for holder in roots.entries(format!("/sys/block/{below}/holders")) {
            let is_part =
                uuid(roots, &holder).is_some_and(|uuid| parsed(&uuid).is_some_and(|(_, other)| other == whole));
            if is_part && !found.contains(&holder) {
                open.push(holder.clone());
                found.push(holder);
            }
        }
    }
    found
}

/// `struct dm_ioctl` of `linux/dm-ioctl.h`, without the room for data that some orders need behind it.
#[repr(C)]
struct Order {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event: u32,
    padding: u32,
    device: u64,
    name: [u8; 128],
    uuid: [u8; 129],
    data: [u8; 7],
}

mod order {
    nix::ioctl_readwrite!(remove, 0xfd, 4, super::Order);
}

/// How long it is tried to take the partitions of a map away: udev may just be looking at them, or making them anew.
const MAP_PATIENCE: Duration = Duration::from_secs(5);

/// Partitions that the kernel made do not keep a disk from being opened alone; those that kpartx made of a map do, although
/// nobody uses them. Whoever wants to write to the map has passed the gate, which has looked at each of them.
///
/// # Errors
/// As from `open(2)`; `EBUSY` when somebody uses one of the partitions.
pub fn open_freed(options: &OpenOptions, path: &Path) -> io::Result<File> {
    let until = Instant::now() + MAP_PATIENCE;
    let busy = |error: &io::Error| error.raw_os_error() == Some(nix::libc::EBUSY);
    loop {
        let refused = match options.open(path) {
            Err(error) if busy(&error) => error,
            other => return other,
        };
        match drop_partitions(path) {
            Ok(true) => {}
            Err(error) if busy(&error) => std::thread::sleep(Duration::from_millis(10)), // the kernel gives no sign
            Ok(false) | Err(_) => return Err(refused),
        }
        if Instant::now() > until {
            return Err(refused);
        }
    }
}

/// Takes the partitions of the map behind `path` away, as the kernel does with those of a plain disk when it reads a table
/// again. `true`: there were some. The kernel refuses while somebody uses one.
///
/// # Errors
/// `EBUSY` and others of the kernel.
fn drop_partitions(path: &Path) -> io::Result<bool> {
    let roots = Roots::machine();
    let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| name.starts_with("dm-")) else {
        return Ok(false);
    };
    let parts = partitions(&roots, name);
    let Some(control) =
        (!parts.is_empty()).then(|| OpenOptions::new().read(true).write(true).open("/dev/mapper/control"))
    else {
        return Ok(false);
    };
    let control = control?;
    for part in parts.iter().rev() {
        let number = roots.text(format!("/sys/block/{part}/dev")).unwrap_or_default();
        let number = number.split_once(':').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let Some((major, minor)) = number else { continue }; // gone meanwhile
        match remove(&control, nix::sys::stat::makedev(major, minor)) {
            Err(error) if error.raw_os_error() != Some(nix::libc::ENXIO) => return Err(error),
            _ => tracing::debug!(map = name, part, "taken away"),
        }
    }
    Ok(true)
}

fn remove(control: &File, device: u64) -> io::Result<()> {
    let size = size_of::<Order>() as u32;
    let mut order = Order {
        version: [4, 0, 0],
        data_size: size,
        data_start: 0,
        target_count: 0,
        open_count: 0,
        flags: 0,
        event: 0,
        padding: 0,
        device,
        name: [0; 128],
        uuid: [0; 129],
        data: [0; 7],
    };
    // SAFETY: the descriptor is open; the kernel reads and fills `data_size` bytes, and that is the structure's size.
    unsafe { order::remove(control.as_raw_fd(), &mut order)? };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Order, drop_partitions, kind, partition_number, partitions, whole_of};
    use crate::sys::test_tree::TestTree;

    #[test]
    fn partitions_of_a_map_are_those_that_name_it_and_no_other_holder_is_one() {
        let tree = TestTree::new();
        tree.multipath("dm-0", &["sda", "sdb"]);
        tree.map_part("dm-1", "part1-mpath-3600", "dm-0");
        tree.map_part("dm-2", "part2-mpath-3600", "dm-0");
        tree.map_part("dm-3", "part5-mpath-3600", "dm-2");
        tree.map_part("dm-4", "LVM-abc", "dm-0");
        tree.map_part("dm-5", "part1-LVM-abc", "dm-4");
        tree.map_part("dm-6", "part1-mpath-3601", "dm-0");
        let roots = tree.roots();
        assert_eq!(partitions(&roots, "dm-0"), ["dm-1", "dm-2", "dm-3"]);
        assert_eq!(partitions(&roots, "dm-4"), [""; 0], "a volume is no disk");
        assert_eq!(partitions(&roots, "dm-1"), [""; 0]);
        for (part, number) in [("dm-1", 1), ("dm-2", 2), ("dm-3", 5)] {
            assert_eq!(whole_of(&roots, part).as_deref(), Some("dm-0"), "{part}");
            assert_eq!(partition_number(&roots, part), Some(number));
        }
        for other in ["dm-0", "dm-4", "dm-5", "dm-6", "sda", "none"] {
            assert_eq!(whole_of(&roots, other), None, "{other}");
        }
        assert_eq!((kind(&roots, "dm-0"), kind(&roots, "dm-1"), kind(&roots, "dm-4")), (Some("mpath"), None, None));
    }

    #[test]
    fn the_kernels_structure_has_its_size_and_other_devices_have_no_such_partitions() {
        assert_eq!(size_of::<Order>(), 312);
        assert!(!drop_partitions("/dev/null".as_ref()).unwrap());
        assert!(!drop_partitions("/dev/dm-none".as_ref()).unwrap());
    }
}
