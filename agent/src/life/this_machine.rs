//! The machine the agent runs on, as `life` asks for it.

use super::Machine;
use crate::disk::choose;
use crate::disk::facts::look;
use crate::disk::guard::{Gate, Scope};
use crate::disk::raid::assemble;
use crate::hardware::{self, Options, Roots, block, inspection};
use crate::sys::ramdisk;
use crate::{logs, step};
use common::heartbeat::InspectionData;
use common::inventory::{Disk, Interface};
use serde_json::{Map, Value};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

/// Smaller disks are not taken for the one to install on (ipa-features section 14).
const LEAST_ROOT_DISK: u64 = 4 << 30;

/// Reads `/sys` and friends.
pub struct ThisMachine {
    roots: Roots,
    options: Options,
    /// Loads drivers beside the rest of the start.
    prepares: Mutex<Option<JoinHandle<()>>>,
}

impl ThisMachine {
    /// With what the operator says about the inventory. In a ramdisk the BMC's drivers are loaded, elsewhere nothing is touched.
    pub fn new(options: Options) -> Self {
        let prepares = ramdisk::root_is_ramdisk().then(|| {
            let wishes = step::Wishes { collect_lldp: options.collect_lldp };
            std::thread::spawn(move || {
                hardware::prepare();
                step::initialize(&wishes);
            })
        });
        Self { roots: Roots::machine(), options, prepares: Mutex::new(prepares) }
    }

    /// Waits until drivers are loaded and multipath maps are made.
    fn settle(&self) {
        if let Some(drivers) = self.prepares.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = drivers.join();
        }
    }
}

impl Machine for ThisMachine {
    fn interfaces(&self) -> Vec<Interface> {
        hardware::interfaces(&self.roots, &self.options)
    }

    fn inspection_data(&self, collectors: &[String]) -> InspectionData {
        self.settle();
        let listen = self.options.collect_lldp || collectors.iter().any(|name| name == "lldp");
        let seen = hardware::look(&self.roots, &self.options, listen);
        for what in seen.unread {
            tracing::info!(what = %what.what, why = %what.why, "not read for the inventory");
        }
        inspection::inspection_data(&inspection::Sources {
            roots: &self.roots,
            root_disk: root_disk(&seen.inventory.disks),
            inventory: &seen.inventory,
            collectors,
            managers: &step::versions(),
            heard: seen.heard.as_ref(),
            benchmarks: &self.options.benchmarks,
            logs: &|| logs::collect_system_logs(false),
        })
    }

    fn has_disk(&self) -> bool {
        !block::list(&self.roots).is_empty()
    }

    fn has_root_disk(&self, node: &Map<String, Value>) -> bool {
        look(&self.roots, &Scope::AllDisks).map_or(true, |disks| !choose::is_awaited(&disks, node))
    }

    fn assemble_arrays(&self) {
        self.settle();
        if let Ok(gate) = Gate::of_this_machine(&[]) {
            assemble(&gate);
        }
    }
}

/// The smallest that is large enough; of several the first by name.
fn root_disk(disks: &[Disk]) -> Option<&Disk> {
    disks.iter().filter(|disk| disk.size >= LEAST_ROOT_DISK).min_by_key(|disk| (disk.size, &disk.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_disk_of_four_gib_is_the_root_disk() {
        let disk = |name: &str, size| Disk { name: name.into(), size, ..Disk::default() };
        let disks = [disk("/dev/sda", 10 << 30), disk("/dev/sdb", 5 << 30), disk("/dev/sdc", 1 << 30)];
        assert_eq!(root_disk(&disks).unwrap().name, "/dev/sdb");
        assert_eq!(root_disk(&disks[2..]), None);
        let twins = [disk("/dev/sdb", 5 << 30), disk("/dev/sda", 5 << 30)];
        assert_eq!(root_disk(&twins).unwrap().name, "/dev/sda", "whatever order the kernel found them in");
    }
}
