//! The boot loader of a partition image: the shim and GRUB that the image's maker signed are copied from its root file
//! system to the EFI system partition, with a `grub.cfg` of ours that finds the root again by its UUID.
//!
//! Nothing of the image is run: its file system is mounted read-only where no other program sees it
//! ([`crate::sys::file_tree`]), regular files are copied, bounded in number and size, and the configuration is put together from
//! names and words that were checked letter by letter.

use super::boot_option::BootPartition;
use super::error::DiskError;
use super::fat::Fat;
use super::fat_write::{self, NewFile};
use super::signature;
use super::table::{self, Part};
use crate::sys::block::{Access, BlockDevice};
use crate::sys::file_tree::FileTree;
use crate::sys::loop_window::LoopWindow;
use std::io;
use std::path::Path;
use std::time::Duration;

pub mod config;

/// Label of the EFI system partition of a partition image (ipa-features 21).
pub const LABEL: &str = "efi-part";
/// How long others may look at the disk.
const BUSY: Duration = Duration::from_secs(10);
/// Largest file copied, bytes.
const MAX_FILE: u64 = 32 << 20;
/// Most bytes and files copied; the partition has 550 MiB.
const MAX_ALL: u64 = 128 << 20;
const MAX_FILES: usize = 512;
/// Deepest folder below `EFI`.
const MAX_DEPTH: usize = 6;

/// What firmware and loaders call this machine's kind, and GRUB's packages.
#[cfg(target_arch = "aarch64")]
const ARCH: (&str, &str, &str) = ("aa64", "arm64-efi", "aarch64");
#[cfg(not(target_arch = "aarch64"))]
const ARCH: (&str, &str, &str) = ("x64", "x86_64-efi", "x86_64");

/// Folders that are laid out as an EFI system partition, as distributions package or build them.
const TREES: [&str; 2] = ["boot/efi/EFI", "usr/lib/bootupd/updates/EFI"];

/// Copies the loader of the root file system `root_uuid` on `disk` to the EFI system partition `esp`.
///
/// # Errors
/// [`DiskError::Boot`] says what the image lacks; [`DiskError::NotFound`] when no partition has that UUID.
pub fn bring(disk: &Path, root_uuid: &str, esp: &BootPartition) -> Result<(), DiskError> {
    let (part, kind, sector) = root_of(disk, root_uuid)?;
    let failed = |what: &'static str| {
        move |error: io::Error| {
            DiskError::Boot(format!("{what} partition {} of {}: {error}", part.number, disk.display()))
        }
    };
    let files = {
        let window = LoopWindow::new(disk, part.start, part.length, sector, false)
            .map_err(failed("reading the root file system on"))?;
        let tree = FileTree::mount(window.path(), &kind, false).map_err(failed("mounting the root file system on"))?;
        collect(&tree, root_uuid)?
    };
    let device = BlockDevice::open_when_free(disk, BUSY).map_err(DiskError::io("opening", disk))?;
    let block = u64::from(device.logical_sector());
    let window = device.window(esp.start * block, esp.blocks * block).map_err(DiskError::io("opening", disk))?;
    tracing::info!(disk = %disk.display(), files = files.len(), "the image's own boot loader is copied to the EFI system partition");
    put(&window, files)
        .and_then(|()| device.sync())
        .map_err(|error| DiskError::Boot(format!("writing the EFI system partition of {}: {error}", disk.display())))
}

/// Makes the file system anew with its label and identifier; files that are there stay.
fn put(window: &BlockDevice, mut files: Vec<NewFile>) -> io::Result<()> {
    let fat = Fat::open(window)?;
    for (path, entry) in fat.walk()? {
        let path = path.join("/");
        if !files.iter().any(|(known, _)| known.eq_ignore_ascii_case(&path)) {
            files.push((path, fat.read(&entry, MAX_FILE as usize)?));
        }
    }
    fat_write::make(&mut window.cursor(), window.size(), window.logical_sector(), LABEL, fat.id(), &files)
}

