//! A small reader of FAT12, FAT16 and FAT32, for the EFI system partition of an image. Nothing is mounted, everything is
//! bounded: the image's maker chose every byte.

use std::io;

/// Deepest folder visited.
const MAX_DEPTH: usize = 8;
/// Most folder entries read in one walk.
const MAX_ENTRIES: usize = 4096;
/// Longest chain of clusters followed for one file or folder.
const MAX_CHAIN: usize = 65_536;

/// Reads bytes of the partition at an offset; beyond its end is an error.
pub trait Source {
    /// Fills `data`.
    ///
    /// # Errors
    /// As the device says.
    fn read(&self, offset: u64, data: &mut [u8]) -> io::Result<()>;
}

impl Source for &[u8] {
    fn read(&self, offset: u64, data: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let range = at.checked_add(data.len()).and_then(|end| self.get(at..end));
        data.copy_from_slice(range.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// An open file system.
pub struct Fat<'a> {
    source: &'a dyn Source,
    width: Width,
    sector: u64,
    cluster: u64,
    tables: u64,
    root: Root,
    data: u64,
    clusters: u32,
    id: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Twelve,
    Sixteen,
    ThirtyTwo,
}

#[derive(Clone, Copy, Debug)]
enum Root {
    Fixed { start: u64, bytes: u64 },
    Cluster(u32),
}

/// A file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its long name if it has one.
    pub name: String,
    /// Below this are others.
    pub is_folder: bool,
    /// Bytes.
    pub size: u32,
    cluster: u32,
}

impl<'a> Fat<'a> {
    /// Reads the boot sector.
    ///
    /// # Errors
    /// `InvalidData` when this is no FAT file system.
    pub fn open(source: &'a dyn Source) -> io::Result<Self> {
        let mut boot = [0; 512];
        source.read(0, &mut boot)?;
        let short = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let long = |at: usize| u32::from_le_bytes([boot[at], boot[at + 1], boot[at + 2], boot[at + 3]]);
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("not a FAT file system: {what}"));
        let (sector, per_cluster) = (short(11), u64::from(boot[13]));
        if boot[510..] != [0x55, 0xaa] || ![512, 1024, 2048, 4096].contains(&sector) || !per_cluster.is_power_of_two() {
            return Err(wrong("its boot sector is malformed"));
        }
        let or_long = |value: u64, at: usize| if value == 0 { u64::from(long(at)) } else { value };
        let (total, table) = (or_long(short(19), 32), or_long(short(22), 36));
        let (reserved, copies, root_bytes) = (short(14), u64::from(boot[16]), short(17) * 32);
        let root_start = (reserved + copies * table) * sector;
        let data = root_start + root_bytes.div_ceil(sector) * sector;
        let cluster = per_cluster * sector;
        let bytes = (total * sector).checked_sub(data).ok_or_else(|| wrong("its sizes contradict each other"))?;
        let clusters = u32::try_from(bytes / cluster).unwrap_or(u32::MAX).min(0x0fff_fff5);
        let width = match clusters {
            0 => return Err(wrong("it has no room for files")),
            1..4085 => Width::Twelve,
            4085..65_525 => Width::Sixteen,
            _ => Width::ThirtyTwo,
        };
        // FAT32 by its boot sector even when small: formatters can be told to.
        let (width, root) = if short(22) == 0 {
            (Width::ThirtyTwo, Root::Cluster(long(44)))
        } else {
            (width, Root::Fixed { start: root_start, bytes: root_bytes })
        };
        let id = long(if matches!(root, Root::Cluster(_)) { 67 } else { 39 });
        Ok(Self { source, width, sector, cluster, tables: reserved * sector, root, data, clusters, id })
    }

    /// Every file with the folders above it, `["EFI", "BOOT", "BOOTX64.EFI"]`: files of a folder before its folders.
    ///
    /// # Errors
    /// A file system that cannot be read.
    pub fn walk(&self) -> io::Result<Vec<(Vec<String>, Entry)>> {
        let mut files = Vec::new();
        let mut budget = MAX_ENTRIES;
        let root = match self.root {
            Root::Fixed { start, bytes } => {
                let mut data = vec![0; usize::try_from(bytes).unwrap_or(0)];
                self.source.read(start, &mut data)?;
                data
            }
            Root::Cluster(first) => self.chain(first, budget * 32)?,
        };
        self.visit(&root, &mut Vec::new(), &mut files, &mut budget)?;
        Ok(files)
    }

