//! FAT file systems made from nothing: an EFI system partition with the loader of a partition image, a config drive for
//! disks whose sectors its own file system cannot have, and FAT as a format of scratch space.
//!
//! The whole tree is known before the first byte is written, so every file is one run of clusters. Microsoft's "FAT: General
//! Overview of On-Disk Format" 1.03; the width follows from the number of clusters, as every reader computes it.

use super::fat_names::{Node, folder, short_names};
use std::io::{self, Seek, SeekFrom, Write};

/// A file with its folders, `EFI/BOOT/BOOTX64.EFI`, and its content.
pub type NewFile = (String, Vec<u8>);

/// Room for tables and half-filled clusters beside the files of a small image, bytes.
const OVERHEAD: u64 = 2 << 20;
/// From here on FAT32, as mkfs.vfat does and firmware expects of an EFI system partition.
const LARGE: u64 = 512 << 20;
/// Clusters a FAT16 and a FAT32 may have.
const MAX_16: u64 = 65_524;
const MAX_32: u64 = 0x0fff_fff4;
/// Entries of the root folder of FAT12 and FAT16.
const ROOT_ENTRIES: u64 = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Twelve,
    Sixteen,
    ThirtyTwo,
}

/// Sizes of a file system, in sectors but for `sector` and `cluster`, which are bytes.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    width: Width,
    sector: u64,
    cluster: u64,
    total: u64,
    reserved: u64,
    table: u64,
    root: u64,
    clusters: u64,
}

