//! The boot ISO: isolinux for BIOS, GRUB in a small FAT image for UEFI, the same kernel and initramfs for both. It
//! starts from a CD drive, from virtual media, and copied to a USB stick.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::bundle::fat::{TooLarge, efi_image};
use crate::gather::find;
use crate::packages::Package;
use crate::program::{Program, ProgramError};

/// The volume's name; GRUB finds its files by it.
const LABEL: &str = "WROUGHT_DEPLOY";
/// Parts of GRUB the configuration below uses.
const GRUB_MODULES: &[&str] = &[
    "iso9660",
    "part_gpt",
    "part_msdos",
    "fat",
    "search",
    "search_label",
    "normal",
    "linux",
    "serial",
    "terminal",
    "echo",
];

/// Why there is no ISO.
#[derive(Debug, thiserror::Error)]
pub enum IsoError {
    /// A boot loader's file is not where it should be.
    #[error("no package of the recipe has `{0}`; correct the recipe")]
    Absent(&'static str),
    /// The kernel arguments cannot be written into a configuration file.
    #[error("kernel arguments must be printable ASCII without quotes, backslashes, `$`, `;`, `{{` or `}}`: {0:?}")]
    Arguments(String),
    /// GRUB grew.
    #[error(transparent)]
    Efi(#[from] TooLarge),
    /// xorriso or grub-mkimage.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A file could not be staged.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// What goes onto the ISO.
pub struct Parts<'a> {
    /// vmlinuz.
    pub kernel: &'a [u8],
    /// The initramfs.
    pub initramfs: &'a [u8],
    /// The kernel's command line.
    pub arguments: &'a str,
    /// Time stamp of everything, seconds since 1970.
    pub time: u32,
}

/// Writes the ISO to `out`, staging in `scratch` (an empty folder).
///
/// # Errors
/// A boot loader or a program is missing.
pub fn write_iso(parts: &Parts<'_>, packages: &[Package], scratch: &Path, out: &Path) -> Result<(), IsoError> {
    check(parts.arguments)?;
    let efi = efi_image(&grub(parts, packages, scratch)?)?;
    let stage = scratch.join("iso");
    let isolinux = format!(
        "serial 0 115200\ndefault deploy\nprompt 0\nlabel deploy\n kernel /boot/deploy.kernel\n \
         append initrd=/boot/deploy.initramfs {}\n",
        parts.arguments
    );
    let loader = |path: &'static str| {
        let found = find(packages, path).ok_or(IsoError::Absent(path))?.1;
        fs::read(&found).map_err(|source| IsoError::Io { path: found, source })
    };
    let files: &[(&str, &[u8])] = &[
        ("boot/deploy.kernel", parts.kernel),
        ("boot/deploy.initramfs", parts.initramfs),
        ("boot/efi.img", &efi),
        ("isolinux/isolinux.bin", &loader("usr/lib/ISOLINUX/isolinux.bin")?),
        ("isolinux/ldlinux.c32", &loader("usr/lib/syslinux/modules/bios/ldlinux.c32")?),
        ("isolinux/isolinux.cfg", isolinux.as_bytes()),
    ];
    for (name, bytes) in files {
        put(&stage.join(name), bytes, parts.time).map_err(|source| IsoError::Io { path: stage.join(name), source })?;
    }
    for folder in ["boot", "isolinux", ""] {
        let path = stage.join(folder);
        touch(&path, parts.time).map_err(|source| IsoError::Io { path, source })?;
    }
    let stick = find(packages, "usr/lib/ISOLINUX/isohdpfx.bin").ok_or(IsoError::Absent("isohdpfx.bin"))?.1;
    #[rustfmt::skip]
    let flags = [
        "-as", "mkisofs", "-quiet", "-r", "-J", "-V", LABEL,
        "--set_all_file_dates", "set_to_mtime",
        "-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table",
        "-eltorito-alt-boot", "-e", "boot/efi.img", "-no-emul-boot", "-isohybrid-gpt-basdat",
        "-isohybrid-mbr",
    ];
    let program = Program::new("xorriso", "xorriso").env("SOURCE_DATE_EPOCH", &parts.time.to_string());
    program.args(flags).arg(stick).arg("-o").arg(out).arg(&stage).output()?;
    Ok(())
}

fn grub(parts: &Parts<'_>, packages: &[Package], scratch: &Path) -> Result<Vec<u8>, IsoError> {
    const MODULES: &str = "usr/lib/grub/x86_64-efi";
    let configuration = format!(
        "serial --unit=0 --speed=115200\nterminal_output console serial\nsearch --no-floppy --set=root --label {LABEL}\n\
         linux /boot/deploy.kernel {}\ninitrd /boot/deploy.initramfs\nboot\n",
        parts.arguments
    );
    let (config, image) = (scratch.join("grub.cfg"), scratch.join("bootx64.efi"));
    fs::write(&config, configuration).map_err(|source| IsoError::Io { path: config.clone(), source })?;
    let modules = find(packages, MODULES).ok_or(IsoError::Absent(MODULES))?.1;
    let program = Program::new("grub-mkimage", "grub-common").arg("-d").arg(modules);
    let program = program.args(["-O", "x86_64-efi", "-p", "/boot", "-c"]).arg(&config).arg("-o").arg(&image);
    program.args(GRUB_MODULES).output()?;
    fs::read(&image).map_err(|source| IsoError::Io { path: image, source })
}

/// Both boot loaders take the arguments as part of a line of their own language: nothing that means something there may
/// pass.
fn check(arguments: &str) -> Result<(), IsoError> {
    let fine = |c: char| (c.is_ascii_graphic() || c == ' ') && !"\"'\\$;{}`#&|<>".contains(c);
    if arguments.chars().all(fine) { Ok(()) } else { Err(IsoError::Arguments(arguments.to_owned())) }
}

fn put(path: &Path, bytes: &[u8], time: u32) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    fs::write(path, bytes)?;
    touch(path, time)
}

fn touch(path: &Path, time: u32) -> io::Result<()> {
    File::open(path)?.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(time.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::{IsoError, check};

    #[test]
    fn arguments_that_a_boot_loader_would_read_as_its_own_are_refused() {
        check("console=ttyS0,115200 ipa-api-url=http://172.22.0.1:6385 ipa-debug=1").unwrap();
        for bad in ["a\nboot", "a;reboot", "$root", "a\"b", "é", "a\0"] {
            assert!(matches!(check(bad), Err(IsoError::Arguments(_))), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_is_one_line(text in ".{0,60}") {
            if check(&text).is_ok() {
                assert_eq!(text.lines().count(), usize::from(!text.is_empty()));
            }
        }
    }
}
