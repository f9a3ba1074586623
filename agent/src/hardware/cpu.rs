//! Processors: model, fastest clock, counts, flags.

use crate::hardware::smbios::Firmware;
use crate::sys::sysfs::{Roots, Unread};
use crate::sys::text::{MAX_TEXT, clean_or_none};
use common::inventory::Cpu;
use std::collections::BTreeSet;

/// Most flags kept; today's processors have about two hundred.
const MAX_FLAGS: usize = 1024;
/// Enough of `/proc/cpuinfo` for the first processor.
const ONE_PROCESSOR: usize = 32 * 1024;

/// Reads `/proc/cpuinfo`, sysfs and what the firmware said.
pub fn read(roots: &Roots, firmware: &Firmware, unread: &mut Vec<Unread>) -> Cpu {
    let info = match roots.bytes("/proc/cpuinfo", ONE_PROCESSOR) {
        Ok(info) => String::from_utf8_lossy(&info.unwrap_or_default()).into_owned(),
        Err(refused) => {
            unread.push(refused);
            String::new()
        }
    };
    let topology = roots.text("/sys/devices/system/cpu/present").map(|list| expand(&list)).unwrap_or_default();
    let count = if topology.is_empty() { count_online(roots) } else { topology.len() as u64 };
    let flags = field(&info, &["flags", "Features", "features"]).unwrap_or_default();
    Cpu {
        model_name: Some(model(roots, &info, firmware).unwrap_or_default()),
        frequency: Some(frequency(roots, &info).unwrap_or_default()),
        count: Some(count),
        architecture: Some(architecture(roots)),
        flags: flags.split_ascii_whitespace().take(MAX_FLAGS).map(str::to_owned).collect(),
        socket_count: Some(sockets(roots, &topology).or(firmware.sockets).unwrap_or(u64::from(count > 0))),
    }
}

/// The first value of the first of `names` in `/proc/cpuinfo`. The first processor is not always the first block.
pub fn field(block: &str, names: &[&str]) -> Option<String> {
    let value = |name: &&str| {
        let lines = block.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(key, _)| key.trim() == *name).map(|(_, value)| value)
    };
    clean_or_none(names.iter().find_map(value)?.as_bytes(), 8 * MAX_TEXT)
}

/// ARM kernels give no name: the firmware's word is next, then a table of part numbers (in sysinfo).
fn model(roots: &Roots, block: &str, firmware: &Firmware) -> Option<String> {
    let brand = || {
        let known = sysinfo::RefreshKind::nothing().with_cpu(sysinfo::CpuRefreshKind::nothing());
        let system = roots.is_machine().then(|| sysinfo::System::new_with_specifics(known))?.ok()?;
        clean_or_none(system.cpus().first()?.brand().as_bytes(), MAX_TEXT)
    };
    let names = ["model name", "Model Name", "cpu model", "Processor", "cpu"];
    field(block, &names).or_else(|| firmware.processor.clone()).or_else(brand)
}

/// The fastest clock of any processor, MHz; without frequency control, the clock that the kernel measured.
fn frequency(roots: &Roots, block: &str) -> Option<String> {
    let folder = "/sys/devices/system/cpu";
    let shared = roots.entries(format!("{folder}/cpufreq")).into_iter().map(|name| format!("cpufreq/{name}"));
    // Kernels before 4.3 keep it with each processor.
    let own = roots.entries(folder).into_iter().filter(|name| is_processor(name)).map(|name| format!("{name}/cpufreq"));
    let clock = |place: String| roots.number(format!("{folder}/{place}/cpuinfo_max_freq"));
    let fastest = shared.filter_map(clock).max().or_else(|| own.filter_map(clock).max());
    fastest.map(|khz| format!("{}.{:03}0", khz / 1000, khz % 1000)).or_else(|| field(block, &["cpu MHz"]))
}

fn architecture(roots: &Roots) -> String {
    let machine = nix::sys::utsname::uname().ok().filter(|_| roots.is_machine());
    let machine = machine.and_then(|name| clean_or_none(name.machine().as_encoded_bytes(), 64));
    machine.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn count_online(roots: &Roots) -> u64 {
    roots.entries("/sys/devices/system/cpu").iter().filter(|name| is_processor(name)).count() as u64
}

/// `cpu12`, not `cpufreq`.
fn is_processor(name: &str) -> bool {
    name.strip_prefix("cpu").is_some_and(|rest| rest.parse::<u32>().is_ok())
}

/// Distinct packages; `None` where the kernel does not tell.
fn sockets(roots: &Roots, processors: &[u32]) -> Option<u64> {
    let package = |number: &u32| {
        roots.text(format!("/sys/devices/system/cpu/cpu{number}/topology/physical_package_id"))?.parse::<i64>().ok()
    };
    let packages: BTreeSet<i64> = processors.iter().filter_map(package).filter(|&package| package >= 0).collect();
    (!packages.is_empty()).then_some(packages.len() as u64)
}

/// `0-3,8` as numbers; at most 8192 of them.
pub fn expand(list: &str) -> Vec<u32> {
    let ranges = list.split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<u32>().ok()?..=last.trim().parse::<u32>().ok()?)
    });
    ranges.flatten().take(8192).collect()
}

#[cfg(test)]
mod tests {
    use super::{expand, field, read};
    use crate::hardware::smbios::Firmware;
    use crate::sys::test_tree::TestTree;

    #[test]
    fn ranges_are_expanded_and_bounded() {
        assert_eq!(expand("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(expand("nonsense,-,7-3"), [0; 0]);
        assert_eq!(expand("0-4294967295").len(), 8192);
    }

    /// Beginnings of util-linux's captured `/proc/cpuinfo` files (tests/ts/lscpu/dumps), and what `lscpu` says of those machines.
    #[test]
    fn processors_that_are_not_of_the_usual_makers_have_names_and_flags() {
        for (info, name, flags) in [
            (
                "processor\t: 0\ncpu\t\t: POWER7 (architected), altivec supported\nclock\t\t: 3550.000000MHz\n\n",
                "POWER7 (architected), altivec supported",
                0,
            ),
            (
                "system type\t\t: generic-loongson-machine\n\nprocessor\t\t: 0\nCPU Family\t\t: Loongson-64bit\n\
                 Model Name\t\t: Loongson-3A5000\nFeatures\t\t: cpucfg lam ual fpu lsx lasx crc32 lspw lbt_x86 lbt_arm lbt_mips\n",
                "Loongson-3A5000",
                11,
            ),
            (
                "vendor_id       : IBM/S390\n# processors    : 17\nfeatures\t: esan3 zarch stfle msa ldisp eimm dfp etf3eh highgprs \n\
                 processor 1: version = 00,  identification = 279F25,  machine = 2817\n",
                "",
                9,
            ),
        ] {
            let tree = TestTree::new();
            tree.file("proc/cpuinfo", info);
            let cpu = read(&tree.roots(), &Firmware::default(), &mut Vec::new());
            assert_eq!((cpu.model_name.as_deref(), cpu.flags.len()), (Some(name), flags));
        }
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let block = "model\t\t: 2\nmodel name\t: Fast \x1b[2J CPU\nflags\t\t: a b\n";
        assert_eq!(field(block, &["none", "model name"]).as_deref(), Some("Fast [2J CPU"));
        assert_eq!(field(block, &["mod"]), None);
    }
}
