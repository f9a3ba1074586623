//! "Which disk?": every such decision, made without I/O on what `facts` saw.

use super::error::DiskError;
use super::facts::Disk;
use super::raid::ESP;
use super::raid::root_volume::recorded;
use common::root_hint::{DiskFacts, RootHints};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Smallest disk taken for the system when nothing is said about it.
pub const SMALLEST_ROOT: u64 = 4 << 30;

/// Kernel names of what must not be touched: matches of `properties.skip_block_devices`, and all that shares data or a disk
/// with them (their partitions, the arrays on them, the other members of those arrays).
///
/// # Errors
/// A skip list that cannot be read: nothing may be erased then.
pub fn kept(disks: &[Disk], node: &Map<String, Value>) -> Result<BTreeSet<String>, DiskError> {
    let named = named(disks, node)?;
    Ok(disks.iter().filter(|disk| named.contains(&disk.kernel_name)).flat_map(with_relatives).collect())
}

/// Kernel names of the disks and arrays that an entry of the skip list itself means.
///
/// # Errors
/// As [`kept`].
pub fn named(disks: &[Disk], node: &Map<String, Value>) -> Result<BTreeSet<String>, DiskError> {
    let mut named = BTreeSet::new();
    let list = node.get("properties").and_then(|properties| properties.get("skip_block_devices"));
    let Some(list) = list.filter(|list| !list.is_null()) else { return Ok(named) };
    let wrong = |why: String| DiskError::Request(format!("properties.skip_block_devices cannot be used: {why}"));
    for entry in list.as_array().ok_or_else(|| wrong("it is not a list".into()))? {
        let hint = entry.as_object().filter(|hint| !hint.is_empty());
        let hint = hint.ok_or_else(|| wrong(format!("the entry {entry} is not a map of hints")))?;
        if let Some(volume) = hint.get("volume_name") {
            let volume = volume.as_str().ok_or_else(|| wrong(format!("volume_name {volume} is not a text")))?;
            let bears = |disk: &&Disk| disk.volumes.iter().chain(disk.idle_members.values()).any(|name| name == volume);
            named.extend(disks.iter().filter(bears).map(|disk| disk.kernel_name.clone()));
            continue;
        }
        let hints = RootHints::parse(hint).map_err(|error| wrong(error.to_string()))?;
        for disk in disks {
            for facts in std::iter::once(disk.facts.clone()).chain(named_partitions(disk, hint)) {
                if hints.matches(&facts).map_err(|error| wrong(error.to_string()))? {
                    tracing::info!(device = %facts.name, %hints, "kept: on the skip list");
                    named.insert(disk.kernel_name.clone());
                }
            }
        }
    }
    Ok(named)
}

/// An array that only shares disks with what is kept: its own contents may be erased, which writes to its own members alone.
/// Not the array of EFI system partitions, from which a kept system starts; nor one with a member on a disk that is kept for
/// its own sake. `named` as from [`named`].
pub fn is_only_beside(array: &Disk, disks: &[Disk], named: &BTreeSet<String>) -> bool {
    let lies_on = |disk: &&Disk| {
        disk.arrays.contains(&array.kernel_name)
            || disk.partitions.iter().any(|part| part.arrays.contains(&array.kernel_name))
    };
    array.is_array
        && !named.contains(&array.kernel_name)
        && !array.volumes.iter().any(|name| name == ESP)
        && !disks.iter().filter(lies_on).any(|disk| named.contains(&disk.kernel_name))
}

/// Names of RAID volumes on the skip list.
pub fn kept_volumes(node: &Map<String, Value>) -> BTreeSet<String> {
    let list = node.get("properties").and_then(|properties| properties.get("skip_block_devices")?.as_array());
    let names = list.into_iter().flatten().filter_map(|entry| entry.get("volume_name")?.as_str());
    names.map(str::to_string).collect()
}

fn with_relatives(disk: &Disk) -> Vec<String> {
    disk.relatives.iter().chain([&disk.kernel_name]).cloned().collect()
}

/// The partitions that a hint calls by their paths: they keep their disk. All other hints mean disks: "at most 10 GiB" or
/// "everything but /dev/sda" would else save a large disk from being erased, because of one small partition on it.
fn named_partitions(disk: &Disk, hint: &Map<String, Value>) -> impl Iterator<Item = DiskFacts> {
    let words: Vec<&str> = hint.get("name").and_then(Value::as_str).unwrap_or_default().split_whitespace().collect();
    disk.partitions
        .iter()
        .filter(move |part| words.iter().any(|word| part.path.as_os_str() == *word))
        .map(|part| DiskFacts { name: part.path.display().to_string(), size: part.size, ..disk.facts.clone() })
}

/// Is this disk, or anything that shares data with it, among the kept?
pub fn is_kept(disk: &Disk, kept: &BTreeSet<String>) -> bool {
    kept.contains(&disk.kernel_name) || disk.relatives.iter().any(|name| kept.contains(name))
}

/// What a choice says about one disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one.
    Chosen,
    /// It fits, but another one comes before it; the text says which and why.
    Beaten(String),
    /// It does not fit; the text says why.
    Unfit(String),
}

