//! Whether a FAT file system fits into a smaller place as it is, or with its unused end cut off. An EFI system partition of
//! 550 MiB is common, and so is a copy of 550 MiB less a RAID superblock. Nothing is believed that was not bounded.

use std::io;

/// How to copy a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Bytes to copy.
    pub bytes: u64,
    /// Then these bytes at these places: sizes that changed.
    pub changes: Vec<(u64, Vec<u8>)>,
}

/// Looks at the boot sector `head` of a file system in a partition of `have` bytes, for a place of `room` bytes.
///
/// # Errors
/// What speaks against it, in words.
pub fn fit(head: &[u8], read: &dyn Fn(u64, &mut [u8]) -> io::Result<()>, have: u64, room: u64) -> Result<Fit, String> {
    let boot: &[u8; 512] = head.try_into().map_err(|_| "it is too short")?;
    let short = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
    let long = |at: usize| u64::from(u32::from_le_bytes([boot[at], boot[at + 1], boot[at + 2], boot[at + 3]]));
    let or_long = |value: u64, at: usize| if value == 0 { long(at) } else { value };
    let (sector, per_cluster) = (short(11), u64::from(boot[13]));
    if boot[510..] != [0x55, 0xaa] || ![512, 1024, 2048, 4096].contains(&sector) || !per_cluster.is_power_of_two() {
        return Err("it has no FAT file system".into());
    }
    let total = or_long(short(19), 32);
    let bytes = total * sector;
    if bytes > have || bytes == 0 {
        return Err("its file system is larger than it".into());
    }
    if bytes <= room {
        return Ok(Fit { bytes, changes: Vec::new() });
    }
    let (wide, table) = (short(22) == 0, or_long(short(22), 36));
    let data = short(14) + u64::from(boot[16]) * table + (short(17) * 32).div_ceil(sector);
    let clusters = |total: u64| total.checked_sub(data).map_or(0, |left| left / per_cluster);
    let fewer = room / sector;
    let (old, new) = (clusters(total), clusters(fewer));
    let cut = |text: &str| format!("it has {} KiB, its copies have {} KiB, and {text}", bytes >> 10, room >> 10);
    // Which FAT it is follows from the number of clusters: that must not change.
    let limit = if wide { 65_525 } else { 4085 };
    if new < limit || old < limit {
        return Err(cut("it is too small to be shortened"));
    }
    let width = if wide { 4 } else { 2 };
    let (first, count) = ((new + 2) * width, (old - new) * width);
    if first + count > table * sector || count > 16 << 20 {
        return Err(cut("its allocation table is damaged, or it is far too large"));
    }
    let mut entries = vec![0; count as usize];
    read(short(14) * sector + first, &mut entries).map_err(|error| error.to_string())?;
    if wide {
        // The upper four bits of an entry mean nothing.
        entries.chunks_exact_mut(4).for_each(|entry| entry[3] &= 0x0f);
    }
    if entries.iter().any(|byte| *byte != 0) {
        return Err(cut("its end is in use. Make the image's EFI system partition smaller"));
    }
    let mut changes = Vec::new();
    let mut patched = boot.to_vec();
    if short(19) == 0 {
        patched[32..36].copy_from_slice(&(fewer as u32).to_le_bytes());
    } else {
        patched[19..21].copy_from_slice(&(fewer as u16).to_le_bytes());
    }
    if wide {
        let (info, spare) = (short(48), short(50));
        if (1..short(14)).contains(&info) {
            // The number of free clusters and the place to look for one are hints: 0xffffffff is "not known".
            changes.push((info * sector + 488, vec![0xff; 8]));
        }
        if (1..short(14)).contains(&spare) {
            changes.push((spare * sector, patched.clone()));
        }
    }
    changes.push((0, patched));
    Ok(Fit { bytes: fewer * sector, changes })
}

#[cfg(test)]
mod tests {
    use super::fit;
    use proptest::prelude::{any, prop, prop_assert, proptest};

    proptest! {
        #[test]
        fn no_boot_sector_makes_it_panic_or_leave_its_place(
            bytes in prop::collection::vec(any::<u8>(), 64), per_cluster in 0u32..8, sector in 0usize..5, room in 0u64..1 << 31,
        ) {
            let mut head = bytes;
            head.resize(512, 0);
            head[510..].copy_from_slice(&[0x55, 0xaa]);
            head[11..13].copy_from_slice(&[512u16, 1024, 2048, 4096, 777][sector].to_le_bytes());
            head[13] = 1 << per_cluster;
            let have = 1 << 32;
            let read = |at: u64, data: &mut [u8]| {
                assert!(at + data.len() as u64 <= 1 << 40);
                data.fill(0);
                Ok(())
            };
            if let Ok(fit) = fit(&head, &read, have, room) {
                prop_assert!(fit.bytes <= room && fit.bytes <= have);
            }
        }
    }
}
