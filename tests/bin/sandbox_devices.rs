//! The sandbox's `/dev`: the kernel's own, so that a new partition has its node before whoever made it looks for it, with
//! everything covered that is not the sandbox's.

use crate::{bind, put};
use nix::mount::{MsFlags, mount};
use std::fs;
use std::path::{Path, PathBuf};

/// Nodes that do no harm. `loop-control` finds free loop devices, over which agents look at parts of a disk.
const HARMLESS: &[&str] = &["null", "zero", "full", "random", "urandom", "tty", "loop-control"];

/// Mounts it on `dev` for the disks of these names. Nothing is written to the kernel's file system: this machine has it, too.
pub fn lay(dev: &Path, disks: &[String]) {
    put("devtmpfs", dev, "");
    let mut entries: Vec<PathBuf> = fs::read_dir(dev).expect("devtmpfs").flatten().map(|entry| entry.path()).collect();
    // What covers the others must not be covered itself.
    entries.sort_by_key(|path| path.file_name().is_none_or(|name| name != "null"));
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Ok(kind) = path.symlink_metadata().map(|facts| facts.file_type()) else { continue };
        if kind.is_dir() {
            put("tmpfs", &path, "mode=1777,size=64m");
            if name == "disk" {
                fs::create_dir(path.join("by-path")).expect("by-path");
            }
        } else if !kind.is_symlink() && !HARMLESS.contains(&name.as_str()) && !is_ours(&name, disks) {
            bind(&dev.join("null"), &path);
        }
    }
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(None::<&str>, dev, None::<&str>, flags, None::<&str>).expect("devtmpfs becomes read-only");
}

/// One of the disks, a partition of one, or a loop device: any may be the next free one, when another story ends. That an
/// agent takes none but its own is its configuration's affair, which names them.
fn is_ours(name: &str, disks: &[String]) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let part =
        |disk: &String| name.strip_prefix(disk.as_str()).and_then(|rest| rest.strip_prefix('p')).is_some_and(digits);
    name.strip_prefix("loop").is_some_and(digits) || disks.iter().any(|disk| disk == name || part(disk))
}