/// Every disk with what the choice says about it. Chosen is a RAID volume made for the system since this boot; else the
/// first disk that fulfils the node's hints; without hints the RAID volume that the node's record names, else the
/// smallest disk of 4 GiB or more. A member of an array is none.
///
/// # Errors
/// Unusable hints ([`DiskError::NotFound`], as with the reference) or an unusable skip list.
pub fn weigh<'a>(disks: &'a [Disk], node: &Map<String, Value>) -> Result<Vec<(&'a Disk, Verdict)>, DiskError> {
    let kept = kept(disks, node)?;
    let hints = hints(node)?;
    let said = |disk: &Disk| disk.root_volume.or_else(|| recorded(node, &disk.volumes).filter(|_| hints.is_empty()));
    let volume = disks.iter().find(|disk| said(disk) == Some(true) && !is_kept(disk, &kept));
    if let Some(volume) = volume {
        tracing::info!(device = %volume.path.display(), %hints, "the RAID configuration says that this is the root volume");
    }
    let mut reasons = Vec::new();
    for disk in disks {
        let reason = if volume.is_some_and(|volume| volume.facts.name == disk.facts.name) {
            None
        } else if disk.raid_member {
            Some("member of an array".to_owned())
        } else if said(disk) == Some(false) {
            Some("a RAID volume that is not for the system".to_owned())
        } else {
            match reason_against(disk, &hints, &kept) {
                // The hints decide nothing beside a root volume.
                Err(error) if volume.is_some() => Some(error.to_string()),
                reason => reason?,
            }
        };
        reasons.push((disk, reason));
    }
    let mut fit = reasons.iter().filter(|(_, reason)| reason.is_none()).map(|(disk, _)| *disk);
    let (chosen, why) = if volume.is_some() {
        (volume, "is the root volume of the RAID configuration")
    } else if hints.is_empty() {
        let size = |disk: &&Disk| (disk.facts.size, disk.facts.name.clone());
        (fit.min_by_key(size), "is smaller, or as large and before it by name")
    } else {
        (fit.next(), "comes first in the kernel's order")
    };
    let verdict = |disk: &Disk, reason: Option<String>| match (reason, chosen) {
        (Some(reason), _) => Verdict::Unfit(reason),
        (None, Some(chosen)) if chosen.facts.name != disk.facts.name => {
            Verdict::Beaten(format!("fits, too, but {} {why}", chosen.facts.name))
        }
        (None, _) => Verdict::Chosen,
    };
    Ok(reasons.into_iter().map(|(disk, reason)| (disk, verdict(disk, reason))).collect())
}

/// The disk for the system, by [`weigh`].
///
/// # Errors
/// [`DiskError::NotFound`] lists every disk and why it was not taken; otherwise as [`weigh`].
pub fn root<'a>(disks: &'a [Disk], node: &Map<String, Value>) -> Result<&'a Disk, DiskError> {
    let verdicts = weigh(disks, node)?;
    if let Some((chosen, _)) = verdicts.iter().find(|(_, verdict)| *verdict == Verdict::Chosen) {
        return Ok(chosen);
    }
    let hints = hints(node)?;
    let wanted = if hints.is_empty() {
        "no disk of at least 4 GiB was found".to_string()
    } else {
        format!("no disk fits the root device hints {hints}")
    };
    let lost = verdicts.iter().filter_map(|(disk, verdict)| match verdict {
        Verdict::Unfit(reason) => Some(format!("{} ({reason})", disk.facts.name)),
        _ => None,
    });
    let lost: Vec<String> = lost.collect();
    let found = if lost.is_empty() { "no disks at all".to_string() } else { lost.join("; ") };
    Err(DiskError::NotFound(format!(
        "{wanted}. This machine has: {found}. Correct root_device or skip_block_devices of the node, or look whether a disk or its driver is missing"
    )))
}

/// The node has usable hints and no disk that fits them: it may still appear. Without hints, or with unusable ones, there is
/// nothing to wait for.
pub fn is_awaited(disks: &[Disk], node: &Map<String, Value>) -> bool {
    let has_hints = hints(node).is_ok_and(|hints| !hints.is_empty());
    let chosen = |weighed: Vec<(&Disk, Verdict)>| weighed.iter().any(|(_, verdict)| *verdict == Verdict::Chosen);
    has_hints && weigh(disks, node).is_ok_and(|weighed| !chosen(weighed))
}

fn hints(node: &Map<String, Value>) -> Result<RootHints, DiskError> {
    let filled = |part: &str| {
        let hints = node.get(part)?.get("root_device")?;
        let empty = hints.is_null() || hints.as_object().is_some_and(Map::is_empty) || hints.as_str() == Some("");
        (!empty).then_some(hints)
    };
    let Some(hints) = filled("instance_info").or_else(|| filled("properties")) else {
        return RootHints::parse(&Map::new()).map_err(|error| DiskError::NotFound(error.to_string()));
    };
    let map = hints
        .as_object()
        .ok_or_else(|| DiskError::NotFound(format!("root_device of the node is not a map of hints but {hints}")))?;
    RootHints::parse(map).map_err(|error| DiskError::NotFound(format!("no disk can be chosen: {error}")))
}

fn reason_against(disk: &Disk, hints: &RootHints, kept: &BTreeSet<String>) -> Result<Option<String>, DiskError> {
    if is_kept(disk, kept) {
        return Ok(Some("on the skip list".into()));
    }
    if hints.is_empty() {
        let size = disk.facts.size;
        return Ok(if size < SMALLEST_ROOT {
            Some(format!("{size} bytes are less than 4 GiB"))
        } else {
            disk.read_only.then(|| "read-only".into())
        });
    }
    let miss =
        hints.miss(&disk.facts).map_err(|error| DiskError::NotFound(format!("no disk can be chosen: {error}")))?;
    Ok(miss.map(|miss| miss.to_string()))
}

#[cfg(test)]
mod tests;
