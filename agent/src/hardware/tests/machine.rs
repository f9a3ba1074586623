//! A whole captured machine, a hostile one, an empty one, and the one that runs the tests.

use super::tables::example;
use crate::hardware::{Options, Roots, inventory, inventory_with};
use crate::sys::child::Program;
use crate::sys::test_tree::TestTree;
use std::time::{Duration, Instant};

const NIC: &str = "sys/devices/pci0000:17/0000:18:00.0";

fn server() -> TestTree {
    let tree = TestTree::new();
    tree.file("sys/firmware/dmi/tables/DMI", example()).folder("sys/firmware/efi");
    tree.file("proc/cmdline", "quiet BOOTIF=01-b4-96-91-0c-5e-20 ipa-debug=1\n");
    tree.file("proc/sys/kernel/hostname", "localhost\n");
    tree.file("proc/meminfo", "MemTotal:       80000000 kB\nMemFree: 1 kB\n");
    tree.file(
        "proc/cpuinfo",
        "processor\t: 0\nmodel name\t: Xeon\ncpu MHz\t\t: 800.000\nflags\t\t: fpu vmx aes\n\nprocessor: 1\n",
    );
    tree.file("sys/devices/system/cpu/present", "0-3\n");
    for number in 0..4 {
        let package = format!("{}\n", number / 2);
        tree.file(&format!("sys/devices/system/cpu/cpu{number}/topology/physical_package_id"), package);
    }
    tree.file("sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq", "3400000\n");
    let folder = tree.interface("eno1", 3, "B4:96:91:0c:5e:20", NIC);
    tree.file(&format!("{NIC}/vendor"), "0x8086\n").file(&format!("{NIC}/device"), "0x1572\n");
    tree.folder("sys/bus/pci/drivers/i40e").link(&format!("{NIC}/driver"), "sys/bus/pci/drivers/i40e");
    tree.file(&format!("{folder}/speed"), "10000\n");
    tree
}

#[test]
fn a_server_is_read_whole() {
    let tree = server();
    let (inventory, unread) = inventory(&tree.roots());
    assert_eq!(unread, []);
    assert_eq!(inventory.boot.current_boot_mode.as_deref(), Some("uefi"));
    assert_eq!(inventory.boot.pxe_interface.as_deref(), Some("01-b4-96-91-0c-5e-20"), "exactly as given");
    assert_eq!(inventory.memory.total, Some(80_000_000 * 1024));
    assert_eq!(inventory.memory.physical_mb, Some(80 * 1024), "the firmware's sum, not the kernel's");
    let cpu = &inventory.cpu;
    assert_eq!((cpu.frequency.as_deref(), cpu.count, cpu.socket_count), (Some("3400.0000"), Some(4), Some(2)));
    assert_eq!((cpu.model_name.as_deref(), cpu.flags.len()), (Some("Xeon"), 3));
    assert_eq!(inventory.hostname.as_deref(), Some("localhost"));
    assert_eq!((inventory.bmc_address.as_deref(), inventory.bmc_mac.as_deref()), (None, None), "no BMC device");
    let nic = &inventory.interfaces[0];
    assert_eq!(nic.mac_address.as_deref(), Some("b4:96:91:0c:5e:20"));
    assert_eq!((nic.vendor.as_deref(), nic.product.as_deref()), (Some("0x8086"), Some("0x1572")));
    assert_eq!((nic.pci_address.as_deref(), nic.driver.as_deref()), (Some("0000:18:00.0"), Some("i40e")));
    assert_eq!((nic.has_carrier, nic.speed_mbps, &nic.lldp), (Some(true), Some(10_000), &None));
}

