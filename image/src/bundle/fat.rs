//! A FAT12 image that holds one file at a path: what UEFI firmware looks for inside a boot ISO. Written by hand because
//! mkfs.vfat and mtools put the hour and a random number into it, and two builds must be equal.

const SECTOR: usize = 512;
/// Four sectors a cluster: up to 8 MiB with FAT12's 4084 clusters.
const CLUSTER: usize = 4 * SECTOR;
const ROOT_ENTRIES: usize = 16;
const MOST_CLUSTERS: usize = 4084;
const DIRECTORY: u8 = 0x10;
const ARCHIVE: u8 = 0x20;
/// 1980-01-01, the first day FAT knows.
const DATE: [u8; 2] = [0x21, 0x00];

/// The file does not fit into a FAT12 image.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are too many for the EFI image, which holds 8 MiB")]
pub struct TooLarge(usize);

/// An image whose `EFI/BOOT/BOOTX64.EFI` is `program`.
///
/// # Errors
/// The program is larger than 8 MiB.
pub fn efi_image(program: &[u8]) -> Result<Vec<u8>, TooLarge> {
    let file_clusters = program.len().div_ceil(CLUSTER).max(1);
    // Two folders, the file; firmware wants a few free ones less than it wants FAT12 to be unmistakable.
    let clusters = file_clusters + 2;
    if clusters > MOST_CLUSTERS {
        return Err(TooLarge(program.len()));
    }
    let fat_sectors = ((clusters + 2) * 3).div_ceil(2).div_ceil(SECTOR);
    let root_sectors = ROOT_ENTRIES * 32 / SECTOR;
    let data_start = (1 + 2 * fat_sectors + root_sectors) * SECTOR;
    let mut image = vec![0; data_start + clusters * CLUSTER];

    boot_sector(&mut image, fat_sectors);
    let table = allocation_table(file_clusters, fat_sectors);
    for copy in 0..2 {
        let at = (1 + copy * fat_sectors) * SECTOR;
        image[at..at + table.len()].copy_from_slice(&table);
    }
    let root = (1 + 2 * fat_sectors) * SECTOR;
    put(&mut image, root, &[entry(b"EFI        ", DIRECTORY, 2, 0)]);
    let own =
        |cluster, parent| [entry(b".          ", DIRECTORY, cluster, 0), entry(b"..         ", DIRECTORY, parent, 0)];
    put(&mut image, data_start, &own(2, 0));
    put(&mut image, data_start + 64, &[entry(b"BOOT       ", DIRECTORY, 3, 0)]);
    put(&mut image, data_start + CLUSTER, &own(3, 2));
    put(&mut image, data_start + CLUSTER + 64, &[entry(b"BOOTX64 EFI", ARCHIVE, 4, program.len())]);
    let at = data_start + 2 * CLUSTER;
    image[at..at + program.len()].copy_from_slice(program);
    Ok(image)
}

fn boot_sector(image: &mut [u8], fat_sectors: usize) {
    let sectors = image.len() / SECTOR;
    let (short, long) = if sectors < 0x1_0000 { (sectors, 0) } else { (0, sectors) };
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0xeb, 0x3c, 0x90]);
    put(3, b"WROUGHT ");
    put(11, &le16(SECTOR));
    put(13, &[4]); // sectors a cluster
    put(14, &le16(1)); // reserved: this one
    put(16, &[2]); // tables
    put(17, &le16(ROOT_ENTRIES));
    put(19, &le16(short));
    put(21, &[0xf8]); // fixed disk
    put(22, &le16(fat_sectors));
    put(24, &le16(32)); // sectors a track: any geometry will do
    put(26, &le16(2));
    put(32, &u32::try_from(long).unwrap_or(0).to_le_bytes());
    put(36, &[0x80, 0, 0x29]);
    put(39, b"WRGT"); // volume number
    put(43, b"NO NAME    FAT12   ");
    put(510, &[0x55, 0xaa]);
}

/// Clusters 2 and 3 are the folders; the file is one chain from 4.
fn allocation_table(file_clusters: usize, fat_sectors: usize) -> Vec<u8> {
    const END: u16 = 0xfff;
    let mut links: Vec<u16> = vec![0xff8, END, END, END];
    for index in 0..file_clusters {
        let next = u16::try_from(4 + index + 1).unwrap_or(END);
        links.push(if index + 1 == file_clusters { END } else { next });
    }
    let mut table = vec![0; fat_sectors * SECTOR];
    for (index, link) in links.iter().enumerate() {
        let (at, [low, high]) = (index * 3 / 2, link.to_le_bytes());
        if index % 2 == 0 {
            table[at] = low;
            table[at + 1] |= high;
        } else {
            table[at] |= low << 4;
            table[at + 1] = (high << 4) | (low >> 4);
        }
    }
    table
}

fn entry(name: &[u8; 11], attributes: u8, cluster: usize, size: usize) -> [u8; 32] {
    let mut entry = [0; 32];
    entry[..11].copy_from_slice(name);
    entry[11] = attributes;
    for at in [16, 18, 24] {
        entry[at..at + 2].copy_from_slice(&DATE);
    }
    entry[26..28].copy_from_slice(&le16(cluster));
    entry[28..32].copy_from_slice(&u32::try_from(size).unwrap_or(0).to_le_bytes());
    entry
}

fn put(image: &mut [u8], at: usize, entries: &[[u8; 32]]) {
    for (index, entry) in entries.iter().enumerate() {
        image[at + index * 32..at + index * 32 + 32].copy_from_slice(entry);
    }
}

fn le16(value: usize) -> [u8; 2] {
    u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{TooLarge, efi_image};

    /// fsck.fat and mtools are the independent readers.
    #[test]
    fn other_programs_find_the_file_and_no_fault() {
        for size in [1, 2048, 2049, 700_001, 5_000_000] {
            let program: Vec<u8> = (0..size).map(|at: usize| u8::try_from(at % 251).unwrap()).collect();
            let folder = tempfile::tempdir().unwrap();
            let image = folder.path().join("efi.img");
            std::fs::write(&image, efi_image(&program).unwrap()).unwrap();
            let fsck = Command::new("/usr/sbin/fsck.fat").args(["-n", "-v"]).arg(&image).output().expect("dosfstools");
            assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stdout));
            let out = folder.path().join("out");
            let copy = Command::new("mcopy").arg("-i").arg(&image).arg("::EFI/BOOT/BOOTX64.EFI").arg(&out).output();
            assert!(copy.expect("mtools").status.success());
            assert!(std::fs::read(&out).unwrap() == program, "{size} bytes came back changed");
        }
    }

    #[test]
    fn a_program_that_does_not_fit_is_refused() {
        assert_eq!(efi_image(&vec![0; 9 << 20]), Err(TooLarge(9 << 20)));
    }
}
