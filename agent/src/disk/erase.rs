//! Erasing the disks of a machine. Everything is looked at and checked first; only when nothing speaks against any of
//! them is the first one touched.

use super::choose;
use super::error::DiskError;
use super::facts::{Disk, look};
use super::guard::Gate;
use super::method::{self, Method, Options};
use super::overwrite::{self, Pattern};
use super::protect;
use super::verify::{Expect, Samples};
use super::wipe;
use crate::sys::block::{Access, BlockDevice};
use crate::sys::progress::Progress;
use crate::sys::sysfs::Roots;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

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
}

/// The disks to erase and those passed over, after every check has been made on all of them.
struct Sorted {
    going: Vec<Disk>,
    passed: Vec<(String, String)>,
}

fn sort_out(request: &Request<'_>, skip_read_only: bool) -> Result<Sorted, DiskError> {
    let disks = look(&Roots::machine(), request.gate.scope())?;
    let kept = choose::kept(&disks, request.node)?;
    let volumes = choose::kept_volumes(request.node);
    let mut sorted = Sorted { going: Vec::new(), passed: Vec::new() };
    for disk in disks {
        let reason = if choose::is_kept(&disk, &kept) {
            Some("on the skip list, or sharing data with a device on it")
        } else if disk.virtual_media {
            Some("the ramdisk's virtual floppy")
        } else if disk.raid_member {
            // The array is a disk of its own and is erased as one.
            Some("member of an assembled RAID")
        } else if disk.read_only && skip_read_only {
            Some("read-only")
        } else if disk.read_only {
            return Err(DiskError::Erase(format!(
                "{} is read-only and cannot be erased; remove it, or set agent_erase_skip_read_only",
                disk.path.display()
            )));
        } else {
            request.gate.permit(&disk.path)?;
            let found = protect::check(&disk, protect::is_on(request.guarded, request.node))?;
            // An array that is not assembled is known by the label on its members.
            let named = |label: &String| volumes.contains(label.rsplit(':').next().unwrap_or(label));
            found
                .iter()
                .any(|found| found.is_raid_member() && found.labels.iter().any(named))
                .then_some("member of a RAID volume on the skip list")
        };
        match reason {
            Some(reason) => {
                tracing::warn!(device = %disk.path.display(), reason, "not erased");
                sorted.passed.push((disk.path.display().to_string(), format!("skipped: {reason}")));
            }
            None => sorted.going.push(disk),
        }
    }
    Ok(sorted)
}

/// The disks whose contents may be lost, after every check has been made on all of them (read-only ones aside).
///
/// # Errors
/// As [`devices`].
pub fn expendable(request: &Request<'_>) -> Result<Vec<Disk>, DiskError> {
    Ok(sort_out(request, true)?.going)
}

/// Step `erase_devices`: erases every disk that is not to be kept, several at a time. Returns a map from device to null,
/// or to the reason why it was passed over.
///
/// # Errors
/// The first thing that speaks against a disk, before any is touched; or all failures, after all have ended.
pub fn devices(request: &Request<'_>) -> Result<Value, DiskError> {
    let options = Options::of(request.node)?;
    let Sorted { going, passed } = sort_out(request, options.skip_read_only)?;
    let names: BTreeSet<String> = going.iter().map(|disk| disk.kernel_name.clone()).collect();
    let mut plan = Vec::new();
    for disk in &going {
        plan.push((disk, method::choose(disk, controller(disk), &options, &names)?));
    }
    request.progress.expect(plan.iter().map(|(disk, method)| work(disk, *method, &options)).sum());
    request.progress.say(format!("erasing {} disks", plan.len()));

    let queue = Mutex::new(plan.iter());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.concurrency.min(plan.len()) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((disk, method)) = next else { return };
                    if let Err(error) = erase(disk, *method, &options, request) {
                        tracing::error!(device = %disk.path.display(), %error, "erase failed");
                        failures.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string());
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failures.is_empty() {
        return Err(DiskError::Erase(failures.join("; ")));
    }
    request.progress.say("all disks are erased and verified");
    let erased = going.iter().map(|disk| (disk.path.display().to_string(), Value::Null));
    Ok(erased.chain(passed.into_iter().map(|(name, reason)| (name, Value::String(reason)))).collect())
}

