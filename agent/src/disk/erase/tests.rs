//! Erasing plain files and loop devices of our own.

use super::{Request, devices, metadata};
use crate::disk::guard::Gate;
use crate::disk::proof::Outcome;
use crate::disk::signature::look;
use crate::sys::block::{Access, BlockDevice};
use crate::sys::loop_device::LoopDevice;
use crate::sys::orders::Kernel;
use crate::sys::progress::Progress;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

struct Site {
    gate: Gate,
    progress: Progress,
    guarded: bool,
}

impl Site {
    fn allowing(paths: &[&Path]) -> Self {
        let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
        Self { gate: Gate::of_this_machine(&paths).unwrap(), progress: Progress::default(), guarded: true }
    }

    fn run(
        &self,
        act: fn(&Request<'_>) -> Result<Outcome, crate::disk::error::DiskError>,
        node: Value,
    ) -> Result<Value, String> {
        let node: Map<String, Value> = node.as_object().unwrap().clone();
        let (gate, progress) = (&self.gate, &self.progress);
        let request = Request { node: &node, gate, guarded: self.guarded, progress, discard: false, bay: &Kernel };
        act(&request).map(|outcome| outcome.result).map_err(|error| error.to_string())
    }
}

fn filled_file(bytes: usize) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![0xa5; bytes]).unwrap();
    file
}

fn name(path: &Path) -> String {
    path.canonicalize().unwrap().display().to_string()
}

#[test]
fn named_files_are_overwritten_and_all_others_stay() {
    let (one, two, other) = (filled_file(6 << 20), filled_file((5 << 20) + 512), filled_file(1 << 20));
    let site = Site::allowing(&[one.path(), two.path()]);
    let result = site.run(devices, json!({"driver_internal_info": {"disk_erasure_concurrency": 2}})).unwrap();
    assert_eq!(result, json!({name(one.path()): null, name(two.path()): null}));
    for file in [&one, &two] {
        assert!(std::fs::read(file.path()).unwrap().iter().all(|&byte| byte == 0));
    }
    assert_eq!(std::fs::read(other.path()).unwrap(), vec![0xa5; 1 << 20]);
    assert_eq!(site.progress.to_value()["percent"], 100);
    assert_eq!(site.progress.done(), 2 * ((6 << 20) + (5 << 20) + 512), "one random pass and one of zeroes");
}

#[test]
fn without_zeroes_the_random_pass_stays() {
    let file = filled_file(4 << 20);
    let site = Site::allowing(&[file.path()]);
    site.run(
        devices,
        json!({"driver_internal_info": {"agent_erase_devices_zeroize": false, "agent_erase_devices_iterations": 2}}),
    )
    .unwrap();
    let data = std::fs::read(file.path()).unwrap();
    let zeroes = data.iter().filter(|&&byte| byte == 0).count();
    assert!((8_000..25_000).contains(&zeroes), "{zeroes} zeroes in 4 MiB of random bytes");
}

#[test]
fn nothing_is_allowed_nothing_is_erased() {
    let site = Site::allowing(&[]);
    assert_eq!(site.run(devices, json!({})).unwrap(), json!({}));
    assert_eq!(site.run(metadata, json!({})).unwrap(), Value::Null);
}

#[test]
fn a_protected_device_stops_the_step_before_the_first_is_touched() {
    let (innocent, shared) = (filled_file(8 << 20), filled_file(16 << 20));
    let arguments = ["--clear", "-n", "1:0:+4M", "-t", "1:37affc90-ef7d-4e96-91c3-2d7ae055b174"];
    assert!(Command::new("sgdisk").args(arguments).arg(shared.path()).output().unwrap().status.success());
    let before = std::fs::read(shared.path()).unwrap();
    let mut site = Site::allowing(&[innocent.path(), shared.path()]);
    for act in [devices, metadata] {
        let error = site.run(act, json!({"driver_internal_info": {"wipe_special_filesystems": false}})).unwrap_err();
        assert!(error.starts_with("Protected IBM General Parallel File System located on device"), "{error}");
    }
    assert_eq!(std::fs::read(innocent.path()).unwrap(), vec![0xa5; 8 << 20], "checked first, then touched");
    assert_eq!(std::fs::read(shared.path()).unwrap(), before);
    site.run(metadata, json!({"driver_info": {"wipe_special_filesystems": true}})).unwrap();
    site.guarded = false;
    site.run(devices, json!({})).unwrap();
}

