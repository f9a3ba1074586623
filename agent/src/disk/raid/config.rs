//! What a RAID configuration asks for, typed and checked (ipa-features 18; the conductor has checked its JSON schema).

use crate::disk::choose::kept_volumes;
use crate::disk::error::DiskError;
use common::root_hint::RootHints;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// A RAID level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Striped, no redundancy.
    Zero,
    /// Mirrored.
    One,
    /// One disk of parity.
    Five,
    /// Two disks of parity.
    Six,
    /// Striped mirrors.
    Ten,
}

impl Level {
    /// `1+0` is how OpenStack writes what mdadm calls 10; both are understood.
    fn parse(text: &str) -> Option<Self> {
        [
            ("0", Self::Zero),
            ("1", Self::One),
            ("5", Self::Five),
            ("6", Self::Six),
            ("1+0", Self::Ten),
            ("10", Self::Ten),
        ]
        .into_iter()
        .find(|(name, _)| *name == text)
        .map(|(_, level)| level)
    }

    /// As mdadm wants it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Zero => "0",
            Self::One => "1",
            Self::Five => "5",
            Self::Six => "6",
            Self::Ten => "10",
        }
    }

    /// Fewest disks that make sense of it.
    pub fn fewest(self) -> usize {
        match self {
            Self::Zero | Self::One | Self::Ten => 2,
            Self::Five => 3,
            Self::Six => 4,
        }
    }
}

/// How large a volume's share of each of its disks is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// GiB.
    Gib(u64),
    /// All that is left.
    Max,
}

/// One wanted array.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Its level.
    pub level: Level,
    /// Its size on each disk.
    pub size: Size,
    /// Its name.
    pub name: Option<String>,
    /// Said to be the root volume, or said not to be.
    pub root: Option<bool>,
    /// Which disks, one hint each; none: all disks.
    pub disks: Option<Vec<RootHints>>,
}

/// Whether any logical disk is for this agent.
pub fn wants_software(config: &Map<String, Value>) -> bool {
    let disks = config.get("logical_disks").and_then(Value::as_array);
    disks.is_some_and(|disks| {
        disks.iter().any(|disk| disk.get("controller").and_then(Value::as_str) == Some("software"))
    })
}

/// Reads and checks the whole configuration for a machine with `disks` disks. Every mistake is told, not only the first.
///
/// # Errors
/// [`DiskError::Raid`].
pub fn read(config: &Map<String, Value>, node: &Map<String, Value>, disks: usize) -> Result<Vec<Volume>, DiskError> {
    let wrong = |why: String| {
        let uuid = node.get("uuid").and_then(Value::as_str).unwrap_or("of an unknown node");
        DiskError::Raid(format!("the software RAID configuration of node {uuid} cannot be used: {why}"))
    };
    let list = config.get("logical_disks").and_then(Value::as_array).filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| wrong("it has no logical_disks".into()))?;
    let mut mistakes = Vec::new();
    if list.len() > 2 {
        mistakes.push(format!("it has {} logical disks; one or two are possible", list.len()));
    }
    let mut volumes = Vec::new();
    for (number, disk) in (1..).zip(list) {
        match disk.as_object().ok_or_else(|| vec!["it is not an object".to_owned()]).and_then(volume) {
            Ok(volume) => volumes.push(volume),
            Err(found) => mistakes.extend(found.into_iter().map(|text| format!("logical disk {number}: {text}"))),
        }
    }
    mistakes.extend(together(&volumes, !kept_volumes(node).is_empty(), disks));
    // What is wrong with one of them must not hide what is wrong with the first.
    let first = list.first().and_then(|disk| disk.get("raid_level")).and_then(Value::as_str);
    if first.is_some_and(|level| level != "1") {
        mistakes.push("the first logical disk must have raid_level 1: the system is started from it".into());
    }
    if mistakes.is_empty() { Ok(volumes) } else { Err(wrong(mistakes.join("; "))) }
}

