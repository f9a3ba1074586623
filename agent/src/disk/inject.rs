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

/// One file. Not to be printed: contents may be secrets.
#[derive(Clone, PartialEq, Eq)]
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

/// The file systems of one disk that files go into. Each is mounted for its first file and stays so until [`Injector::finish`].
pub struct Injector<'a> {
    disk: &'a Path,
    mounted: Vec<Mounted>,
}

struct Mounted {
    place: Place,
    // The order matters: the window can go when the file system on it has gone.
    tree: FileTree,
    window: Option<LoopWindow>,
}

impl<'a> Injector<'a> {
    /// With nothing mounted yet.
    pub fn new(disk: &'a Path) -> Self {
        Self { disk, mounted: Vec::new() }
    }

    /// Carries the change out on the file system that `place` names. Its data is on the disk afterwards.
    ///
    /// # Errors
    /// [`DiskError::NotFound`] when there is no such partition, or none that has the folder; [`DiskError::Io`].
    pub fn apply(&mut self, place: &Place, change: &Change) -> Result<(), DiskError> {
        let at = match place {
            Place::Device(device) => self.device(device)?,
            Place::Number(number) => {
                let part = parts(self.disk)?.into_iter().find(|part| part.number == *number);
                let none = || DiskError::NotFound(format!("{} has no partition {number}", self.disk.display()));
                self.partition(&part.ok_or_else(none)?)?
            }
            Place::Auto => self.find(&change.path)?,
        };
        put(&self.mounted[at].tree, change).map_err(DiskError::io("injecting a file into", self.disk))
    }

    /// Unmounts: everything is on the disk, and nobody holds it any more. What is only dropped is unmounted, too, but its
    /// errors are only logged.
    ///
    /// # Errors
    /// The first late write error; the others are unmounted all the same.
    pub fn finish(&mut self) -> Result<(), DiskError> {
        let mut ended = Ok(());
        for mounted in self.mounted.drain(..) {
            ended = ended.and(mounted.tree.unmount());
            drop(mounted.window);
        }
        ended.map_err(DiskError::io("injecting a file into", self.disk))
    }

    /// Whether this device is mounted by us: then nobody else has it.
    pub fn holds(&self, device: &Path) -> bool {
        let device = device.canonicalize().ok();
        matches!(&self.mounted[..], [Mounted { place: Place::Device(held), .. }] if device.as_ref() == Some(held))
    }

    /// Blocks that are reached by two ways must not be mounted twice at once: a device may be a partition of the disk. So a
    /// device is mounted alone.
    fn device(&mut self, device: &Path) -> Result<usize, DiskError> {
        if !self.holds(device) {
            self.finish()?;
            let kind = kind_of(device, None)?;
            let tree = FileTree::mount(device, &kind, true).map_err(DiskError::io("mounting", device))?;
            self.mounted.push(Mounted { place: Place::Device(device.into()), tree, window: None });
        }
        Ok(0)
    }

    fn partition(&mut self, part: &Part) -> Result<usize, DiskError> {
        if self.mounted.iter().any(|mounted| matches!(mounted.place, Place::Device(_))) {
            self.finish()?;
        }
        let place = Place::Number(part.number);
        if let Some(at) = self.mounted.iter().position(|mounted| mounted.place == place) {
            return Ok(at);
        }
        let (tree, window) = mount(self.disk, part)?;
        self.mounted.push(Mounted { place, tree, window: Some(window) });
        Ok(self.mounted.len() - 1)
    }

    /// The first partition that has the first folder of the path. Those that have not stay mounted, too: the next file is
    /// looked for in the same way.
    fn find(&mut self, path: &Path) -> Result<usize, DiskError> {
        let first = path.components().next().map(|part| PathBuf::from(part.as_os_str())).unwrap_or_default();
        let mut tried = Vec::new();
        for part in parts(self.disk)?.iter().filter(|part| !part.is_lvm) {
            match self.partition(part) {
                Ok(at) if self.mounted[at].tree.is_folder(&first) => return Ok(at),
                Ok(_) => tried.push(format!("{}: no /{}", part.number, first.display())),
                Err(error) => tried.push(format!("{}: {error}", part.number)),
            }
        }
        Err(DiskError::NotFound(format!(
            "No partition found with path {} on {}, scanned: {}",
            first.display(),
            self.disk.display(),
            tried.join("; ")
        )))
    }
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
