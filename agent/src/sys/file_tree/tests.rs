//! A hostile tree: links out of it, devices, FIFOs, files where folders are expected.

use super::{FileTree, set_owner};
use crate::sys::loop_device::LoopDevice;
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A tree in memory, and a way into it for the test.
fn tree() -> Option<(FileTree, PathBuf)> {
    match FileTree::mount(Path::new("tmpfs"), "tmpfs", true) {
        Ok(tree) => {
            let door = PathBuf::from(format!("/proc/self/fd/{}", tree.root.as_raw_fd()));
            Some((tree, door))
        }
        Err(error) => {
            println!("skipped: nothing can be mounted here: {error}");
            None
        }
    }
}

#[test]
fn no_link_and_no_dots_lead_out() {
    let Some((tree, door)) = tree() else { return };
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "outside").unwrap();
    symlink(outside.path(), door.join("abs")).unwrap();
    symlink("../../../../../../../..", door.join("up")).unwrap();
    symlink("/proc/self/root", door.join("magic")).unwrap();
    symlink("loop", door.join("loop")).unwrap();
    for path in ["abs/secret", "up/etc/passwd", "../../etc/passwd", "magic/etc/passwd", "/etc/passwd"] {
        assert!(tree.read(Path::new(path), 10).unwrap().is_none(), "{path}");
        assert!(tree.create(Path::new(path)).is_err(), "{path}: there is no such folder inside");
    }
    assert!(tree.read(Path::new("loop/x"), 10).is_err());
    // A link whose end does not exist is made inside, at that path.
    symlink("/inside", door.join("file")).unwrap();
    tree.create(Path::new("file")).unwrap().write_all(b"in").unwrap();
    assert_eq!(std::fs::read(door.join("inside")).unwrap(), b"in");
    tree.make_folders(Path::new("up/made/here")).unwrap();
    assert!(door.join("made/here").is_dir(), "above the root is the root");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    assert!(tree.delete(Path::new("abs")).unwrap() && outside.path().join("secret").exists());
    assert!(!tree.delete(Path::new("gone/file")).unwrap());
}

#[test]
fn what_is_no_regular_file_is_neither_read_nor_written_and_nothing_blocks() {
    let Some((tree, door)) = tree() else { return };
    nix::unistd::mkfifo(&door.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(tree.read(Path::new("pipe"), 10).unwrap().is_none());
    assert!(tree.create(Path::new("pipe")).is_err());
    let kind = nix::sys::stat::SFlag::S_IFCHR;
    if nix::sys::stat::mknod(&door.join("zero"), kind, nix::sys::stat::Mode::S_IRWXU, nix::sys::stat::makedev(1, 5))
        .is_ok()
    {
        assert!(tree.read(Path::new("zero"), 10).is_err(), "nodev");
    }
    std::fs::write(door.join("big"), [0; 11]).unwrap();
    assert_eq!(tree.read(Path::new("big"), 10).unwrap_err().kind(), ErrorKind::FileTooLarge);
    assert_eq!(tree.make_folders(Path::new("big/folder")).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert!(FileTree::mount(Path::new("/dev/null"), "nfs", false).is_err());
}

#[test]
fn modes_owners_and_folders() {
    let Some((tree, door)) = tree() else { return };
    assert!(tree.make_folders(Path::new("a/b/c")).unwrap() && !tree.make_folders(Path::new("a/b/c")).unwrap());
    tree.set_folder_mode(Path::new("a/b/c"), 0o711).unwrap();
    assert_eq!(std::fs::metadata(door.join("a/b/c")).unwrap().permissions().mode() & 0o7777, 0o711);
    let file = tree.create(Path::new("a/file")).unwrap();
    set_owner(&file, Some(0o4750), Some(12), Some(34)).unwrap();
    let facts = super::facts(&file).unwrap();
    assert_eq!((facts.st_mode & 0o7777, facts.st_uid, facts.st_gid), (0o4750, 12, 34));
    assert_eq!(tree.names(Path::new("a")), ["b", "file"]);
    tree.sync().unwrap();
}

#[test]
fn a_tree_that_another_process_still_holds_is_gone_only_when_that_lets_go() {
    let Some(disk) = LoopDevice::new(16 << 20, 512) else { return };
    let made = Command::new("mke2fs").args(["-q", "-t", "ext4"]).arg(disk.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for explicit in [true, false] {
        let Ok(tree) = FileTree::mount(disk.path(), "ext4", true) else { return };
        tree.create(Path::new("file")).unwrap().write_all(b"content").unwrap();
        // What a child of another thread has between fork and exec.
        let copy = tree.root.try_clone().unwrap();
        let released = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(200)); // long enough for the other thread to be back without a wait
                released.store(true, Ordering::SeqCst);
                drop(copy);
            });
            if explicit {
                tree.unmount().unwrap();
            } else {
                drop(tree);
            }
            assert!(released.load(Ordering::SeqCst));
        });
        // The journal is written back: a reader that knows no journals sees what was written.
        let asked = Command::new("debugfs").args(["-R", "cat /file"]).arg(disk.file()).output().unwrap();
        assert_eq!(asked.stdout, b"content");
    }
}