impl Geometry {
    fn new(size: u64, sector: u32) -> io::Result<Self> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_string());
        if !matches!(sector, 512 | 1024 | 2048 | 4096) {
            return Err(wrong("FAT has sectors of 512 to 4096 bytes"));
        }
        let sector = u64::from(sector);
        let total = size / sector;
        if total > u64::from(u32::MAX) {
            return Err(wrong("the partition is too large for FAT"));
        }
        let large = size >= LARGE;
        let mut cluster = match size >> 30 {
            _ if !large => sector,
            0..8 => 4096,
            8..16 => 8192,
            16..32 => 16_384,
            _ => 32_768,
        };
        while cluster <= 64 << 10 {
            let made = Self::with(total, sector, cluster, large);
            if made.is_some_and(|made| made.clusters <= if large { MAX_32 } else { MAX_16 }) {
                return made.ok_or_else(|| wrong("the partition is too small for FAT"));
            }
            cluster *= 2;
        }
        Err(wrong("the partition is too small or too large for FAT"))
    }

    fn with(total: u64, sector: u64, cluster: u64, large: bool) -> Option<Self> {
        let (reserved, root) = if large { (32, 0) } else { (1, (ROOT_ENTRIES * 32).div_ceil(sector)) };
        let per = cluster / sector;
        // An upper bound for the table: more entries than there can be clusters.
        let room = total.checked_sub(reserved + root)?;
        let bits = if large { 32 } else { 16 };
        let table = ((room / per + 2) * bits / 8).div_ceil(sector);
        let clusters = room.checked_sub(2 * table)? / per;
        let width = match clusters {
            0 => return None,
            _ if large => Width::ThirtyTwo,
            1..4085 => Width::Twelve,
            _ => Width::Sixteen,
        };
        Some(Self { width, sector, cluster, total, reserved, table, root, clusters })
    }

    fn data(&self) -> u64 {
        (self.reserved + 2 * self.table + self.root) * self.sector
    }

    fn boot(&self, id: u32, label: &[u8; 11]) -> Vec<u8> {
        let mut boot = vec![0; self.sector as usize];
        let mut put = |at: usize, bytes: &[u8]| boot[at..at + bytes.len()].copy_from_slice(bytes);
        let large = self.width == Width::ThirtyTwo;
        put(0, &[0xeb, if large { 0x58 } else { 0x3c }, 0x90]);
        put(3, b"MSWIN4.1");
        put(11, &(self.sector as u16).to_le_bytes());
        put(13, &[(self.cluster / self.sector) as u8]);
        put(14, &(self.reserved as u16).to_le_bytes());
        put(16, &[2]);
        put(17, &(if large { 0 } else { ROOT_ENTRIES as u16 }).to_le_bytes());
        let small = u16::try_from(self.total).ok().filter(|_| !large);
        put(19, &small.unwrap_or(0).to_le_bytes());
        put(21, &[0xf8]);
        put(24, &63_u16.to_le_bytes());
        put(26, &255_u16.to_le_bytes());
        put(32, &(if small.is_some() { 0 } else { self.total as u32 }).to_le_bytes());
        let at = if large {
            put(36, &(self.table as u32).to_le_bytes());
            put(44, &2_u32.to_le_bytes()); // the root's first cluster
            put(48, &[1, 0, 6, 0]); // sector of the counts, and of the copy of this one
            64
        } else {
            put(22, &(self.table as u16).to_le_bytes());
            36
        };
        put(at, &[0x80, 0, 0x29]);
        put(at + 3, &id.to_le_bytes());
        put(at + 7, label);
        put(
            at + 18,
            match self.width {
                Width::Twelve => b"FAT12   ",
                Width::Sixteen => b"FAT16   ",
                Width::ThirtyTwo => b"FAT32   ",
            },
        );
        put(510, &[0x55, 0xaa]);
        boot
    }

    /// The first bytes of the table: each run of clusters is a chain.
    fn chains(&self, runs: &[(u64, u64)]) -> Vec<u8> {
        let end = runs.iter().map(|(first, count)| first + count).max().unwrap_or(2).max(3);
        let mut next = vec![0_u32; end as usize];
        (next[0], next[1]) = (0x0fff_fff8, 0x0fff_ffff);
        for &(first, count) in runs {
            for cluster in first..first + count {
                next[cluster as usize] = if cluster + 1 == first + count { 0x0fff_ffff } else { cluster as u32 + 1 };
            }
        }
        match self.width {
            Width::ThirtyTwo => next.into_iter().flat_map(u32::to_le_bytes).collect(),
            Width::Sixteen => next.into_iter().flat_map(|next| (next as u16).to_le_bytes()).collect(),
            Width::Twelve => next
                .chunks(2)
                .flat_map(|pair| {
                    let (low, high) = (pair[0] & 0xfff, pair.get(1).copied().unwrap_or(0) & 0xfff);
                    [low as u8, (low >> 8 | high << 4) as u8, (high >> 4) as u8]
                })
                .collect(),
        }
    }
}

/// A label as FAT has it: at most 11 bytes.
fn padded(label: &str) -> [u8; 11] {
    let mut padded = [b' '; 11];
    padded.iter_mut().zip(label.bytes()).for_each(|(to, from)| *to = from);
    padded
}