    fn visit(
        &self,
        folder: &[u8],
        above: &mut Vec<String>,
        files: &mut Vec<(Vec<String>, Entry)>,
        budget: &mut usize,
    ) -> io::Result<()> {
        let entries = entries(folder, budget);
        let path = |above: &[String], entry: &Entry| above.iter().chain([&entry.name]).cloned().collect::<Vec<_>>();
        for entry in entries.iter().filter(|entry| !entry.is_folder) {
            files.push((path(above, entry), entry.clone()));
        }
        for entry in entries.into_iter().filter(|entry| entry.is_folder) {
            if above.len() >= MAX_DEPTH || *budget == 0 {
                break;
            }
            let inner = self.chain(entry.cluster, *budget * 32)?;
            above.push(entry.name);
            self.visit(&inner, above, files, budget)?;
            above.pop();
        }
        Ok(())
    }

    /// The first `limit` bytes of a file.
    ///
    /// # Errors
    /// A file system that cannot be read.
    pub fn read(&self, file: &Entry, limit: usize) -> io::Result<Vec<u8>> {
        let wanted = usize::try_from(file.size).unwrap_or(usize::MAX).min(limit);
        let mut data = if wanted == 0 { Vec::new() } else { self.chain(file.cluster, wanted)? };
        data.truncate(wanted);
        Ok(data)
    }

    /// The bytes of a chain of clusters, up to `limit` (rounded up to a cluster). A loop ends at the limit.
    fn chain(&self, first: u32, limit: usize) -> io::Result<Vec<u8>> {
        let mut data = Vec::new();
        let mut cluster = first;
        let size = usize::try_from(self.cluster).unwrap_or(usize::MAX);
        for _ in 0..MAX_CHAIN {
            if cluster < 2 || cluster - 2 >= self.clusters || data.len() >= limit {
                break;
            }
            let start = data.len();
            data.resize(start + size, 0);
            self.source.read(self.data + u64::from(cluster - 2) * self.cluster, &mut data[start..])?;
            cluster = self.next(cluster)?;
        }
        Ok(data)
    }

    fn next(&self, cluster: u32) -> io::Result<u32> {
        let at = u64::from(cluster);
        let mut bytes = [0; 4];
        let (offset, length) = match self.width {
            Width::Twelve => (at + at / 2, 2),
            Width::Sixteen => (at * 2, 2),
            Width::ThirtyTwo => (at * 4, 4),
        };
        self.source.read(self.tables + offset, &mut bytes[..length])?;
        let value = u32::from_le_bytes(bytes);
        // End marks lie above every valid cluster once they are widened.
        Ok(match self.width {
            Width::Twelve if cluster.is_multiple_of(2) => value & 0xfff,
            Width::Twelve => value >> 4,
            Width::Sixteen => value,
            Width::ThirtyTwo => value & 0x0fff_ffff,
        })
    }

    /// The volume's identifier.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Bytes of a sector.
    pub fn sector(&self) -> u64 {
        self.sector
    }
}

/// Reads the entries of one folder; long names are put together from the records before the short one.
fn entries(folder: &[u8], budget: &mut usize) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut long: Vec<u16> = Vec::new();
    for record in folder.chunks_exact(32) {
        if record[0] == 0 || *budget == 0 {
            break;
        }
        *budget -= 1;
        let attributes = record[11];
        if record[0] == 0xe5 {
            long.clear();
        } else if attributes & 0x3f == 0x0f {
            let part = [&record[1..11], &record[14..26], &record[28..32]].concat();
            let units = part.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            let mut units: Vec<u16> = units.take_while(|&unit| unit != 0 && unit != 0xffff).collect();
            if record[0] & 0x40 != 0 || long.len() > 260 {
                long.clear();
            }
            units.append(&mut long);
            long = units;
        } else {
            let long_name = String::from_utf16_lossy(&std::mem::take(&mut long));
            if attributes & 0x08 != 0 {
                continue; // the label
            }
            let name = if long_name.is_empty() { short_name(record) } else { long_name };
            if name == "." || name == ".." || name.contains(['/', '\\']) {
                continue;
            }
            let half = |at: usize| u32::from(u16::from_le_bytes([record[at], record[at + 1]]));
            found.push(Entry {
                name,
                is_folder: attributes & 0x10 != 0,
                size: u32::from_le_bytes([record[28], record[29], record[30], record[31]]),
                cluster: half(20) << 16 | half(26),
            });
        }
    }
    found
}

