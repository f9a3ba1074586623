//! Whole erases on the device model: files with firmware of our own.

use super::run::{Unit, all, units};
use super::{Request, devices, express};
use crate::disk::device_model::{AtaDrive, NvmeController, ScsiDrive, Shelf, lock};
use crate::disk::facts::Disk;
use crate::disk::guard::Gate;
use crate::disk::method::{Method, Options};
use crate::disk::nvme::Sanitize;
use crate::disk::proof::Outcome;
use crate::sys::progress::Progress;
use serde_json::{Map, Value, json};
use std::path::Path;

fn file() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![0xa5; 3 << 20]).unwrap();
    file
}

fn name(file: &tempfile::NamedTempFile) -> String {
    file.path().canonicalize().unwrap().display().to_string()
}

fn is_untouched(file: &tempfile::NamedTempFile) -> bool {
    std::fs::read(file.path()).unwrap() == vec![0xa5; 3 << 20]
}

type Act = fn(&Request<'_>) -> Result<Outcome, crate::disk::error::DiskError>;

fn run(act: Act, shelf: &Shelf, paths: &[&Path], node: Value) -> Result<Outcome, String> {
    let paths: Vec<_> = paths.iter().map(|path| path.to_path_buf()).collect();
    let (gate, progress) = (Gate::of_this_machine(&paths).unwrap(), Progress::default());
    let node: Map<String, Value> = node.as_object().unwrap().clone();
    let done =
        act(&Request { node: &node, gate: &gate, guarded: true, progress: &progress, discard: false, bay: shelf });
    if done.is_ok() && !progress.to_value()["percent"].is_null() {
        assert_eq!(progress.to_value()["percent"], 100);
    }
    done.map_err(|error| error.to_string())
}

#[test]
fn every_disk_gets_its_own_method_and_a_proof() {
    let (ata, sas, nvme, plain) = (file(), file(), file(), file());
    let mut shelf = Shelf::default();
    shelf.scsi(ata.path(), AtaDrive::new(ata.path()));
    shelf.scsi(sas.path(), ScsiDrive::new(sas.path()));
    shelf.nvme(NvmeController::new(&[nvme.path()]));
    let paths = [ata.path(), sas.path(), nvme.path(), plain.path()];
    let node = json!({"driver_internal_info": {"disk_erasure_concurrency": 4}});
    let outcome = run(devices, &shelf, &paths, node).unwrap();
    for (file, method, passes, expected) in [
        (&ata, "ata-security-erase-enhanced", 0, "marks-gone"),
        (&sas, "scsi-sanitize-crypto", 0, "marks-gone"),
        (&nvme, "nvme-format-crypto", 0, "marks-gone"),
        (&plain, "overwrite", 2, "zeroes"),
    ] {
        assert_eq!(outcome.result[name(file)], Value::Null);
        let proof = outcome.disks.iter().find(|disk| disk.device == name(file)).unwrap();
        assert_eq!((proof.method.as_str(), proof.passes, proof.size), (method, passes, 3 << 20));
        let back = &proof.read_back;
        assert_eq!((back.expected.as_str(), back.verdict.as_str()), (expected, "pass"));
        assert_eq!(back.places[0].0, 0);
        let (start, length) = *back.places.last().unwrap();
        assert_eq!(start + length, 3 << 20);
        assert!(proof.ended_at >= proof.started_at && proof.started_at > 1_700_000_000);
    }
}

#[test]
fn a_frozen_disk_stops_the_step_before_the_first_is_touched() {
    let (frozen, innocent) = (file(), file());
    let mut shelf = Shelf::default();
    let mut drive = AtaDrive::new(frozen.path());
    drive.frozen = true;
    shelf.scsi(frozen.path(), drive);
    let paths = [innocent.path(), frozen.path()];
    let error = run(devices, &shelf, &paths, json!({})).unwrap_err();
    assert!(error.contains("frozen") && error.contains(&name(&frozen)), "{error}");
    assert!(is_untouched(&frozen) && is_untouched(&innocent));
    let lenient = json!({"driver_internal_info": {"agent_continue_if_secure_erase_failed": true}});
    let outcome = run(devices, &shelf, &paths, lenient).unwrap();
    assert!(outcome.disks.iter().all(|disk| disk.method == "overwrite"));
}

#[test]
fn an_erase_without_effect_is_caught_and_written_over_only_when_allowed() {
    let lying = || {
        let disk = file();
        let mut shelf = Shelf::default();
        let mut controller = NvmeController::new(&[disk.path()]);
        controller.faults.lies = Some(0x80);
        shelf.nvme(controller);
        (disk, shelf)
    };
    let (disk, shelf) = lying();
    let error = run(devices, &shelf, &[disk.path()], json!({})).unwrap_err();
    assert!(error.contains("the erase had no effect"), "{error}");
    let lenient = json!({"driver_internal_info": {"agent_continue_if_ata_erase_failed": true}});
    let (disk, shelf) = lying();
    let outcome = run(devices, &shelf, &[disk.path()], lenient).unwrap();
    assert_eq!(outcome.disks[0].method, "overwrite");
    assert!(outcome.disks[0].notes[0].starts_with("nvme-format-crypto failed: "), "{:?}", outcome.disks[0].notes);
    assert!(std::fs::read(disk.path()).unwrap().iter().all(|byte| *byte == 0));
}

#[test]
fn a_discard_that_leaves_zeroes_stands_for_a_secure_erase_where_that_is_allowed() {
    let allowed = json!({"driver_internal_info": {"agent_enable_discard_erase": true}});
    let (frozen, lying) = (file(), file());
    let mut shelf = Shelf::default();
    let mut drive = AtaDrive::new(frozen.path());
    drive.frozen = true;
    shelf.scsi(frozen.path(), drive);
    let mut controller = NvmeController::new(&[lying.path()]);
    controller.faults.lies = Some(0x80);
    shelf.nvme(controller);
    let outcome = run(devices, &shelf, &[frozen.path(), lying.path()], allowed).unwrap();
    for disk in [&frozen, &lying] {
        let proof = outcome.disks.iter().find(|proof| proof.device == name(disk)).unwrap();
        assert_eq!((proof.method.as_str(), proof.passes, proof.read_back.expected.as_str()), ("discard", 0, "zeroes"));
        assert!(std::fs::read(disk.path()).unwrap().iter().all(|byte| *byte == 0));
    }
    let notes = |disk| &outcome.disks.iter().find(|proof| proof.device == name(disk)).unwrap().notes;
    assert!(notes(&frozen).is_empty() && notes(&lying)[0].starts_with("nvme-format-crypto failed: "));
}

#[test]
fn every_disk_is_tried_and_all_failures_are_told() {
    let (one, two, good) = (file(), file(), file());
    let mut shelf = Shelf::default();
    for disk in [&one, &two] {
        let mut drive = AtaDrive::new(disk.path());
        drive.faults.aborts = Some(0xf4);
        shelf.scsi(disk.path(), drive);
    }
    let error = run(devices, &shelf, &[one.path(), two.path(), good.path()], json!({})).unwrap_err();
    assert!(error.contains(&name(&one)) && error.contains(&name(&two)) && !error.contains(&name(&good)), "{error}");
    assert!(std::fs::read(good.path()).unwrap().iter().all(|byte| *byte == 0));
}

#[test]
fn namespaces_of_one_controller_are_erased_by_one_order() {
    let files = [file(), file(), file()];
    let mut shelf = Shelf::default();
    let mut controller = NvmeController::new(&[files[0].path(), files[1].path()]);
    controller.can_format = false;
    let controller = shelf.nvme(controller);
    let namespaces = [name(&files[0]), name(&files[1])].into_iter().collect::<std::collections::BTreeSet<_>>();
    let disk = |file: &tempfile::NamedTempFile| Disk {
        kernel_name: name(file),
        path: name(file).into(),
        namespaces: if namespaces.contains(&name(file)) { namespaces.clone() } else { Default::default() },
        facts: common::root_hint::DiskFacts { size: 3 << 20, ..Default::default() },
        ..Default::default()
    };
    let sanitize = Method::NvmeSanitize(Sanitize::Block);
    // One neighbour was to be overwritten: it goes with the other all the same.
    let plan =
        vec![(disk(&files[2]), Method::Overwrite), (disk(&files[1]), Method::Overwrite), (disk(&files[0]), sanitize)];
    let units: Vec<Unit> = units(plan.clone());
    let shape: Vec<_> = units.iter().map(|unit| (unit.disks.len(), unit.method)).collect();
    assert_eq!(shape, [(2, sanitize), (1, Method::Overwrite)]);
    let paths: Vec<_> = files.iter().map(|file| file.path().to_path_buf()).collect();
    let (gate, progress, node) = (Gate::of_this_machine(&paths).unwrap(), Progress::default(), Map::new());
    let request = Request { node: &node, gate: &gate, guarded: true, progress: &progress, discard: false, bay: &shelf };
    let proofs = all(&request, &Options::of(&node, false).unwrap(), plan).unwrap().proofs;
    assert_eq!(proofs.iter().filter(|proof| proof.method == "nvme-sanitize-block").count(), 2);
    assert_eq!(lock(&controller).seen.iter().filter(|(code, _)| *code == 0x84).count(), 1);
    assert!(files.iter().all(|file| std::fs::read(file.path()).unwrap().iter().all(|byte| *byte == 0)));
}

#[test]
fn a_disk_with_two_paths_is_erased_once_and_a_disk_that_only_has_its_name_is_erased_too() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().canonicalize().unwrap().join(name);
    std::fs::write(place("one"), vec![0xa5; 3 << 20]).unwrap();
    std::fs::hard_link(place("one"), place("other-path")).unwrap();
    std::fs::write(place("stranger"), vec![0xa5; 3 << 20]).unwrap();
    let names = ["one", "other-path", "stranger"].map(|name| place(name).display().to_string());
    // Three disks with one world wide name: two are paths to one, the third lies behind a bad bridge.
    let plan = names.each_ref().map(|name| Disk {
        kernel_name: name.clone(),
        path: name.into(),
        paths: names.iter().filter(|other| *other != name).cloned().collect(),
        facts: common::root_hint::DiskFacts { size: 3 << 20, ..Default::default() },
        ..Default::default()
    });
    let plan: Vec<_> = plan.into_iter().map(|disk| (disk, Method::Overwrite)).collect();
    let planned = units(plan.clone());
    assert_eq!((planned.len(), planned[0].disks.len(), planned[0].paths.len()), (1, 1, 2));
    let paths: Vec<_> = names.iter().map(Into::into).collect();
    let (gate, progress, node) = (Gate::of_this_machine(&paths).unwrap(), Progress::default(), Map::new());
    let bay = Shelf::default();
    let request = Request { node: &node, gate: &gate, guarded: true, progress: &progress, discard: false, bay: &bay };
    let done = all(&request, &Options::of(&node, false).unwrap(), plan).unwrap();
    let seen: Vec<_> = done.proofs.iter().map(|proof| (proof.device.clone(), proof.notes.len())).collect();
    assert_eq!(seen, [(names[0].clone(), 1), (names[2].clone(), 0)], "one proof for each disk");
    assert!(done.proofs[0].notes[0].contains(&names[1]), "{:?}", done.proofs[0].notes);
    assert_eq!((done.reached, done.strangers), (vec![place("other-path")], vec![]));
    for name in ["one", "stranger"] {
        assert!(std::fs::read(place(name)).unwrap().iter().all(|byte| *byte == 0), "{name}");
    }
}

