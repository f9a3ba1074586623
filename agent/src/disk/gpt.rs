//! The GUID partition table after an image was written: its spare copy moves to the real end of the disk.
//!
//! Works on the bytes as they are: entries keep their numbers, sizes and unknown fields; the boot code in the protective
//! MBR stays. Nothing is believed that its checksum does not confirm, and no size is used before it was bounded.

mod error;
mod table;

pub use error::GptError;

use flate2::Crc;
use std::io::{self, Read, Seek, SeekFrom, Write};

const SIGNATURE: &[u8; 8] = b"EFI PART";
/// Bytes of a header that are in use.
const HEADER: usize = 92;
/// Larger entry arrays are not believed, bytes. The usual one has 16 KiB.
const MAX_ARRAY: u64 = 1 << 20;
/// Type of the one entry of a protective MBR.
const PROTECTIVE: u8 = 0xee;

/// What happened to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The disk has no GPT.
    NoGpt,
    /// The spare copy was at the end already.
    InPlace,
    /// The spare copy was moved to the end.
    Moved,
}

/// A partition of a [`Gpt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// From 1.
    pub number: u32,
    /// Byte offset.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// Its name, as far as it is text.
    pub name: String,
    /// Its type as stored.
    pub kind: [u8; 16],
}

/// Linux LVM, E6D6D379-F507-44C2-A23C-238F2A3DF928, as stored.
const LVM: [u8; 16] = [0x79, 0xd3, 0xd6, 0xe6, 7, 0xf5, 0xc2, 0x44, 0xa2, 0x3c, 0x23, 0x8f, 0x2a, 0x3d, 0xf9, 0x28];

impl Partition {
    /// A member of a volume group.
    pub fn is_lvm(&self) -> bool {
        self.kind == LVM
    }
}

/// A GPT read from a disk, checked.
#[derive(Clone, Debug)]
pub struct Gpt {
    header: [u8; HEADER],
    entries: Vec<u8>,
    sector: u64,
    /// Sectors of the disk.
    sectors: u64,
}

