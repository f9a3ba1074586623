//! The `extra-hardware` collector: a long flat list of facts, each of four texts, for rules that compare machines.
//!
//! Class, thing, name, value, with the names that the `hardware-detect` program uses; the conductor turns the list into
//! a tree. Values that would need another program there are left out.

use crate::hardware::benchmark::{self, Benchmark};
use crate::sys::disk_list::{self, FoundDisk};
use crate::sys::sysfs::Roots;
use crate::sys::text::clean;
use common::inventory::Inventory;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One fact.
pub type Fact = [String; 4];

/// The list, with the results of the benchmarks at its end.
pub fn facts(roots: &Roots, inventory: &Inventory, benchmarks: &[Benchmark]) -> Value {
    let mut list = List(Vec::new());
    let disks = disk_list::list(roots);
    list.disks(roots, &disks);
    list.system(roots, inventory);
    list.memory(inventory);
    list.network(inventory);
    let processors = list.processors(roots, inventory);
    list.kernel(roots);
    for benchmark in benchmarks {
        tracing::info!(?benchmark, "measuring");
        list.0.extend(match benchmark {
            Benchmark::Cpu => benchmark::cpu(&processors),
            Benchmark::Memory => benchmark::memory(&processors),
            Benchmark::Disk => benchmark::disks(&disks.iter().map(|disk| disk.path.clone().into()).collect::<Vec<_>>()),
        });
    }
    list.0.iter().map(|fact| json!(fact)).collect()
}

struct List(Vec<Fact>);

impl List {
    fn add(&mut self, class: &str, thing: &str, name: &str, value: impl ToString) {
        let value = clean(value.to_string().as_bytes(), 1024);
        if !value.is_empty() {
            self.0.push([class.into(), thing.into(), name.into(), value]);
        }
    }

    fn add_file(&mut self, roots: &Roots, fact: [&str; 3], path: &str) {
        self.add(fact[0], fact[1], fact[2], roots.text(path).unwrap_or_default());
    }

    fn disks(&mut self, roots: &Roots, disks: &[FoundDisk]) {
        self.add("disk", "logical", "count", disks.len());
        for disk in disks {
            let name = disk.kernel_name.as_str();
            let folder = format!("/sys/block/{name}");
            // Decimal gigabytes, as the program has them.
            self.add("disk", name, "size", disk.size / 1_000_000_000);
            for (key, path) in [
                ("vendor", "device/vendor"),
                ("model", "device/model"),
                ("rev", "device/rev"),
                ("revision", "device/firmware_rev"),
                ("optimal_io_size", "queue/optimal_io_size"),
                ("physical_block_size", "queue/physical_block_size"),
                ("rotational", "queue/rotational"),
                ("nr_requests", "queue/nr_requests"),
            ] {
                self.add_file(roots, ["disk", name, key], &format!("{folder}/{path}"));
            }
            let schedulers = roots.text(format!("{folder}/queue/scheduler")).unwrap_or_default();
            let chosen = schedulers.split(['[', ']']).nth(1).unwrap_or_default();
            self.add("disk", name, "scheduler", chosen);
            for number in roots.entries(format!("{folder}/device/scsi_disk")) {
                let Some(kind) = roots.text(format!("{folder}/device/scsi_disk/{number}/cache_type")) else { continue };
                let writes = !matches!(kind.as_str(), "write through" | "none");
                let reads = kind != "none" && !kind.contains("daft");
                self.add("disk", name, "Write Cache Enable", u8::from(writes));
                self.add("disk", name, "Read Cache Disable", u8::from(!reads));
            }
        }
        for link in roots.entries("/dev/disk/by-id") {
            let Some(name) = roots.link_name(format!("/dev/disk/by-id/{link}")) else { continue };
            if disks.iter().any(|disk| disk.kernel_name == name) {
                let key = ["wwn", "scsi"].into_iter().find(|kind| link.starts_with(kind));
                self.add("disk", &name, &key.map_or("id".into(), |kind| format!("{kind}-id")), &link);
            }
        }
    }

