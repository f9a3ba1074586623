//! Where the partitions of the arrays go. Pure: disks and volumes in, places out; alignment, first offset and rounding are
//! decided here and nowhere else (ipa-features 18, rows "First offset" and "Partitions").

use super::config::{Level, Size, Volume};
use crate::disk::error::DiskError;
use crate::disk::table::Kind;
use std::path::PathBuf;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Kept free before the first partition on UEFI machines, bytes: 1 MiB, and the EFI system partition to come.
pub const UEFI_ROOM: u64 = (1 + ESP) * MIB;
/// Size of that partition, MiB.
pub const ESP: u64 = 550;
/// Kept free before the first partition on BIOS machines with a GPT, bytes: for the BIOS boot partition to come.
const BIOS_ROOM: u64 = 8 * MIB;
/// An MBR counts sectors in 32 bits.
const MBR_SECTORS: u64 = u32::MAX as u64;

/// A disk for arrays, as far as planning needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `/dev/sda`.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Bytes of a logical sector.
    pub sector: u64,
}

/// A partition to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 1.
    pub number: u32,
    /// Byte offset.
    pub start: u64,
    /// Bytes.
    pub length: u64,
}

/// An array to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// Its level.
    pub level: Level,
    /// Its name.
    pub name: Option<String>,
    /// The flag of the configuration.
    pub root: Option<bool>,
    /// Its members: index of the disk, number of the partition.
    pub members: Vec<(usize, u32)>,
}

/// Everything to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Partitions of each disk, in the disks' order.
    pub parts: Vec<Vec<Part>>,
    /// Arrays in the order in which they are made.
    pub arrays: Vec<Array>,
}

/// Plans the partitions. `wanted` names for each volume the disks it uses, as indexes; the volume with MAX comes last.
///
/// A size counts from the start of the disk, as with the reference: the first partition ends at a whole GiB, so that the
/// room kept for booting is taken from it.
///
/// # Errors
/// [`DiskError::Raid`]: too few disks, or too small.
pub fn layout(disks: &[Target], wanted: &[(Volume, Vec<usize>)], uefi: bool, table: Kind) -> Result<Layout, DiskError> {
    let first = match (uefi, table) {
        (true, _) => UEFI_ROOM,
        (false, Kind::Gpt) => BIOS_ROOM,
        (false, Kind::Msdos) => MIB,
    };
    let mut layout = Layout { parts: vec![Vec::new(); disks.len()], arrays: Vec::new() };
    let (max, sized): (Vec<_>, Vec<_>) = wanted.iter().partition(|(volume, _)| volume.size == Size::Max);
    for (volume, members) in sized.into_iter().chain(max) {
        let (level, fewest) = (volume.level.word(), volume.level.fewest());
        if members.len() < fewest {
            let text = format!("RAID {level} needs {fewest} disks or more, and {} can be used", members.len());
            return Err(DiskError::Raid(text));
        }
        let mut array =
            Array { level: volume.level, name: volume.name.clone(), root: volume.root, members: Vec::new() };
        for &at in members {
            let (disk, parts) = (&disks[at], &mut layout.parts[at]);
            let part = next(disk, parts.last(), volume.size, first, table)?;
            parts.push(part);
            array.members.push((at, part.number));
        }
        layout.arrays.push(array);
    }
    Ok(layout)
}

fn next(disk: &Target, last: Option<&Part>, size: Size, first: u64, table: Kind) -> Result<Part, DiskError> {
    let shown = disk.path.display();
    let start = last.map_or(first, |part| part.start + part.length);
    // The last MiB: the spare table of a GPT, and nothing with an MBR, so that either kind of table fits.
    let mut room = (disk.size / MIB).saturating_sub(1) * MIB;
    if table == Kind::Msdos {
        room = room.min(MBR_SECTORS * disk.sector / MIB * MIB);
    }
    let end = match size {
        Size::Max => room,
        // Whole GiB from the start of the disk; the first partition gives the room kept before it.
        Size::Gib(gib) => last.map_or(0, |_| start) + gib * GIB,
    };
    if end > room {
        let msdos = if table == Kind::Msdos && disk.size > room + MIB {
            ", of which an MBR reaches the first 2 TiB; set the capability disk_label:gpt"
        } else {
            ""
        };
        let text = format!(
            "{shown} is too small: the volumes need {} MiB of it, and it has {} MiB{msdos}",
            end / MIB + 1,
            disk.size / MIB
        );
        return Err(DiskError::Raid(text));
    }
    if end < start + MIB {
        return Err(DiskError::Raid(format!("{shown} is too small: nothing is left of it for the last volume")));
    }
    Ok(Part { number: last.map_or(0, |part| part.number) + 1, start, length: end - start })
}