impl Gpt {
    /// Reads the first table of a disk of `size` bytes. None if there is none.
    ///
    /// # Errors
    /// [`GptError::SectorSize`], [`GptError::Damaged`], or the disk's.
    pub fn read(disk: &mut (impl Read + Seek), size: u64, sector: u64) -> Result<Option<Self>, GptError> {
        let mut header = [0; HEADER];
        for other in [sector, 512, 4096] {
            if size < other * 4 {
                continue;
            }
            disk.seek(SeekFrom::Start(other))?;
            disk.read_exact(&mut header)?;
            if header[..8] == SIGNATURE[..] {
                if other != sector && word(&header, 24) == 1 {
                    return Err(GptError::SectorSize { image: other, disk: sector });
                }
                if other == sector {
                    return Self::check(disk, header, size / sector, sector).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// Is there a whole spare table in the last sectors? Firmware and kernel use it when the first one is damaged.
    ///
    /// # Errors
    /// The disk's.
    pub fn has_spare(disk: &mut (impl Read + Seek), size: u64, sector: u64) -> io::Result<bool> {
        let Some(last) = (size / sector).checked_sub(1) else { return Ok(false) };
        let mut header = [0; HEADER];
        disk.seek(SeekFrom::Start(last * sector))?;
        disk.read_exact(&mut header)?;
        let sealed = Self { header, entries: Vec::new(), sector, sectors: last + 1 };
        let (start, bytes) = (word(&header, 72), u64::from(half(&header, 80)) * u64::from(half(&header, 84)));
        let is_header = header[..8] == SIGNATURE[..]
            && half(&header, 12) as usize == HEADER
            && half(&header, 16) == sealed.header_sum()
            && word(&header, 24) == last;
        if !is_header || bytes > MAX_ARRAY || start.checked_add(bytes.div_ceil(sector)).is_none_or(|end| end > last) {
            return Ok(false);
        }
        let mut entries = vec![0; bytes as usize];
        disk.seek(SeekFrom::Start(start * sector))?;
        disk.read_exact(&mut entries)?;
        Ok(half(&header, 88) == sum(&entries) && entries.chunks_exact(128).any(is_used))
    }

    fn check(disk: &mut (impl Read + Seek), header: [u8; HEADER], sectors: u64, sector: u64) -> Result<Self, GptError> {
        let mut gpt = Self { header, entries: Vec::new(), sector, sectors };
        if half(&header, 12) as usize != HEADER || half(&header, 16) != gpt.header_sum() || word(&header, 24) != 1 {
            return Err(GptError::Damaged("its header"));
        }
        let (count, size) = (u64::from(half(&header, 80)), u64::from(half(&header, 84)));
        let bytes = count * size;
        if size < 128 || size % 8 != 0 || bytes == 0 || bytes > MAX_ARRAY {
            return Err(GptError::Damaged("the size of its entries"));
        }
        let (first, last) = (word(&header, 40), word(&header, 48));
        let array_end = word(&header, 72).checked_add(bytes.div_ceil(sector));
        if word(&header, 72) < 2 || array_end.is_none_or(|end| end > first) || first > last || last >= sectors {
            return Err(GptError::Damaged("its header points outside the disk"));
        }
        gpt.entries = vec![0; bytes as usize];
        disk.seek(SeekFrom::Start(word(&header, 72) * sector))?;
        disk.read_exact(&mut gpt.entries)?;
        if half(&header, 88) != sum(&gpt.entries) {
            return Err(GptError::Damaged("its entries do not match their checksum"));
        }
        for entry in gpt.entries.chunks_exact(size as usize).filter(|entry| is_used(entry)) {
            if word(entry, 32) < first || word(entry, 40) > last || word(entry, 40) < word(entry, 32) {
                return Err(GptError::Damaged("a partition lies outside the disk"));
            }
        }
        Ok(gpt)
    }

    /// Moves the spare copy to the end of the disk, if it is not there.
    ///
    /// # Errors
    /// [`GptError::Damaged`] when partitions reach into its place, or the disk's.
    pub fn settle(&mut self, disk: &mut (impl Read + Write + Seek)) -> Result<Settled, GptError> {
        let end = self.sectors - 1;
        let moved = if word(&self.header, 32) == end { Settled::InPlace } else { Settled::Moved };
        let last_usable =
            end.checked_sub(self.array_sectors() + 1).ok_or(GptError::Damaged("the disk is too small"))?;
        if self.partitions().iter().any(|part| part.start + part.length > (last_usable + 1) * self.sector) {
            return Err(GptError::Damaged("a partition reaches into the place of the spare table"));
        }
        set_word(&mut self.header, 32, end);
        set_word(&mut self.header, 48, last_usable);
        self.write(disk)?;
        Ok(moved)
    }

    /// All partitions in use.
    pub fn partitions(&self) -> Vec<Partition> {
        let size = half(&self.header, 84) as usize;
        let used = self.entries.chunks_exact(size).enumerate().filter(|(_, entry)| is_used(entry));
        used.map(|(index, entry)| {
            let units = entry[56..128].as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair));
            let name: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
            Partition {
                number: index as u32 + 1,
                start: word(entry, 32) * self.sector,
                length: (word(entry, 40) - word(entry, 32) + 1) * self.sector,
                name: String::from_utf16_lossy(&name),
                kind: entry[..16].try_into().unwrap_or_default(),
            }
        })
        .collect()
    }

    /// Adds a partition of at least `bytes` at the end of the last gap that is large enough, at a multiple of 1 MiB.
    /// Call [`Gpt::settle`] before, [`Gpt::write`] after.
    ///
    /// # Errors
    /// [`GptError::NoRoom`].
    pub fn add_at_end(&mut self, bytes: u64, kind: [u8; 16], id: [u8; 16], name: &str) -> Result<Partition, GptError> {
        let size = half(&self.header, 84) as usize;
        let free = self.entries.chunks_exact(size).position(|entry| !is_used(entry));
        let index = free.ok_or(GptError::NoRoom("all entries of the partition table are used"))?;
        let need = bytes.div_ceil(self.sector);
        let align = (1 << 20) / self.sector;
        let (first, last) = (word(&self.header, 40), word(&self.header, 48));
        let mut taken: Vec<(u64, u64)> = self
            .partitions()
            .iter()
            .map(|part| (part.start / self.sector, (part.start + part.length) / self.sector))
            .collect();
        taken.sort_unstable();
        taken.push((last + 1, last + 1));
        let mut from = first;
        let mut best = None;
        for (start, end) in taken {
            // The end of the gap, less what is needed, rounded down to the alignment.
            let place = start.checked_sub(need).map(|place| place - place % align);
            if let Some(place) = place.filter(|place| *place >= from) {
                best = Some(place);
            }
            from = from.max(end);
        }
        let start = best.ok_or(GptError::NoRoom("the partitions of the image leave too little space on this disk"))?;
        self.fill(index, (start, start + need - 1), kind, id, name);
        let (start, length) = (start * self.sector, need * self.sector);
        Ok(Partition { number: index as u32 + 1, start, length, name: name.into(), kind })
    }

    /// Writes an entry; `place` is its first and last sector.
    fn fill(&mut self, index: usize, place: (u64, u64), kind: [u8; 16], id: [u8; 16], name: &str) {
        let size = half(&self.header, 84) as usize;
        let entry = &mut self.entries[index * size..][..size];
        entry.fill(0);
        entry[..16].copy_from_slice(&kind);
        entry[16..32].copy_from_slice(&id);
        set_word(entry, 32, place.0);
        set_word(entry, 40, place.1);
        for (unit, place) in name.encode_utf16().take(35).zip(entry[56..128].as_chunks_mut::<2>().0) {
            *place = unit.to_le_bytes();
        }
    }

    /// Writes both copies and the size in the protective MBR. The spare first: at every moment one copy is whole.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&mut self, disk: &mut (impl Read + Write + Seek)) -> Result<(), GptError> {
        let end = word(&self.header, 32);
        let mut entries = self.entries.clone();
        entries.resize((self.array_sectors() * self.sector) as usize, 0);
        set_half(&mut self.header, 88, sum(&self.entries));
        let first = word(&self.header, 72);
        let primary = self.sealed();
        let mut spare = self.clone();
        set_word(&mut spare.header, 24, end);
        set_word(&mut spare.header, 32, 1);
        set_word(&mut spare.header, 72, end - self.array_sectors());
        for (at, bytes) in [
            ((end - self.array_sectors()) * self.sector, &entries),
            (end * self.sector, &spare.sealed()),
            (first * self.sector, &entries),
            (self.sector, &primary),
        ] {
            disk.seek(SeekFrom::Start(at))?;
            disk.write_all(bytes)?;
            disk.flush()?;
        }
        self.protect(disk)
    }

    /// A lone protective entry is made to cover the disk. A hybrid MBR was somebody's wish: it stays.
    fn protect(&self, disk: &mut (impl Read + Write + Seek)) -> Result<(), GptError> {
        let mut mbr = [0; 512];
        disk.seek(SeekFrom::Start(0))?;
        disk.read_exact(&mut mbr)?;
        let used: Vec<usize> = (446..510).step_by(16).filter(|at| mbr[at + 4] != 0).collect();
        let [at] = used[..] else { return Ok(()) };
        if mbr[510..] != [0x55, 0xaa] || mbr[at + 4] != PROTECTIVE {
            return Ok(());
        }
        let count = u32::try_from(self.sectors - 1).unwrap_or(u32::MAX);
        set_half(&mut mbr, at + 8, 1);
        set_half(&mut mbr, at + 12, count);
        disk.seek(SeekFrom::Start(0))?;
        disk.write_all(&mbr)?;
        Ok(disk.flush()?)
    }

    /// The header with its checksum, as one sector.
    fn sealed(&mut self) -> Vec<u8> {
        let sum = self.header_sum();
        set_half(&mut self.header, 16, sum);
        let mut bytes = self.header.to_vec();
        bytes.resize(self.sector as usize, 0);
        bytes
    }

    fn header_sum(&self) -> u32 {
        let mut header = self.header;
        header[16..20].fill(0);
        sum(&header)
    }

    fn array_sectors(&self) -> u64 {
        (self.entries.len() as u64).div_ceil(self.sector)
    }
}

fn is_used(entry: &[u8]) -> bool {
    entry[..16].iter().any(|byte| *byte != 0)
}

fn sum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte))
}

fn half(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte))
}

fn set_word(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn set_half(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests;
