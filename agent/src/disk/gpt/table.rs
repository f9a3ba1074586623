//! A GPT made anew, and partitions put at a place of the caller's choice or taken out. For disks that this agent lays out
//! itself (software RAID); images bring tables of their own.

use super::{Gpt, GptError, HEADER, PROTECTIVE, Partition, SIGNATURE, half, is_used, set_half, set_word, word};
use std::io::{Read, Seek, SeekFrom, Write};

/// Entries of a new table, and bytes of each: what every tool makes (UEFI 5.3.1 asks for 16 KiB at least).
const ENTRIES: (u32, u32) = (128, 128);

impl Gpt {
    /// An empty table for a disk of `size` bytes, not written yet. Needs 1 MiB at least.
    ///
    /// # Errors
    /// [`GptError::NoRoom`].
    pub fn fresh(size: u64, sector: u64, id: [u8; 16]) -> Result<Self, GptError> {
        let sectors = size / sector;
        let array = u64::from(ENTRIES.0 * ENTRIES.1).div_ceil(sector);
        if size < 1 << 20 {
            return Err(GptError::NoRoom("the disk is smaller than 1 MiB"));
        }
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(SIGNATURE);
        set_half(&mut header, 8, 0x1_0000);
        set_half(&mut header, 12, HEADER as u32);
        set_word(&mut header, 24, 1);
        set_word(&mut header, 32, sectors - 1);
        set_word(&mut header, 40, 2 + array);
        set_word(&mut header, 48, sectors - 2 - array);
        header[56..72].copy_from_slice(&id);
        set_word(&mut header, 72, 2);
        set_half(&mut header, 80, ENTRIES.0);
        set_half(&mut header, 84, ENTRIES.1);
        Ok(Self { header, entries: vec![0; (ENTRIES.0 * ENTRIES.1) as usize], sector, sectors })
    }

    /// Writes a table made by [`Gpt::fresh`], with the protective MBR that it needs.
    ///
    /// # Errors
    /// The disk's.
    pub fn write_fresh(&mut self, disk: &mut (impl Read + Write + Seek)) -> Result<(), GptError> {
        let mut mbr = vec![0; self.sector as usize];
        mbr[446..462].copy_from_slice(&[0, 0, 2, 0, PROTECTIVE, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0]);
        mbr[510..512].copy_from_slice(&[0x55, 0xaa]);
        disk.seek(SeekFrom::Start(0))?;
        disk.write_all(&mbr)?;
        self.write(disk)
    }

    /// Adds a partition at exactly this place, in the first free entry.
    ///
    /// # Errors
    /// [`GptError::NoRoom`] when it does not fit there.
    pub fn add_at(
        &mut self,
        place: (u64, u64),
        kind: [u8; 16],
        id: [u8; 16],
        name: &str,
    ) -> Result<Partition, GptError> {
        let (start, length) = place;
        let size = half(&self.header, 84) as usize;
        let free = self.entries.chunks_exact(size).position(|entry| !is_used(entry));
        let index = free.ok_or(GptError::NoRoom("all entries of the partition table are used"))?;
        let (first, end) = (start / self.sector, (start + length) / self.sector);
        let inside = start % self.sector == 0
            && first >= word(&self.header, 40)
            && end > first
            && end <= word(&self.header, 48).saturating_add(1);
        if !inside {
            return Err(GptError::NoRoom("it would not lie between the two partition tables"));
        }
        if self.partitions().iter().any(|part| part.start < start + length && part.start + part.length > start) {
            return Err(GptError::NoRoom("another partition lies there"));
        }
        self.fill(index, (first, end - 1), kind, id, name);
        Ok(Partition { number: index as u32 + 1, start, length: (end - first) * self.sector, name: name.into(), kind })
    }

    /// Where `length` bytes are free, at the first multiple of 1 MiB; none if nowhere.
    pub fn gap(&self, length: u64) -> Option<u64> {
        let end = (word(&self.header, 48) + 1) * self.sector;
        let mut taken: Vec<(u64, u64)> =
            self.partitions().iter().map(|part| (part.start, part.start + part.length)).collect();
        taken.push((end, end));
        taken.sort_unstable();
        let mut from = (word(&self.header, 40) * self.sector).next_multiple_of(1 << 20);
        for (start, end) in taken {
            if from + length <= start {
                return Some(from);
            }
            from = from.max(end.next_multiple_of(1 << 20));
        }
        None
    }

