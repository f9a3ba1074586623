//! Files injected into disks with several file systems, on loop devices of the tests.

use super::{Change, Injector, Place, below_root};
use crate::disk::error::DiskError;
use crate::disk::table;
use crate::sys::block::{Access, BlockDevice};
use crate::sys::loop_device::LoopDevice;
use std::path::{Path, PathBuf};
use std::process::Command;

fn run(program: &str, args: &[&str]) -> String {
    let run = Command::new(program).args(args).output().unwrap();
    assert!(run.status.success(), "{program}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).into_owned()
}

/// Partition 1: LVM that looks as if it had `/etc`; 2: nothing; 3: ext4 with `/boot`; 4: ext4 with `/etc` and hostile links.
fn disk() -> Option<LoopDevice> {
    let disk = LoopDevice::new(128 << 20, 512)?;
    let path = disk.path().to_str().unwrap();
    run("sgdisk", &["-n", "1:2048:+20M", "-t", "1:8e00", "-n", "2:0:+4M", "-n", "3:0:+20M", "-n", "4:0:0", path]);
    let device = BlockDevice::open(disk.path(), Access::Exclusive).unwrap();
    let parts = table::read(&device).unwrap().parts;
    for (number, folders) in [(1, &["etc"][..]), (3, &["boot"]), (4, &["etc", "usr/lib"])] {
        let root = tempfile::tempdir().unwrap();
        for folder in folders {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        if number == 4 {
            std::os::unix::fs::symlink("/tmp", root.path().join("etc/out")).unwrap();
            std::os::unix::fs::symlink("../../../../../../tmp/injected-by-a-test", root.path().join("etc/escape"))
                .unwrap();
            std::os::unix::fs::symlink("/usr/lib", root.path().join("lib")).unwrap();
        }
        let image = tempfile::NamedTempFile::new().unwrap();
        let part = parts[number - 1];
        image.as_file().set_len(part.length).unwrap();
        run("mke2fs", &["-q", "-t", "ext4", "-d", root.path().to_str().unwrap(), image.path().to_str().unwrap()]);
        device.write_at(part.start, &std::fs::read(image.path()).unwrap()).unwrap();
    }
    device.sync().unwrap();
    Some(disk)
}

fn change(path: &str, content: &str) -> Change {
    Change {
        path: below_root(path),
        content: Some(content.into()),
        mode: None,
        dir_mode: None,
        owner: None,
        group: None,
    }
}

/// One file by itself.
fn apply(disk: &Path, place: &Place, change: &Change) -> Result<(), DiskError> {
    let mut injector = Injector::new(disk);
    injector.apply(place, change)?;
    injector.finish()
}

/// What debugfs, which mounts nothing, says of partition `number`.
fn debugfs(disk: &Path, number: usize, order: &str) -> String {
    let device = BlockDevice::open(disk, Access::Read).unwrap();
    let part = table::read(&device).unwrap().parts[number - 1];
    let copy = tempfile::NamedTempFile::new().unwrap();
    let mut bytes = vec![0; part.length as usize];
    device.read_at(part.start, &mut bytes).unwrap();
    std::fs::write(copy.path(), bytes).unwrap();
    run("e2fsck", &["-fn", copy.path().to_str().unwrap()]);
    run("debugfs", &["-R", order, copy.path().to_str().unwrap()])
}

#[test]
fn the_partition_is_found_by_the_first_folder_and_lvm_is_passed_over() {
    let Some(disk) = disk() else { return };
    apply(disk.path(), &Place::Auto, &change("/etc/new/deeper/my.conf", "hello")).unwrap();
    assert_eq!(debugfs(disk.path(), 4, "cat /etc/new/deeper/my.conf"), "hello");
    assert!(debugfs(disk.path(), 1, "ls -p /etc").lines().all(|row| !row.contains("new")));
    apply(disk.path(), &Place::Auto, &change("/boot/x", "b")).unwrap();
    assert_eq!(debugfs(disk.path(), 3, "cat /boot/x"), "b");
    let owned = Change {
        mode: Some(0o4750),
        dir_mode: Some(0o700),
        owner: Some(12),
        group: Some(34),
        ..change("/etc/own/file", "")
    };
    apply(disk.path(), &Place::Number(4), &owned).unwrap();
    let facts = debugfs(disk.path(), 4, "stat /etc/own/file");
    assert!(
        facts.contains("Mode:  04750") && facts.contains("User:    12") && facts.contains("Group:    34"),
        "{facts}"
    );
    assert!(debugfs(disk.path(), 4, "stat /etc/own").contains("Mode:  0700"));

    let gone = Change { content: None, ..change("/etc/own/file", "") };
    for _ in 0..2 {
        apply(disk.path(), &Place::Auto, &gone).unwrap(); // the second time there is nothing to delete
    }
    assert!(!debugfs(disk.path(), 4, "ls -p /etc/own").contains("file"));
    let error = apply(disk.path(), &Place::Auto, &change("/nowhere/x", "")).unwrap_err().to_string();
    assert!(error.contains("No partition found with path nowhere") && error.contains("2: "), "{error}");
    assert!(
        apply(disk.path(), &Place::Number(9), &change("/etc/x", ""))
            .unwrap_err()
            .to_string()
            .contains("no partition 9")
    );
    let node = PathBuf::from(format!("{}p4", disk.path().display()));
    if node.exists() {
        apply(disk.path(), &Place::Device(node), &change("/root-file", "r")).unwrap();
        assert_eq!(debugfs(disk.path(), 4, "cat /root-file"), "r");
    }
}

#[test]
fn many_files_are_one_mount_and_a_partition_is_never_mounted_by_two_ways() {
    let Some(disk) = disk() else { return };
    let mut injector = Injector::new(disk.path());
    for number in 0..20 {
        injector.apply(&Place::Auto, &change(&format!("/etc/many/{number}"), "m")).unwrap();
        injector.apply(&Place::Number(3), &change(&format!("/boot/{number}"), "b")).unwrap();
    }
    // Nothing is on partition 2; 1 is LVM.
    let places: Vec<_> = injector.mounted.iter().map(|mounted| mounted.place.clone()).collect();
    assert_eq!(places, [Place::Number(3), Place::Number(4)]);
    let error = injector.apply(&Place::Auto, &change("/nowhere/x", "")).unwrap_err().to_string();
    assert!(error.contains("3: no /nowhere; 4: no /nowhere"), "{error}");
    let node = PathBuf::from(format!("{}p4", disk.path().display()));
    if node.exists() {
        injector.apply(&Place::Device(node.clone()), &change("/etc/many/20", "d")).unwrap();
        assert!(injector.holds(&node) && injector.mounted.len() == 1);
        injector.apply(&Place::Number(4), &change("/etc/many/21", "n")).unwrap();
        assert!(!injector.holds(&node) && injector.mounted.len() == 1);
    }
    injector.finish().unwrap();
    let free = BlockDevice::open(disk.path(), Access::Exclusive);
    assert!(free.is_ok(), "the disk is in use: {:?}", free.err());
    drop(free);
    let names = debugfs(disk.path(), 4, "ls -p /etc/many");
    assert!(names.contains("/19/") && (!node.exists() || names.contains("/20/") && names.contains("/21/")), "{names}");
    assert!(debugfs(disk.path(), 3, "ls -p /boot").contains("/19/"));
}

#[test]
fn links_of_the_image_lead_nowhere_but_into_the_image() {
    let Some(disk) = disk() else { return };
    let marker = format!("injected-{}", std::process::id());
    let outside = Path::new("/tmp").join(&marker);
    assert!(
        apply(disk.path(), &Place::Auto, &change(&format!("/etc/out/{marker}"), "x")).is_err(),
        "/tmp is not in the image"
    );
    assert!(!outside.exists());
    assert!(apply(disk.path(), &Place::Auto, &change("/etc/escape", "x")).is_err());
    assert!(!Path::new("/tmp/injected-by-a-test").exists());
    apply(disk.path(), &Place::Number(4), &change(&format!("/etc/../../../../{marker}"), "in")).unwrap();
    assert_eq!(debugfs(disk.path(), 4, &format!("cat /{marker}")), "in");
    apply(disk.path(), &Place::Auto, &change("/lib/through", "t")).unwrap();
    assert_eq!(debugfs(disk.path(), 4, "cat /usr/lib/through"), "t", "links within the image are followed");
}

#[test]
fn paths_are_cut_at_the_root() {
    for (path, below) in [("/etc/x", "etc/x"), ("etc//./x", "etc/x"), ("/../../etc/../x", "x"), ("/", ""), ("a/..", "")]
    {
        assert_eq!(below_root(path), Path::new(below), "{path}");
    }
}