    fn system(&mut self, roots: &Roots, inventory: &Inventory) {
        let vendor = &inventory.system_vendor;
        let of = |text: &Option<String>| text.clone().unwrap_or_default();
        self.add("system", "product", "serial", of(&vendor.serial_number));
        self.add("system", "product", "name", of(&vendor.product_name));
        self.add("system", "product", "vendor", of(&vendor.manufacturer));
        let id = "/sys/class/dmi/id";
        self.add_file(roots, ["system", "product", "version"], &format!("{id}/product_version"));
        self.add_file(roots, ["system", "product", "uuid"], &format!("{id}/product_uuid"));
        for key in ["name", "vendor", "version", "serial"] {
            self.add_file(roots, ["system", "motherboard", key], &format!("{id}/board_{key}"));
        }
        self.add("firmware", "bios", "version", of(&vendor.firmware.version));
        self.add("firmware", "bios", "date", of(&vendor.firmware.build_date));
        self.add("firmware", "bios", "vendor", of(&vendor.firmware.vendor));
    }

    fn memory(&mut self, inventory: &Inventory) {
        let memory = &inventory.memory;
        let bytes = memory.physical_mb.map(|mib| mib << 20).or(memory.total);
        self.add("memory", "total", "size", bytes.map(|bytes| bytes.to_string()).unwrap_or_default());
    }

    fn network(&mut self, inventory: &Inventory) {
        for nic in &inventory.interfaces {
            let of = |text: &Option<String>| text.clone().unwrap_or_default();
            let name = nic.name.as_str();
            let bus = nic.pci_address.as_ref().filter(|place| place.contains(':')).map(|place| format!("pci@{place}"));
            self.add("network", name, "businfo", bus.unwrap_or_default());
            self.add("network", name, "vendor", of(&nic.vendor));
            self.add("network", name, "product", of(&nic.product));
            let bits = nic.speed_mbps.map(|mbps| mbps.saturating_mul(1_000_000).to_string());
            self.add("network", name, "size", bits.unwrap_or_default());
            self.add("network", name, "ipv4", of(&nic.ipv4_address));
            self.add("network", name, "link", if nic.has_carrier == Some(true) { "yes" } else { "no" });
            self.add("network", name, "driver", of(&nic.driver));
            self.add("network", name, "serial", of(&nic.mac_address));
        }
    }

    /// Returns the first logical processor of each socket.
    fn processors(&mut self, roots: &Roots, inventory: &Inventory) -> benchmark::Processors {
        let folder = "/sys/devices/system/cpu";
        let numbers =
            roots.entries(folder).into_iter().filter_map(|name| name.strip_prefix("cpu")?.parse::<usize>().ok());
        let mut sockets: BTreeMap<u64, Vec<(usize, Option<u64>)>> = BTreeMap::new();
        for number in numbers {
            let topology = format!("{folder}/cpu{number}/topology");
            let socket = roots.number(format!("{topology}/physical_package_id")).unwrap_or(0);
            sockets.entry(socket).or_default().push((number, roots.number(format!("{topology}/core_id"))));
        }
        let cpu = &inventory.cpu;
        self.add("cpu", "physical", "number", sockets.len());
        for (at, threads) in sockets.values().enumerate() {
            let thing = format!("physical_{at}");
            let mut cores: Vec<_> = threads.iter().map(|(_, core)| core).collect();
            cores.sort_unstable();
            cores.dedup();
            self.add("cpu", &thing, "product", cpu.model_name.clone().unwrap_or_default());
            self.add("cpu", &thing, "physid", at);
            self.add("cpu", &thing, "cores", cores.len());
            self.add("cpu", &thing, "threads", threads.len());
            self.add("cpu", &thing, "flags", cpu.flags.join(" "));
        }
        let logical = sockets.values().map(Vec::len).sum::<usize>();
        self.add("cpu", "logical", "number", logical);
        let firsts = sockets.values().filter_map(|threads| threads.iter().map(|(number, _)| *number).min());
        benchmark::Processors { one_per_socket: firsts.collect(), logical }
    }

