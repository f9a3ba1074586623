//! `delete_configuration`: every array that is found goes, and every trace of one, except what the skip list keeps.

use super::create::Request;
use super::verdict::{Known, Verdict, verdicts};
use super::{mdadm, root_volume};
use crate::disk::choose::{self, kept_volumes};
use crate::disk::error::DiskError;
use crate::disk::facts::{Disk, look_for};
use crate::disk::gpt::Gpt;
use crate::disk::{mbr, protect, wipe};
use crate::sys::block::{Access, BlockDevice, PartitionNews};
use crate::sys::md::{self, Array};
use crate::sys::partitions;
use crate::sys::sysfs::Roots;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// How often all is gone through: an array that was half hidden by another shows in the second pass.
const PASSES: u32 = 2;

/// Every array with its volume name and the disks it lies on; and members of volumes of these names whose arrays do not run.
pub fn known(roots: &Roots, disks: &[Disk], kept: &BTreeSet<String>) -> Vec<Known> {
    let known = |array: &Array| Known {
        name: array.kernel_name.clone(),
        volume: md::volume(array),
        holders: array.members.iter().map(|member| holder(roots, member)).collect(),
    };
    let idle = |disk: &Disk| {
        let members = disk.idle_members.iter().filter(|(_, volume)| kept.contains(*volume));
        let known = |(path, volume): (&PathBuf, &String)| Known {
            name: path.display().to_string(),
            volume: Some(volume.clone()),
            holders: [disk.kernel_name.clone()].into(),
        };
        members.map(known).collect::<Vec<_>>()
    };
    md::arrays(roots).iter().map(known).chain(disks.iter().flat_map(idle)).collect()
}

/// `sda` for `sda1`, `sda` for `sda`.
pub fn holder(roots: &Roots, member: &str) -> String {
    partitions::disk_of(roots, member).unwrap_or_else(|| member.to_owned())
}

/// Kernel names of the disks that a hint on the skip list fits. Entries with volume_name are not hints.
///
/// # Errors
/// A skip list that cannot be read.
pub fn skipped_disks(disks: &[Disk], node: &Map<String, Value>) -> Result<BTreeSet<String>, DiskError> {
    let mut node = node.clone();
    let list = node.get_mut("properties").and_then(|properties| properties.get_mut("skip_block_devices"));
    if let Some(list) = list.and_then(Value::as_array_mut) {
        list.retain(|entry| entry.get("volume_name").is_none());
    }
    choose::kept(disks, &node)
}

/// Deletes.
///
/// # Errors
/// What speaks against it, before anything is touched; [`DiskError::Raid`] when arrays are left after all passes.
pub fn delete(request: &Request<'_>) -> Result<(), DiskError> {
    let roots = Roots::machine();
    let mut left = Vec::new();
    for pass in 1..=PASSES {
        mdadm::assemble(request.gate);
        let work = Work::look(request, &roots)?;
        if pass == 1 {
            work.check(request)?;
        }
        let failures = work.run(request);
        mdadm::assemble(request.gate);
        let known = known(&roots, &work.disks, &work.kept);
        let verdicts = verdicts(&known, &work.kept, &work.skipped);
        left = verdicts.into_iter().filter(|(_, verdict)| *verdict == Verdict::Delete).map(|(name, _)| name).collect();
        if left.is_empty() && failures.is_empty() {
            root_volume::forget();
            request.progress.say("no software RAID is left that is not to be kept");
            return Ok(());
        }
        tracing::warn!(pass, ?left, ?failures, "not everything of the software RAID went");
        left.extend(failures);
    }
    Err(DiskError::Raid(format!(
        "software RAID is left after {PASSES} passes: {}. A disk may be failing, or something uses an array",
        left.join("; ")
    )))
}

/// One pass.
struct Work {
    arrays: Vec<Array>,
    verdicts: BTreeMap<String, Verdict>,
    holders: BTreeMap<String, BTreeSet<String>>,
    disks: Vec<Disk>,
    /// Disks that hints on the skip list fit.
    skipped: BTreeSet<String>,
    /// Names of volumes on it.
    kept: BTreeSet<String>,
    guarded: bool,
}

