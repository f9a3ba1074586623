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
use std::path::Path;
use std::time::{Duration, Instant};

/// Word of the kernel line.
const BOOT_METHOD: (&str, &str) = ("boot_method", "vmedia");

/// How long a medium may take to appear. A BMC's drive hangs on USB: it is found some seconds after all other drivers have
/// loaded, and the ramdisk waits for drivers only. A machine that booted by HTTP has no medium and waits for nothing else.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks for the media, copies the configuration files to their places, and returns the kernel line with the parameters
/// of the floppy, which win. What fails is returned as sentences for the log: the agent may still have what it needs.
pub fn take(line: KernelLine) -> (KernelLine, Vec<String>) {
    if line.get(BOOT_METHOD.0) != Some(BOOT_METHOD.1) || !ramdisk::root_is_ramdisk() {
        return (line, Vec::new());
    }
    let roots = Roots::machine();
    await_medium(&roots, Instant::now() + PATIENCE);
    take_from(&roots, line, Path::new("/"))
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
    use super::await_medium;
    use crate::sys::test_tree::TestTree;
    use std::time::{Duration, Instant};

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