#[test]
fn express_erases_nvme_at_once_and_only_wipes_the_rest() {
    let (nvme, broken, ata) = (file(), file(), file());
    let mut shelf = Shelf::default();
    shelf.nvme(NvmeController::new(&[nvme.path()]));
    let mut refuses = NvmeController::new(&[broken.path()]);
    refuses.faults.aborts = Some(0x80);
    shelf.nvme(refuses);
    let drive = shelf.scsi(ata.path(), AtaDrive::new(ata.path()));
    let outcome = run(express, &shelf, &[nvme.path(), broken.path(), ata.path()], json!({})).unwrap();
    assert_eq!(outcome.result, Value::Null);
    let method = |file| outcome.disks.iter().find(|disk| disk.device == name(file)).unwrap();
    assert_eq!(method(&nvme).method, "nvme-format-crypto");
    assert_eq!(method(&ata).method, "metadata-wipe");
    assert_eq!((method(&broken).method.as_str(), method(&broken).notes.len()), ("metadata-wipe", 1));
    assert!(!lock(&drive).seen.contains(&0xf1), "no password was set");
    let data = std::fs::read(ata.path()).unwrap();
    assert!(data[..1 << 20].iter().chain(&data[2 << 20..]).all(|byte| *byte == 0));
    assert_eq!(data[1 << 20], 0xa5);
}