impl Work {
    fn look(request: &Request<'_>, roots: &Roots) -> Result<Self, DiskError> {
        let disks = look_for(roots, request.gate.scope(), request.node)?;
        let (skipped, kept) = (skipped_disks(&disks, request.node)?, kept_volumes(request.node));
        let known = known(roots, &disks, &kept);
        let verdicts = verdicts(&known, &kept, &skipped);
        // Arrays on arrays first.
        let mut arrays = md::arrays(roots);
        arrays.sort_by_key(|array| !array.members.iter().any(|member| member.starts_with("md")));
        let holders = known.into_iter().map(|array| (array.name, array.holders)).collect();
        let guarded = protect::is_on(request.guarded, request.node);
        Ok(Self { arrays, verdicts, holders, disks, skipped, kept, guarded })
    }

    fn verdict(&self, array: &Array) -> Verdict {
        self.verdicts.get(&array.kernel_name).copied().unwrap_or(Verdict::Keep)
    }

    /// Everything that must not be is found before the first byte is written.
    fn check(&self, request: &Request<'_>) -> Result<(), DiskError> {
        for array in self.arrays.iter().filter(|array| self.verdict(array) != Verdict::Keep) {
            request.gate.permit(&array.path)?;
            let holders = self.holders.get(&array.kernel_name);
            let goes =
                |name: &String| self.verdict(array) == Verdict::Delete && holders.is_some_and(|all| all.contains(name));
            for disk in
                self.disks.iter().filter(|disk| disk.kernel_name == array.kernel_name || goes(&disk.kernel_name))
            {
                if disk.read_only {
                    return Err(DiskError::Raid(format!(
                        "{} is read-only: its RAID cannot be deleted",
                        disk.path.display()
                    )));
                }
                if !disk.is_array {
                    request.gate.permit_holder(&disk.path)?;
                }
                protect::check(disk, self.guarded)?;
            }
        }
        Ok(())
    }

    fn run(&self, request: &Request<'_>) -> Vec<String> {
        let mut failures = Vec::new();
        let mut freed: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for array in &self.arrays {
            let verdict = self.verdict(array);
            if verdict == Verdict::Keep {
                tracing::warn!(
                    array = array.kernel_name,
                    "an array is kept: it, or a neighbour that needs it, is on the skip list"
                );
                continue;
            }
            if let Err(error) = self.empty(request, array) {
                // An array that lost too many disks cannot be written to. Its members are wiped all the same.
                tracing::warn!(array = array.kernel_name, %error, "the contents of an array were not wiped through it");
            }
            if verdict == Verdict::Wipe {
                tracing::warn!(
                    array = array.kernel_name,
                    "an array is emptied but stays: it shares a disk with a kept one"
                );
                continue;
            }
            request.progress.say(format!("deleting {}", array.kernel_name));
            if let Err(error) = request.gate.permit(&array.path).and_then(|path| mdadm::stop(&path)) {
                failures.push(error.to_string());
                continue;
            }
            for member in &array.members {
                failures.extend(clean_member(request, member).err().map(|error| error.to_string()));
                freed.entry(holder(&Roots::machine(), member)).or_default().push(member.clone());
            }
        }
        failures.extend(self.traces(request));
        failures.extend(self.tables(request, &freed));
        failures
    }

    /// Wipes what is in an array: its partitions, then it.
    fn empty(&self, request: &Request<'_>, array: &Array) -> Result<(), DiskError> {
        if array.size == 0 {
            return Ok(());
        }
        let disk = self.disks.iter().find(|disk| disk.kernel_name == array.kernel_name);
        for part in disk.iter().flat_map(|disk| &disk.partitions) {
            wipe::wipe(&request.gate.permit(&part.path)?)?;
        }
        wipe::wipe(&request.gate.permit(&array.path)?)
    }

    /// Superblocks of arrays that are long gone, on partitions before their disks. A member of an array that stays still
    /// has a holder: the gate refuses it. A member of a kept volume stays, also when its array does not run.
    fn traces(&self, request: &Request<'_>) -> Vec<String> {
        let used: BTreeSet<String> =
            md::arrays(&Roots::machine()).into_iter().flat_map(|array| array.members).collect();
        let mut failures = Vec::new();
        for disk in self.disks.iter().filter(|disk| !disk.is_array && !self.skipped.contains(&disk.kernel_name)) {
            let parts = disk.partitions.iter().map(|part| &part.path);
            for path in parts.chain([&disk.path]).filter(|path| path.exists()) {
                let is_used = |name: &String| path.file_name().is_some_and(|own| own == name.as_str());
                if used.iter().any(is_used) {
                    continue;
                }
                if let Some(volume) = disk.idle_members.get(path).filter(|volume| self.kept.contains(*volume)) {
                    tracing::warn!(device = %path.display(), volume, "kept: a member of a volume on the skip list, whose array does not run");
                    continue;
                }
                let done = zero(request, path);
                failures.extend(done.err().map(|error| error.to_string()));
            }
        }
        failures
    }

