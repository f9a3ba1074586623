//! Memory: what the kernel has, and what is installed.

use crate::hardware::smbios::Firmware;
use crate::sys::sysfs::{Roots, Unread};
use common::inventory::Memory;

/// Installed memory is the firmware's sum; where that cannot be read, the kernel's memory blocks, which are rounded
/// to their size (128 MiB or more) but still contain what the kernel reserved for itself.
pub fn read(roots: &Roots, firmware: &Firmware, unread: &mut Vec<Unread>) -> Memory {
    let info = roots.bytes("/proc/meminfo", 16 * 1024).ok().flatten().unwrap_or_default();
    let total = total(&String::from_utf8_lossy(&info));
    if total.is_none() {
        unread.push(Unread { what: "/proc/meminfo".into(), why: "no MemTotal in it: is /proc mounted?".into() });
    }
    Memory { total, physical_mb: firmware.memory_mb.or_else(|| blocks(roots)) }
}

fn total(info: &str) -> Option<u64> {
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// MiB in the memory blocks that are online.
fn blocks(roots: &Roots) -> Option<u64> {
    let folder = "/sys/devices/system/memory";
    let size = u64::from_str_radix(&roots.text(format!("{folder}/block_size_bytes"))?, 16).ok()?;
    let names = roots.entries(folder).into_iter();
    let blocks = names.filter(|name| name.strip_prefix("memory").is_some_and(|rest| rest.parse::<u32>().is_ok()));
    let online = blocks.filter(|name| roots.text(format!("{folder}/{name}/state")).as_deref() == Some("online"));
    let count = online.count() as u64;
    count.checked_mul(size).map(|bytes| bytes >> 20).filter(|&mib| mib > 0)
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn only_a_whole_number_of_kilobytes_counts() {
        assert_eq!(total("MemFree: 1 kB\nMemTotal:       24684084 kB\n"), Some(24_684_084 * 1024));
        assert_eq!(total("MemTotal: lots kB"), None);
        assert_eq!(total(&format!("MemTotal: {} kB", u64::MAX)), None);
        assert_eq!(total(""), None);
    }
}
