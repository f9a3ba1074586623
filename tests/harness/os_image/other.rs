//! The same system in forms that few stories need: for disks with sectors of 4096 bytes, and as a partition image with the
//! loader that Debian signed.

use std::error::Error;
use std::fs;
use std::path::Path;

use image::packages::{Package, Shelf};
use tempfile::tempdir_in;

use super::{Form, boot, digest, disk, form, kernel, key, lock, package_cache};
use crate::workspace;

/// What a partition image brings beside kernel and busybox: the loader, as packages lay it down.
const LOADER: [&str; 2] = ["shim-signed", "grub-efi-amd64-signed"];
/// Where Debian's packages have the signed files.
const SIGNED: [&str; 2] = ["usr/lib/shim/shimx64.efi.signed", "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"];
/// Bytes of the partition image.
const PARTITION: u64 = 64 << 20;

/// A whole disk for sectors of 4096 bytes, raw. Built now if it is not there yet.
///
/// # Panics
/// When it cannot be built.
pub fn native_4k() -> Form {
    kept("os-4k.raw", &[], |packages, out, work| {
        let boot = boot::files(packages, work)?;
        disk::write(out, &boot, &boot::root(packages, work)?, work, 4096)
    })
}

/// The root file system alone, raw: `/boot` with a kernel, no GRUB configuration, shim and GRUB where their packages put them.
///
/// # Panics
/// When it cannot be built.
pub fn partition() -> Form {
    kept("os-root.raw", &LOADER, |packages, out, work| {
        let boot = boot::files(packages, work)?;
        let root = boot::root(packages, work)?;
        for folder in ["boot", "etc/default", "usr/lib/shim", "usr/lib/grub/x86_64-efi-signed"] {
            fs::create_dir_all(root.join(folder))?;
        }
        fs::copy(&boot.kernel, root.join("boot/vmlinuz-6.1-lab"))?;
        fs::copy(&boot.initrd, root.join("boot/initrd.img-6.1-lab"))?;
        // The signed GRUB looks for its configuration in the folder of the system it was signed for.
        fs::write(root.join("etc/os-release"), "ID=debian\nPRETTY_NAME=\"Lab OS 1\"\n")?;
        fs::write(root.join("etc/default/grub"), "GRUB_CMDLINE_LINUX=\"console=ttyS0 panic=-1\"\n")?;
        for file in SIGNED {
            let from = packages.iter().map(|package| package.root.join(file)).find(|path| path.exists());
            fs::copy(from.ok_or_else(|| format!("no package has {file}"))?, root.join(file))?;
        }
        disk::root_file_system(out, PARTITION, &root)
    })
}

/// The file of this name, made by `make` when it is not kept yet.
fn kept(name: &str, more: &[&str], make: impl FnOnce(&[Package], &Path, &Path) -> Result<(), Box<dyn Error>>) -> Form {
    let shelf = Shelf::open(&package_cache()).unwrap_or_else(|error| panic!("{error}"));
    let kernel = kernel(&shelf);
    let names: Vec<&str> = [kernel.as_str(), "busybox-static"].into_iter().chain(more.iter().copied()).collect();
    let packages = shelf.take(&names).unwrap_or_else(|error| panic!("{error}"));
    let dir = workspace::target().join("lab/os-images").join(key(&packages)).join(name);
    let lock = lock(&dir.with_extension("lock"));
    let path = dir.join(name);
    if !path.exists() {
        write(&packages, &dir, &path, make).unwrap_or_else(|error| panic!("building {name}: {error}"));
    }
    drop(lock);
    form(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn write(
    packages: &[Package],
    dir: &Path,
    path: &Path,
    make: impl FnOnce(&[Package], &Path, &Path) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(dir)?;
    let work = tempdir_in(dir)?;
    let out = work.path().join("made");
    make(packages, &out, work.path())?;
    fs::write(path.with_file_name(format!("{}.sha256", super::name(path))), digest(&out)?)?;
    Ok(fs::rename(&out, path)?)
}
