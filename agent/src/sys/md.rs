//! Software RAID as it is found: the arrays that the kernel runs (`/sys/block/mdN/md`, kernel admin-guide/md) and the
//! superblocks that members carry (kernel `include/uapi/linux/raid/md_p.h`). Nothing here assembles anything.

use super::block::BlockDevice;
use super::sysfs::Roots;
use super::text::clean;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

/// `a92b4efc`, in the byte order of a version 1 superblock.
const MAGIC: [u8; 4] = [0xfc, 0x4e, 0x2b, 0xa9];
/// Bytes read and, to kill it, zeroed; a superblock with every possible member's role ends there.
const SUPERBLOCK: usize = 4096;

/// An array the kernel knows, running or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Array {
    /// `md127`.
    pub kernel_name: String,
    /// `/dev/md127`.
    pub path: PathBuf,
    /// `raid1`; empty when it could not be started.
    pub level: String,
    /// `1.2`, `external:imsm`.
    pub metadata: String,
    /// Bytes; 0 when it could not be started.
    pub size: u64,
    /// Kernel names of its members: `sda1`.
    pub members: BTreeSet<String>,
}

/// Every array with members, in the order of their names.
pub fn arrays(roots: &Roots) -> Vec<Array> {
    let names = roots.entries("/sys/block").into_iter().filter(|name| roots.exists(format!("/sys/block/{name}/md")));
    let array = |name: String| {
        let folder = format!("/sys/block/{name}");
        let text = |file: &str| roots.text(format!("{folder}/md/{file}")).unwrap_or_default();
        Array {
            path: format!("/dev/{name}").into(),
            level: text("level"),
            metadata: text("metadata_version"),
            size: roots.number(format!("{folder}/size")).unwrap_or(0) * 512,
            members: roots.entries(format!("{folder}/slaves")).into_iter().collect(),
            kernel_name: name,
        }
    };
    let mut all: Vec<Array> = names.map(array).filter(|array| !array.members.is_empty()).collect();
    all.sort_by(|one, other| one.kernel_name.cmp(&other.kernel_name));
    all
}

/// What a member says about its array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// The array's UUID.
    pub array: [u8; 16],
    /// Its volume name without the home host before it; empty in version 0.90.
    pub volume: String,
    /// Where it lies, bytes.
    pub at: u64,
}

/// The superblock of a member; of several (left-overs) the one that lies first in the order 1.2, 1.1, 1.0, 0.90.
///
/// # Errors
/// A device that cannot be read.
pub fn superblock(device: &BlockDevice) -> io::Result<Option<Superblock>> {
    let blocks = device.size() / 512;
    let end = blocks.checked_sub(16).map(|at| (at & !7) * 512);
    let old = (blocks & !127).checked_sub(128).map(|at| at * 512);
    for at in [Some(4096), Some(0), end].into_iter().flatten() {
        if let Some(bytes) = read(device, at)?
            && bytes[..8] == [0xfc, 0x4e, 0x2b, 0xa9, 1, 0, 0, 0]
            && word(&bytes, 144) == at / 512
        {
            let name = clean(bytes[32..64].split(|&byte| byte == 0).next().unwrap_or_default(), 32);
            let volume = name.split_once(':').map_or(name.as_str(), |(_, volume)| volume).to_owned();
            return Ok(Some(Superblock { array: part(&bytes, 16), volume, at }));
        }
    }
    let Some((at, bytes)) = old.map(|at| Ok::<_, io::Error>((at, read(device, at)?))).transpose()? else {
        return Ok(None);
    };
    // Version 0.90 is in the byte order of the machine that made it.
    let old = bytes.filter(|bytes| bytes[..4] == MAGIC && bytes[4..8] == [0; 4]);
    Ok(old.map(|bytes| {
        let mut array = [0; 16];
        array[..4].copy_from_slice(&bytes[20..24]);
        array[4..].copy_from_slice(&bytes[52..64]);
        Superblock { array, volume: String::new(), at }
    }))
}

/// Zeroes every superblock. Returns how many there were.
///
/// # Errors
/// A device that cannot be read or written, or that keeps a superblock that was zeroed.
pub fn zero_superblocks(device: &BlockDevice) -> io::Result<usize> {
    // One of each version at most.
    for count in 0..=4 {
        let Some(found) = superblock(device)? else {
            device.drop_cache()?;
            return Ok(count);
        };
        device.write_zeroes(found.at, SUPERBLOCK as u64)?;
    }
    Err(io::Error::other("a RAID superblock is still there after it was zeroed"))
}