fn short_name(record: &[u8]) -> String {
    // Byte 12 says which half was written in lower case.
    let clean = |bytes: &[u8], lower: bool| {
        let text = String::from_utf8_lossy(bytes);
        if lower { text.trim_end().to_lowercase() } else { text.trim_end().to_string() }
    };
    let base = clean(&record[..8], record[12] & 0x08 != 0);
    let extension = clean(&record[8..11], record[12] & 0x10 != 0);
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

#[cfg(test)]
mod tests {
    use super::{Fat, Width};
    use proptest::prelude::{any, prop, proptest};
    use std::process::Command;

    fn run(program: &str, arguments: &[&str]) {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn image(mib: u64, bits: &str) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(mib << 20).unwrap();
        let path = file.path().to_str().unwrap();
        run("mkfs.vfat", &["-F", bits, "-n", "ESP", path]);
        let content = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(content.path(), vec![b'x'; 200_000]).unwrap();
        let from = content.path().to_str().unwrap();
        run("mmd", &["-i", path, "::/EFI", "::/EFI/BOOT", "::/EFI/a folder with a long name"]);
        run("mcopy", &["-i", path, from, "::/EFI/BOOT/BOOTX64.EFI"]);
        run("mcopy", &["-i", path, from, "::/EFI/a folder with a long name/bootriscv64.efi"]);
        for at in 0..40 {
            run("mmd", &["-i", path, &format!("::/EFI/BOOT/folder number {at}")]); // more than one cluster of entries
        }
        std::fs::read(file.path()).unwrap()
    }

    #[test]
    fn all_three_widths_are_read_with_long_names_and_long_chains() {
        for (mib, bits, width) in [(4, "12", Width::Twelve), (32, "16", Width::Sixteen), (64, "32", Width::ThirtyTwo)] {
            let bytes = image(mib, bits);
            let source = &bytes[..];
            let fat = Fat::open(&source).unwrap();
            assert_eq!(fat.width, width);
            let files = fat.walk().unwrap();
            let paths: Vec<String> = files.iter().map(|(path, _)| path.join("/")).collect();
            assert_eq!(paths, ["EFI/BOOT/BOOTX64.EFI", "EFI/a folder with a long name/bootriscv64.efi"]);
            assert_eq!(fat.read(&files[0].1, usize::MAX).unwrap(), vec![b'x'; 200_000]);
            assert_eq!(fat.read(&files[0].1, 10).unwrap(), b"xxxxxxxxxx");
        }
    }

    #[test]
    fn what_is_no_fat_is_refused() {
        assert!(Fat::open(&&[0; 4096][..]).is_err());
        assert!(Fat::open(&&[0; 100][..]).is_err());
    }

    #[test]
    fn a_folder_that_contains_itself_ends() {
        let mut bytes = image(4, "12");
        let efi = usize::try_from(Fat::open(&&bytes[..]).unwrap().data).unwrap();
        // The folder EFI is the first cluster; point all its entries at itself.
        for record in bytes[efi..efi + 512].chunks_exact_mut(32).filter(|record| record[11] & 0x10 != 0) {
            record[26..28].copy_from_slice(&[2, 0]);
        }
        let files = Fat::open(&&bytes[..]).unwrap().walk().unwrap();
        assert!(files.len() <= super::MAX_ENTRIES);
    }

    proptest! {
        #[test]
        fn no_byte_pattern_makes_it_panic_or_run_away(noise in prop::collection::vec((0_usize..70_000, any::<u8>()), 0..200)) {
            static IMAGE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            let mut bytes = IMAGE.get_or_init(|| image(4, "12")).clone();
            for (at, byte) in noise {
                bytes[at % 70_000] = byte;
            }
            let source = &bytes[..];
            if let Ok(fat) = Fat::open(&source)
                && let Ok(files) = fat.walk()
            {
                for (_, file) in files.iter().take(5) {
                    let _ = fat.read(file, 4096);
                }
            }
        }
    }
}
