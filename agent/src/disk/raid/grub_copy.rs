//! BIOS and software RAID: a BIOS starts what lies outside the array on the disk it chose. GRUB's two pieces in the image,
//! boot.img in the first sector and the core behind it, are copied to every disk; the only thing in them that depends on the
//! place are the sector numbers (GRUB `include/grub/i386/pc/boot.h`). Nothing of them is run. Whether the core finds its files
//! on the array is the image's business: it needs GRUB's modules `mdraid1x` and `diskfilter` built in.

use super::holders::{self, Holder};
use crate::disk::error::DiskError;
use crate::disk::guard::Gate;
use crate::sys::block::BlockDevice;
use crate::sys::md::Array;
use crate::sys::sysfs::Roots;

/// Type of a BIOS boot partition, as stored: 21686148-6449-6E6F-744E-656564454649.
const KIND: [u8; 16] = *b"Hah!IdontNeedEFI";
/// Its size, bytes.
const BYTES: u64 = 2 << 20;
/// Boot code in the first sector ends here: then come the disk identifier and the table.
const CODE: usize = 440;
/// Where boot.img has the sector of the core.
const CORE_AT: usize = 0x5c;
/// Where the first sector of the core has its list of blocks, which grows downward: start (8), sectors (2), segment (2).
const LIST: usize = 500;
/// Largest core, sectors: what fits before the first partition of an MBR.
const MOST: u64 = 2047;
const SECTOR: u64 = 512;

/// Boot code taken from a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grub {
    boot: [u8; CODE],
    core: Vec<u8>,
}

impl Grub {
    /// Takes GRUB's pieces from a disk; none when something else, or nothing, starts it.
    ///
    /// # Errors
    /// The disk's; `InvalidData` for a core that contradicts itself.
    pub fn take(disk: &BlockDevice) -> std::io::Result<Option<Self>> {
        let wrong = |text: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, text.to_owned());
        let mut first = [0; 512];
        disk.read_at(0, &mut first)?;
        if first[510..] != [0x55, 0xaa] || !first[..CODE].windows(5).any(|bytes| bytes == b"GRUB ") {
            return Ok(None);
        }
        let mut boot = [0; CODE];
        boot.copy_from_slice(&first[..CODE]);
        let sectors = disk.size() / SECTOR;
        let mut core = vec![0; 512];
        let start = word(&first, CORE_AT);
        if start == 0 || start >= sectors {
            return Err(wrong("GRUB's first sector points outside the disk"));
        }
        disk.read_at(start * SECTOR, &mut core)?;
        let head = core.clone();
        for at in (0..=LIST).rev().step_by(12).take(16) {
            let (start, count) = (word(&head, at), u64::from(u16::from_le_bytes([head[at + 8], head[at + 9]])));
            if count == 0 {
                break;
            }
            let end = start.checked_add(count).filter(|end| *end <= sectors);
            if end.is_none() || core.len() as u64 / SECTOR + count > MOST {
                return Err(wrong("GRUB's list of blocks is damaged"));
            }
            let mut blocks = vec![0; (count * SECTOR) as usize];
            disk.read_at(start * SECTOR, &mut blocks)?;
            core.extend(blocks);
        }
        Ok(Some(Self { boot, core }))
    }

    /// Puts both pieces on a disk: the core at this sector, in one piece.
    ///
    /// # Errors
    /// The disk's.
    pub fn put(&self, disk: &BlockDevice, at: u64) -> std::io::Result<()> {
        let mut core = self.core.clone();
        core[LIST..LIST + 8].copy_from_slice(&(at + 1).to_le_bytes());
        let count = u16::try_from(core.len() as u64 / SECTOR - 1).map_err(std::io::Error::other)?;
        core[LIST + 8..LIST + 10].copy_from_slice(&count.to_le_bytes());
        core[LIST - 12..LIST].fill(0);
        disk.write_at(at * SECTOR, &core)?;
        let mut boot = [0; 512];
        disk.read_at(0, &mut boot)?;
        boot[..CODE].copy_from_slice(&self.boot);
        boot[CORE_AT..CORE_AT + 8].copy_from_slice(&at.to_le_bytes());
        disk.write_at(0, &boot)?;
        disk.sync()
    }
}