    /// Partition tables of disks on which no array is left; of the others only the freed partitions.
    fn tables(&self, request: &Request<'_>, freed: &BTreeMap<String, Vec<String>>) -> Vec<String> {
        let stays = |name: &String| {
            let on =
                |array: &&Array| self.holders.get(&array.kernel_name).is_some_and(|holders| holders.contains(name));
            self.arrays.iter().filter(on).any(|array| self.verdict(array) != Verdict::Delete)
        };
        let mut failures = Vec::new();
        for (name, parts) in freed {
            let path = PathBuf::from(format!("/dev/{}", name.replace('!', "/")));
            let done = if stays(name) {
                take_out(request, &path, parts)
            } else {
                request.gate.permit(&path).and_then(|path| wipe::wipe(&path))
            };
            failures.extend(done.err().map(|error| error.to_string()));
        }
        failures
    }
}

fn clean_member(request: &Request<'_>, member: &str) -> Result<(), DiskError> {
    let path = request.gate.permit(&PathBuf::from(format!("/dev/{}", member.replace('!', "/"))))?;
    zero(request, &path)?;
    wipe::wipe(&path)
}

/// Zeroes superblocks; opens for writing only where there is one.
fn zero(request: &Request<'_>, path: &std::path::Path) -> Result<(), DiskError> {
    let reading = BlockDevice::open(path, Access::Read).map_err(DiskError::io("opening", path))?;
    if md::superblock(&reading).map_err(DiskError::io("reading", path))?.is_none() {
        return Ok(());
    }
    let path = request.gate.permit(path)?;
    let device = BlockDevice::open(&path, Access::Exclusive).map_err(DiskError::io("opening", &path))?;
    let count = md::zero_superblocks(&device).map_err(DiskError::io("zeroing RAID superblocks of", &path))?;
    tracing::info!(device = %path.display(), count, "RAID superblocks zeroed");
    Ok(())
}

/// Takes partitions out of the table of a disk that keeps others.
fn take_out(request: &Request<'_>, disk: &std::path::Path, parts: &[String]) -> Result<(), DiskError> {
    let path = request.gate.permit_holder(disk)?;
    let failed = |doing| DiskError::io(doing, &path);
    let roots = Roots::machine();
    let numbers: Vec<u32> = parts.iter().filter_map(|part| partitions::number(&roots, part)).collect();
    let device = BlockDevice::open(&path, Access::Shared).map_err(failed("opening"))?;
    let sector = u64::from(device.logical_sector());
    let damaged = |error| DiskError::Raid(format!("the partition table of {}: {error}", path.display()));
    match Gpt::read(&mut device.cursor(), device.size(), sector).map_err(damaged)? {
        Some(mut gpt) => {
            let gone = numbers.iter().filter(|number| gpt.remove(**number)).count();
            tracing::debug!(disk = %path.display(), gone, "partitions taken out of the table");
            gpt.write(&mut device.cursor()).map_err(damaged)?;
        }
        None => {
            for &number in &numbers {
                mbr::remove(&mut device.cursor(), number).map_err(failed("writing the partition table of"))?;
            }
        }
    }
    for &number in &numbers {
        if let Err(error) = device.tell_partition(number, PartitionNews::Gone) {
            tracing::warn!(disk = %path.display(), number, %error, "the kernel keeps a partition that is gone");
        }
    }
    tracing::warn!(disk = %path.display(), ?numbers, "only these partitions were removed: the disk has arrays that stay");
    device.sync().map_err(failed("flushing"))
}

#[cfg(test)]
mod tests {
    use super::{Work, holder, skipped_disks, take_out, zero};
    use crate::disk::facts::Disk;
    use crate::disk::gpt::Gpt;
    use crate::disk::guard::Gate;
    use crate::disk::raid::create::Request;
    use crate::sys::block::{Access, BlockDevice};
    use crate::sys::loop_device::LoopDevice;
    use crate::sys::md::version_one;
    use crate::sys::progress::Progress;
    use crate::sys::sysfs::Roots;
    use crate::sys::test_tree::TestTree;
    use common::root_hint::DiskFacts;
    use serde_json::{Map, json};
    use std::process::Command;

