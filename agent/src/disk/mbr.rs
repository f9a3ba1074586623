//! The partition table of BIOS machines: read, its disk identifier, and one more primary partition.

use std::io::{self, Read, Seek, SeekFrom, Write};

/// Logical partitions are chained; more than this many is a loop.
const MAX_LOGICAL: usize = 64;
/// Types of an extended partition, which is a container.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// One partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// 1 to 4 for primaries, from 5 for logical ones.
    pub number: u32,
    /// The type byte.
    pub kind: u8,
    /// Byte offset.
    pub start: u64,
    /// Bytes.
    pub length: u64,
}

impl Partition {
    /// Holds the logical partitions and no data.
    pub fn is_extended(&self) -> bool {
        EXTENDED.contains(&self.kind)
    }
}

/// The disk identifier at byte 440; zero on most disks with a GPT.
///
/// # Errors
/// The disk's.
pub fn disk_id(disk: &mut (impl Read + Seek)) -> io::Result<u32> {
    let mut bytes = [0; 4];
    disk.seek(SeekFrom::Start(440))?;
    disk.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// All partitions, the logical ones included. None if the disk has no MBR.
///
/// # Errors
/// The disk's.
pub fn read(disk: &mut (impl Read + Seek), size: u64, sector: u64) -> io::Result<Option<Vec<Partition>>> {
    let Some(rows) = table(disk, 0, size)? else { return Ok(None) };
    let mut all: Vec<Partition> = Vec::new();
    for (row, number) in rows.iter().zip(1..) {
        if let Some((kind, start, length)) = *row {
            all.push(Partition { number, kind, start: start * sector, length: length * sector });
        }
    }
    let Some(container) = all.iter().find(|part| part.is_extended()).map(|part| part.start) else {
        return Ok(Some(all));
    };
    let mut at = container;
    for number in (5..).take(MAX_LOGICAL) {
        let Some([first, second, ..]) = table(disk, at, size)? else { break };
        if let Some((kind, start, length)) = first {
            all.push(Partition { number, kind, start: at + start * sector, length: length * sector });
        }
        match second {
            Some((kind, start, _)) if EXTENDED.contains(&kind) => at = container + start * sector,
            _ => break,
        }
    }
    Ok(Some(all))
}

/// Four entries of type, start, and length in sectors.
type Rows = [Option<(u8, u64, u64)>; 4];

fn table(disk: &mut (impl Read + Seek), at: u64, size: u64) -> io::Result<Option<Rows>> {
    if at.checked_add(512).is_none_or(|end| end > size) {
        return Ok(None);
    }
    let mut bytes = [0; 512];
    disk.seek(SeekFrom::Start(at))?;
    disk.read_exact(&mut bytes)?;
    if bytes[510..] != [0x55, 0xaa] {
        return Ok(None);
    }
    let mut rows = [None; 4];
    for (row, entry) in rows.iter_mut().zip(bytes[446..510].chunks_exact(16)) {
        // A boot flag other than these two means boot code of a file system, not a partition table.
        if !matches!(entry[0], 0 | 0x80) {
            return Ok(None);
        }
        let number =
            |at: usize| u64::from(u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]));
        if entry[4] != 0 && number(12) != 0 {
            *row = Some((entry[4], number(8), number(12)));
        }
    }
    Ok(Some(rows))
}

/// Writes an empty table with this disk identifier.
///
/// # Errors
/// The disk's.
pub fn write_fresh(disk: &mut (impl Write + Seek), id: u32) -> io::Result<()> {
    let mut bytes = [0; 512];
    bytes[440..444].copy_from_slice(&id.to_le_bytes());
    bytes[510..].copy_from_slice(&[0x55, 0xaa]);
    disk.seek(SeekFrom::Start(0))?;
    disk.write_all(&bytes)?;
    disk.flush()
}

/// Empties the entry of a primary partition; false if it was empty.
///
/// # Errors
/// The disk's.
pub fn remove(disk: &mut (impl Read + Write + Seek), number: u32) -> io::Result<bool> {
    let Some(at) = number.checked_sub(1).filter(|index| *index < 4).map(|index| 446 + index as usize * 16) else {
        return Ok(false);
    };
    let mut bytes = [0; 512];
    disk.seek(SeekFrom::Start(0))?;
    disk.read_exact(&mut bytes)?;
    let used = bytes[at + 4] != 0;
    bytes[at..at + 16].fill(0);
    disk.seek(SeekFrom::Start(0))?;
    disk.write_all(&bytes)?;
    disk.flush()?;
    Ok(used)
}