/// The partition whose file system has this UUID, its type, and the disk's sector size.
fn root_of(disk: &Path, root_uuid: &str) -> Result<(Part, String, u32), DiskError> {
    let device = BlockDevice::open(disk, Access::Read).map_err(DiskError::io("opening", disk))?;
    for part in table::read(&device)?.parts {
        let Ok(window) = device.window(part.start, part.length) else { continue };
        let Some(found) = signature::file_system(&window)? else { continue };
        if found.uuid.is_some_and(|uuid| uuid.eq_ignore_ascii_case(root_uuid)) {
            return Ok((part, found.kind, device.logical_sector()));
        }
    }
    Err(DiskError::NotFound(format!(
        "no partition of {} has a file system with the UUID {root_uuid}; was the image written to this disk?",
        disk.display()
    )))
}

/// Everything for the EFI system partition.
fn collect(tree: &FileTree, root_uuid: &str) -> Result<Vec<NewFile>, DiskError> {
    let failed = |error: io::Error| DiskError::Boot(format!("reading the boot loader of the image: {error}"));
    let system = config::system_id(
        &text(tree, "etc/os-release").or_else(|| text(tree, "usr/lib/os-release")).unwrap_or_default(),
    );
    let mut files = Vec::new();
    for folder in TREES {
        if files.is_empty() {
            copy_tree(tree, folder, "EFI", 0, &mut files).map_err(failed)?;
            files = if files.iter().any(|(path, _)| is_loader(path)) { files } else { Vec::new() };
        }
    }
    if files.is_empty() {
        files = assemble(tree, &system).map_err(failed)?;
    }
    if files.is_empty() {
        return Err(DiskError::Boot(format!(
            "the image has no UEFI boot loader that could be copied: neither a loader below /{} nor /{}, nor signed packages (/usr/lib/shim and /usr/lib/grub, or /usr/share/efi). Install shim and a signed GRUB in the image (Debian: shim-signed and grub-efi-amd64-signed), or use a whole-disk image",
            TREES[0], TREES[1]
        )));
    }
    removable(&mut files);
    let stub = config::stub(tree, root_uuid, &system)?;
    let mut folders: Vec<String> = Vec::new();
    for (path, _) in &files {
        if let Some((folder, name)) = path.rsplit_once('/')
            && (name.to_ascii_lowercase().starts_with("grub") && is_loader(path)
                || folder.eq_ignore_ascii_case(&format!("EFI/{system}"))
                || folder.eq_ignore_ascii_case("EFI/BOOT"))
            && !folders.iter().any(|known| known.eq_ignore_ascii_case(folder))
        {
            folders.push(folder.into());
        }
    }
    for folder in folders {
        let path = format!("{folder}/grub.cfg");
        let own = |(known, content): &NewFile| {
            known.eq_ignore_ascii_case(&path) && String::from_utf8_lossy(content).contains(root_uuid)
        };
        if !files.iter().any(own) {
            files.retain(|(known, _)| !known.eq_ignore_ascii_case(&path));
            files.push((path, stub.clone().into_bytes()));
        }
    }
    Ok(files)
}

fn text(tree: &FileTree, path: &str) -> Option<String> {
    let bytes = tree.read(Path::new(path), 64 << 10).ok()??;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A name ending in `.efi` of this machine's kind.
fn is_loader(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    name.ends_with(&format!("{}.efi", ARCH.0)) || name == "shim.efi" || name == "grub.efi"
}

/// Names FAT and firmware can have.
fn is_plain(name: &str) -> bool {
    name.len() <= 64
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte))
}

