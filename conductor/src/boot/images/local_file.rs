//! Opens `file://` images: regular files below allowed folders, and nothing else of this machine (CVE-2025-44021,
//! CVE-2026-44919).
//!
//! The folder is opened first and the file below it with `RESOLVE_BENEATH`, so the kernel refuses every way out: `..`,
//! absolute links, links to other places. From then on only the open file counts: it is served through its descriptor,
//! so nobody can put another file in its place.

use super::ImageError;
use crate::boot::directory::KeepFile;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Never, whatever the allowed folders say: these hold the system, not images.
const NEVER: &[&str] = &["/dev", "/proc", "/sys", "/run", "/etc", "/boot"];

/// An image file that is open.
#[derive(Debug)]
pub struct LocalImage {
    file: File,
    path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Device, inode, size, change: another content has another one.
    pub identity: (u64, u64, u64, i64, i64),
}

impl LocalImage {
    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl KeepFile for LocalImage {
    /// Opening this opens the same file again, wherever its name points by then.
    fn path(&self) -> &Path {
        &self.path
    }
}

/// Opens `path` if it lies below one of `folders` and has at most `max_bytes`. Blocks.
pub fn open_below(path: &Path, folders: &[PathBuf], max_bytes: u64) -> Result<LocalImage, ImageError> {
    let plain =
        path.is_absolute() && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let below = folders.iter().filter_map(|folder| Some((folder, path.strip_prefix(folder).ok()?)));
    let allowed: Vec<_> = below.filter(|(_, rest)| plain && !rest.as_os_str().is_empty()).collect();
    if allowed.is_empty() {
        // The same words whether the file is there or not.
        return Err(ImageError::invalid(format!(
            "the image file {} is not below an allowed folder; [conductor]file_url_allowed_paths lists them",
            path.display()
        )));
    }
    let mut last = None;
    for (folder, rest) in allowed {
        match open_one(folder, rest) {
            Ok(file) => return judge(file, path, max_bytes),
            Err(error) => last = Some(error),
        }
    }
    let why = last.map_or_else(String::new, |error| match error {
        nix::errno::Errno::EXDEV | nix::errno::Errno::ELOOP => ": it leads out of the allowed folder".into(),
        error => format!(": {}", error.desc()),
    });
    Err(ImageError::invalid(format!("the image file {} cannot be opened{why}", path.display())))
}

fn open_one(folder: &Path, rest: &Path) -> nix::Result<File> {
    let folder: OwnedFd = open(folder, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    // O_NONBLOCK: opening a FIFO must not wait for a writer.
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(&folder, rest, how).map(File::from)
}

fn judge(file: File, asked: &Path, max_bytes: u64) -> Result<LocalImage, ImageError> {
    let refused = |why: String| ImageError::invalid(format!("the image file {} {why}", asked.display()));
    let meta = file.metadata().map_err(|error| refused(format!("cannot be examined: {error}")))?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let real = std::fs::read_link(&path).map_err(|error| refused(format!("cannot be examined: {error}")))?;
    if !meta.is_file() || NEVER.iter().any(|never| real.starts_with(never)) {
        return Err(refused("is not a regular file of an image folder".into()));
    }
    if meta.len() == 0 || meta.len() > max_bytes {
        return Err(refused(format!("has {} bytes; images have 1 to {max_bytes}", meta.len())));
    }
    let identity = (meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
    Ok(LocalImage { file, path, size: meta.len(), identity })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn try_open(path: &Path, folders: &[&Path]) -> Result<LocalImage, String> {
        let folders: Vec<PathBuf> = folders.iter().map(|folder| folder.to_path_buf()).collect();
        open_below(path, &folders, 1000).map_err(|error| error.to_string())
    }

    #[test]
    fn regular_files_below_the_folder_open_and_links_inside_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (root, file) = (folder.path(), folder.path().join("sub/a.img"));
        std::fs::create_dir(root.join("sub")).unwrap();
        std::fs::write(&file, b"image").unwrap();
        symlink("sub/a.img", root.join("link.img")).unwrap();
        assert_eq!(try_open(&file, &[root]).unwrap().size, 5);
        let held = try_open(&root.join("link.img"), &[root]).unwrap();
        // Another file takes the name; the one that was opened and checked is still the one that is read.
        std::fs::rename(&file, root.join("old")).unwrap();
        std::fs::write(&file, b"other").unwrap();
        assert_eq!(std::fs::read(KeepFile::path(&held)).unwrap(), b"image");
    }

    #[test]
    fn everything_else_is_refused() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = folder.path();
        let secret = outside.path().join("secret");
        std::fs::write(&secret, b"secret").unwrap();
        symlink(&secret, root.join("absolute")).unwrap();
        symlink(format!("../{}/secret", outside.path().file_name().unwrap().display()), root.join("relative")).unwrap();
        symlink("/dev/zero", root.join("zero")).unwrap();
        symlink("/proc/self/fd/0", root.join("magic")).unwrap();
        symlink(outside.path(), root.join("folder")).unwrap();
        nix::unistd::mkfifo(&root.join("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
        std::fs::write(root.join("empty"), b"").unwrap();
        std::fs::write(root.join("large"), vec![0; 1001]).unwrap();
        for name in ["absolute", "relative", "zero", "magic", "folder/secret", "fifo", "empty", "large", "missing", "."]
        {
            assert!(try_open(&root.join(name), &[root]).is_err(), "{name}");
        }
        assert!(try_open(root, &[root]).is_err());
        assert!(try_open(&root.join("../x"), &[root]).unwrap_err().contains("not below an allowed folder"));
        assert!(try_open(&secret, &[root]).unwrap_err().contains("file_url_allowed_paths"));
        assert!(try_open(&secret, &[]).is_err());
        // Even where an operator allows everything.
        for path in ["/proc/self/environ", "/etc/passwd", "/dev/zero", "/sys/kernel/mm/transparent_hugepage/enabled"] {
            assert!(try_open(Path::new(path), &[Path::new("/")]).is_err(), "{path}");
        }
    }
}
