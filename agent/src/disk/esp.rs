//! Finding the EFI system partition in a partition table. The table is hostile: an image brought it.

use super::boot_option::{BootPartition, DiskSignature};
use super::error::DiskError;
use crate::sys::block::{Access, BlockDevice};
use crate::sys::disk_list;
use crate::sys::sysfs::Roots;
use std::path::Path;

/// Type of the EFI system partition as stored: C12A7328-F81F-11D2-BA4B-00A0C93EC93B.
const ESP_TYPE: [u8; 16] = *b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";
/// Type of the EFI system partition in an MBR.
const ESP_TYPE_MBR: u8 = 0xef;
/// Most entries looked at; firmware makes 128.
const MAX_ENTRIES: u32 = 1024;

/// The EFI system partition of a disk, none if it has none. By `unique` (a partition GUID) when the table has no
/// partition of that type.
///
/// # Errors
/// A disk that cannot be read.
pub fn find(device: &BlockDevice, unique: Option<uuid::Uuid>) -> Result<Option<BootPartition>, DiskError> {
    let block = u64::from(device.logical_sector());
    let last = (device.size() / block).saturating_sub(1);
    for header in [1, last] {
        let entries = entries(device, block, header)?;
        let by_type = entries.iter().find(|(kind, _)| *kind == ESP_TYPE);
        let wanted = unique.map(|unique| DiskSignature::Gpt(unique.to_bytes_le()));
        let by_name = || entries.iter().find(|(_, partition)| Some(partition.signature) == wanted);
        if let Some((_, partition)) = by_type.or_else(by_name) {
            return Ok(Some(partition.clone()));
        }
        if !entries.is_empty() {
            return Ok(None);
        }
    }
    mbr(device)
}

/// How every partition of a disk is known to firmware.
///
/// # Errors
/// A disk that cannot be read.
pub fn signatures(device: &BlockDevice) -> Result<Vec<DiskSignature>, DiskError> {
    let block = u64::from(device.logical_sector());
    let mut found = Vec::new();
    for header in [1, (device.size() / block).saturating_sub(1)] {
        found.extend(entries(device, block, header)?.into_iter().map(|(_, partition)| partition.signature));
    }
    let mut head = [0; 512];
    if device.size() >= 512 {
        device.read_at(0, &mut head).map_err(DiskError::io("reading", device.path()))?;
        found.push(DiskSignature::Mbr(part(&head, 440)));
    }
    Ok(found)
}

/// Is this partition on any disk of the machine? A disk that cannot be read may have it.
pub fn is_present(wanted: &DiskSignature) -> bool {
    disk_list::list(&Roots::machine()).iter().any(|disk| {
        let path = Path::new(&disk.path);
        let opened = BlockDevice::open(path, Access::Read).map_err(DiskError::io("opening", path));
        opened.and_then(|device| signatures(&device)).map_or(true, |found| found.contains(wanted))
    })
}

/// Type and place of every used entry of the GPT whose header lies in this block; empty if there is none.
fn entries(device: &BlockDevice, block: u64, header: u64) -> Result<Vec<([u8; 16], BootPartition)>, DiskError> {
    let mut data = vec![0; device.logical_sector() as usize];
    let mut found = Vec::new();
    let blocks = device.size() / block;
    if header >= blocks {
        return Ok(found);
    }
    device.read_at(header * block, &mut data).map_err(DiskError::io("reading", device.path()))?;
    if !data.starts_with(b"EFI PART") {
        return Ok(found);
    }
    let (first, count, size) = (long(&data, 72), word(&data, 80).min(MAX_ENTRIES), u64::from(word(&data, 84)));
    if !(128..=4096).contains(&size) {
        return Ok(found);
    }
    let Some(start) = first.checked_mul(block) else { return Ok(found) };
    for at in 0..u64::from(count) {
        let Some(place) = start.checked_add(at * size).filter(|place| place.saturating_add(128) <= device.size())
        else {
            break;
        };
        let mut entry = [0; 128];
        device.read_at(place, &mut entry).map_err(DiskError::io("reading", device.path()))?;
        let (kind, unique): ([u8; 16], [u8; 16]) = (part(&entry, 0), part(&entry, 16));
        let (start, end) = (long(&entry, 32), long(&entry, 40));
        if kind == [0; 16] || start == 0 || end < start || end >= blocks {
            continue;
        }
        let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
        let signature = DiskSignature::Gpt(unique);
        found.push((kind, BootPartition { number, start, blocks: end - start + 1, signature }));
    }
    Ok(found)
}

