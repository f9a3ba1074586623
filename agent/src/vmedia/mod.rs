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
use std::path::Path;

/// Word of the kernel line.
const BOOT_METHOD: (&str, &str) = ("boot_method", "vmedia");

/// Looks for the media, copies the configuration files to their places, and returns the kernel line with the parameters
/// of the floppy, which win. What fails is returned as sentences for the log: the agent may still have what it needs.
pub fn take(line: KernelLine) -> (KernelLine, Vec<String>) {
    if line.get(BOOT_METHOD.0) != Some(BOOT_METHOD.1) || !ramdisk::root_is_ramdisk() {
        return (line, Vec::new());
    }
    take_from(&Roots::machine(), line, Path::new("/"))
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
