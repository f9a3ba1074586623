//! Puts the disk together: GPT with a BIOS boot partition, an EFI system partition and the root, GRUB for both firmwares
//! installed by hand.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use image::program::Program;

use super::boot::BootFiles;

const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;
/// Sectors: where each partition begins, and how long it is.
const BIOS_BOOT: (u64, u64) = (2048, 2048);
const ESP: (u64, u64) = (4096, 48 * MIB / SECTOR);
const ROOT: (u64, u64) = (ESP.0 + ESP.1, 32 * MIB / SECTOR);
/// Room for the second partition table behind the root.
const SIZE: u64 = (ROOT.0 + ROOT.1) * SECTOR + MIB;

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

/// Writes the image to `out`.
pub fn write(out: &Path, boot: &BootFiles, root: &Path, work: &Path) -> Result<(), Box<dyn Error>> {
    let file = File::create_new(out)?;
    file.set_len(SIZE)?;
    let part = |(start, length): (u64, u64), number: u32| format!("{number}:{start}:{}", start + length - 1);
    let table = Program::new("sgdisk", "gdisk").args(["-a", "1", "-n", &part(BIOS_BOOT, 1), "-t", "1:ef02"]);
    let table = table.args(["-n", &part(ESP, 2), "-t", "2:ef00", "-n", &part(ROOT, 3), "-t", "3:8300"]);
    table.arg(out).output()?;

    let config = work.join("grub.cfg");
    fs::write(&config, GRUB)?;
    let efi = work.join("bootx64.efi");
    grub("x86_64-efi", &config, &efi, &[])?;
    let core = work.join("core.img");
    // A BIOS reads the disks one by one: GRUB finds the array on them.
    grub("i386-pc", &config, &core, &["biosdisk", "part_msdos", "diskfilter", "mdraid1x"])?;
    bios_loader(&file, &fs::read(&core)?)?;

    let esp = work.join("esp");
    File::create(&esp)?.set_len(ESP.1 * SECTOR)?;
    Program::new("mkfs.vfat", "dosfstools").args(["-F", "32", "-n", "LABESP"]).arg(&esp).output()?;
    Program::new("mmd", "mtools").arg("-i").arg(&esp).args(["::/EFI", "::/EFI/BOOT", "::/labos"]).output()?;
    let copies =
        [(&efi, "::/EFI/BOOT/BOOTX64.EFI"), (&boot.kernel, "::/labos/vmlinuz"), (&boot.initrd, "::/labos/initrd")];
    for (from, to) in copies {
        Program::new("mcopy", "mtools").arg("-i").arg(&esp).arg(from).arg(to).output()?;
    }
    copy(&esp, &file, ESP.0 * SECTOR)?;

    let ext4 = work.join("ext4");
    File::create(&ext4)?.set_len(ROOT.1 * SECTOR)?;
    let make =
        Program::new("mke2fs", "e2fsprogs").args(["-q", "-t", "ext4", "-L", "labroot", "-E", "root_owner=0:0", "-d"]);
    make.arg(root).arg(&ext4).output()?;
    copy(&ext4, &file, ROOT.0 * SECTOR)?;
    file.sync_all()?;
    Ok(())
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
    boot[0x5c..0x64].copy_from_slice(&BIOS_BOOT.0.to_le_bytes());
    boot[0x66..0x68].copy_from_slice(&[0x90, 0x90]); // use the drive number the BIOS gives
    disk.write_all_at(&boot[..440], 0)?;
    let mut core = core.to_vec();
    core[0x1f4..0x1fc].copy_from_slice(&(BIOS_BOOT.0 + 1).to_le_bytes());
    disk.write_all_at(&core, BIOS_BOOT.0 * SECTOR)
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
