//! What an erase leaves behind as proof: the parts that the disk room knows. `command` adds who and when, and signs.

use super::facts::Disk;
use common::erase_proof::{DiskProof, ReadBack};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// How a step that erases ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The step's result on the wire.
    pub result: Value,
    /// What was done to which disk.
    pub disks: Vec<DiskProof>,
    /// Devices that were left alone, and why.
    pub passed_over: BTreeMap<String, String>,
}

/// Seconds since 1970, by the ramdisk's clock.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// An erase of one disk that has ended well.
pub fn of(disk: &Disk, method: &str, passes: u64, notes: &[String], started_at: u64, read_back: ReadBack) -> DiskProof {
    let facts = &disk.facts;
    let below = disk.below.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let below = (!below.is_empty()).then(|| format!("a multipath map over {below}"));
    DiskProof {
        device: disk.path.display().to_string(),
        model: facts.model.clone(),
        serial: facts.serials.first().cloned(),
        wwn: facts.wwns.first().cloned(),
        size: facts.size,
        method: method.into(),
        passes,
        notes: notes.iter().cloned().chain(below).collect(),
        started_at,
        ended_at: now(),
        read_back,
    }
}