#[cfg(test)]
mod tests {
    use super::{GIB, Layout, MIB, Part, Target, layout};
    use crate::disk::raid::config::{Level, Size, Volume};
    use crate::disk::table::Kind;
    use proptest::prelude::{any, prop, prop_assert, proptest};

    fn disks(sizes: &[u64]) -> Vec<Target> {
        let disk = |(at, size): (usize, &u64)| Target { path: format!("/dev/d{at}").into(), size: *size, sector: 512 };
        sizes.iter().enumerate().map(disk).collect()
    }

    fn volume(level: Level, size: Size) -> Volume {
        Volume { level, size, name: None, root: None, disks: None }
    }

    fn places(layout: &Layout, disk: usize) -> Vec<(u64, u64)> {
        layout.parts[disk].iter().map(|part| (part.start / MIB, (part.start + part.length) / MIB)).collect()
    }

    #[test]
    fn the_room_for_booting_depends_on_firmware_and_table() {
        let wanted = [(volume(Level::One, Size::Gib(2)), vec![0, 1]), (volume(Level::Zero, Size::Max), vec![0, 1])];
        for (uefi, table, first) in
            [(true, Kind::Gpt, 551), (true, Kind::Msdos, 551), (false, Kind::Gpt, 8), (false, Kind::Msdos, 1)]
        {
            let plan = layout(&disks(&[10 * GIB, 12 * GIB]), &wanted, uefi, table).unwrap();
            assert_eq!(places(&plan, 0), [(first, 2048), (2048, 10239)]);
            assert_eq!(places(&plan, 1), [(first, 2048), (2048, 12287)]);
            assert_eq!(plan.arrays[1].members, [(0, 2), (1, 2)]);
        }
    }

    #[test]
    fn max_comes_last_and_disks_of_one_volume_only_have_one_partition() {
        let wanted = [(volume(Level::One, Size::Max), vec![2, 0]), (volume(Level::Five, Size::Gib(1)), vec![0, 1, 2])];
        let plan = layout(&disks(&[4 * GIB; 3]), &wanted, false, Kind::Gpt).unwrap();
        assert_eq!(plan.arrays[0].level, Level::Five);
        assert_eq!((plan.arrays[1].members.as_slice(), plan.parts[1].len()), (&[(2, 2), (0, 2)][..], 1));
        assert_eq!(plan.parts[0][1], Part { number: 2, start: GIB, length: 3 * GIB - MIB });
    }

    #[test]
    fn what_does_not_fit_is_said_with_figures() {
        let refusal = |size: u64, gib: u64, count: usize, table: Kind| {
            let wanted = [(volume(Level::One, Size::Gib(gib)), (0..count).collect())];
            layout(&disks(&[size, size]), &wanted, false, table).unwrap_err().to_string()
        };
        assert!(refusal(10 * GIB, 10, 2, Kind::Gpt).contains("need 10241 MiB of it, and it has 10240 MiB"));
        assert!(refusal(4096 * GIB, 3000, 2, Kind::Msdos).contains("disk_label:gpt"));
        assert!(refusal(10 * GIB, 1, 1, Kind::Gpt).contains("RAID 1 needs 2 disks or more, and 1 can be used"));
        assert!(
            layout(&disks(&[8 * MIB; 2]), &[(volume(Level::One, Size::Max), vec![0, 1])], false, Kind::Gpt).is_err()
        );
    }

    proptest! {
        #[test]
        fn partitions_are_aligned_ordered_inside_and_leave_room_for_both_tables(
            sizes in prop::collection::vec(any::<u32>(), 2..6), first in 1u64..3000, second in 1u64..3000,
            max in any::<bool>(), uefi in any::<bool>(), gpt in any::<bool>(),
        ) {
            let disks = disks(&sizes.iter().map(|size| u64::from(*size) * 1000).collect::<Vec<_>>());
            let all: Vec<usize> = (0..disks.len()).collect();
            let second = if max { Size::Max } else { Size::Gib(second) };
            let wanted = [(volume(Level::One, Size::Gib(first)), all.clone()), (volume(Level::Zero, second), all)];
            let table = if gpt { Kind::Gpt } else { Kind::Msdos };
            let Ok(plan) = layout(&disks, &wanted, uefi, table) else { return Ok(()) };
            for (disk, parts) in disks.iter().zip(&plan.parts) {
                let mut from = MIB;
                for part in parts {
                    prop_assert!(part.start >= from && part.start % MIB == 0 && part.length % MIB == 0 && part.length > 0);
                    from = part.start + part.length;
                }
                prop_assert!(from + 34 * 512 <= disk.size);
                if table == Kind::Msdos {
                    prop_assert!(from / 512 <= u64::from(u32::MAX));
                }
            }
        }
    }
}