    /// Empties the entry of a partition; false if it was empty. Call [`Gpt::write`] after.
    pub fn remove(&mut self, number: u32) -> bool {
        let size = half(&self.header, 84) as usize;
        let at = (number as usize).checked_sub(1).and_then(|index| index.checked_mul(size));
        let entry = at.and_then(|at| self.entries.get_mut(at..at + size));
        entry.is_some_and(|entry| {
            let used = is_used(entry);
            entry.fill(0);
            used
        })
    }

    /// The unique GUID of a partition, as stored.
    pub fn id(&self, number: u32) -> Option<[u8; 16]> {
        let size = half(&self.header, 84) as usize;
        let entry = self.entries.chunks_exact(size).nth((number as usize).checked_sub(1)?)?;
        if is_used(entry) { entry[16..32].try_into().ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::{Gpt, GptError};
    use proptest::prelude::{any, prop, proptest};
    use std::io::Cursor;
    use std::process::Command;

    const RAID: [u8; 16] = *b"\x0f\x88\x9d\xa1\xfc\x05\x3b\x4d\xa0\x06\x74\x3f\x0f\x84\x91\x1e";
    const MIB: u64 = 1 << 20;

    #[test]
    fn sgdisk_finds_nothing_to_complain_about_and_sees_the_same_partitions() {
        let size = 64 * MIB;
        let mut gpt = Gpt::fresh(size, 512, [9; 16]).unwrap();
        gpt.add_at((8 * MIB, 20 * MIB), RAID, [1; 16], "raid-1").unwrap();
        gpt.add_at((28 * MIB, 35 * MIB), RAID, [2; 16], "raid-2").unwrap();
        let mut disk = Cursor::new(vec![0; size as usize]);
        gpt.write_fresh(&mut disk).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), disk.get_ref()).unwrap();
        let said = |arguments: &[&str]| {
            let output = Command::new("sgdisk").args(arguments).arg(file.path()).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        assert!(said(&["-v"]).contains("No problems found"), "{}", said(&["-v"]));
        let second = said(&["-i", "2"]);
        assert!(second.contains("First sector: 57344 ") && second.contains("Last sector: 129023 "), "{second}");
        assert!(second.contains("Linux RAID") && second.contains("'raid-2'"), "{second}");

        let mut again = Gpt::read(&mut disk, size, 512).unwrap().unwrap();
        assert_eq!(again.partitions(), gpt.partitions());
        assert_eq!((again.id(2), again.id(3)), (Some([2; 16]), None));
        assert_eq!(again.gap(7 * MIB), Some(MIB), "the room that was kept for a boot partition");
        assert_eq!(again.gap(8 * MIB), None);
        let boot = again.add_at((MIB, 2 * MIB), RAID, [3; 16], "boot").unwrap();
        assert_eq!(boot.number, 3);
        assert!(again.remove(1) && !again.remove(1) && !again.remove(0) && !again.remove(4000));
        assert_eq!(again.gap(8 * MIB), Some(3 * MIB));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut gpt = Gpt::fresh(64 * MIB, 4096, [9; 16]).unwrap();
        gpt.add_at((MIB, 10 * MIB), RAID, [1; 16], "one").unwrap();
        for place in [(0, MIB), (10 * MIB, 2 * MIB), (60 * MIB, 4 * MIB), (20 * MIB + 1, MIB), (20 * MIB, 0)] {
            assert!(matches!(gpt.add_at(place, RAID, [2; 16], "two"), Err(GptError::NoRoom(_))), "{place:?}");
        }
        assert!(Gpt::fresh(1000, 512, [0; 16]).is_err());
    }

    proptest! {
        #[test]
        fn partitions_never_overlap_and_are_read_back(places in prop::collection::vec((any::<u8>(), 1u64..20), 1..20)) {
            let size = 256 * MIB;
            let mut gpt = Gpt::fresh(size, 512, [9; 16]).unwrap();
            for (start, length) in places {
                let _ = gpt.add_at((u64::from(start) * MIB, length * MIB), RAID, [start; 16], "part");
            }
            let mut disk = Cursor::new(vec![0; size as usize]);
            gpt.write_fresh(&mut disk).unwrap();
            let again = Gpt::read(&mut disk, size, 512).unwrap().unwrap();
            let mut parts = again.partitions();
            assert_eq!(parts, gpt.partitions());
            parts.sort_by_key(|part| part.start);
            assert!(parts.windows(2).all(|pair| pair[0].start + pair[0].length <= pair[1].start));
        }
    }
}
