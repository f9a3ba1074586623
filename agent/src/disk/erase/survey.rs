//! Looking at every disk before the first is touched: which are erased, which passed over, what speaks against it all.

use super::Request;
use crate::disk::choose;
use crate::disk::error::DiskError;
use crate::disk::facts::{Disk, Partition, idle_members, look_for};
use crate::disk::signature::Signatures;
use crate::disk::{firmware, protect};
use crate::sys::sysfs::Roots;
use common::root_hint::DiskFacts;
use std::collections::{BTreeMap, BTreeSet};

/// The disks to erase and those passed over with the reason, after every check has been made on all of them.
#[derive(Debug, Default)]
pub struct Sorted {
    pub going: Vec<Disk>,
    pub passed: BTreeMap<String, String>,
}

const RAID_MEMBER: &str = "member of an assembled RAID, which is erased as a whole, as is every partition beside it";

/// What a step does with the disks that it may pass over.
#[derive(Clone, Copy, Debug)]
pub struct Leniency {
    /// Read-only disks are passed over; else they are an error.
    pub read_only: bool,
    /// Arrays that share disks with a kept volume are passed over; else they are erased (ipa-features 17: of the steps
    /// only `erase_devices` erases them).
    pub neighbours: bool,
}

/// Sorts the disks of this machine.
///
/// # Errors
/// The first thing that speaks against a disk.
pub fn sort_out(request: &Request<'_>, lenient: Leniency) -> Result<Sorted, DiskError> {
    let disks = look_for(&Roots::machine(), request.gate.scope(), request.node)?;
    sort(request, disks, lenient)
}

pub(super) fn sort(request: &Request<'_>, disks: Vec<Disk>, lenient: Leniency) -> Result<Sorted, DiskError> {
    let kept = choose::kept(&disks, request.node)?;
    let named = choose::named(&disks, request.node)?;
    let beside_kept = |disk: &Disk| !lenient.neighbours && choose::is_only_beside(disk, &disks, &named);
    let emptied: BTreeSet<String> =
        disks.iter().filter(|disk| beside_kept(disk)).map(|disk| disk.kernel_name.clone()).collect();
    let volumes = choose::kept_volumes(request.node);
    members_are_covered(&disks, &kept)?;
    let mut sorted = Sorted::default();
    let beside: Vec<Disk> = disks.iter().flat_map(|disk| beside_arrays(disk, &kept)).collect();
    for disk in disks.into_iter().chain(beside) {
        let reason = if choose::is_kept(&disk, &kept) && !emptied.contains(&disk.kernel_name) {
            Some("on the skip list, or sharing data with a device on it")
        } else if disk.virtual_media {
            Some("the ramdisk's virtual floppy")
        } else if disk.raid_member {
            Some(RAID_MEMBER)
        } else if disk.read_only && lenient.read_only {
            Some("read-only")
        } else if disk.read_only {
            return Err(DiskError::Erase(format!(
                "{} is read-only and cannot be erased; remove it, or set agent_erase_skip_read_only",
                disk.path.display()
            )));
        } else {
            request.gate.permit(&disk.path)?;
            signatures(request, &disk)?;
            // Of a disk that was locked until now nobody could say whether it is a member of an array that does not run.
            let is_kept = || idle_members(&disk).values().any(|volume| volumes.contains(volume));
            (!volumes.is_empty() && is_kept()).then_some("member of a RAID volume on the skip list")
        };
        match reason {
            Some(reason) => {
                tracing::warn!(device = %disk.path.display(), reason, "not erased");
                sorted.passed.insert(disk.path.display().to_string(), reason.into());
            }
            None => sorted.going.push(disk),
        }
    }
    Ok(sorted)
}

/// A disk that cannot be read may be locked by an erase that was interrupted, or still be at it: then it is made ready and
/// looked at again. What cannot be looked at is an error: shared data might lie there.
fn signatures(request: &Request<'_>, disk: &Disk) -> Result<Vec<Signatures>, DiskError> {
    let check = || protect::check(disk, protect::is_on(request.guarded, request.node));
    match check() {
        Err(error @ DiskError::Io { .. }) => {
            let say = |text: String| request.progress.say(text);
            if firmware::make_ready(request.bay, disk, &say)? { check() } else { Err(error) }
        }
        other => other,
    }
}

/// A member of an array is erased with the array. So each array must be among the disks that are looked at: one that is
/// inactive, or of a kind that is no disk here (linear), would else save its members from being erased, and nobody would see
/// it. Of the two arrays on members of a firmware RAID one is enough: its container has no data of its own.
fn members_are_covered(disks: &[Disk], kept: &BTreeSet<String>) -> Result<(), DiskError> {
    let seen: BTreeSet<&str> = disks.iter().map(|disk| disk.kernel_name.as_str()).collect();
    for disk in disks.iter().filter(|disk| disk.raid_member && !choose::is_kept(disk, kept)) {
        let parts = disk.partitions.iter().map(|part| (&part.path, &part.arrays));
        for (path, arrays) in std::iter::once((&disk.path, &disk.arrays)).chain(parts) {
            if arrays.is_empty() || arrays.iter().any(|name| seen.contains(name.as_str())) {
                continue;
            }
            return Err(DiskError::Erase(format!(
                "{} belongs to an array that cannot be erased as a whole ({}). Stop it (mdadm --stop) or delete it (step raid.delete_configuration), then erase again",
                path.display(),
                arrays.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
            )));
        }
    }
    Ok(())
}

/// Largest node that the kernel makes for an extended partition: it is the table of the logical ones, which may hold arrays.
const CONTAINER: u64 = 4096;

/// Partitions of a disk that is left to its arrays, but which no array covers: they are erased by themselves, else what is
/// on them would survive beside an array.
fn beside_arrays(disk: &Disk, kept: &BTreeSet<String>) -> Vec<Disk> {
    if !disk.raid_member || !disk.arrays.is_empty() || choose::is_kept(disk, kept) {
        return Vec::new();
    }
    let free = disk.partitions.iter().filter(|part| part.arrays.is_empty() && part.size > CONTAINER);
    let alone = |part: &Partition| {
        let name = part.path.display().to_string();
        Disk {
            kernel_name: name.strip_prefix("/dev/").unwrap_or(&name).replace('/', "!"),
            path: part.path.clone(),
            facts: DiskFacts { name, size: part.size, ..disk.facts.clone() },
            read_only: disk.read_only,
            is_partition: true,
            discards: disk.discards,
            zeroes_itself: disk.zeroes_itself,
            ..Default::default()
        }
    };
    free.map(alone).collect()
}

#[cfg(test)]
mod tests;