/// Writes a primary partition into the first free entry. The caller has checked its place; offsets are in sectors.
/// Returns its number, or None if all four are used.
///
/// # Errors
/// The disk's.
pub fn add(disk: &mut (impl Read + Write + Seek), kind: u8, start: u32, length: u32) -> io::Result<Option<u32>> {
    let mut bytes = [0; 512];
    disk.seek(SeekFrom::Start(0))?;
    disk.read_exact(&mut bytes)?;
    let Some(index) = (0..4).find(|index| bytes[446 + index * 16 + 4] == 0) else { return Ok(None) };
    let entry = &mut bytes[446 + index * 16..][..16];
    // Cylinders, heads and sectors that mean "see the numbers behind".
    entry.copy_from_slice(&[0, 0xfe, 0xff, 0xff, kind, 0xfe, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    entry[8..12].copy_from_slice(&start.to_le_bytes());
    entry[12..].copy_from_slice(&length.to_le_bytes());
    disk.seek(SeekFrom::Start(0))?;
    disk.write_all(&bytes)?;
    disk.flush()?;
    Ok(Some(index as u32 + 1))
}

/// A primary partition to be made; offsets in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Started by the BIOS.
    pub bootable: bool,
    /// The type byte.
    pub kind: u8,
    /// First sector.
    pub start: u32,
    /// Sectors.
    pub length: u32,
}

/// A new table with up to four primaries and no boot code, over whatever is there.
///
/// # Errors
/// The disk's.
pub fn create(disk: &mut (impl Read + Write + Seek), id: u32, rows: &[Row]) -> io::Result<()> {
    write_fresh(disk, id)?;
    for row in rows {
        add(disk, row.kind, row.start, row.length)?;
    }
    let mut bytes = [0; 512];
    disk.seek(SeekFrom::Start(0))?;
    disk.read_exact(&mut bytes)?;
    for (entry, row) in bytes[446..510].chunks_exact_mut(16).zip(rows) {
        entry[0] = if row.bootable { 0x80 } else { 0 };
    }
    disk.seek(SeekFrom::Start(0))?;
    disk.write_all(&bytes)?;
    disk.flush()
}

#[cfg(test)]
mod tests {
    use super::{add, disk_id, read, remove, write_fresh};
    use proptest::prelude::{any, prop, proptest};
    use std::io::Cursor;
    use std::process::Command;

    #[test]
    fn a_table_by_parted_is_read_and_extended() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(64 << 20).unwrap();
        let words = "mklabel msdos mkpart primary ext4 1MiB 5MiB mkpart extended 8MiB 40MiB mkpart logical 10MiB 12MiB mkpart logical 20MiB 25MiB";
        let run = Command::new("parted").arg("-s").arg(file.path()).args(words.split(' ')).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let mut disk = std::fs::read(file.path()).unwrap();
        let size = disk.len() as u64;
        disk[440..444].copy_from_slice(&[0x78, 0x56, 0x34, 0x12]);
        let mut cursor = Cursor::new(&mut disk);
        assert_eq!(disk_id(&mut cursor).unwrap(), 0x1234_5678);
        let parts = read(&mut cursor, size, 512).unwrap().unwrap();
        let seen: Vec<_> = parts.iter().map(|part| (part.number, part.start >> 20, part.length >> 20)).collect();
        assert_eq!(seen, [(1, 1, 4), (2, 8, 32), (5, 10, 2), (6, 20, 5)]);
        assert!(parts[1].is_extended());
        for number in [3, 4] {
            assert_eq!(add(&mut cursor, 0x0c, 50 << 11, 2048).unwrap(), Some(number));
        }
        assert_eq!(add(&mut cursor, 0x0c, 50 << 11, 2048).unwrap(), None);
        assert_eq!(read(&mut cursor, size, 512).unwrap().unwrap().len(), 6);
        assert!(read(&mut Cursor::new(vec![0; 4096]), 4096, 512).unwrap().is_none());
    }

    #[test]
    fn a_new_table_is_empty_and_what_was_added_can_be_taken_out() {
        let mut disk = Cursor::new(vec![0xff; 4096]);
        write_fresh(&mut disk, 0xdead_beef).unwrap();
        assert_eq!((disk_id(&mut disk).unwrap(), read(&mut disk, 1 << 30, 512).unwrap()), (0xdead_beef, Some(vec![])));
        assert_eq!(add(&mut disk, 0xfd, 2048, 4096).unwrap(), Some(1));
        assert_eq!(add(&mut disk, 0xfd, 8192, 4096).unwrap(), Some(2));
        assert!(remove(&mut disk, 1).unwrap() && !remove(&mut disk, 1).unwrap() && !remove(&mut disk, 5).unwrap());
        let parts = read(&mut disk, 1 << 30, 512).unwrap().unwrap();
        assert_eq!((parts.len(), parts[0].number, parts[0].start), (1, 2, 8192 * 512));
    }

    proptest! {
        #[test]
        fn no_table_breaks_the_reader(bytes in prop::collection::vec(any::<u8>(), 512..2048), loops in any::<bool>()) {
            let mut bytes = bytes;
            bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
            for entry in bytes[446..510].chunks_exact_mut(16) {
                entry[0] = 0;
                if loops {
                    entry[4] = 5;
                    entry[8..12].fill(0);
                }
            }
            let size = bytes.len() as u64;
            let parts = read(&mut Cursor::new(bytes), size, 512).unwrap().unwrap();
            assert!(parts.len() <= 4 + super::MAX_LOGICAL);
        }
    }
}
