//! Erasing what was chosen: several disks at a time, each marked before and read back after.

use super::Request;
use crate::disk::error::DiskError;
use crate::disk::facts::Disk;
use crate::disk::method::{Method, Options};
use crate::disk::overwrite::{self, Pattern};
use crate::disk::verify::{Expect, Samples};
use crate::disk::{firmware, proof, wipe};
use crate::sys::block::BlockDevice;
use crate::sys::progress::Progress;
use common::erase_proof::{DiskProof, ReadBack};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What is erased by one order: one disk, or all namespaces behind a controller.
#[derive(Debug, PartialEq)]
pub struct Unit {
    pub disks: Vec<Disk>,
    pub method: Method,
    /// Other ways to these disks, as it seems: what would be done if they turn out to be disks of their own.
    pub paths: Vec<(Disk, Method)>,
}

/// What was done to a unit, or to several.
#[derive(Debug, Default)]
pub struct Erased {
    pub proofs: Vec<DiskProof>,
    /// Other paths to what was erased.
    pub reached: Vec<PathBuf>,
    /// Not erased yet: they have the world wide name of a disk that was erased, but are not that disk.
    pub strangers: Vec<(Disk, Method)>,
}

impl Erased {
    fn and(&mut self, mut more: Erased) {
        self.proofs.append(&mut more.proofs);
        self.reached.append(&mut more.reached);
        self.strangers.append(&mut more.strangers);
    }
}

/// Joins the namespaces that one order reaches, and the paths to one disk.
pub fn units(mut plan: Vec<(Disk, Method)>) -> Vec<Unit> {
    // Those that reach others first: whatever was chosen for a neighbour (its controller may not have answered a second
    // time), it must not be at work while the ground is erased under it.
    plan.sort_by_key(|(_, method)| !method.reaches_controller());
    let mut units: Vec<Unit> = Vec::new();
    for (disk, method) in plan {
        let over_it = |unit: &&mut Unit| {
            unit.method.reaches_controller()
                && unit.disks.iter().any(|first| first.namespaces.contains(&disk.kernel_name))
        };
        let is_path = |unit: &&mut Unit| unit.disks.iter().any(|first| first.paths.contains(&disk.kernel_name));
        if let Some(unit) = units.iter_mut().find(is_path) {
            unit.paths.push((disk, method));
        } else if let Some(unit) = units.iter_mut().find(over_it) {
            unit.disks.push(disk);
        } else {
            units.push(Unit { disks: vec![disk], method, paths: Vec::new() });
        }
    }
    units
}

/// Erases what was planned; what only looked like a path to a disk comes after it. All are tried.
///
/// # Errors
/// Everything that failed, after all have ended.
pub fn all(request: &Request<'_>, options: &Options, plan: Vec<(Disk, Method)>) -> Result<Erased, DiskError> {
    let (mut done, mut failures, mut open) = (Erased::default(), Vec::new(), units(plan));
    while !open.is_empty() {
        let (erased, failed) = side_by_side(request, options, &open);
        done.and(erased);
        failures.extend(failed);
        // Each round erases the first of those that share a name, so there is an end.
        open = units(std::mem::take(&mut done.strangers));
    }
    done.proofs.sort_by(|one, other| one.device.cmp(&other.device));
    if failures.is_empty() { Ok(done) } else { Err(DiskError::Erase(failures.join("; "))) }
}