fn volume(disk: &Map<String, Value>) -> Result<Volume, Vec<String>> {
    let mut mistakes = Vec::new();
    let text = |key: &str| disk.get(key).filter(|value| !value.is_null());
    if text("controller").and_then(Value::as_str) != Some("software") {
        mistakes.push("its controller is not `software`, and no other kind can stand beside those that are".into());
    }
    let level = match text("raid_level").map(|level| (level, level.as_str().and_then(Level::parse))) {
        Some((_, Some(level))) => level,
        Some((other, None)) => {
            mistakes.push(format!("raid_level {other} is not possible; 0, 1, 5, 6 and 1+0 are"));
            Level::One
        }
        None => {
            mistakes.push("it has no raid_level".into());
            Level::One
        }
    };
    let size = match text("size_gb") {
        Some(Value::String(word)) if word == "MAX" => Size::Max,
        Some(value) => {
            match value.as_u64().or_else(|| value.as_str()?.parse().ok()).filter(|gib| (1..=1 << 24).contains(gib)) {
                Some(gib) => Size::Gib(gib),
                None => {
                    mistakes.push(format!("size_gb {value} is neither a number of GiB nor \"MAX\""));
                    Size::Max
                }
            }
        }
        None => {
            mistakes.push("it has no size_gb".into());
            Size::Max
        }
    };
    let name = match text("volume_name") {
        None => None,
        Some(Value::String(name)) => {
            mistakes.extend(bad_name(name).map(|why| format!("volume_name {name:?} {why}")));
            Some(name.clone())
        }
        Some(other) => {
            mistakes.push(format!("volume_name {other} is not a text"));
            None
        }
    };
    let root = match text("is_root_volume") {
        None => None,
        Some(Value::Bool(root)) => Some(*root),
        Some(other) => {
            mistakes.push(format!("is_root_volume {other} is neither true nor false"));
            None
        }
    };
    let disks = text("physical_disks").map(hints).transpose().unwrap_or_else(|why| {
        mistakes.push(why);
        None
    });
    if mistakes.is_empty() { Ok(Volume { level, size, name, root, disks }) } else { Err(mistakes) }
}

/// It is an argument of mdadm, a name below /dev/md, and 32 bytes of a superblock with `any:` before it.
fn bad_name(name: &str) -> Option<&'static str> {
    let odd = |letter: char| letter.is_control() || letter.is_whitespace() || matches!(letter, '/' | ':' | '\\');
    match name {
        "" => Some("is empty"),
        "esp" => Some("is what the array of EFI system partitions is called"),
        _ if name.starts_with(['-', '.']) => Some("begins with a dash or a dot"),
        _ if name.contains(odd) => Some("has a space, slash, colon or control character"),
        _ if name.len() > 27 => Some("is longer than 27 bytes, which is all that a RAID superblock holds"),
        _ => None,
    }
}

fn hints(list: &Value) -> Result<Vec<RootHints>, String> {
    let few = "physical_disks is not a list of two hints or more, one for each disk".to_owned();
    let list = list.as_array().filter(|list| list.len() >= 2).ok_or(few)?;
    let hint = |hint: &Value| {
        let map = hint.as_object().ok_or_else(|| format!("physical_disks: {hint} is not a map of hints"))?;
        RootHints::parse(map).map_err(|error| format!("physical_disks: {error}"))
    };
    list.iter().map(hint).collect()
}

