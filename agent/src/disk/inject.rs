//! Files put into, or deleted from, the file systems of a written disk (ipa-features 23).
//!
//! The image is a tenant's: its file system is mounted out of everybody's sight, and every path is resolved below its root
//! ([`FileTree`]), so that neither `..` nor a symbolic link of the image reaches the ramdisk.

use super::error::DiskError;
use super::signature;
use super::table::{self, Part};
use crate::sys::block::{Access, BlockDevice};
use crate::sys::file_tree::{FileTree, set_owner};
use crate::sys::loop_window::LoopWindow;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

/// Where a file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A partition of the system's disk, from 1.
    Number(u32),
    /// A partition by its node; the gate has let it through.
    Device(PathBuf),
    /// The first partition of the system's disk that has the first folder of the path.
    Auto,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Below the root of its file system.
    pub path: PathBuf,
    /// None: the file is deleted.
    pub content: Option<Vec<u8>>,
    /// Of the file; none: as it is, or 0644.
    pub mode: Option<u32>,
    /// Of the last folder, if it had to be made.
    pub dir_mode: Option<u32>,
    /// Number.
    pub owner: Option<u32>,
    /// Number.
    pub group: Option<u32>,
}

/// The path without its root, `.` and `..`: what is above the root is the root.
pub fn below_root(path: &str) -> PathBuf {
    let mut below = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => below.push(name),
            Component::ParentDir => {
                below.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    below
}

/// Carries the change out on the file system that `place` names.
///
/// # Errors
/// [`DiskError::NotFound`] when there is no such partition, or none that has the folder; [`DiskError::Io`].
pub fn apply(disk: &Path, place: &Place, change: &Change) -> Result<(), DiskError> {
    let failed = DiskError::io("injecting a file into", disk);
    let (tree, window) = match place {
        Place::Device(device) => {
            let kind = kind_of(device, None)?;
            (FileTree::mount(device, &kind, true).map_err(DiskError::io("mounting", device))?, None)
        }
        Place::Number(number) => {
            let part = parts(disk)?.into_iter().find(|part| part.number == *number);
            let part =
                part.ok_or_else(|| DiskError::NotFound(format!("{} has no partition {number}", disk.display())))?;
            let (tree, window) = mount(disk, &part)?;
            (tree, Some(window))
        }
        Place::Auto => {
            let (tree, window) = find(disk, &change.path)?;
            (tree, Some(window))
        }
    };
    let done = put(&tree, change).and_then(|()| tree.unmount());
    drop(window);
    done.map_err(failed)
}

fn parts(disk: &Path) -> Result<Vec<Part>, DiskError> {
    let device = BlockDevice::open(disk, Access::Read).map_err(DiskError::io("opening", disk))?;
    Ok(table::read(&device)?.parts)
}

/// Type of the file system on a device, or on a partition of it.
fn kind_of(disk: &Path, part: Option<&Part>) -> Result<String, DiskError> {
    let device = BlockDevice::open(disk, Access::Read).map_err(DiskError::io("opening", disk))?;
    let window = match part {
        Some(part) => device.window(part.start, part.length).map_err(DiskError::io("opening", disk))?,
        None => device,
    };
    let found = signature::file_system(&window)?;
    let name = part.map(|part| format!("partition {} of ", part.number)).unwrap_or_default();
    found
        .map(|found| found.kind)
        .ok_or_else(|| DiskError::NotFound(format!("{name}{} has no file system", disk.display())))
}

fn mount(disk: &Path, part: &Part) -> Result<(FileTree, LoopWindow), DiskError> {
    let kind = kind_of(disk, Some(part))?;
    let device = BlockDevice::open(disk, Access::Read).map_err(DiskError::io("opening", disk))?;
    let sector = device.logical_sector();
    drop(device);
    let failed = |error: io::Error| {
        let source = io::Error::other(format!("partition {}: {error}", part.number));
        DiskError::Io { doing: "mounting a file system of", device: disk.into(), source }
    };
    let window = LoopWindow::new(disk, part.start, part.length, sector, true).map_err(failed)?;
    Ok((FileTree::mount(window.path(), &kind, true).map_err(failed)?, window))
}

/// The first partition that has the first folder of the path.
fn find(disk: &Path, path: &Path) -> Result<(FileTree, LoopWindow), DiskError> {
    let first = path.components().next().map(|part| PathBuf::from(part.as_os_str())).unwrap_or_default();
    let mut tried = Vec::new();
    for part in parts(disk)?.iter().filter(|part| !part.is_lvm) {
        match mount(disk, part) {
            Ok((tree, window)) if tree.is_folder(&first) => return Ok((tree, window)),
            Ok(_) => tried.push(format!("{}: no /{}", part.number, first.display())),
            Err(error) => tried.push(format!("{}: {error}", part.number)),
        }
    }
    Err(DiskError::NotFound(format!(
        "No partition found with path {} on {}, scanned: {}",
        first.display(),
        disk.display(),
        tried.join("; ")
    )))
}

fn put(tree: &FileTree, change: &Change) -> io::Result<()> {
    let Some(content) = &change.content else {
        let gone = tree.delete(&change.path)?;
        tracing::info!(path = %change.path.display(), gone, "file deleted");
        return Ok(());
    };
    let folder = change.path.parent().unwrap_or(Path::new(""));
    if tree.make_folders(folder)?
        && let Some(mode) = change.dir_mode
    {
        tree.set_folder_mode(folder, mode)?;
    }
    let mut file = tree.create(&change.path)?;
    file.write_all(content)?;
    set_owner(&file, change.mode, change.owner, change.group)?;
    file.sync_all()?;
    tracing::info!(path = %change.path.display(), bytes = content.len(), "file injected");
    Ok(())
}

#[cfg(test)]
mod tests;