    #[test]
    fn the_disk_below_a_member_is_found_for_partitions_and_whole_disks() {
        let tree = TestTree::new();
        let nvme = tree.disk("nvme0n1", "259:0", 2, "sys/devices/pci0/nvme/nvme0");
        tree.file(&format!("{nvme}/nvme0n1p2/partition"), "2\n");
        tree.link("sys/class/block/nvme0n1p2", &format!("{nvme}/nvme0n1p2"));
        assert_eq!(holder(&tree.roots(), "nvme0n1p2"), "nvme0n1");
        assert_eq!(holder(&tree.roots(), "nvme0n1"), "nvme0n1");
    }

    #[test]
    fn volumes_on_the_skip_list_are_no_disks() {
        let facts = DiskFacts { name: "/dev/sda".into(), size: 1 << 30, ..Default::default() };
        let disk = Disk {
            kernel_name: "sda".into(),
            facts,
            volumes: vec!["root".into()],
            relatives: ["sda".into()].into(),
            ..Default::default()
        };
        let of = |list| {
            skipped_disks(
                std::slice::from_ref(&disk),
                json!({"properties": {"skip_block_devices": list}}).as_object().unwrap(),
            )
        };
        assert!(of(json!([{"volume_name": "root"}])).unwrap().is_empty());
        assert_eq!(of(json!([{"volume_name": "x"}, {"name": "/dev/sda"}])).unwrap().len(), 1);
        assert!(of(json!(["nonsense"])).is_err());
    }

    #[test]
    fn a_member_of_a_kept_volume_stays_though_its_array_does_not_run() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let superblock = version_one(4096, b"any:data");
        std::fs::write(file.path(), [vec![0; 4096], superblock, vec![0; 8 << 20]].concat()).unwrap();
        let path = file.path().canonicalize().unwrap();
        let before = std::fs::read(&path).unwrap();
        let (gate, progress) = (Gate::of_this_machine(std::slice::from_ref(&path)).unwrap(), Progress::default());
        let traces = |node: serde_json::Value| {
            let request = Request { node: node.as_object().unwrap(), gate: &gate, guarded: true, progress: &progress };
            let work = Work::look(&request, &Roots::machine()).unwrap();
            let known = super::known(&Roots::machine(), &work.disks, &work.kept);
            assert!(work.traces(&request).is_empty());
            known.into_iter().filter(|array| array.holders.contains(path.to_str().unwrap())).count()
        };
        let kept = json!({"properties": {"skip_block_devices": [{"volume_name": "data"}]}});
        assert_eq!(traces(kept), 1, "neighbours see it");
        assert!(std::fs::read(&path).unwrap() == before, "not a byte of it went");
        let another = json!({"properties": {"skip_block_devices": [{"volume_name": "other"}]}});
        assert_eq!(traces(another), 0);
        assert!(std::fs::read(&path).unwrap() != before);
    }

    #[test]
    fn a_partition_is_taken_out_of_a_table_whose_others_stay_and_only_what_the_gate_allows() {
        let Some(disk) = LoopDevice::new(64 << 20, 512) else { return };
        let sgdisk = Command::new("sgdisk")
            .args(["-n", "1:0:+8M", "-n", "2:0:+8M", "-n", "3:0:+8M"])
            .arg(disk.path())
            .output()
            .unwrap();
        assert!(sgdisk.status.success());
        let _ = Command::new("partx").arg("--add").arg(disk.path()).output(); // kernels without GPT support
        let (node, progress) = (Map::new(), Progress::default());
        let closed = Gate::of_this_machine(&[]).unwrap();
        let request = Request { node: &node, gate: &closed, guarded: true, progress: &progress };
        let name = disk.path().file_name().unwrap().to_str().unwrap();
        let parts = [format!("{name}p2")];
        assert!(take_out(&request, disk.path(), &parts).is_err());
        let gate = Gate::of_this_machine(&[disk.path().to_path_buf()]).unwrap();
        let request = Request { gate: &gate, ..request };
        take_out(&request, disk.path(), &parts).unwrap();
        let device = BlockDevice::open(disk.path(), Access::Read).unwrap();
        let left = Gpt::read(&mut device.cursor(), device.size(), 512).unwrap().unwrap().partitions();
        assert_eq!(left.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 3]);
        assert!(!std::path::Path::new(&format!("{}p2", disk.path().display())).exists(), "the kernel was told");
        zero(&request, disk.path()).unwrap();
    }
}