/// What no logical disk can say alone.
fn together(volumes: &[Volume], names_needed: bool, disks: usize) -> Vec<String> {
    let mut mistakes = Vec::new();
    let mut names = BTreeSet::new();
    for volume in volumes {
        match &volume.name {
            Some(name) if !names.insert(name) => mistakes.push(format!("two logical disks are called {name}")),
            None if names_needed => mistakes.push(
                "every logical disk needs a volume_name, because skip_block_devices of the node names volumes to keep"
                    .into(),
            ),
            _ => {}
        }
        let (level, fewest) = (volume.level.word(), volume.level.fewest());
        // Hints can be more than the machine has disks.
        let given = volume.disks.as_ref().map_or(disks, Vec::len).min(disks);
        if given < fewest && matches!(volume.level, Level::Five | Level::Six) {
            mistakes.push(format!("RAID {level} needs {fewest} disks, and there are {given}"));
        }
    }
    if volumes.iter().filter(|volume| volume.root == Some(true)).count() > 1 {
        mistakes.push("only one logical disk can have is_root_volume".into());
    }
    if volumes.iter().filter(|volume| volume.size == Size::Max).count() > 1 {
        mistakes.push("only one logical disk can have size_gb MAX".into());
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use super::{Level, Size, read, wants_software};
    use serde_json::{Map, Value, json};

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn refusal(disks: Value) -> String {
        let node = map(json!({"uuid": "u-1"}));
        read(&map(json!({"logical_disks": disks})), &node, 3).unwrap_err().to_string()
    }

    #[test]
    fn a_root_mirror_and_striped_data_are_understood() {
        let config = map(json!({"logical_disks": [
            {"controller": "software", "raid_level": "1", "size_gb": 100, "volume_name": "root", "is_root_volume": true,
             "physical_disks": [{"size": "> 200"}, {"size": "> 200"}]},
            {"controller": "software", "raid_level": "1+0", "size_gb": "MAX", "volume_name": null}]}));
        assert!(wants_software(&config));
        let volumes = read(&config, &Map::new(), 4).unwrap();
        assert_eq!((volumes[0].level, volumes[0].size, volumes[0].root), (Level::One, Size::Gib(100), Some(true)));
        assert_eq!(volumes[0].disks.as_ref().unwrap().len(), 2);
        assert_eq!((volumes[1].level, volumes[1].size, volumes[1].level.word()), (Level::Ten, Size::Max, "10"));
        assert_eq!((volumes[0].name.as_deref(), volumes[1].name.as_deref()), (Some("root"), None));
        assert!(!wants_software(&map(json!({"logical_disks": [{"controller": "x"}]}))));
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let text = refusal(json!([
            {"controller": "software", "raid_level": "5", "size_gb": 0, "is_root_volume": true},
            {"raid_level": "7", "size_gb": "MAX", "physical_disks": [{}]},
        ]));
        for part in
            ["node u-1", "size_gb 0", "its controller", "raid_level \"7\"", "two hints", "must have raid_level 1"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        let one = json!({"controller": "software", "raid_level": "1", "size_gb": "MAX", "volume_name": "a", "is_root_volume": true});
        let text = refusal(json!([one, one]));
        for part in ["called a", "only one logical disk can have is_root_volume", "MAX"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let six = json!({"controller": "software", "raid_level": "6", "size_gb": 1});
        assert!(
            refusal(json!([{"controller": "software", "raid_level": "1", "size_gb": 1}, six]))
                .contains("needs 4 disks")
        );
        assert!(refusal(json!([])).contains("no logical_disks"));
    }

    #[test]
    fn a_name_is_no_option_no_path_and_fits_into_a_superblock() {
        for name in ["-x", "a/b", "a b", "a:b", "", "esp", "0123456789012345678901234567"] {
            let text =
                refusal(json!([{"controller": "software", "raid_level": "1", "size_gb": 1, "volume_name": name}]));
            assert!(text.contains("volume_name"), "{name}: {text}");
        }
    }

    #[test]
    fn names_are_compulsory_beside_volumes_that_are_kept() {
        let node = map(json!({"properties": {"skip_block_devices": [{"volume_name": "data"}]}}));
        let config = map(json!({"logical_disks": [{"controller": "software", "raid_level": "1", "size_gb": 1}]}));
        assert!(read(&config, &node, 2).unwrap_err().to_string().contains("needs a volume_name"));
    }

    /// What the reference says to 400 configurations (`tests/fixtures/peers/raid_validation.py`).
    const ORACLE: &str = include_str!("../../../../tests/fixtures/raid_validation.json");

    #[test]
    fn the_reference_accepts_and_refuses_the_same_but_for_two_differences_that_are_meant() {
        let cases: Vec<Value> = serde_json::from_str(ORACLE).unwrap();
        let (mut accepted, mut meant) = (0, [0, 0]);
        for case in &cases {
            let skip = if case["skip"] == true { json!([{"volume_name": "kept"}]) } else { json!([]) };
            let node = map(json!({"uuid": "u", "properties": {"skip_block_devices": skip}}));
            let config = map(json!({"logical_disks": case["logical_disks"]}));
            let ours = read(&config, &node, case["disks"].as_u64().unwrap() as usize);
            let theirs = case["accepted"] == true;
            accepted += usize::from(theirs);
            let disks = case["logical_disks"].as_array().unwrap();
            match (&ours, theirs) {
                // The reference counts the machine's disks, not those that the volume asks for.
                (Err(error), true) if error.to_string().contains("disks, and there are") => meant[0] += 1,
                // mdadm's own name of 1+0.
                (Ok(_), false) if disks.iter().skip(1).any(|disk| disk["raid_level"] == "10") => meant[1] += 1,
                (ours, theirs) => assert_eq!(ours.is_ok(), theirs, "{case}: {ours:?}"),
            }
        }
        assert!(cases.len() == 400 && accepted > 80, "{accepted}");
        assert!(meant[0] > 0 && meant[1] > 0, "{meant:?}");
    }
}