/// At most `options.concurrency` at the same time.
fn side_by_side(request: &Request<'_>, options: &Options, units: &[Unit]) -> (Erased, Vec<String>) {
    let disks = units.iter().map(|unit| unit.disks.len()).sum::<usize>();
    request.progress.expect(units.iter().map(|unit| work(unit, options)).sum());
    request.progress.say(format!("erasing {disks} disks"));
    let queue = Mutex::new(units.iter());
    let (failures, erased) = (Mutex::new(Vec::new()), Mutex::new(Erased::default()));
    std::thread::scope(|scope| {
        for _ in 0..options.concurrency.min(units.len()) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(unit) = next else { return };
                    match erase(unit, options, request) {
                        Ok(done) => erased.lock().unwrap_or_else(PoisonError::into_inner).and(done),
                        Err(error) => {
                            tracing::error!(device = %unit.disks[0].path.display(), %error, "erase failed");
                            failures.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string());
                        }
                    }
                }
            });
        }
    });
    let erased = erased.into_inner().unwrap_or_else(PoisonError::into_inner);
    (erased, failures.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn size(unit: &Unit) -> u64 {
    unit.disks.iter().map(|disk| disk.facts.size).sum()
}

fn work(unit: &Unit, options: &Options) -> u64 {
    size(unit).saturating_mul(if unit.method == Method::Overwrite { options.passes() } else { 1 })
}

/// One format at a time: with some controllers it locks all namespaces.
static FORMAT: Mutex<()> = Mutex::new(());

/// A disk of a unit at work.
struct Bench<'a> {
    disk: &'a Disk,
    device: BlockDevice,
    samples: Samples,
    started_at: u64,
    /// Other ways to it, held so that nobody uses them meanwhile.
    paths: Vec<BlockDevice>,
}

impl<'a> Bench<'a> {
    fn open(request: &Request<'_>, disk: &'a Disk) -> Result<Self, DiskError> {
        let device = open(request, disk)?;
        let started_at = proof::now();
        Ok(Self { disk, samples: Samples::leave_marks(&device)?, device, started_at, paths: Vec::new() })
    }

    fn over(&self, options: &Options, progress: &Progress) -> Result<ReadBack, DiskError> {
        let expect = write_over(&self.device, options, progress)?;
        self.samples.check(&self.device, &expect)
    }

    /// Through every path the marks must be gone: what is done through one may be late, or hidden, in another.
    fn done(
        &self,
        method: Method,
        options: &Options,
        notes: &[String],
        read_back: ReadBack,
    ) -> Result<DiskProof, DiskError> {
        let mut notes = notes.to_vec();
        for path in &self.paths {
            self.samples.check(path, &Expect::MarksGone)?;
            wipe::reread(path);
            notes.push(format!("{} is another path to it: erased once, read back through both", path.path().display()));
        }
        wipe::reread(&self.device);
        let passes = match method {
            Method::Overwrite => options.passes(),
            Method::DiscardAndZero => 1,
            _ => 0,
        };
        Ok(proof::of(self.disk, method.name(), passes, &notes, self.started_at, read_back))
    }
}

fn open(request: &Request<'_>, disk: &Disk) -> Result<BlockDevice, DiskError> {
    let path = request.gate.permit(&disk.path)?; // again: minutes may have passed since the first look
    BlockDevice::open_when_free(&path, wipe::BUSY).map_err(DiskError::io("opening", &path))
}

/// Gives the other paths to the disks that they lead to. Only marks that can be read there prove it: bridges are known that
/// give every disk the same name, and such a disk is one more to erase.
fn join<'a>(
    request: &Request<'_>,
    unit: &'a Unit,
    benches: &mut [Bench<'a>],
) -> Result<Vec<(Disk, Method)>, DiskError> {
    let mut strangers = Vec::new();
    for (disk, method) in &unit.paths {
        let device = open(request, disk)?;
        let named = benches.iter_mut().filter(|bench| bench.disk.paths.contains(&disk.kernel_name));
        let mut same = None;
        for bench in named {
            if bench.samples.are_on(&device)? {
                same = Some(bench);
                break;
            }
        }
        match same {
            Some(bench) => bench.paths.push(device),
            None => strangers.push((disk.clone(), *method)),
        }
    }
    Ok(strangers)
}