/// The volume name of an array the kernel runs, as its members have it; none when it has none or none can be read.
pub fn volume(array: &Array) -> Option<String> {
    let of = |member: &String| {
        let path = PathBuf::from(format!("/dev/{}", member.replace('!', "/")));
        let device = BlockDevice::open(&path, super::block::Access::Read).ok()?;
        superblock(&device).ok().flatten()
    };
    array.members.iter().find_map(of).map(|found| found.volume).filter(|volume| !volume.is_empty())
}

fn read(device: &BlockDevice, at: u64) -> io::Result<Option<Vec<u8>>> {
    if at.checked_add(SUPERBLOCK as u64).is_none_or(|end| end > device.size()) {
        return Ok(None);
    }
    let mut bytes = vec![0; SUPERBLOCK];
    device.read_at(at, &mut bytes)?;
    Ok(Some(bytes))
}

fn part(bytes: &[u8], at: usize) -> [u8; 16] {
    bytes.get(at..at + 16).and_then(|part| part.try_into().ok()).unwrap_or([0; 16])
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// A version 1 superblock as it lies at `at`.
#[cfg(test)]
pub fn version_one(at: u64, name: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; SUPERBLOCK];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4] = 1;
    bytes[16..32].copy_from_slice(&[7; 16]);
    bytes[32..32 + name.len()].copy_from_slice(name);
    bytes[144..152].copy_from_slice(&(at / 512).to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::{MAGIC, arrays, superblock, version_one, zero_superblocks};
    use crate::sys::block::{Access, BlockDevice};
    use crate::sys::test_tree::TestTree;
    use proptest::prelude::{any, prop, proptest};

    fn device() -> (tempfile::NamedTempFile, BlockDevice) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len((4 << 20) + 1536).unwrap();
        let device = BlockDevice::open(file.path(), Access::Exclusive).unwrap();
        (file, device)
    }

    #[test]
    fn a_member_tells_its_volume_wherever_its_superblock_lies_and_none_survives() {
        let (_file, device) = device();
        let end = ((device.size() / 512 - 16) & !7) * 512;
        assert_eq!(superblock(&device).unwrap(), None);
        for at in [4096, 0, end] {
            device.write_at(at, &version_one(at, b"any:root")).unwrap();
            let found = superblock(&device).unwrap().unwrap();
            assert_eq!((found.array, found.volume.as_str(), found.at), ([7; 16], "root", at));
            assert_eq!(zero_superblocks(&device).unwrap(), 1);
        }
        let old = ((device.size() / 512) & !127) * 512 - 65536;
        device.write_at(old, &MAGIC).unwrap();
        device.write_at(4096, &version_one(4096, b"data")).unwrap();
        assert_eq!(superblock(&device).unwrap().unwrap().volume, "data");
        assert_eq!(zero_superblocks(&device).unwrap(), 2, "left-overs of other versions go, too");
        assert_eq!(superblock(&device).unwrap(), None);
    }

    #[test]
    fn one_that_was_copied_to_another_place_is_none() {
        let (_file, device) = device();
        device.write_at(4096, &version_one(0, b"root")).unwrap();
        assert_eq!(superblock(&device).unwrap(), None);
    }

    #[test]
    fn arrays_are_seen_with_their_members_and_stopped_ones_are_not() {
        let tree = TestTree::new();
        let md = tree.disk("md127", "9:127", 2, "sys/devices/virtual");
        tree.file(&format!("{md}/md/level"), "raid1\n").file(&format!("{md}/md/metadata_version"), "1.2\n");
        for part in ["sda1", "sdb1"] {
            tree.file(&format!("{md}/slaves/{part}"), "");
        }
        let gone = tree.disk("md0", "9:0", 2, "sys/devices/virtual");
        tree.file(&format!("{gone}/md/array_state"), "clear\n");
        let found = arrays(&tree.roots());
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].kernel_name.as_str(), found[0].level.as_str(), found[0].size),
            ("md127", "raid1", 2 << 30)
        );
        assert_eq!(found[0].members.iter().collect::<Vec<_>>(), ["sda1", "sdb1"]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 200), at in 0u64..8192) {
            let (_file, device) = device();
            device.write_at(at, &bytes).unwrap();
            let mut hostile = version_one(4096, b"");
            hostile[32..64].copy_from_slice(&bytes[..32]);
            device.write_at(4096, &hostile).unwrap();
            let _ = superblock(&device).unwrap();
        }
    }
}
