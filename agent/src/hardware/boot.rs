//! How this boot came about: firmware mode, and the interface that network boot used.

use crate::sys::sysfs::Roots;
use crate::sys::text::clean;
use common::inventory::Boot;

/// Kernels take 4 KiB at most; some architectures less.
const MAX_LINE: usize = 16 * 1024;

/// Reads the boot mode and `BOOTIF`.
pub fn read(roots: &Roots) -> Boot {
    let mode = if roots.exists("/sys/firmware/efi") { "uefi" } else { "bios" };
    Boot { current_boot_mode: Some(mode.into()), pxe_interface: parameter(roots, "BOOTIF") }
}

/// The last value of a kernel parameter; the kernel's own rule for repeated ones.
fn parameter(roots: &Roots, name: &str) -> Option<String> {
    let line = clean(&roots.bytes("/proc/cmdline", MAX_LINE).ok()??, MAX_LINE);
    let values = line.split_ascii_whitespace().filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    values.map(|value| value.trim_matches('"').to_owned()).rfind(|value| !value.is_empty())
}
