//! Erasing the disks of a machine. Everything is looked at and checked first (`survey`); only when nothing speaks against
//! any of them is the first one touched (`run`).

mod run;
mod survey;

use super::error::DiskError;
use super::facts::Disk;
use super::guard::Gate;
use super::method::{self, Abilities, Method, Options};
use super::proof::{self, Outcome};
use super::wipe;
use super::{firmware, nvme};
use crate::sys::orders::Bay;
use crate::sys::progress::Progress;
use common::erase_proof::{DiskProof, ReadBack};
use run::units;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use survey::{Leniency, Sorted, sort_out};

/// Of the steps that only wipe metadata.
const MILD: Leniency = Leniency { read_only: true, neighbours: true };

/// What an erase needs to know.
pub struct Request<'a> {
    /// The node record.
    pub node: &'a Map<String, Value>,
    /// The safety gate.
    pub gate: &'a Gate,
    /// Shared file systems are protected.
    pub guarded: bool,
    /// Where progress goes.
    pub progress: &'a Progress,
    /// The site's word on `agent_enable_discard_erase`, for nodes that say nothing of it.
    pub discard: bool,
    /// Where the disks' firmware is reached.
    pub bay: &'a dyn Bay,
}

/// The disks whose contents may be lost, after every check has been made on all of them (read-only ones aside); of several
/// paths to one the first.
///
/// # Errors
/// As [`devices`].
pub fn expendable(request: &Request<'_>) -> Result<Vec<Disk>, DiskError> {
    let mut going: Vec<Disk> = Vec::new();
    for disk in sort_out(request, MILD)?.going.into_iter().filter(|disk| !disk.is_partition) {
        // Who works on both paths to one disk works against himself.
        if !going.iter().any(|first| first.paths.contains(&disk.kernel_name)) {
            going.push(disk);
        }
    }
    Ok(going)
}

/// Step `erase_devices`: erases every disk that is not to be kept, several at a time. The result is a map from device to
/// null, or to the reason why it was passed over.
///
/// # Errors
/// The first thing that speaks against a disk, before any is touched; or all failures, after all have ended.
pub fn devices(request: &Request<'_>) -> Result<Outcome, DiskError> {
    let options = Options::of(request.node, request.discard)?;
    let Sorted { going, passed } =
        sort_out(request, Leniency { read_only: options.skip_read_only, neighbours: false })?;
    let names = names(&going);
    let mut plan = Vec::new();
    for disk in going {
        let abilities = firmware::abilities(request.bay, &disk);
        let method = method::choose(&disk, &abilities, &options, &names)?;
        plan.push((disk, method));
    }
    let run::Erased { proofs: disks, reached, .. } = run::all(request, &options, plan)?;
    request.progress.say("all disks are erased and verified");
    let reached = reached.iter().map(|path| path.display().to_string());
    let erased = disks.iter().map(|disk| disk.device.clone()).chain(reached).map(|name| (name, Value::Null));
    let skipped = passed.iter().map(|(name, reason)| (name.clone(), Value::String(format!("skipped: {reason}"))));
    Ok(Outcome { result: erased.chain(skipped).collect(), disks, passed_over: passed })
}

fn names(disks: &[Disk]) -> BTreeSet<String> {
    disks.iter().map(|disk| disk.kernel_name.clone()).collect()
}

/// Step `erase_devices_metadata`: wipes partitions, then their disks, so that no system and no signature is found.
///
/// # Errors
/// The first thing that speaks against a disk, before any is touched; or all failures, after all have been tried.
pub fn metadata(request: &Request<'_>) -> Result<Outcome, DiskError> {
    let Sorted { going, passed } = sort_out(request, MILD)?;
    let (mut disks, mut failures) = (Vec::new(), Vec::new());
    for disk in going.iter().rev() {
        match wipe_disk(request, disk, &[]) {
            Ok(done) => disks.push(done),
            Err(error) => failures.push(error.to_string()),
        }
    }
    finish(disks, failures, passed)
}

/// Step `erase_devices_express`: NVMe disks erase themselves, all others (and those that cannot) lose their metadata.
///
/// # Errors
/// As [`metadata`].
pub fn express(request: &Request<'_>) -> Result<Outcome, DiskError> {
    let options = Options::of(request.node, request.discard)?;
    let Sorted { going, passed } = sort_out(request, MILD)?;
    let names = names(&going);
    let (mut fast, mut rest) = (Vec::new(), Vec::new());
    for disk in going {
        match quick(&disk, &firmware::abilities(request.bay, &disk), &options, &names) {
            Some(method) => fast.push((disk, method)),
            None => rest.push((disk, Vec::new())),
        }
    }
    let (mut disks, mut failures) = (Vec::new(), Vec::new());
    // Not a word about overwriting: whoever wants it fast does not want that.
    let options = Options { continue_if_failed: false, discard: false, ..options };
    let mut open = units(fast);
    while let Some(unit) = open.pop() {
        match run::erase(&unit, &options, request) {
            Ok(done) => {
                disks.extend(done.proofs);
                open.extend(units(done.strangers));
            }
            Err(error) => {
                tracing::warn!(%error, "{} failed; wiping metadata instead", unit.method.name());
                let note = format!("{} failed: {error}", unit.method.name());
                let all = unit.disks.into_iter().chain(unit.paths.into_iter().map(|(disk, _)| disk));
                rest.extend(all.map(|disk| (disk, vec![note.clone()])));
            }
        }
    }
    for (disk, notes) in rest.iter().rev() {
        match wipe_disk(request, disk, notes) {
            Ok(done) => disks.push(done),
            Err(error) => failures.push(error.to_string()),
        }
    }
    finish(disks, failures, passed)
}

/// An NVMe disk's own erase, if it takes minutes at most and reaches nothing that stays.
fn quick(disk: &Disk, abilities: &Abilities, options: &Options, going: &BTreeSet<String>) -> Option<Method> {
    abilities.nvme.as_ref()?;
    let strict = Options { continue_if_failed: false, discard: false, ..options.clone() };
    let method = method::choose(disk, abilities, &strict, going).ok()?;
    (method.is_secure() && method != Method::NvmeSanitize(nvme::Sanitize::Overwrite)).then_some(method)
}

/// Partitions before their disk: file systems inside leave no trace for a later table that happens to be the same.
fn wipe_disk(request: &Request<'_>, disk: &Disk, notes: &[String]) -> Result<DiskProof, DiskError> {
    request.progress.say(format!("wiping metadata of {}", disk.path.display()));
    let started_at = proof::now();
    let mut parts: Vec<_> = disk.partitions.iter().map(|part| &part.path).collect();
    parts.sort();
    let failures: Vec<String> = parts
        .into_iter()
        .rev()
        .chain([&disk.path])
        .filter_map(|path| request.gate.permit(path).and_then(|path| wipe::wipe(&path)).err())
        .map(|error| error.to_string())
        .collect();
    if !failures.is_empty() {
        return Err(DiskError::Erase(failures.join("; ")));
    }
    let read_back = ReadBack { expected: "zeroes".into(), places: wipe::ends(disk.facts.size), verdict: "pass".into() };
    Ok(proof::of(disk, "metadata-wipe", 0, notes, started_at, read_back))
}

fn finish(
    disks: Vec<DiskProof>,
    failures: Vec<String>,
    passed_over: std::collections::BTreeMap<String, String>,
) -> Result<Outcome, DiskError> {
    if failures.is_empty() {
        Ok(Outcome { result: Value::Null, disks, passed_over })
    } else {
        Err(DiskError::Erase(failures.join("; ")))
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
