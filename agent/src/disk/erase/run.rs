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
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What is erased by one order: one disk, or all namespaces behind a controller.
#[derive(Debug, PartialEq)]
pub struct Unit {
    pub disks: Vec<Disk>,
    pub method: Method,
}

/// Joins the namespaces that one order reaches.
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
        match units.iter_mut().find(over_it) {
            Some(unit) => unit.disks.push(disk),
            None => units.push(Unit { disks: vec![disk], method }),
        }
    }
    units
}

/// Erases all units, at most `options.concurrency` at the same time; all are tried.
///
/// # Errors
/// Everything that failed, after all have ended.
pub fn all(request: &Request<'_>, options: &Options, units: &[Unit]) -> Result<Vec<DiskProof>, DiskError> {
    let disks = units.iter().map(|unit| unit.disks.len()).sum::<usize>();
    request.progress.expect(units.iter().map(|unit| work(unit, options)).sum());
    request.progress.say(format!("erasing {disks} disks"));
    let queue = Mutex::new(units.iter());
    let (failures, proofs) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let lock = |list| Mutex::lock(list).unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        for _ in 0..options.concurrency.min(units.len()) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(unit) = next else { return };
                    match erase(unit, options, request) {
                        Ok(mut done) => proofs.lock().unwrap_or_else(PoisonError::into_inner).append(&mut done),
                        Err(error) => {
                            tracing::error!(device = %unit.disks[0].path.display(), %error, "erase failed");
                            lock(&failures).push(error.to_string());
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut proofs: Vec<DiskProof> = proofs.into_inner().unwrap_or_else(PoisonError::into_inner);
    proofs.sort_by(|one, other| one.device.cmp(&other.device));
    if failures.is_empty() { Ok(proofs) } else { Err(DiskError::Erase(failures.join("; "))) }
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
}

impl<'a> Bench<'a> {
    fn open(request: &Request<'_>, disk: &'a Disk) -> Result<Self, DiskError> {
        let path = request.gate.permit(&disk.path)?; // again: minutes may have passed since the first look
        let device = BlockDevice::open_when_free(&path, wipe::BUSY).map_err(DiskError::io("opening", &path))?;
        let started_at = proof::now();
        Ok(Self { disk, samples: Samples::leave_marks(&device)?, device, started_at })
    }

    fn over(&self, options: &Options, progress: &Progress) -> Result<ReadBack, DiskError> {
        let expect = write_over(&self.device, options, progress)?;
        self.samples.check(&self.device, &expect)
    }

    fn done(&self, method: Method, options: &Options, notes: &[String], read_back: ReadBack) -> DiskProof {
        wipe::reread(&self.device);
        let passes = match method {
            Method::Overwrite => options.passes(),
            Method::DiscardAndZero => 1,
            _ => 0,
        };
        proof::of(self.disk, method.name(), passes, notes, self.started_at, read_back)
    }
}

pub(super) fn erase(unit: &Unit, options: &Options, request: &Request<'_>) -> Result<Vec<DiskProof>, DiskError> {
    let benches = unit.disks.iter().map(|disk| Bench::open(request, disk)).collect::<Result<Vec<_>, _>>()?;
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
    Ok(benches.iter().zip(read).map(|(bench, read)| bench.done(method, options, &notes, read)).collect())
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