#[test]
fn the_skip_list_and_read_only_rules_hold() {
    let (kept, read_only) = (filled_file(1 << 20), filled_file(1 << 20));
    let site = Site::allowing(&[kept.path(), read_only.path()]);
    let mut mode = std::fs::metadata(read_only.path()).unwrap().permissions();
    mode.set_readonly(true);
    std::fs::set_permissions(read_only.path(), mode).unwrap();
    let skip = json!([{"name": name(kept.path())}]);
    let error = site.run(devices, json!({"properties": {"skip_block_devices": skip}})).unwrap_err();
    assert!(error.contains("read-only"), "{error}");
    let node = json!({"properties": {"skip_block_devices": skip}, "driver_internal_info": {"agent_erase_skip_read_only": true}});
    let result = site.run(devices, node.clone()).unwrap();
    assert!(result[name(kept.path())].as_str().unwrap().contains("skip list"), "{result}");
    assert_eq!(result[name(read_only.path())], "skipped: read-only");
    site.run(metadata, node).unwrap();
    for file in [&kept, &read_only] {
        assert_eq!(std::fs::read(file.path()).unwrap(), vec![0xa5; 1 << 20]);
    }
}

#[test]
fn one_busy_disk_stops_the_step_before_the_first_is_touched() {
    let Some(disk) = LoopDevice::new(8 << 20, 512) else { return };
    let file = filled_file(1 << 20);
    let site = Site::allowing(&[file.path(), disk.path()]);
    let _user = BlockDevice::open(disk.path(), Access::Exclusive).unwrap();
    for act in [devices, metadata] {
        assert!(site.run(act, json!({})).unwrap_err().contains("in use"));
    }
    assert_eq!(std::fs::read(file.path()).unwrap(), vec![0xa5; 1 << 20]);
}

#[test]
fn loop_devices_are_erased_by_discard_and_zeroes_or_by_overwriting() {
    for (sector, info) in [(512, json!({})), (4096, json!({})), (512, json!({"agent_erase_devices_iterations": 2}))] {
        let Some(disk) = LoopDevice::new(24 << 20, sector) else { return };
        let device = BlockDevice::open(disk.path(), Access::Exclusive).unwrap();
        let data = vec![0x5a; 1 << 20];
        (0..24).for_each(|at| device.write_at(at << 20, &data).unwrap());
        device.sync().unwrap();
        drop(device);
        let site = Site::allowing(&[disk.path()]);
        site.run(devices, json!({"driver_internal_info": info})).unwrap();
        assert!(std::fs::read(disk.file()).unwrap().iter().all(|&byte| byte == 0));
    }
}

#[test]
fn metadata_of_partitions_and_disk_is_wiped_and_the_data_between_stays() {
    let Some(disk) = LoopDevice::new(64 << 20, 512) else { return };
    let run = |program: &str, arguments: &[&str], path: &Path| {
        let output = Command::new(program).args(arguments).arg(path).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run("sgdisk", &["-n", "1:0:+32M", "-n", "2:0:0"], disk.path());
    let _ = Command::new("partx").arg("--add").arg(disk.path()).output(); // kernels without GPT support learn them so
    let part = PathBuf::from(format!("{}p1", disk.path().display()));
    assert!(part.exists(), "the kernel has the partition");
    run("mkfs.ext4", &["-q", "-F"], &part);
    let site = Site::allowing(&[disk.path()]);
    let marker = BlockDevice::open(disk.path(), Access::Exclusive).unwrap();
    marker.write_at(20 << 20, b"tenant data").unwrap();
    marker.sync().unwrap();
    drop(marker);
    site.run(metadata, json!({})).unwrap();
    let device = BlockDevice::open(disk.path(), Access::Read).unwrap();
    assert!(look(&device).unwrap().is_empty());
    let mut superblock = [0; 1024];
    device.read_at((1 << 20) + 1024, &mut superblock).unwrap();
    assert_eq!(superblock[56..58], [0, 0], "the file system's magic is gone from inside the partition");
    let mut left = [0; 11];
    device.read_at(20 << 20, &mut left).unwrap();
    assert_eq!(&left, b"tenant data", "metadata only");
    assert!(!part.exists());
    site.run(metadata, json!({})).unwrap();
}
