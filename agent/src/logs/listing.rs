//! Listings for the bundle, made from `/sys` and `/proc` rather than by programs that a ramdisk may not have.

use crate::sys::net::all_addresses;
use crate::sys::sysfs::Roots;
use std::fmt::Write;

/// Most processes told of.
const MAX_PROCESSES: usize = 1000;

/// Every block device with its partitions, holders and mounts: a line each.
pub fn block_devices(roots: &Roots) -> String {
    let mut text = String::from("NAME MAJ:MIN BYTES RO ROTA HOLDERS\n");
    for name in roots.entries("/sys/block") {
        line(roots, &mut text, &name, &format!("/sys/block/{name}"), "");
        for part in roots.entries(format!("/sys/block/{name}")) {
            let folder = format!("/sys/block/{name}/{part}");
            if roots.exists(format!("{folder}/partition")) {
                line(roots, &mut text, &part, &folder, "  ");
            }
        }
    }
    text
}

fn line(roots: &Roots, text: &mut String, name: &str, folder: &str, indent: &str) {
    let of = |attribute: &str| roots.text(format!("{folder}/{attribute}")).unwrap_or_else(|| "-".into());
    let bytes = roots.number(format!("{folder}/size")).and_then(|sectors| sectors.checked_mul(512)).unwrap_or(0);
    let holders = roots.entries(format!("{folder}/holders")).join(",");
    let rotational = of("queue/rotational");
    let _ = writeln!(text, "{indent}{name} {} {bytes} {} {rotational} {holders}", of("dev"), of("ro"));
}

/// Every partition: its disk, number, first sector and sectors (of 512 bytes, whatever the disk has), a line each.
pub fn partitions(roots: &Roots) -> String {
    let mut text = String::from("DISK NAME NUMBER START SECTORS\n");
    for disk in roots.entries("/sys/block") {
        for name in roots.entries(format!("/sys/block/{disk}")) {
            let of = |attribute: &str| roots.text(format!("/sys/block/{disk}/{name}/{attribute}"));
            let Some(number) = of("partition") else { continue };
            let of = |attribute: &str| of(attribute).unwrap_or_else(|| "-".into());
            let _ = writeln!(text, "{disk} {name} {number} {} {}", of("start"), of("size"));
        }
    }
    text
}

/// Interface and address, a line each.
pub fn addresses() -> String {
    all_addresses().into_iter().fold(String::new(), |mut text, (interface, address)| {
        let _ = writeln!(text, "{interface} {address}");
        text
    })
}

/// Number, state and name of every process. Not their arguments: those of others may hold secrets.
pub fn processes(roots: &Roots) -> String {
    let mut numbers: Vec<u32> = roots.entries("/proc").iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    let mut text = String::from("PID STATE NAME\n");
    for number in numbers.into_iter().take(MAX_PROCESSES) {
        let status = roots.bytes(format!("/proc/{number}/status"), 4096).ok().flatten().unwrap_or_default();
        let status = String::from_utf8_lossy(&status).into_owned();
        let field =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim().to_owned();
        let _ = writeln!(text, "{number} {} {}", field("State:"), field("Name:"));
    }
    text
}