pub(super) fn erase(unit: &Unit, options: &Options, request: &Request<'_>) -> Result<Erased, DiskError> {
    let mut benches = unit.disks.iter().map(|disk| Bench::open(request, disk)).collect::<Result<Vec<_>, _>>()?;
    let strangers = join(request, unit, &mut benches)?;
    let names: Vec<String> = unit.disks.iter().map(|disk| disk.path.display().to_string()).collect();
    let names = names.join(", ");
    request.progress.say(format!("{names}: {}", unit.method.name()));
    let (mut method, mut notes) = (unit.method, Vec::new());
    let read = loop {
        let error = match attempt(method, unit, &benches, options, request) {
            Ok(read) => break read,
            Err(error) => error,
        };
        let Some(next) = instead(method, unit, options).filter(|_| !request.progress.is_cancelled()) else {
            return Err(error);
        };
        tracing::warn!(device = %names, %error, "{} failed; {} instead", method.name(), next.name());
        notes.push(format!("{} failed: {error}", method.name()));
        method = next;
    };
    request.progress.say(format!("{names}: erased and verified"));
    let proofs = benches.iter().zip(read).map(|(bench, read)| bench.done(method, options, &notes, read));
    let proofs = proofs.collect::<Result<Vec<_>, _>>()?;
    let reached = benches.iter().flat_map(|bench| &bench.paths).map(|path| path.path().to_path_buf()).collect();
    Ok(Erased { proofs, reached, strangers })
}

/// What is tried after a method has failed, if that is allowed. The kernel's zeroes are no secure erase: whoever asks for an
/// erase gets one all the same.
fn instead(method: Method, unit: &Unit, options: &Options) -> Option<Method> {
    let discards = options.discard && unit.disks.iter().all(|disk| disk.discards);
    match method {
        Method::Overwrite => None,
        Method::DiscardAndZero => Some(Method::Overwrite),
        method if method.is_secure() && discards => Some(Method::Discard),
        _ => options.continue_if_failed.then_some(Method::Overwrite),
    }
}

fn attempt(
    method: Method,
    unit: &Unit,
    benches: &[Bench<'_>],
    options: &Options,
    request: &Request<'_>,
) -> Result<Vec<ReadBack>, DiskError> {
    let progress = request.progress;
    match method {
        Method::Overwrite => benches.iter().map(|bench| bench.over(options, progress)).collect(),
        Method::Discard => benches
            .iter()
            .map(|bench| {
                overwrite::discard_all(&bench.device, progress)?;
                bench.samples.check(&bench.device, &Expect::Zeroes)
            })
            .collect(),
        Method::DiscardAndZero => benches
            .iter()
            .map(|bench| {
                overwrite::discard(&bench.device);
                overwrite::zero_out(&bench.device, progress)?;
                bench.samples.check(&bench.device, &Expect::Zeroes)
            })
            .collect(),
        method => {
            by_itself(unit, benches, method, request)?;
            benches.iter().map(|bench| bench.samples.check(&bench.device, &Expect::MarksGone)).collect()
        }
    }
}

/// The device erases itself; its own figures of progress become ours.
fn by_itself(unit: &Unit, benches: &[Bench<'_>], method: Method, request: &Request<'_>) -> Result<(), DiskError> {
    let first = &benches[0];
    let (name, whole, shown) = (first.device.path().display(), size(unit), AtomicU64::new(0));
    let told = |percent: u64| {
        let before = shown.fetch_max(percent.min(100), Ordering::Relaxed);
        let more = percent.min(100).saturating_sub(before);
        request.progress.advance(whole / 100 * more);
        if more > 0 {
            request.progress.say(format!("{name}: {}, {percent} % by the device's own figures", method.name()));
        }
    };
    let say = |text: String| request.progress.say(format!("{name}: {text}"));
    let _alone =
        matches!(method, Method::NvmeFormat { .. }).then(|| FORMAT.lock().unwrap_or_else(PoisonError::into_inner));
    firmware::erase(request.bay, &first.device, method, &told, &say)?;
    let counted = whole / 100 * shown.load(Ordering::Relaxed);
    request.progress.advance(whole - counted);
    Ok(())
}

fn write_over(device: &BlockDevice, options: &Options, progress: &Progress) -> Result<Expect, DiskError> {
    let name = device.path().display();
    let mut expect = Expect::Zeroes;
    for pass in 1..=options.iterations {
        progress.say(format!("{name}: random pass {pass} of {}", options.iterations));
        let pattern = Pattern::new();
        overwrite::pass(device, Some(&pattern), progress)?;
        expect = Expect::Random(pattern);
    }
    if options.zeroize {
        progress.say(format!("{name}: zeroes"));
        overwrite::pass(device, None, progress)?;
        expect = Expect::Zeroes;
    }
    Ok(expect)
}
