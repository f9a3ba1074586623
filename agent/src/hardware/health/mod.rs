//! What the machine knows about its own health: disks' own counters, corrected memory errors, errors on PCI Express and
//! on network links. Facts only; what they mean is for the operator's rules. An addition of ours to the inventory.

pub mod disk;

use crate::sys::disk_list;
use crate::sys::orders::Kernel;
use crate::sys::sysfs::Roots;
use serde_json::{Map, Value, json};

/// Key of the inventory.
pub const KEY: &str = "health";
const PCI: &str = "/sys/bus/pci/devices";
/// Most memory controllers, devices and disks told.
const MAX_TOLD: usize = 256;

/// `disks`, `memory`, `pci`, `interfaces`; parts without anything to tell are absent, and so is the whole then.
pub fn read(roots: &Roots) -> Option<Value> {
    let mut health = Map::new();
    for (key, list) in
        [("disks", disks(roots)), ("memory", memory(roots)), ("pci", pci(roots)), ("interfaces", links(roots))]
    {
        if !list.is_empty() {
            health.insert(key.into(), list.into());
        }
    }
    (!health.is_empty()).then(|| health.into())
}

/// Each disk is asked on a thread of its own: a dead one costs its time-out once, not once a disk.
fn disks(roots: &Roots) -> Vec<Value> {
    let found: Vec<_> = disk_list::list(roots).into_iter().take(MAX_TOLD).collect();
    std::thread::scope(|scope| {
        let asked: Vec<_> = found.iter().map(|found| scope.spawn(|| disk::read(roots, found, &Kernel))).collect();
        asked.into_iter().filter_map(|thread| thread.join().ok().flatten()).collect()
    })
}

/// Corrected and uncorrected errors of each memory controller, and of the modules that had any.
fn memory(roots: &Roots) -> Vec<Value> {
    let base = "/sys/devices/system/edac/mc";
    let controller = |name: String| {
        let folder = format!("{base}/{name}");
        let module = |dimm: String| {
            let count = |kind: &str| roots.number(format!("{folder}/{dimm}/dimm_{kind}_count"));
            let (corrected, uncorrected) = (count("ce")?, count("ue")?);
            let label = roots.text(format!("{folder}/{dimm}/dimm_label"));
            (corrected > 0 || uncorrected > 0)
                .then(|| json!({"label": label.unwrap_or(dimm), "corrected": corrected, "uncorrected": uncorrected}))
        };
        // What AMD's driver counts by are ranks, which are halves or quarters of a module.
        let counted = |name: &String| name.starts_with("dimm") || name.starts_with("rank");
        let modules: Vec<Value> = roots.entries(&folder).into_iter().filter(counted).filter_map(module).collect();
        Some(json!({
            "controller": name,
            "name": roots.text(format!("{folder}/mc_name")),
            "corrected": roots.number(format!("{folder}/ce_count"))?,
            "uncorrected": roots.number(format!("{folder}/ue_count"))?,
            "modules": modules,
        }))
    };
    roots
        .entries(base)
        .into_iter()
        .filter(|name| name.starts_with("mc"))
        .filter_map(controller)
        .take(MAX_TOLD)
        .collect()
}

/// Devices that had errors, or whose link is narrower than both its ends can. (A slower one may only be saving power.)
fn pci(roots: &Roots) -> Vec<Value> {
    let base = PCI;
    let device = |address: String| {
        let text = |file: &str| roots.text(format!("{base}/{address}/{file}"));
        let total = |kind: &str, word: &str| {
            let counters = roots.bytes(format!("{base}/{address}/aer_dev_{kind}"), 16 * 1024).ok()??;
            let counters = String::from_utf8_lossy(&counters).into_owned();
            let line = counters.lines().find_map(|line| line.strip_prefix(word).map(str::trim).map(str::to_owned))?;
            line.parse::<u64>().ok()
        };
        let corrected = total("correctable", "TOTAL_ERR_COR");
        let nonfatal = total("nonfatal", "TOTAL_ERR_NONFATAL");
        let fatal = total("fatal", "TOTAL_ERR_FATAL");
        let (now, most) = (width(roots, &address, "current_link_width"), width(roots, &address, "max_link_width"));
        let errors = [corrected, nonfatal, fatal].into_iter().flatten().any(|count| count > 0);
        let narrow =
            now.zip(most).is_some_and(|(now, most)| now < most.min(other_end(roots, &address).unwrap_or(most)));
        (errors || narrow).then(|| {
            json!({"address": address, "corrected": corrected, "nonfatal": nonfatal, "fatal": fatal,
                "link_width": now, "max_link_width": most,
                "link_speed": text("current_link_speed"), "max_link_speed": text("max_link_speed")})
        })
    };
    roots.entries(base).into_iter().filter_map(device).take(MAX_TOLD).collect()
}