/// Copies the boot code of the system on an array to each of its disks.
///
/// # Errors
/// [`DiskError::Boot`] when the image has none that can be copied.
pub fn install(array: &Array, system: &BlockDevice, gate: &Gate) -> Result<usize, DiskError> {
    let none = "the image has no GRUB boot sector, so no BIOS can start it from software RAID. Use an image with GRUB for BIOS \
                (with the modules mdraid1x and diskfilter), or boot the node by UEFI";
    let damaged =
        |error: std::io::Error| DiskError::Boot(format!("the boot code of the image cannot be copied: {error}"));
    let grub = Grub::take(system).map_err(damaged)?.ok_or_else(|| DiskError::Boot(none.into()))?;
    let disks = holders::open(&Roots::machine(), array, gate)?;
    for (number, disk) in disks.iter().enumerate() {
        let at = place(disk, number)?;
        grub.put(&disk.device, at).map_err(DiskError::io("writing boot code to", disk.device.path()))?;
        tracing::info!(disk = disk.name, sector = at, bytes = grub.core.len(), "boot code copied");
    }
    Ok(disks.len())
}

/// The sector for the core: its partition with a GPT, else right behind the MBR.
fn place(disk: &Holder, number: usize) -> Result<u64, DiskError> {
    match disk.gpt()? {
        Some(_) if u64::from(disk.device.logical_sector()) != SECTOR => {
            Err(DiskError::Boot(format!("{} has sectors that no BIOS boots from", disk.device.path().display())))
        }
        Some(_) => Ok(disk.partition(&format!("bios-boot-part-{number}"), BYTES, KIND)?.start),
        None => Ok(1),
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::{Grub, LIST};
    use crate::sys::block::{Access, BlockDevice};
    use proptest::prelude::{any, prop, proptest};

    fn disk(bytes: u64) -> (tempfile::NamedTempFile, BlockDevice) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(bytes).unwrap();
        let device = BlockDevice::open(file.path(), Access::Exclusive).unwrap();
        (file, device)
    }

    /// What grub-install leaves: boot.img of the real GRUB if it is here, and a core in two pieces.
    fn installed(device: &BlockDevice) {
        let mut boot = std::fs::read("/usr/lib/grub/i386-pc/boot.img").unwrap_or_else(|_| {
            let mut boot = vec![0x90; 512];
            boot[0x180..0x185].copy_from_slice(b"GRUB ");
            boot[510..].copy_from_slice(&[0x55, 0xaa]);
            boot
        });
        boot[0x5c..0x64].copy_from_slice(&2048u64.to_le_bytes());
        device.write_at(0, &boot).unwrap();
        let mut core = vec![1; 512];
        for (at, start, count) in [(LIST, 2049u64, 3u16), (LIST - 12, 4096, 2), (LIST - 24, 0, 0)] {
            core[at..at + 8].copy_from_slice(&start.to_le_bytes());
            core[at + 8..at + 10].copy_from_slice(&count.to_le_bytes());
            core[at + 10..at + 12].copy_from_slice(&0x820u16.to_le_bytes());
        }
        core.extend(vec![2; 3 * 512]);
        device.write_at(2048 * 512, &core).unwrap();
        device.write_at(4096 * 512, &[3; 1024]).unwrap();
    }

    #[test]
    fn the_copy_is_in_one_piece_and_what_is_the_disks_own_stays() {
        let ((_one, from), (_two, to)) = (disk(8 << 20), disk(8 << 20));
        installed(&from);
        to.write_at(440, &[7; 70]).unwrap();
        to.write_at(510, &[0x55, 0xaa]).unwrap();
        let grub = Grub::take(&from).unwrap().unwrap();
        grub.put(&to, 34).unwrap();
        let mut first = [0; 512];
        to.read_at(0, &mut first).unwrap();
        assert_eq!((&first[440..510], &first[0x5c..0x64]), (&[7; 70][..], &34u64.to_le_bytes()[..]));
        let mut core = vec![0; 6 * 512];
        to.read_at(34 * 512, &mut core).unwrap();
        assert_eq!(core[LIST..LIST + 8], 35u64.to_le_bytes());
        assert_eq!((&core[LIST + 8..512], &core[LIST - 12..LIST]), (&[5, 0, 0x20, 8][..], &[0; 12][..]));
        assert!(core[512..2048].iter().all(|byte| *byte == 2) && core[2048..].iter().all(|byte| *byte == 3));
        let again = Grub::take(&to).unwrap().unwrap();
        assert_eq!(again.core[512..], grub.core[512..], "a copy can be copied");
    }

    #[test]
    fn a_disk_without_grub_has_none() {
        let (_file, device) = disk(1 << 20);
        assert_eq!(Grub::take(&device).unwrap(), None);
    }

    proptest! {
        #[test]
        fn no_list_of_blocks_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 512), at in any::<u64>()) {
            let (_file, device) = disk(4 << 20);
            installed(&device);
            device.write_at(2048 * 512, &bytes).unwrap();
            let _ = Grub::take(&device);
            device.write_at(0x5c, &at.to_le_bytes()).unwrap();
            let _ = Grub::take(&device);
        }
    }
}