    fn kernel(&mut self, roots: &Roots) {
        self.add_file(roots, ["system", "kernel", "version"], "/proc/sys/kernel/osrelease");
        self.add("system", "kernel", "arch", std::env::consts::ARCH);
        let line = roots.text("/proc/cmdline").unwrap_or_default();
        // The agent's token may be on it.
        let words = line.split(' ').filter(|word| !word.to_ascii_lowercase().contains("token"));
        self.add("system", "kernel", "cmdline", words.collect::<Vec<_>>().join(" "));
    }
}

#[cfg(test)]
mod tests {
    use super::facts;
    use crate::hardware::inventory;
    use crate::hardware::tests::oracle;
    use crate::sys::test_tree::TestTree;
    use serde_json::{Value, json};

    fn machine() -> TestTree {
        let tree = TestTree::new();
        let device = "sys/devices/pci/ata1/host0/target0/0:0:0:0";
        let disk = tree.disk("sda", "8:0", 447, device);
        tree.file(&format!("{disk}/queue/scheduler"), "none [mq-deadline] kyber\n");
        tree.file(&format!("{device}/scsi_disk/0:0:0:0/cache_type"), "write back\n")
            .file(&format!("{device}/model"), "M\n");
        tree.link("dev/disk/by-id/wwn-0x5000", "dev/sda").link("dev/disk/by-id/ata-M_1", "dev/sda");
        for number in 0..4 {
            let folder = format!("sys/devices/system/cpu/cpu{number}/topology");
            tree.file(&format!("{folder}/physical_package_id"), format!("{}\n", number / 2));
            tree.file(&format!("{folder}/core_id"), "0\n");
        }
        tree.file("proc/cmdline", "quiet ipa-agent-token=secret BOOTIF=1\n")
            .file("proc/sys/kernel/osrelease", "6.12\n");
        tree.interface("eno1", 2, "02:00:00:00:00:01", "sys/devices/pci/0000:00:05.0");
        tree
    }

    #[test]
    fn facts_are_four_texts_each_and_no_token_is_among_them() {
        let tree = machine();
        let list = facts(&tree.roots(), &inventory(&tree.roots()).0, &[]);
        let has = |fact: Value| assert!(list.as_array().unwrap().contains(&fact), "{fact} is not in {list}");
        has(json!(["disk", "logical", "count", "1"]));
        has(json!(["disk", "sda", "size", "479"]));
        has(json!(["disk", "sda", "scheduler", "mq-deadline"]));
        has(json!(["disk", "sda", "Write Cache Enable", "1"]));
        has(json!(["disk", "sda", "wwn-id", "wwn-0x5000"]));
        has(json!(["cpu", "physical", "number", "2"]));
        has(json!(["cpu", "physical_1", "threads", "2"]));
        has(json!(["cpu", "logical", "number", "4"]));
        has(json!(["network", "eno1", "serial", "02:00:00:00:00:01"]));
        has(json!(["system", "kernel", "cmdline", "quiet BOOTIF=1"]));
        assert!(!list.to_string().contains("secret"));
        assert!(list.as_array().unwrap().iter().all(|fact| fact.as_array().unwrap().len() == 4));
    }

    #[test]
    fn the_real_conductors_hook_makes_a_tree_of_it() {
        let tree = machine();
        let list = facts(&tree.roots(), &inventory(&tree.roots()).0, &[]);
        let code = "import json, sys\nfrom unittest import mock\n\
            from ironic.drivers.modules.inspector.hooks import extra_hardware as e\n\
            data = {'data': json.load(sys.stdin)}\n\
            e.CONF = mock.Mock(inspector=mock.Mock(extra_hardware_strict=True))\n\
            e.ExtraHardwareHook()(mock.Mock(), {}, data)\n\
            json.dump(data, sys.stdout)\n";
        let Some(theirs) = oracle(code, &list) else { return };
        assert_eq!(theirs["extra"]["disk"]["sda"]["size"], 479);
        assert_eq!(theirs["extra"]["cpu"]["logical"]["number"], 4);
    }
}
