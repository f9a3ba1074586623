//! Which disks become members, and whether they may: nothing is wiped to make room for an array.

use super::config::Volume;
use crate::disk::choose::is_kept;
use crate::disk::error::DiskError;
use crate::disk::facts::Disk;
use crate::disk::guard::Gate;
use crate::disk::protect;
use crate::disk::{gpt, mbr};
use crate::sys::block::{Access, BlockDevice};
use std::collections::BTreeSet;

/// The disks of every volume, by their hints in order, or all; as indexes into the first list.
pub type Chosen<'a> = (Vec<&'a Disk>, Vec<(Volume, Vec<usize>)>);

/// Disks that can be members at all.
pub fn candidates(disks: &[Disk]) -> Vec<&Disk> {
    disks.iter().filter(|disk| !disk.is_array && !disk.virtual_media).collect()
}

/// Chooses, without I/O.
///
/// # Errors
/// [`DiskError::Raid`]: no disk fits a hint, or the one that does is on the skip list.
pub fn choose<'a>(disks: &'a [Disk], volumes: Vec<Volume>, kept: &BTreeSet<String>) -> Result<Chosen<'a>, DiskError> {
    let candidates = candidates(disks);
    let mut used: Vec<&Disk> = Vec::new();
    let mut chosen = Vec::new();
    for (number, volume) in (1..).zip(volumes) {
        let mut own: Vec<&Disk> = Vec::new();
        match &volume.disks {
            // A disk somebody wants to keep is no member, and no error: the volume uses the others.
            None => own.extend(candidates.iter().filter(|disk| !is_kept(disk, kept))),
            Some(hints) => {
                for hint in hints {
                    let wrong = |why: String| DiskError::Raid(format!("logical disk {number}: {why}"));
                    let mut fits = Vec::new();
                    for &disk in &candidates {
                        if hint.matches(&disk.facts).map_err(|error| wrong(error.to_string()))? {
                            fits.push(disk);
                        }
                    }
                    let free = |disk: &&&Disk| own.iter().all(|taken| taken.kernel_name != disk.kernel_name);
                    let disk = *fits.iter().find(free).ok_or_else(|| {
                        let names: Vec<_> = fits.iter().map(|disk| disk.facts.name.as_str()).collect();
                        wrong(format!("no disk is left for the hint {hint}; {} fit: {}", names.len(), names.join(", ")))
                    })?;
                    if is_kept(disk, kept) {
                        return Err(wrong(format!(
                            "{} fits the hint {hint} and is on the skip list",
                            disk.path.display()
                        )));
                    }
                    own.push(disk);
                }
            }
        }
        let mut index = |disk: &'a Disk| {
            let known = used.iter().position(|taken| taken.kernel_name == disk.kernel_name);
            known.unwrap_or_else(|| {
                used.push(disk);
                used.len() - 1
            })
        };
        let places = own.into_iter().map(&mut index).collect();
        chosen.push((volume, places));
    }
    Ok((used, chosen))
}