/// The first primary partition of the type in an MBR.
fn mbr(device: &BlockDevice) -> Result<Option<BootPartition>, DiskError> {
    let mut data = vec![0; device.logical_sector() as usize];
    if device.size() < data.len() as u64 {
        return Ok(None);
    }
    device.read_at(0, &mut data).map_err(DiskError::io("reading", device.path()))?;
    if data[510..512] != [0x55, 0xaa] {
        return Ok(None);
    }
    let blocks = device.size() / u64::from(device.logical_sector());
    for number in 0..4 {
        let entry = &data[446 + 16 * number..];
        let (start, length) = (u64::from(word(entry, 8)), u64::from(word(entry, 12)));
        if entry[4] == ESP_TYPE_MBR && start > 0 && length > 0 && start + length <= blocks {
            let signature = DiskSignature::Mbr(part(&data, 440));
            let number = u32::try_from(number + 1).unwrap_or(1);
            return Ok(Some(BootPartition { number, start, blocks: length, signature }));
        }
    }
    Ok(None)
}

fn part<const N: usize>(data: &[u8], at: usize) -> [u8; N] {
    data.get(at..at + N).and_then(|part| part.try_into().ok()).unwrap_or([0; N])
}

fn word(data: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(part(data, at))
}

fn long(data: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(part(data, at))
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::disk::boot_option::{BootPartition, DiskSignature};
    use crate::sys::block::{Access, BlockDevice};
    use proptest::prelude::{any, prop, proptest};
    use std::process::Command;
    use uuid::Uuid;

    const GUID: &str = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff";

    fn disk(arguments: &[&str]) -> (tempfile::NamedTempFile, BlockDevice) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(64 << 20).unwrap();
        let output = Command::new("sgdisk").args(arguments).arg(file.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let device = BlockDevice::open(file.path(), Access::Exclusive).unwrap();
        (file, device)
    }

    #[test]
    fn the_partition_is_found_by_type_and_else_by_its_identity() {
        let id = format!("15:{GUID}");
        let (_file, device) = disk(&["-n", "1:40960:0", "-n", "15:2048:+8M", "-t", "15:ef00", "-u", &id]);
        let guid = Uuid::parse_str(GUID).unwrap();
        let expected = BootPartition {
            number: 15,
            start: 2048,
            blocks: (8 << 20) / 512,
            signature: DiskSignature::Gpt(guid.to_bytes_le()),
        };
        assert_eq!(find(&device, None).unwrap().as_ref(), Some(&expected));
        device.write_zeroes(512, 512).unwrap();
        assert_eq!(find(&device, None).unwrap(), Some(expected.clone()), "by the spare table");
        let (_file, device) = disk(&["-n", "1:40960:0", "-n", "15:2048:+8M", "-u", &id]);
        assert_eq!(find(&device, None).unwrap(), None);
        assert_eq!(find(&device, Some(guid)).unwrap(), Some(expected));
    }

    #[test]
    fn an_mbr_can_have_one_too() {
        let (_file, device) = disk(&["-n", "1:2048:+8M", "-t", "1:ef00"]);
        device.write_zeroes(0, 1 << 20).unwrap();
        device.write_zeroes(63 << 20, 1 << 20).unwrap();
        assert_eq!(find(&device, None).unwrap(), None);
        let mut sector = [0; 512];
        sector[440..444].copy_from_slice(&[9, 8, 7, 6]);
        sector[462 + 4] = 0xef;
        sector[462 + 8..462 + 16].copy_from_slice(&[0, 8, 0, 0, 0, 0x10, 0, 0]);
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        device.write_at(0, &sector).unwrap();
        let found = find(&device, None).unwrap().unwrap();
        assert_eq!((found.number, found.start, found.blocks), (2, 2048, 4096));
        assert_eq!(found.signature, DiskSignature::Mbr([9, 8, 7, 6]));
    }

    proptest! {
        #[test]
        fn no_table_makes_it_panic_or_leave_the_disk(header in prop::collection::vec(any::<u8>(), 84), entry in prop::collection::vec(any::<u8>(), 128)) {
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(1 << 20).unwrap();
            let device = BlockDevice::open(file.path(), Access::Exclusive).unwrap();
            device.write_at(512, b"EFI PART").unwrap();
            device.write_at(520, &header).unwrap();
            device.write_at(1024, &entry).unwrap();
            if let Some(found) = find(&device, None).unwrap() {
                assert!(found.start + found.blocks <= (1 << 20) / 512);
            }
        }
    }
}