fn controller(disk: &Disk) -> Option<crate::sys::nvme::Controller> {
    if !disk.kernel_name.starts_with("nvme") {
        return None;
    }
    let asked = BlockDevice::open(&disk.path, Access::Read).and_then(|device| device.nvme()?.controller());
    match asked {
        Ok(controller) => Some(controller),
        Err(error) => {
            tracing::warn!(device = %disk.path.display(), %error, "the NVMe controller does not say whether it can format");
            None
        }
    }
}

fn work(disk: &Disk, method: Method, options: &Options) -> u64 {
    match method {
        Method::NvmeFormat { .. } => 0,
        Method::DiscardAndZero => disk.facts.size,
        Method::Overwrite => disk.facts.size.saturating_mul(options.iterations + u64::from(options.zeroize)),
    }
}

/// One format at a time: with some controllers it locks all namespaces.
static FORMAT: Mutex<()> = Mutex::new(());

fn erase(disk: &Disk, method: Method, options: &Options, request: &Request<'_>) -> Result<(), DiskError> {
    let path = request.gate.permit(&disk.path)?; // again: minutes may have passed since the first look
    let device = BlockDevice::open(&path, Access::Exclusive).map_err(DiskError::io("opening", &path))?;
    let samples = Samples::leave_marks(&device)?;
    let over = || -> Result<(), DiskError> {
        let expect = write_over(&device, options, request.progress)?;
        samples.check(&device, &expect)
    };
    match method {
        Method::Overwrite => over()?,
        Method::DiscardAndZero => {
            request.progress.say(format!("{}: discard and zeroes by the device", path.display()));
            overwrite::discard(&device);
            let zeroed =
                overwrite::zero_out(&device, request.progress).and_then(|()| samples.check(&device, &Expect::Zeroes));
            if let Err(error) = zeroed {
                if request.progress.is_cancelled() {
                    return Err(error);
                }
                tracing::warn!(device = %path.display(), %error, "the device's own zeroes failed; overwriting");
                over()?;
            }
        }
        Method::NvmeFormat { crypto } => {
            request.progress.say(format!(
                "{}: NVMe format{}",
                path.display(),
                if crypto { " (crypto erase)" } else { "" }
            ));
            let formatted = {
                let _alone = FORMAT.lock().unwrap_or_else(PoisonError::into_inner);
                device.nvme().and_then(|namespace| namespace.format(crypto))
            };
            match formatted.map_err(DiskError::io("formatting", &path)) {
                Ok(()) => samples.check(&device, &Expect::MarksGone)?,
                Err(error) if options.continue_if_failed => {
                    tracing::warn!(device = %path.display(), %error, "NVMe format failed; overwriting, as asked");
                    over()?;
                }
                Err(error) => return Err(error),
            }
        }
    }
    wipe::reread(&device);
    request.progress.say(format!("{}: erased and verified", path.display()));
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

/// Step `erase_devices_metadata`: wipes partitions, then their disks, so that no system and no signature is found.
///
/// # Errors
/// The first thing that speaks against a disk, before any is touched; or all failures, after all have been tried.
pub fn metadata(request: &Request<'_>) -> Result<Value, DiskError> {
    let Sorted { going, .. } = sort_out(request, true)?;
    let mut failures = Vec::new();
    for disk in going.iter().rev() {
        request.progress.say(format!("wiping metadata of {}", disk.path.display()));
        let mut parts: Vec<_> = disk.partitions.iter().map(|part| &part.path).collect();
        parts.sort();
        for path in parts.into_iter().rev().chain([&disk.path]) {
            let wiped = request.gate.permit(path).and_then(|path| wipe::wipe(&path));
            failures.extend(wiped.err().map(|error| error.to_string()));
        }
    }
    if failures.is_empty() { Ok(Value::Null) } else { Err(DiskError::Erase(failures.join("; "))) }
}

#[cfg(test)]
mod tests;