/// Refuses a disk that anybody uses or that has anything on it but an empty partition table.
///
/// # Errors
/// [`DiskError::Raid`] says what is there; or the gate's and the shared-file-system guard's.
pub fn must_be_empty(disk: &Disk, gate: &Gate, guarded: bool) -> Result<(), DiskError> {
    let shown = disk.path.display();
    let refuse = |why: &str| Err(DiskError::Raid(format!("{shown} is not used for RAID: {why}")));
    const HOW: &str = "Run the clean steps delete_configuration or erase_devices_metadata first";
    if disk.read_only {
        return refuse("it is read-only");
    }
    if disk.raid_member {
        return refuse(&format!("it is a member of an array. {HOW}"));
    }
    if disk.kernel_name.starts_with("dm-") {
        return refuse(
            "it is a device-mapper map, of which the kernel makes no partitions for members to live on. Name other disks in physical_disks",
        );
    }
    if !disk.partitions.is_empty() {
        return refuse(&format!("it has {} partitions. {HOW}", disk.partitions.len()));
    }
    let path = gate.permit(&disk.path)?;
    if let Some(found) = protect::check(disk, guarded)?.into_iter().find(|found| !found.types.is_empty()) {
        return refuse(&format!("it holds {found}. {HOW}"));
    }
    // The kernel may not have read the table.
    let device = BlockDevice::open(&path, Access::Read).map_err(DiskError::io("opening", &path))?;
    let (size, sector) = (device.size(), u64::from(device.logical_sector()));
    let in_gpt = gpt::Gpt::read(&mut device.cursor(), size, sector).ok().flatten().map(|gpt| gpt.partitions().len());
    let in_mbr = || mbr::read(&mut device.cursor(), size, sector).ok().flatten().map(|parts| parts.len());
    match in_gpt.or_else(in_mbr) {
        Some(count) if count > 0 => refuse(&format!("its partition table has {count} partitions. {HOW}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{choose, must_be_empty};
    use crate::disk::facts::{Disk, Partition, look};
    use crate::disk::guard::Gate;
    use crate::disk::raid::config::{Volume, read};
    use crate::sys::loop_device::LoopDevice;
    use crate::sys::sysfs::Roots;
    use common::root_hint::DiskFacts;
    use serde_json::{Map, Value, json};
    use std::collections::BTreeSet;
    use std::process::Command;

    fn disk(name: &str, gib: u64) -> Disk {
        let path = format!("/dev/{name}");
        let facts = DiskFacts { name: path.clone(), size: gib << 30, ..Default::default() };
        Disk {
            kernel_name: name.into(),
            path: path.into(),
            facts,
            relatives: [name.into()].into(),
            ..Default::default()
        }
    }

    fn volumes(disks: Value) -> Vec<Volume> {
        let config: Map<String, Value> = json!({"logical_disks": disks}).as_object().unwrap().clone();
        read(&config, &Map::new(), 4).unwrap()
    }

    #[test]
    fn hints_take_disks_in_their_order_and_a_volume_without_takes_all() {
        let md = Disk { is_array: true, ..disk("md0", 1) };
        let disks = [md, disk("sda", 10), disk("sdb", 20), disk("sdc", 20)];
        let wanted = volumes(json!([
            {"controller": "software", "raid_level": "1", "size_gb": 1, "physical_disks": [{"size": ">= 20"}, {"size": ">= 10"}]},
            {"controller": "software", "raid_level": "0", "size_gb": "MAX"}]));
        let (used, chosen) = choose(&disks, wanted.clone(), &BTreeSet::new()).unwrap();
        let names: Vec<_> = used.iter().map(|disk| disk.kernel_name.as_str()).collect();
        assert_eq!(names, ["sdb", "sda", "sdc"]);
        assert_eq!((&chosen[0].1, &chosen[1].1), (&vec![0, 1], &vec![1, 0, 2]));

        let kept = BTreeSet::from(["sdb".to_owned()]);
        let error = choose(&disks, wanted.clone(), &kept).unwrap_err().to_string();
        assert!(error.contains("/dev/sdb") && error.contains("skip list"), "{error}");
        let (used, _) = choose(&disks, wanted[1..].to_vec(), &kept).unwrap();
        assert!(used.iter().all(|disk| disk.kernel_name != "sdb") && used.len() == 2);
        let error = choose(&disks[..3], wanted, &BTreeSet::new());
        assert!(error.is_ok(), "{error:?}");
    }

    #[test]
    fn a_hint_that_nothing_fits_says_so() {
        let wanted = volumes(json!([{"controller": "software", "raid_level": "1", "size_gb": 1,
            "physical_disks": [{"size": ">= 10"}, {"size": ">= 10"}]}]));
        let error = choose(&[disk("sda", 10)], wanted, &BTreeSet::new()).unwrap_err().to_string();
        assert!(error.contains("no disk is left") && error.contains("/dev/sda"), "{error}");
    }

    #[test]
    fn what_is_on_a_disk_is_never_wiped_for_an_array() {
        let Some(device) = LoopDevice::new(64 << 20, 512) else { return };
        let gate = Gate::of_this_machine(&[device.path().to_path_buf()]).unwrap();
        let seen = || look(&Roots::machine(), gate.scope()).unwrap().remove(0);
        let refusal = |disk: &Disk| must_be_empty(disk, &gate, true).unwrap_err().to_string();
        must_be_empty(&seen(), &gate, true).unwrap();
        let run = |program: &str, arguments: &[&str]| {
            assert!(Command::new(program).args(arguments).arg(device.path()).output().unwrap().status.success());
        };
        run("mkfs.ext4", &["-q", "-F"]);
        assert!(refusal(&seen()).contains("holds ext4"), "{}", refusal(&seen()));
        run("wipefs", &["-a"]);
        run("sgdisk", &["-o"]);
        must_be_empty(&seen(), &gate, true).unwrap();
        run("sgdisk", &["-n", "1:0:+8M"]);
        let text = refusal(&Disk { partitions: Vec::new(), ..seen() });
        assert!(text.contains("partition table has 1 partitions"), "{text}");
        assert!(refusal(&Disk { partitions: vec![Partition::default()], ..seen() }).contains("has 1 partitions"));
        assert!(refusal(&Disk { raid_member: true, ..seen() }).contains("member of an array"));
        assert!(refusal(&Disk { read_only: true, ..seen() }).contains("read-only"));
        let stranger = Gate::of_this_machine(&[]).unwrap();
        assert!(must_be_empty(&Disk { partitions: Vec::new(), ..seen() }, &stranger, true).is_err());
    }
}
