//! Which arrays go, which are kept, which are only emptied (ipa-features 18, row "Delete with skip list"). Pure.

use std::collections::{BTreeMap, BTreeSet};

/// The volume name of the array of EFI system partitions.
pub const ESP: &str = "esp";

/// What a decision needs to know of an array.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// `md127`.
    pub name: String,
    /// Its volume name.
    pub volume: Option<String>,
    /// Kernel names of the disks it lies on.
    pub holders: BTreeSet<String>,
}

/// What happens to an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its contents and the array itself go.
    Delete,
    /// It shares a disk with a kept one: its contents go, it stays.
    Wipe,
    /// It is not touched.
    Keep,
}

/// Decides for every array. `volumes`: names on the skip list; `disks`: kernel names of disks that a hint on the skip list
/// fits, which the reference does not look at here: nothing on them is touched.
pub fn verdicts(arrays: &[Known], volumes: &BTreeSet<String>, disks: &BTreeSet<String>) -> BTreeMap<String, Verdict> {
    let named = |array: &Known| array.volume.as_ref().is_some_and(|name| volumes.contains(name));
    let on = |array: &Known, disks: &BTreeSet<String>| array.holders.iter().any(|holder| disks.contains(holder));
    let shared: BTreeSet<String> =
        arrays.iter().filter(|array| named(array)).flat_map(|array| array.holders.clone()).collect();
    let verdict = |array: &Known| {
        if named(array) || on(array, disks) || disks.contains(&array.name) {
            Verdict::Keep
        } else if !on(array, &shared) {
            Verdict::Delete
        } else if array.volume.as_deref() == Some(ESP) {
            // The kept system is started from it.
            Verdict::Keep
        } else {
            Verdict::Wipe
        }
    };
    arrays.iter().map(|array| (array.name.clone(), verdict(array))).collect()
}

#[cfg(test)]
mod tests {
    use super::{Known, Verdict, verdicts};
    use std::collections::BTreeSet;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn arrays() -> Vec<Known> {
        let array = |name: &str, volume: &str, holders: &[&str]| Known {
            name: name.into(),
            volume: (!volume.is_empty()).then(|| volume.into()),
            holders: set(holders),
        };
        vec![
            array("md0", "root", &["sda", "sdb"]),
            array("md1", "data", &["sda", "sdb"]),
            array("md2", "esp", &["sda", "sdb"]),
            array("md3", "", &["sdb", "sdc"]),
            array("md4", "other", &["sdc", "sdd"]),
        ]
    }

    #[test]
    fn without_a_skip_list_all_go() {
        assert!(verdicts(&arrays(), &set(&[]), &set(&[])).values().all(|verdict| *verdict == Verdict::Delete));
    }

    #[test]
    fn neighbours_of_a_kept_volume_are_emptied_and_its_boot_partitions_stay() {
        let found = verdicts(&arrays(), &set(&["data"]), &set(&[]));
        let of = |name: &str| found[name];
        assert_eq!((of("md0"), of("md1"), of("md2")), (Verdict::Wipe, Verdict::Keep, Verdict::Keep));
        assert_eq!((of("md3"), of("md4")), (Verdict::Wipe, Verdict::Delete));
        let all = verdicts(&arrays(), &set(&["nothing"]), &set(&[]));
        assert!(all.values().all(|verdict| *verdict == Verdict::Delete), "a name that no array has keeps nothing");
    }

    #[test]
    fn nothing_on_a_skipped_disk_is_touched() {
        let found = verdicts(&arrays(), &set(&[]), &set(&["sda"]));
        assert_eq!((found["md0"], found["md2"], found["md3"]), (Verdict::Keep, Verdict::Keep, Verdict::Delete));
        assert_eq!(verdicts(&arrays(), &set(&[]), &set(&["md4"]))["md4"], Verdict::Keep);
    }
}
