//! Configuration on virtual media: a BMC shows the machine a CD or a floppy, and the agent takes its configuration from it
//! before it starts (ipa-features section 4).
//!
//! Only in a ramdisk, and only when the kernel line says that the machine booted so: a config drive that a tenant left on
//! a disk must never configure the agent that erases it.

mod copy;
mod find;

use crate::config::KernelLine;
use crate::sys::ramdisk;
use crate::sys::sysfs::Roots;
use crate::sys::udev_monitor::BlockMonitor;
use nix::mount::{MntFlags, umount2};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Word of the kernel line.
const BOOT_METHOD: (&str, &str) = ("boot_method", "vmedia");

/// Where ramdisks with glean mount the first config drive that they find.
const MOUNTED_BY_RAMDISK: &str = "/mnt/config";
/// More mounts on one place nobody makes.
const MOST_MOUNTS: usize = 16;

/// How long a medium may take to appear. A BMC's drive hangs on USB: it is found some seconds after all other drivers have
/// loaded, and the ramdisk waits for drivers only. A machine that booted by HTTP has no medium and waits for nothing else.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks for the media, copies the configuration files to their places, and returns the kernel line with the parameters
/// of the floppy, which win. What fails is returned as sentences for the log: the agent may still have what it needs.
pub fn take(line: KernelLine) -> (KernelLine, Vec<String>) {
    if !ramdisk::root_is_ramdisk() {
        return (line, Vec::new());
    }
    let mut taken = if line.get(BOOT_METHOD.0) == Some(BOOT_METHOD.1) {
        let roots = Roots::machine();
        await_medium(&roots, Instant::now() + PATIENCE);
        take_from(&roots, line, Path::new("/"))
    } else {
        (line, Vec::new())
    };
    taken.1.extend(let_go(Path::new(MOUNTED_BY_RAMDISK)));
    taken
}

/// Removes the configuration from the ramdisk: it may hold credentials, and whoever logs in to a rescue system is root. Outside a
/// ramdisk it is the machine's own, and stays.
///
/// # Errors
/// As from removing a folder.
pub fn forget() -> io::Result<()> {
    if ramdisk::root_is_ramdisk() { copy::remove(Path::new("/")) } else { Ok(()) }
}

/// Unmounts whatever is there, however often: it may be a config drive on a disk of the machine, which could not be written
/// then.
fn let_go(place: &Path) -> Option<String> {
    let unmount = || umount2(place, MntFlags::UMOUNT_NOFOLLOW);
    let count = (0..MOST_MOUNTS).take_while(|_| unmount().is_ok()).count();
    (count > 0).then(|| format!("{} was mounted by the ramdisk ({count} times) and is not any more", place.display()))
}

/// Returns when there is a medium with a configuration, or at `end`.
fn await_medium(roots: &Roots, end: Instant) {
    let Ok(monitor) = BlockMonitor::open() else { return };
    while find::image(roots).is_none() && monitor.wait(end) {}
}

fn take_from(roots: &Roots, line: KernelLine, target: &Path) -> (KernelLine, Vec<String>) {
    let mut said = Vec::new();
    match find::image(roots) {
        Some(device) => match copy::files(roots, &device, target) {
            Ok(files) => said.push(format!("{} configuration files taken from {}", files.len(), device.path)),
            Err(why) => said.push(format!("the configuration on {} could not be read: {why}", device.path)),
        },
        None => said.push("no virtual medium with a configuration was found".into()),
    }
    let Some(floppy) = find::floppy(roots) else { return (line, said) };
    match copy::parameters(roots, &floppy) {
        Ok(text) => {
            said.push(format!("parameters taken from {}", floppy.path));
            (line.with(&text), said)
        }
        Err(why) => {
            said.push(format!("the parameters on {} could not be read: {why}", floppy.path));
            (line, said)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{await_medium, let_go};
    use crate::sys::test_tree::TestTree;
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    use std::time::{Duration, Instant};

    #[test]
    fn what_the_ramdisk_mounted_is_let_go_however_often() {
        let place = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Mounts of this thread are nobody else's.
                if unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).is_err() {
                    return println!("skipped: no mount namespace");
                }
                mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
                for _ in 0..3 {
                    mount(Some("none"), place.path(), Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
                }
                let mounted = || {
                    let table = std::fs::read_to_string("/proc/thread-self/mounts").unwrap();
                    table.matches(place.path().to_str().unwrap()).count()
                };
                assert_eq!(mounted(), 3);
                assert!(let_go(place.path()).unwrap().contains("3 times"));
                assert_eq!((mounted(), let_go(place.path())), (0, None));
            });
        });
    }

    #[test]
    fn a_medium_that_is_there_is_not_waited_for_and_none_is_waited_for_long() {
        let tree = TestTree::new();
        let begun = Instant::now();
        await_medium(&tree.roots(), begun + Duration::from_millis(50));
        assert!(begun.elapsed() >= Duration::from_millis(50) && begun.elapsed() < Duration::from_secs(5));
        tree.disk("sr0", "11:0", 1, "sys/devices/pci/ata2/host1/target1/1:0:0:0");
        tree.file("run/udev/data/b11:0", "E:ID_FS_LABEL=config-2\n");
        let begun = Instant::now();
        await_medium(&tree.roots(), begun + Duration::from_secs(60));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
