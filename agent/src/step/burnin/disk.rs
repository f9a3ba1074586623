//! Disks: every one that may be erased is written with random data and read back, section by section. What was on them is lost.
//!
//! Which disks is decided where erasing decides it (`disk::erase`), so the skip list holds here, too - the reference ignores it.

use super::settings::Settings;
use super::{BurnIn, Until, report, together};
use crate::disk::erase::{Request, expendable};
use crate::disk::error::DiskError;
use crate::disk::guard::Gate;
use crate::disk::overwrite::{CHUNK, Pattern};
use crate::step::StepContext;
use crate::sys::aligned::AlignedBuffer;
use crate::sys::block::{Access, BlockDevice};
use crate::sys::orders::Kernel;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Written, flushed, then read back: more than the memory of a disk, so that reading asks the medium.
const SECTION: u64 = 1 << 30;

/// `agent_burnin_fio_disk_loops` times over every disk, for at most `agent_burnin_fio_disk_runtime` (0: no limit).
pub fn run(settings: &Settings<'_>, context: &StepContext) -> Result<(), BurnIn> {
    let loops = settings.number("fio_disk_loops", 4)?;
    let time = settings.time("fio_disk_runtime", 0)?;
    let file = settings.path("fio_disk_outputfile")?;
    if settings.flag("fio_disk_smart_test")? {
        return Err(BurnIn::Settings(
            "driver_info.agent_burnin_fio_disk_smart_test: this agent starts no self-tests of disks; every byte is read back instead. Remove the key"
                .into(),
        ));
    }
    let gate = Gate::of_this_machine(&context.rules.allow_erase)?;
    let guarded = context.rules.guard_special_filesystems;
    let disks = expendable(&Request {
        node: &context.node,
        gate: &gate,
        guarded,
        progress: &context.progress,
        discard: false,
        bay: &Kernel,
    })?;
    if disks.is_empty() {
        return Err(DiskError::NotFound("there is no disk that may be written: nothing was burnt in".into()).into());
    }
    context.progress.expect(disks.iter().map(|disk| disk.facts.size.saturating_mul(loops).saturating_mul(2)).sum());
    context.progress.say(format!("burn-in: {} disks, {loops} times", disks.len()));
    let until = Until::after((time > Duration::ZERO).then_some(time), &context.progress);
    let outcomes = together(&disks, |disk| burn(&disk.path, &gate, loops, &until, context));
    // Every disk is tried; all that failed are named.
    let mut failures = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(text) => report::leave(file.as_deref(), &text)?,
            Err(error) => failures.push(error.to_string()),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(BurnIn::Failed(failures.join("; "))) }
}

fn burn(path: &Path, gate: &Gate, loops: u64, until: &Until<'_>, context: &StepContext) -> Result<String, BurnIn> {
    let path = gate.permit(path)?;
    let device = BlockDevice::open(&path, Access::Exclusive).map_err(DiskError::io("opening", &path))?;
    let (tested, mut whole) = (AtomicU64::new(0), 0);
    'all: for _ in 0..loops {
        let pattern = Pattern::new();
        let mut start = 0;
        while start < device.size() {
            if !section(&device, start, &pattern, until, context, &tested)? {
                break 'all;
            }
            start += SECTION;
        }
        whole += 1;
    }
    let gib = tested.load(Ordering::Relaxed) >> 20;
    Ok(format!("disk {}: {gib} MiB written and read back, {whole} times the whole disk, all right", path.display()))
}

/// One section there and back; false when the time was over before it was read back whole.
fn section(
    device: &BlockDevice,
    start: u64,
    pattern: &Pattern,
    until: &Until<'_>,
    context: &StepContext,
    tested: &AtomicU64,
) -> Result<bool, BurnIn> {
    let end = device.size().min(start + SECTION);
    let mut buffer = AlignedBuffer::zeroed(CHUNK);
    for writing in [true, false] {
        let mut offset = start;
        while offset < end {
            if !until.go_on()? {
                return Ok(false);
            }
            let length = usize::try_from((end - offset).min(CHUNK as u64)).unwrap_or(CHUNK);
            let data = &mut buffer[..length];
            if writing {
                pattern.fill(offset / CHUNK as u64, data);
                device.write_at(offset, data).map_err(DiskError::io("writing", device.path()))?;
            } else {
                device.read_at(offset, data).map_err(DiskError::io("reading", device.path()))?;
                if let Some(at) = pattern.difference(offset, data) {
                    let place = offset + at as u64;
                    return Err(BurnIn::Failed(format!(
                        "{} gave back other data than was written, first at byte {place}; replace it",
                        device.path().display()
                    )));
                }
                tested.fetch_add(length as u64, Ordering::Relaxed);
            }
            context.progress.advance(length as u64);
            offset += length as u64;
        }
        if writing {
            device.sync().map_err(DiskError::io("flushing", device.path()))?;
            // What a plain file or a device without O_DIRECT keeps in memory must not answer for the medium.
            if let Err(error) = device.drop_cache() {
                tracing::info!(device = %device.path().display(), %error, "the page cache was not emptied");
            }
        }
    }
    Ok(true)
}
