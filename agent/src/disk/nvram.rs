//! The firmware's boot entries: new ones put first, old ones of the same label removed, and entries by pattern deleted.
//!
//! `BootNext` is never touched. What firmware or tenants left that makes no sense is left alone, and keeps its number.

mod listing;

pub use listing::listing;

use super::boot_option::{DiskSignature, label, number, order, path};
use super::device_path::{self, partition};
use super::error::DiskError;
use crate::sys::efivars::EfiVariables;
use regex::Regex;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};

/// Paths of these kinds are shown and compared; others are the firmware's own business (as in the reference).
const KINDS: [&str; 8] = ["BBS(", "HD(", "FvFile(", "FvVol(", "PciRoot(", "VenMsg(", "VenHw(", "UsbClass("];

/// An entry to be made.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// Entries with the same label go.
    pub label: String,
    /// The variable's value.
    pub option: Vec<u8>,
}

/// An entry that is there.
struct Entry {
    number: u16,
    /// The variable's name as it is: firmware may write its digits in lower case.
    name: String,
    /// None: it cannot be read.
    value: Option<Vec<u8>>,
}

impl Entry {
    fn label(&self) -> Option<String> {
        label(self.value.as_deref()?)
    }

    fn path(&self) -> Option<&[u8]> {
        path(self.value.as_deref()?)
    }

    /// As `efibootmgr -v` shows what follows the label.
    fn shown(&self) -> Option<String> {
        let value = self.value.as_deref()?;
        let path = path(value)?;
        let text = device_path::text(path)?;
        let behind = value.len() - super::boot_option::path_end(value)?;
        let text = format!("{text}{}", device_path::printable(&value[value.len() - behind..]));
        KINDS.iter().any(|kind| text.starts_with(kind)).then_some(text)
    }
}

fn entries(variables: &EfiVariables) -> io::Result<Vec<Entry>> {
    let names = variables.names()?.into_iter();
    let read = |(number, name): (u16, String)| {
        // One unreadable variable must not keep a server from booting.
        let value = variables.read(&name).unwrap_or_else(|error| {
            tracing::warn!(entry = name, %error, "a boot entry of the firmware cannot be read; it is left alone");
            None
        });
        Entry { number, name, value }
    };
    Ok(names.filter_map(|name| Some((number(&name)?, name))).map(read).collect())
}

/// Replaces entries of the same labels, and puts the new ones first in the order, in their order. Old entries go before
/// new ones come: the firmware's store is small. The order is written last, once. `is_present` tells whether a partition
/// is on any disk of this machine; it is asked only when the store is full.
///
/// # Errors
/// [`DiskError::Boot`] says what to do.
pub fn register(
    variables: &EfiVariables,
    new: &[NewEntry],
    is_present: &dyn Fn(&DiskSignature) -> bool,
) -> Result<(), DiskError> {
    put(variables, new, is_present).map_err(explain)
}

fn put(variables: &EfiVariables, new: &[NewEntry], is_present: &dyn Fn(&DiskSignature) -> bool) -> io::Result<()> {
    let (old, mut kept): (Vec<Entry>, Vec<Entry>) = entries(variables)?
        .into_iter()
        .partition(|entry| entry.label().is_some_and(|label| new.iter().any(|new| new.label == label)));
    let mut gone = BTreeSet::new();
    for entry in old {
        tracing::info!(entry = entry.name, "an older boot entry of this label is removed");
        variables.delete(&entry.name)?;
        gone.insert(entry.number);
    }
    let mut made = Vec::new();
    for entry in new {
        let free = |number: &u16| kept.iter().all(|kept| kept.number != *number) && !made.contains(number);
        let number = (0..=u16::MAX).find(free);
        let number = number.ok_or_else(|| io::Error::new(ErrorKind::StorageFull, "every Boot#### is taken"))?;
        let name = format!("Boot{number:04X}");
        match variables.write(&name, &entry.option) {
            Err(full) if full.kind() == ErrorKind::StorageFull => {
                let dead = dead(&kept, new, is_present);
                if dead.is_empty() {
                    return Err(full);
                }
                for number in dead {
                    let Some(at) = kept.iter().position(|entry| entry.number == number) else { continue };
                    let entry = kept.remove(at);
                    tracing::warn!(
                        entry = entry.name,
                        label = entry.label(),
                        "the firmware's store is full: this dead entry is deleted to make room"
                    );
                    variables.delete(&entry.name)?;
                    gone.insert(number);
                }
                variables.write(&name, &entry.option)?;
            }
            other => other?,
        }
        tracing::info!(entry = name, label = entry.label, "boot entry written");
        made.push(number);
    }
    let before = variables.read("BootOrder")?.map(|value| order(&value)).unwrap_or_default();
    let rest = before.into_iter().filter(|entry| !gone.contains(entry) && !made.contains(entry));
    let whole: Vec<u8> = made.iter().copied().chain(rest).flat_map(u16::to_le_bytes).collect();
    variables.write("BootOrder", &whole)
}

