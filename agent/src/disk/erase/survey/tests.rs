//! Machines on which the members of arrays must not save anything else from being erased. Arrays are told, not made: the test
//! runs where the kernel has none.

use super::{Leniency, Request, Sorted, sort};
use crate::disk::erase::wipe_disk;
use crate::disk::error::DiskError;
use crate::disk::facts::{Disk, Partition, look, look_for};
use crate::disk::firmware;
use crate::disk::guard::Gate;
use crate::disk::method::{Abilities, Method, Options, choose};
use crate::sys::block::BlockDevice;
use crate::sys::loop_device::LoopDevice;
use crate::sys::md::version_one;
use crate::sys::orders::{Bay, Dialect, Kernel, Orders};
use crate::sys::progress::Progress;
use crate::sys::sysfs::Roots;
use common::root_hint::DiskFacts;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn arrays(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| name.to_string()).collect()
}

fn sorted(disks: Vec<Disk>, paths: &[&Path], node: Value) -> Result<Sorted, DiskError> {
    sorted_by(disks, paths, node, Leniency { read_only: false, neighbours: false })
}

fn sorted_by(disks: Vec<Disk>, paths: &[&Path], node: Value, lenient: Leniency) -> Result<Sorted, DiskError> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
    let (gate, progress) = (Gate::of_this_machine(&paths)?, Progress::default());
    let node: Map<String, Value> = node.as_object().unwrap().clone();
    sort(
        &Request { node: &node, gate: &gate, guarded: true, progress: &progress, discard: false, bay: &Kernel },
        disks,
        lenient,
    )
}

/// A disk with a file system on its first partition and an array, as far as anybody tells, on its second.
fn half_a_member(disk: &LoopDevice, array: &str) -> Disk {
    let arguments = ["-n", "1:0:+40M", "-n", "2:0:0"]; // libblkid looks for GFS2 from 32 MiB on
    assert!(Command::new("sgdisk").args(arguments).arg(disk.path()).output().unwrap().status.success());
    let _ = Command::new("partx").arg("--add").arg(disk.path()).output(); // kernels without GPT support learn them so
    let gate = Gate::of_this_machine(&[disk.path().to_path_buf()]).unwrap();
    let mut seen = look(&Roots::machine(), gate.scope()).unwrap().remove(0);
    assert_eq!(seen.partitions.len(), 2);
    seen.raid_member = true;
    seen.partitions[1].arrays = arrays(&[array]);
    seen.relatives.insert(array.into());
    seen
}

/// What stands for the array: a file, under the array's name.
fn the_array(name: &str, file: &Path) -> Disk {
    Disk {
        kernel_name: name.into(),
        path: file.canonicalize().unwrap(),
        facts: DiskFacts { name: format!("/dev/{name}"), size: 1 << 20, ..Default::default() },
        is_array: true,
        ..Default::default()
    }
}

#[test]
fn a_member_of_a_kept_volume_is_not_erased_though_its_array_does_not_run() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [vec![0; 4096], version_one(4096, b"any:data"), vec![0; 4 << 20]].concat()).unwrap();
    let path = file.path().canonicalize().unwrap();
    let gate = Gate::of_this_machine(std::slice::from_ref(&path)).unwrap();
    let going = |volume: &str| {
        let node = json!({"properties": {"skip_block_devices": [{"volume_name": volume}]}});
        let disks = look_for(&Roots::machine(), gate.scope(), node.as_object().unwrap()).unwrap();
        // As it is seen while it cannot be read.
        let locked = disks.iter().map(|disk| Disk { idle_members: BTreeMap::new(), ..disk.clone() }).collect();
        [disks, locked].map(|disks| {
            let sorted = sorted(disks, &[&path], node.clone()).unwrap();
            assert_eq!(sorted.going.len() + sorted.passed.len(), 1);
            sorted.going.len()
        })
    };
    assert_eq!((going("data"), going("other")), ([0, 0], [1, 1]));
}