fn copy_tree(tree: &FileTree, from: &str, to: &str, depth: usize, files: &mut Vec<NewFile>) -> io::Result<()> {
    for name in tree.names(Path::new(from)).into_iter().filter(|name| is_plain(name)) {
        let (from, to) = (format!("{from}/{name}"), format!("{to}/{name}"));
        if tree.is_folder(Path::new(&from)) {
            if depth < MAX_DEPTH {
                copy_tree(tree, &from, &to, depth + 1, files)?;
            }
        } else if let Some(content) = tree.read(Path::new(&from), MAX_FILE)? {
            files.push((to, content));
            let all: u64 = files.iter().map(|(_, content)| content.len() as u64).sum();
            if all > MAX_ALL || files.len() > MAX_FILES {
                let text = format!(
                    "/{from}: more than {MAX_FILES} files or {} MiB for the EFI system partition",
                    MAX_ALL >> 20
                );
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
            }
        }
    }
    Ok(())
}

/// Shim and GRUB from where packages put them for `grub-install` to find.
fn assemble(tree: &FileTree, system: &str) -> io::Result<Vec<NewFile>> {
    let (short, grub, long) = ARCH;
    let first = |paths: &[String]| -> io::Result<Option<Vec<u8>>> {
        for path in paths {
            if let Some(content) = tree.read(Path::new(path), MAX_FILE)?.filter(|content| content.starts_with(b"MZ")) {
                return Ok(Some(content));
            }
        }
        Ok(None)
    };
    let shim = first(&[
        format!("usr/lib/shim/shim{short}.efi.signed"),
        format!("usr/lib/shim/shim{short}.efi.signed.latest"),
        format!("usr/share/efi/{long}/shim.efi"),
        format!("usr/lib/shim/shim{short}.efi"),
    ])?;
    let grub = first(&[
        format!("usr/lib/grub/{grub}-signed/grub{short}.efi.signed"),
        format!("usr/share/efi/{long}/grub.efi"),
        format!("usr/lib/grub/{grub}/monolithic/grub{short}.efi"),
        format!("usr/lib/grub/{grub}/grub.efi"),
    ])?;
    let keys = first(&[
        format!("usr/lib/shim/mm{short}.efi.signed"),
        format!("usr/lib/shim/mm{short}.efi"),
        format!("usr/share/efi/{long}/MokManager.efi"),
    ])?;
    let Some(grub) = grub else { return Ok(Vec::new()) };
    let mut files = vec![(format!("EFI/{system}/grub{short}.efi"), grub)];
    let mut started = format!("grub{short}.efi");
    if let Some(shim) = shim {
        started = format!("shim{short}.efi");
        files.insert(0, (format!("EFI/{system}/{started}"), shim));
    }
    files.extend(keys.map(|keys| (format!("EFI/{system}/mm{short}.efi"), keys)));
    let list = format!("\u{feff}{started},{system},,This is the boot entry for {system}\n");
    let name = format!("EFI/{system}/BOOT{}.CSV", short.to_ascii_uppercase());
    files.push((name, list.encode_utf16().flat_map(u16::to_le_bytes).collect()));
    Ok(files)
}

/// Firmware that forgets its entries starts `EFI/BOOT/BOOTX64.EFI`: shim and what stands beside it are put there, too.
fn removable(files: &mut Vec<NewFile>) {
    let name = format!("EFI/BOOT/BOOT{}.EFI", ARCH.0.to_ascii_uppercase());
    if files.iter().any(|(path, _)| path.eq_ignore_ascii_case(&name)) {
        return;
    }
    let named = |part: &str| {
        files.iter().find(|(path, _)| {
            is_loader(path) && path.rsplit('/').next().is_some_and(|name| name.to_ascii_lowercase().starts_with(part))
        })
    };
    let Some((path, content)) = named("shim").or_else(|| named("grub")) else { return };
    let folder = path.rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default();
    let mut more = vec![(name, content.clone())];
    for (path, content) in files.iter().filter(|(path, _)| is_loader(path)) {
        if let Some(name) = path.strip_prefix(&folder).filter(|name| !name.contains('/') && !name.starts_with("shim")) {
            more.push((format!("EFI/BOOT/{name}"), content.clone()));
        }
    }
    files.extend(more);
}

#[cfg(test)]
mod tests;