/// Entries nobody can miss: exact copies of an earlier one; and those that start a partition which no disk of this
/// machine has, when another entry (or a new one) has the same label or starts the same file.
fn dead(kept: &[Entry], new: &[NewEntry], is_present: &dyn Fn(&DiskSignature) -> bool) -> Vec<u16> {
    let file = |path: &[u8]| {
        let nodes = device_path::nodes(path)?;
        nodes.iter().find(|node| (node.kind, node.sub) == (4, 4)).map(|node| node.data.to_ascii_lowercase())
    };
    let new_files: Vec<Vec<u8>> = new.iter().filter_map(|new| path(&new.option).and_then(file)).collect();
    let is_dead = |at: usize, entry: &Entry| {
        let Some(own) = entry.path() else { return false };
        let copied = kept[..at].iter().any(|other| other.value == entry.value);
        let absent = partition(own).is_some_and(|partition| !is_present(&partition));
        let (label, starts) = (entry.label(), file(own));
        let others = kept.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, other)| other);
        let replaced = others
            .into_iter()
            .any(|other| other.label() == label || (starts.is_some() && other.path().and_then(file) == starts))
            || starts.as_ref().is_some_and(|starts| new_files.contains(starts));
        copied || (absent && replaced)
    };
    kept.iter().enumerate().filter(|(at, entry)| is_dead(*at, entry)).map(|(_, entry)| entry.number).collect()
}

/// Deletes the entries whose path one of `patterns` matches; returns their labels.
///
/// # Errors
/// [`DiskError::Boot`].
pub fn clean(variables: &EfiVariables, patterns: &[Regex]) -> Result<Vec<String>, DiskError> {
    let clean = || -> io::Result<Vec<String>> {
        let (mut labels, mut gone) = (Vec::new(), BTreeSet::new());
        for entry in entries(variables)? {
            let Some(shown) = entry.shown() else { continue };
            if let Some(pattern) = patterns.iter().find(|pattern| pattern.is_match(&shown)) {
                tracing::info!(entry = entry.name, path = shown, pattern = pattern.as_str(), "boot entry deleted");
                variables.delete(&entry.name)?;
                gone.insert(entry.number);
                labels.push(entry.label().unwrap_or_default());
            }
        }
        let before = variables.read("BootOrder")?.map(|value| order(&value)).unwrap_or_default();
        let after: Vec<u16> = before.iter().copied().filter(|entry| !gone.contains(entry)).collect();
        match after.is_empty() {
            _ if before.len() == after.len() => {}
            true => variables.delete("BootOrder")?,
            false => {
                variables.write("BootOrder", &after.iter().flat_map(|entry| entry.to_le_bytes()).collect::<Vec<_>>())?
            }
        }
        Ok(labels)
    };
    clean().map_err(explain)
}

fn explain(error: io::Error) -> DiskError {
    DiskError::Boot(match error.kind() {
        ErrorKind::StorageFull => format!(
            "the firmware's store of variables is full ({error}): the boot entry was not written, and no dead duplicate was left to delete. Delete old entries in the firmware's setup or by the step clean_uefi_nvram, or reset the firmware to its defaults, and deploy again"
        ),
        ErrorKind::ReadOnlyFilesystem => {
            "the firmware's boot entries cannot be changed: efivarfs is mounted read-only. Boot the ramdisk without a kernel parameter that says so (efi=noruntime, efivarfs in fstab with ro), or mount it for writing".into()
        }
        _ => format!("the firmware's boot entries cannot be changed: {error}. Is efivarfs mounted for writing?"),
    })
}

#[cfg(test)]
mod tests;