#[test]
fn a_partition_beside_an_array_is_erased_by_itself() {
    let Some(disk) = LoopDevice::new(64 << 20, 512) else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(1 << 20).unwrap();
    let member = half_a_member(&disk, "md9");
    let first = member.partitions[0].path.clone();
    assert!(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&first).output().unwrap().status.success());
    let paths = [disk.path(), file.path()];
    let sorted = sorted(vec![member, the_array("md9", file.path())], &paths, json!({})).unwrap();
    let names: Vec<&Path> = sorted.going.iter().map(|disk| disk.path.as_path()).collect();
    assert_eq!(names, [file.path().canonicalize().unwrap().as_path(), &first]);
    assert!(sorted.passed[&disk.path().display().to_string()].contains("member of an assembled RAID"));

    let part = &sorted.going[1];
    let gate = Gate::of_this_machine(&[disk.path().to_path_buf()]).unwrap();
    let (node, progress) = (Map::new(), Progress::default());
    let request =
        Request { node: &node, gate: &gate, guarded: true, progress: &progress, discard: false, bay: &Kernel };
    assert_eq!(wipe_disk(&request, part, &[]).unwrap().device, first.display().to_string());
    let untouched = std::fs::read(disk.file()).unwrap();
    assert!(untouched[512..520] == *b"EFI PART", "the table, which the array needs, stays");
    let plan = vec![(part.clone(), Method::Overwrite)];
    super::super::run::all(&request, &Options::of(&node, false).unwrap(), plan).unwrap();
    let after = std::fs::read(disk.file()).unwrap();
    assert!(after[1 << 20..41 << 20].iter().all(|byte| *byte == 0) && after[512..520] == *b"EFI PART");
}

#[test]
fn shared_storage_beside_an_array_is_protected_before_anything_is_touched() {
    let Some(disk) = LoopDevice::new(64 << 20, 512) else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    let member = half_a_member(&disk, "md9");
    let first = BlockDevice::open(&member.partitions[0].path, crate::sys::block::Access::Exclusive).unwrap();
    // GFS2 superblock: magic, type, formats, at 64 KiB (what libblkid looks at).
    let mut block = vec![0; 4096];
    block[..8].copy_from_slice(&[0x01, 0x16, 0x19, 0x70, 0, 0, 0, 1]);
    block[24..32].copy_from_slice(&[0, 0, 7, 0x09, 0, 0, 7, 0x6c]);
    first.write_at(64 << 10, &block).unwrap();
    first.sync().unwrap();
    drop(first);
    let disks = vec![the_array("md9", file.path()), member];
    let error = sorted(disks, &[disk.path(), file.path()], json!({})).unwrap_err();
    assert!(matches!(error, DiskError::Protected { .. }), "{error}");
}

#[test]
fn every_array_on_a_disk_must_be_erased_not_only_one_of_them() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let part = |number: u32, names: &[&str]| Partition {
        path: format!("/dev/sdx{number}").into(),
        size: 1 << 30,
        arrays: arrays(names),
    };
    let member = |parts: Vec<Partition>| Disk {
        kernel_name: "sdx".into(),
        path: "/dev/sdx".into(),
        raid_member: true,
        partitions: parts,
        relatives: arrays(&["sdx", "md9", "md8"]),
        ..Default::default()
    };
    // md8 is inactive: it has no size, so it is no disk, and nothing on /dev/sdx2 would be erased with it.
    let disks = vec![the_array("md9", file.path()), member(vec![part(1, &["md9"]), part(2, &["md8"])])];
    let error = sorted(disks, &[file.path()], json!({})).unwrap_err().to_string();
    assert!(error.starts_with("/dev/sdx2 belongs to an array that cannot be erased as a whole (md8)"), "{error}");
    // A firmware RAID: its container is no disk, the volume in it is.
    let disks = vec![the_array("md9", file.path()), member(vec![part(1, &["md127", "md9"])])];
    assert_eq!(sorted(disks, &[file.path()], json!({})).unwrap().going.len(), 1);
    // The table of the logical partitions is not data, and a kept disk keeps all of it.
    let extended = Partition { path: "/dev/sdx2".into(), size: 1024, ..Default::default() };
    let disks = vec![the_array("md9", file.path()), member(vec![part(1, &["md9"]), extended])];
    assert_eq!(sorted(disks, &[file.path()], json!({})).unwrap().going.len(), 1);
    let disks = vec![the_array("md9", file.path()), member(vec![part(1, &["md9"]), part(2, &[])])];
    let skip = json!({"properties": {"skip_block_devices": [{"name": "/dev/md9"}]}});
    assert_eq!(sorted(disks, &[file.path()], skip).unwrap().going.len(), 0);
}