fn width(roots: &Roots, address: &str, file: &str) -> Option<u64> {
    let width = roots.number(format!("{PCI}/{address}/{file}"))?;
    Some(width).filter(|width| (1..=64).contains(width))
}

/// Lanes of what a device's link leads to: a card of four in a slot of sixteen is nobody's failure. Links lie between a
/// root port and what is plugged in there, and between a switch's port and what is plugged in there: every other step down.
fn other_end(roots: &Roots, address: &str) -> Option<u64> {
    let place = roots.real(format!("{PCI}/{address}"))?;
    let above: Vec<&str> = place.parent()?.iter().filter_map(|part| part.to_str()).collect();
    let above: Vec<&&str> = above.iter().filter(|part| is_address(part)).collect();
    let widest = |other: &str| width(roots, other, "max_link_width");
    if above.len() % 2 == 1 {
        return widest(above.last()?);
    }
    roots.entries(place).iter().filter(|name| is_address(name)).find_map(|name| widest(name))
}

/// `0000:65:00.0`.
fn is_address(name: &str) -> bool {
    name.matches(':').count() == 2 && name.rsplit_once('.').is_some_and(|(_, function)| function.len() == 1)
}

/// Error counters of interfaces with hardware; those that never failed are not told.
fn links(roots: &Roots) -> Vec<Value> {
    let base = "/sys/class/net";
    let interface = |name: String| {
        if !roots.exists(format!("{base}/{name}/device")) {
            return None;
        }
        let counters =
            ["rx_errors", "tx_errors", "rx_crc_errors", "rx_frame_errors", "tx_carrier_errors", "rx_dropped"];
        let mut told = Map::new();
        for counter in counters {
            let count = roots.number(format!("{base}/{name}/statistics/{counter}")).filter(|count| *count > 0);
            told.extend(count.map(|count| (counter.to_owned(), count.into())));
        }
        if told.is_empty() {
            return None;
        }
        told.insert("carrier_changes".into(), roots.number(format!("{base}/{name}/carrier_changes")).into());
        told.insert("name".into(), name.into());
        Some(told.into())
    };
    roots.entries(base).into_iter().filter_map(interface).take(MAX_TOLD).collect()
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::sys::test_tree::TestTree;
    use serde_json::json;

    /// The ranks and their counts are those of a machine with an error: github.com/grondo/edac-utils/issues/15.
    #[test]
    fn errors_are_told_where_ranks_are_counted() {
        let tree = TestTree::new();
        let controllers = "sys/devices/system/edac/mc";
        for controller in 0..4 {
            for rank in [0, 1, 4, 5] {
                let corrected = u8::from((controller, rank) == (0, 4));
                let folder = format!("{controllers}/mc{controller}/rank{rank}");
                tree.file(&format!("{folder}/dimm_ce_count"), format!("{corrected}\n"))
                    .file(&format!("{folder}/dimm_ue_count"), "0\n");
            }
            let sum = u8::from(controller == 0);
            tree.file(&format!("{controllers}/mc{controller}/ce_count"), format!("{sum}\n"))
                .file(&format!("{controllers}/mc{controller}/ue_count"), "0\n");
        }
        let health = read(&tree.roots()).unwrap();
        assert_eq!(health["memory"][0]["modules"], json!([{"label": "rank4", "corrected": 1, "uncorrected": 0}]));
        assert_eq!((&health["memory"][3]["corrected"], &health["memory"][3]["modules"]), (&json!(0), &json!([])));
    }

    #[test]
    fn a_link_is_narrow_when_both_its_ends_could_do_more() {
        let tree = TestTree::new();
        let root = "sys/devices/pci0000:00";
        // A root port of sixteen lanes with a disk of four; a switch of sixteen with a card that lost half of its eight.
        for (place, now, most) in [
            ("0000:00:01.0", 4, 16),
            ("0000:00:01.0/0000:01:00.0", 4, 4),
            ("0000:00:02.0", 16, 16),
            ("0000:00:02.0/0000:02:00.0", 16, 16),
            ("0000:00:02.0/0000:02:00.0/0000:03:04.0", 4, 16),
            ("0000:00:02.0/0000:02:00.0/0000:03:04.0/0000:04:00.0", 4, 8),
            ("0000:00:03.0", 8, 8),
            ("0000:00:03.0/0000:05:00.0", 8, 16),
        ] {
            let address = place.rsplit('/').next().unwrap();
            tree.file(&format!("{root}/{place}/current_link_width"), format!("{now}\n"))
                .file(&format!("{root}/{place}/max_link_width"), format!("{most}\n"))
                .link(&format!("sys/bus/pci/devices/{address}"), &format!("{root}/{place}"));
        }
        let health = read(&tree.roots()).unwrap();
        let told = health["pci"].as_array().unwrap().iter().map(|device| device["address"].as_str().unwrap());
        assert_eq!(told.collect::<Vec<_>>(), ["0000:03:04.0", "0000:04:00.0"], "both ends of the one bad link");
    }

    #[test]
    fn errors_that_the_kernel_counted_are_told_and_health_is_silent() {
        let tree = TestTree::new();
        assert_eq!(read(&tree.roots()), None);
        let mc = "sys/devices/system/edac/mc/mc0";
        for (file, text) in [
            ("mc_name", "skx_edac"),
            ("ce_count", "7"),
            ("ue_count", "0"),
            ("dimm0/dimm_label", "CPU0_DIMM_A1"),
            ("dimm0/dimm_ce_count", "7"),
            ("dimm0/dimm_ue_count", "0"),
            ("dimm1/dimm_ce_count", "0"),
            ("dimm1/dimm_ue_count", "0"),
        ] {
            tree.file(&format!("{mc}/{file}"), format!("{text}\n"));
        }
        let nvme = "sys/bus/pci/devices/0000:65:00.0";
        for (file, text) in [
            ("aer_dev_correctable", "RxErr 3\nBadTLP 1\nTOTAL_ERR_COR 4"),
            ("aer_dev_fatal", "TOTAL_ERR_FATAL 0"),
            ("current_link_width", "2"),
            ("max_link_width", "4"),
            ("current_link_speed", "16.0 GT/s PCIe"),
        ] {
            tree.file(&format!("{nvme}/{file}"), format!("{text}\n"));
        }
        tree.file("sys/bus/pci/devices/0000:66:00.0/aer_dev_correctable", "TOTAL_ERR_COR 0\n");
        tree.file("sys/bus/pci/devices/0000:67:00.0/current_link_width", "255\n")
            .file("sys/bus/pci/devices/0000:67:00.0/max_link_width", "255\n");
        let nic = tree.interface("eno1", 2, "02:00:00:00:00:01", "sys/devices/pci/0000:18:00.0");
        tree.file(&format!("{nic}/statistics/rx_crc_errors"), "12\n")
            .file(&format!("{nic}/statistics/rx_errors"), [0xff; 50]);
        tree.file(&format!("{nic}/carrier_changes"), "3\n");
        let health = read(&tree.roots()).unwrap();
        assert_eq!(
            health["memory"],
            json!([{"controller": "mc0", "name": "skx_edac", "corrected": 7, "uncorrected": 0,
            "modules": [{"label": "CPU0_DIMM_A1", "corrected": 7, "uncorrected": 0}]}])
        );
        assert_eq!(health["pci"].as_array().unwrap().len(), 1);
        assert_eq!((&health["pci"][0]["corrected"], &health["pci"][0]["link_width"]), (&json!(4), &json!(2)));
        assert_eq!(health["interfaces"], json!([{"rx_crc_errors": 12, "carrier_changes": 3, "name": "eno1"}]));
        assert!(health.get("disks").is_none());
    }
}