#[test]
fn interfaces_are_those_with_hardware_bonds_and_vlans() {
    let tree = server();
    let silent = tree.interface("eno2", 2, "fa:16:3e:00:00:01", "sys/devices/pci0000:17/0000:18:00.1");
    tree.file(&format!("{silent}/carrier"), "").file(&format!("{silent}/speed"), "-1\n");
    tree.interface("eno1.100", 5, "b4:96:91:0c:5e:20", "");
    let bond = tree.interface("bond0", 6, "b4:96:91:0c:5e:20", "");
    tree.folder(&format!("{bond}/bonding"));
    tree.interface("lo", 1, "00:00:00:00:00:00", "");
    tree.interface("br.lan", 7, "b4:96:91:0c:5e:21", "");
    tree.file("sys/class/net/bonding_masters", "bond0\n");
    let long = "a0:00:00:27:fe:80:00:00:00:00:00:00:7c:fe:90:03:00:29:26:52";
    let port = tree.interface("ib0", 8, long, "sys/devices/pci0000:17/0000:19:00.0");
    tree.file(&format!("{port}/type"), "32\n");
    tree.file("sys/devices/pci0000:17/0000:19:00.0/vendor", "0x15b3\n");
    let (seen, _) = inventory(&tree.roots());
    let names: Vec<&str> = seen.interfaces.iter().map(|nic| nic.name.as_str()).collect();
    assert_eq!(names, ["eno2", "eno1", "eno1.100", "bond0", "ib0"]);
    let first = &seen.interfaces[0];
    assert_eq!((first.has_carrier, first.speed_mbps), (Some(false), None));
    assert_eq!(first.mac_address.as_deref(), Some("fa:16:3e:00:00:01"), "shown unless asked otherwise");
    let last = seen.interfaces.last().unwrap();
    assert_eq!(last.mac_address.as_deref(), Some("7c:fe:90:29:26:52"));
    assert_eq!(last.client_id.as_deref(), Some("ff:00:00:00:00:00:02:00:00:02:c9:00:7c:fe:90:03:00:29:26:52"));
    let (hidden, unread) = inventory_with(&tree.roots(), &Options { hide_fa_macs: true, ..Options::default() });
    assert_eq!(hidden.interfaces.len(), 4);
    assert!(unread.iter().any(|unread| unread.what == "interface eno2"), "never silently: {unread:?}");
    let told = &hidden.other["hidden_interfaces"][0];
    assert_eq!((&told["name"], &told["mac_address"]), (&"eno2".into(), &"fa:16:3e:00:00:01".into()));
}

#[test]
fn without_tables_the_kernels_copies_are_used() {
    let tree = server();
    std::fs::remove_file(tree.roots().path("/sys/firmware/dmi/tables/DMI")).unwrap();
    tree.file("sys/class/dmi/id/sys_vendor", "QEMU\n").file("sys/class/dmi/id/product_name", "Standard PC\n");
    tree.file("sys/devices/system/memory/block_size_bytes", "8000000\n");
    for (number, state) in [(0, "online"), (1, "online"), (2, "offline")] {
        tree.file(&format!("sys/devices/system/memory/memory{number}/state"), format!("{state}\n"));
    }
    let (inventory, _) = inventory(&tree.roots());
    let vendor = &inventory.system_vendor;
    assert_eq!((vendor.manufacturer.as_deref(), vendor.product_name.as_deref()), (Some("QEMU"), Some("Standard PC")));
    assert_eq!(vendor.serial_number.as_deref(), Some(""));
    assert_eq!(inventory.memory.physical_mb, Some(256));
}

#[test]
fn an_empty_or_hostile_machine_still_has_an_inventory() {
    let (inventory_of_nothing, unread) = inventory(&TestTree::new().roots());
    assert!(inventory_of_nothing.interfaces.is_empty() && inventory_of_nothing.disks.is_empty());
    assert!(unread.iter().any(|unread| unread.what == "/proc/meminfo"), "{unread:?}");
    let tree = server();
    let noise: Vec<u8> = (0..200_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for file in
        ["proc/cmdline", "proc/cpuinfo", "proc/meminfo", "proc/sys/kernel/hostname", "sys/firmware/dmi/tables/DMI"]
    {
        tree.file(file, &noise);
    }
    tree.file(&format!("{NIC}/vendor"), &noise).file("sys/devices/system/cpu/present", &noise);
    let (hostile, _) = inventory(&tree.roots());
    let json = serde_json::to_string(&hostile).unwrap();
    assert!(json.len() < 100_000 && !json.chars().any(char::is_control));
}

#[test]
fn this_machine_is_read_fast_and_agrees_with_the_usual_tools() {
    let begun = Instant::now();
    let (seen, _) = inventory(&Roots::machine());
    let time = begun.elapsed();
    assert!(time < Duration::from_millis(500), "{time:?}"); // a loaded machine; alone it is a few milliseconds
    let count = Program::new("lscpu").arg("-p=cpu").succeed().unwrap().text();
    let count = count.lines().filter(|line| !line.starts_with('#')).count() as u64;
    assert_eq!(seen.cpu.count, Some(count));
    let lsblk = Program::new("lsblk").args(["-bdnr", "-o", "KNAME,SIZE,TYPE,ROTA,LOG-SEC,PHY-SEC"]).succeed().unwrap();
    let mut theirs: Vec<String> =
        lsblk.text().lines().filter(|line| line.contains(" disk ")).map(str::to_owned).collect();
    theirs.retain(|line| !line.starts_with("zram") && !line.starts_with("ram") && !line.contains(" 0 disk"));
    let ours = |disk: &common::inventory::Disk| {
        let rotational = u8::from(disk.rotational.unwrap());
        let (logical, physical) = (disk.logical_sectors.unwrap(), disk.physical_sectors.unwrap());
        format!("{} {} disk {rotational} {logical} {physical}", disk.name.trim_start_matches("/dev/"), disk.size)
    };
    let disks = seen.disks.iter().filter(|disk| !disk.name.contains("/dm-") && !disk.name.contains("/md"));
    assert_eq!(disks.map(ours).collect::<Vec<_>>(), theirs);
}