#[test]
fn the_neighbour_of_a_kept_volume_is_erased_and_nothing_that_the_kept_one_needs() {
    let files = [(); 4].map(|()| tempfile::NamedTempFile::new().unwrap());
    files.iter().for_each(|file| file.as_file().set_len(1 << 20).unwrap());
    let paths = files.each_ref().map(|file| file.path());
    let machine = || {
        let array = |name: &str, volume: &str, file: &Path| {
            let mut array = the_array(name, file);
            array.volumes = vec![volume.into()];
            array.relatives = arrays(&["sdx", "sdx1", "sdx2", "sdx3", "md1", "md2", "md3"]);
            array
        };
        let part = |number: u32, name: &str| Partition {
            path: format!("/dev/sdx{number}").into(),
            size: 1 << 30,
            arrays: arrays(&[name]),
        };
        let member = Disk {
            kernel_name: "sdx".into(),
            path: "/dev/sdx".into(),
            facts: DiskFacts { name: "/dev/sdx".into(), serials: vec!["x".into()], ..Default::default() },
            raid_member: true,
            partitions: vec![
                part(1, "md1"),
                part(2, "md2"),
                part(3, "md3"),
                Partition { size: 1 << 30, ..part(4, "md1") },
            ],
            relatives: arrays(&["sdx", "sdx1", "sdx2", "sdx3", "md1", "md2", "md3"]),
            ..Default::default()
        };
        vec![array("md1", "root", paths[0]), array("md2", "data", paths[1]), array("md3", "esp", paths[2]), member]
    };
    let going = |skip: Value, neighbours: bool| -> Vec<String> {
        let node = json!({"properties": {"skip_block_devices": skip}});
        let sorted = sorted_by(machine(), &paths, node, Leniency { read_only: false, neighbours }).unwrap();
        sorted.going.into_iter().map(|disk| disk.kernel_name).collect()
    };
    let data = json!([{"volume_name": "data"}]);
    assert_eq!(going(data.clone(), false), ["md1"], "the tenant's root volume must not survive beside the kept data");
    assert_eq!(going(data, true), [""; 0], "as with the reference, wiping metadata leaves it to erase_devices");
    assert_eq!(going(json!([{"serial": "x"}]), false), [""; 0], "all of it lies on the kept disk");
    assert_eq!(going(json!([{"name": "/dev/md1"}]), false), ["md2"]);
    assert_eq!(going(json!([]), false), ["md1", "md2", "md3"]);
    assert_eq!(going(json!([{"volume_name": "other"}]), true), ["md1", "md2", "md3"]);
}

/// Says that everything is an ATA disk, and must not be asked for more.
struct Eager;

impl Bay for Eager {
    fn dialect(&self, _: &Path) -> Dialect {
        Dialect::Scsi
    }

    fn orders<'a>(&self, device: &'a BlockDevice) -> Box<dyn Orders + 'a> {
        panic!("an order for {}", device.path().display())
    }
}

#[test]
fn the_firmware_is_not_spoken_to_through_a_partition() {
    let part = Disk { path: "/dev/sdx1".into(), is_partition: true, ..Default::default() };
    let abilities = firmware::abilities(&Eager, &part);
    assert_eq!(abilities, Abilities::default());
    assert!(!firmware::make_ready(&Eager, &part, &|_| ()).unwrap());
    let options = Options::of(&Map::new(), false).unwrap();
    assert_eq!(choose(&part, &abilities, &options, &BTreeSet::new()).unwrap(), Method::Overwrite);
}