/// Formats the first `size` bytes of `disk` and puts the files there. `label` is cut at 11 characters, `id` is the volume's
/// identifier. Nothing is read.
///
/// # Errors
/// The disk's; `InvalidInput` for sizes and names FAT cannot have; `StorageFull` when the files do not fit.
pub fn make(
    disk: &mut (impl Write + Seek),
    size: u64,
    sector: u32,
    label: &str,
    id: u32,
    files: &[NewFile],
) -> io::Result<()> {
    let geometry = Geometry::new(size, sector)?;
    let mut tree = Node::tree(files)?;
    short_names(&mut tree);
    let label = padded(label);
    let clusters = |bytes: u64| bytes.div_ceil(geometry.cluster);
    let large = geometry.width == Width::ThirtyTwo;

    // Places first: a folder's bytes name the clusters of what is in it.
    let mut next = 2;
    let mut runs = Vec::new();
    let root = folder(&tree, Some(&label), None, 0, &|_| 0);
    if large {
        runs.push((2, clusters(root.len() as u64).max(1)));
        next += runs[0].1;
    } else if root.len() as u64 > ROOT_ENTRIES * 32 {
        return Err(io::Error::new(io::ErrorKind::StorageFull, "too many files in the root folder of a small FAT"));
    }
    tree.place(&mut |bytes| {
        let count = clusters(bytes);
        let first = if count == 0 { 0 } else { next };
        if count > 0 {
            runs.push((next, count));
        }
        next += count;
        first
    });
    if next - 2 > geometry.clusters {
        let text = format!(
            "the files need {} clusters of {} bytes, and there are {}",
            next - 2,
            geometry.cluster,
            geometry.clusters
        );
        return Err(io::Error::new(io::ErrorKind::StorageFull, text));
    }

    let boot = geometry.boot(id, &label);
    let mut write = |at: u64, bytes: &[u8]| {
        disk.seek(SeekFrom::Start(at))?;
        disk.write_all(bytes)
    };
    // Head, tables and root as zeroes, a piece at a time; old content there would be read as files.
    let zeroes = vec![0; 1 << 20];
    let first = geometry.data() + if large { runs[0].1 * geometry.cluster } else { 0 };
    let mut at = 0;
    while at < first {
        let piece = (first - at).min(zeroes.len() as u64);
        write(at, &zeroes[..piece as usize])?;
        at += piece;
    }
    let chains = geometry.chains(&runs);
    for copy in 0..2 {
        write((geometry.reserved + copy * geometry.table) * geometry.sector, &chains)?;
    }
    let place = |first: u64| geometry.data() + (first - 2) * geometry.cluster;
    let whole = |mut bytes: Vec<u8>| {
        bytes.resize((bytes.len() as u64).next_multiple_of(geometry.sector) as usize, 0);
        bytes
    };
    let root_at = if large { place(2) } else { (geometry.reserved + 2 * geometry.table) * geometry.sector };
    write(root_at, &whole(folder(&tree, Some(&label), None, 0, &|node| node.first)))?;
    tree.visit(0, &mut |node, above| match &node.content {
        _ if node.first == 0 => Ok(()),
        Some(content) => write(place(node.first), &whole(content.to_vec())),
        None => {
            let mut bytes = folder(node, None, Some(node.first), above, &|node| node.first);
            bytes.resize((bytes.len() as u64).next_multiple_of(geometry.cluster) as usize, 0);
            write(place(node.first), &bytes)
        }
    })?;
    if large {
        let mut counts = vec![0; geometry.sector as usize];
        counts[..4].copy_from_slice(b"RRaA");
        counts[484..488].copy_from_slice(b"rrAa");
        counts[488..492].copy_from_slice(&((geometry.clusters - (next - 2)) as u32).to_le_bytes());
        counts[492..496].copy_from_slice(&(next as u32).to_le_bytes());
        counts[510..512].copy_from_slice(&[0x55, 0xaa]);
        for copy in [1, 7] {
            write(copy * geometry.sector, &counts)?;
        }
        write(6 * geometry.sector, &boot)?;
    }
    write(0, &boot)?;
    disk.flush()
}

/// How udev and blkid show a volume's identifier: `1A2B-3C4D`.
pub fn shown(id: u32) -> String {
    format!("{:04X}-{:04X}", id >> 16, id & 0xffff)
}

/// A whole image in memory that holds these files.
///
/// # Errors
/// As from [`make`].
pub fn image(sector: u32, label: &str, files: &[NewFile]) -> io::Result<Vec<u8>> {
    // Each file may leave most of a cluster empty, and so may its folder.
    let data: u64 = files.iter().map(|(_, content)| (content.len() as u64).next_multiple_of(8 << 10) + (8 << 10)).sum();
    let size = (data + OVERHEAD).next_multiple_of(1 << 20);
    let mut bytes = io::Cursor::new(Vec::new());
    make(&mut bytes, size, sector, label, rand::random(), files)?;
    let mut bytes = bytes.into_inner();
    bytes.resize(usize::try_from(size).map_err(io::Error::other)?, 0);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
