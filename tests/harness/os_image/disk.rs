//! Puts the disk together: GPT with a BIOS boot partition, an EFI system partition and the root, GRUB for both firmwares
//! installed by hand; the same for disks with sectors of 4096 bytes, which start by UEFI alone.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use image::program::Program;

use super::boot::BootFiles;

const MIB: u64 = 1 << 20;
/// Bytes of a sector that programs know of.
const SECTOR: u64 = 512;
/// Bytes: where each partition begins, and how long it is.
const BIOS_BOOT: (u64, u64) = (MIB, MIB);
const ESP: (u64, u64) = (2 * MIB, 48 * MIB);
const ROOT: (u64, u64) = (ESP.0 + ESP.1, 32 * MIB);
/// Room for the second partition table behind the root.
const SIZE: u64 = ROOT.0 + ROOT.1 + MIB;
/// A partition table's entries, bytes.
const ENTRIES: u64 = 16 << 10;

/// One configuration for both firmwares.
const GRUB: &str = "set timeout=0
serial --unit=0 --speed=115200
terminal_output serial
search --no-floppy --set=root --file /labos/vmlinuz
echo \"OS: grub $grub_platform\"
linux /labos/vmlinuz console=ttyS0 quiet panic=-1
initrd /labos/initrd
boot
";
const MODULES: &[&str] = &[
    "part_gpt",
    "fat",
    "search",
    "search_fs_file",
    "normal",
    "configfile",
    "linux",
    "echo",
    "serial",
    "terminal",
    "test",
];

/// Writes the image for disks with sectors of `sector` bytes to `out`.
pub fn write(out: &Path, boot: &BootFiles, root: &Path, work: &Path, sector: u64) -> Result<(), Box<dyn Error>> {
    let file = File::create_new(out)?;
    file.set_len(SIZE)?;
    table(&file, sector, &work.join("table"))?;

    let config = work.join("grub.cfg");
    fs::write(&config, GRUB)?;
    let efi = work.join("bootx64.efi");
    grub("x86_64-efi", &config, &efi, &[])?;
    let core = work.join("core.img");
    // A BIOS reads the disks one by one: GRUB finds the array on them.
    grub("i386-pc", &config, &core, &["biosdisk", "part_msdos", "diskfilter", "mdraid1x"])?;
    if sector == SECTOR {
        bios_loader(&file, &fs::read(&core)?)?;
    }

    let esp = work.join("esp");
    File::create(&esp)?.set_len(ESP.1)?;
    // With large sectors there are too few clusters for FAT32.
    let width = if sector == SECTOR { "32" } else { "16" };
    let make = Program::new("mkfs.vfat", "dosfstools").args(["-F", width, "-S", &sector.to_string(), "-s", "1"]);
    make.args(["-n", "LABESP"]).arg(&esp).output()?;
    Program::new("mmd", "mtools").arg("-i").arg(&esp).args(["::/EFI", "::/EFI/BOOT", "::/labos"]).output()?;
    let copies =
        [(&efi, "::/EFI/BOOT/BOOTX64.EFI"), (&boot.kernel, "::/labos/vmlinuz"), (&boot.initrd, "::/labos/initrd")];
    for (from, to) in copies {
        Program::new("mcopy", "mtools").arg("-i").arg(&esp).arg(from).arg(to).output()?;
    }
    copy(&esp, &file, ESP.0)?;

    let ext4 = work.join("ext4");
    root_file_system(&ext4, ROOT.1, root)?;
    copy(&ext4, &file, ROOT.0)?;
    file.sync_all()?;
    Ok(())
}

/// An ext4 of `size` bytes with the files of `root`, under the label that the system looks for.
pub fn root_file_system(out: &Path, size: u64, root: &Path) -> Result<(), Box<dyn Error>> {
    File::create_new(out)?.set_len(size)?;
    let make = Program::new("mke2fs", "e2fsprogs").args(["-q", "-t", "ext4", "-b", "4096", "-L", "labroot"]);
    make.args(["-E", "root_owner=0:0", "-d"]).arg(root).arg(out).output()?;
    Ok(())
}

/// The partition table. sgdisk counts every file in 512 bytes: it gets one with as many of them as the disk has sectors, and
/// its blocks go where a disk with such sectors has them. Nothing in a table but block numbers depends on the size of a block.
fn table(disk: &File, sector: u64, work: &Path) -> Result<(), Box<dyn Error>> {
    let blocks = SIZE / sector;
    File::create_new(work)?.set_len(blocks * SECTOR)?;
    let part = |(start, length): (u64, u64), number: u32| {
        format!("{number}:{}:{}", start / sector, (start + length) / sector - 1)
    };
    let table = Program::new("sgdisk", "gdisk").args(["-a", "1", "-n", &part(BIOS_BOOT, 1), "-t", "1:ef02"]);
    let table = table.args(["-n", &part(ESP, 2), "-t", "2:ef00", "-n", &part(ROOT, 3), "-t", "3:8300"]);
    table.arg(work).output()?;
    let made = fs::read(work)?;
    let put = |block: u64, length: u64| {
        let at = usize::try_from(block * SECTOR).map_err(io::Error::other)?;
        let end = at + usize::try_from(length).map_err(io::Error::other)?;
        disk.write_all_at(&made[at..end], block * sector)
    };
    // Protective MBR, header, entries; entries and header at the end.
    put(0, SECTOR)?;
    put(1, SECTOR)?;
    put(2, ENTRIES)?;
    put(blocks - 1 - ENTRIES / SECTOR, ENTRIES)?;
    Ok(put(blocks - 1, SECTOR)?)
}

fn grub(platform: &str, config: &Path, out: &Path, more: &[&str]) -> Result<(), Box<dyn Error>> {
    let program = Program::new("grub-mkimage", "grub-common").args(["-O", platform, "-p", "/grub", "-c"]);
    program.arg(config).arg("-o").arg(out).args(MODULES).args(more).output()?;
    Ok(())
}

/// What grub-install would do: boot.img into the code area of the first sector, the core into its partition, each with
/// the sector where the rest lies.
fn bios_loader(disk: &File, core: &[u8]) -> io::Result<()> {
    let mut boot = fs::read("/usr/lib/grub/i386-pc/boot.img")?;
    let first = BIOS_BOOT.0 / SECTOR;
    boot[0x5c..0x64].copy_from_slice(&first.to_le_bytes());
    boot[0x66..0x68].copy_from_slice(&[0x90, 0x90]); // use the drive number the BIOS gives
    disk.write_all_at(&boot[..440], 0)?;
    let mut core = core.to_vec();
    core[0x1f4..0x1fc].copy_from_slice(&(first + 1).to_le_bytes());
    disk.write_all_at(&core, BIOS_BOOT.0)
}

/// Copies what is not zero, so the image stays sparse.
fn copy(from: &Path, disk: &File, at: u64) -> io::Result<()> {
    let bytes = fs::read(from)?;
    for (index, block) in bytes.chunks(64 << 10).enumerate() {
        if block.iter().any(|byte| *byte != 0) {
            disk.write_all_at(block, at + (index as u64) * (64 << 10))?;
        }
    }
    Ok(())
}
