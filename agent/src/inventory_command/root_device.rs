//! `agent root-device`: which disk hints choose on this machine, and why not each other one. Reads only.
//!
//! The choice itself is `disk::choose`, the one that a deployment makes.

use crate::disk::choose::{Verdict, weigh};
use crate::disk::error::DiskError;
use crate::disk::facts::{Disk, look_for};
use crate::disk::guard::Scope;
use crate::sys::sysfs::Roots;
use crate::sys::text::clean;
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::path::Path;

/// Largest node document read.
const MAX_NODE: u64 = 16 << 20;

/// What a person asked for.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// A hint that is none.
    #[error("`{0}` is no hint; write NAME=VALUE, for example 'size=>= 400'")]
    Hint(String),
    /// The file cannot be used.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: String,
        /// Why.
        why: String,
    },
    /// The hints or the skip list cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Printing failed.
    #[error("printing")]
    Print(#[from] io::Error),
}

/// The node record to choose for: that of `file` (as `baremetal node show -f json` prints it), with `hints` in the place
/// of its own if there are any.
///
/// # Errors
/// [`AskError`].
pub fn node(file: Option<&Path>, hints: &[String]) -> Result<Map<String, Value>, AskError> {
    let mut node = match file {
        None => Map::new(),
        Some(path) => match super::document(path, MAX_NODE) {
            Ok(Value::Object(node)) => node,
            Ok(_) => {
                return Err(AskError::File { path: path.display().to_string(), why: "it is no JSON object".into() });
            }
            Err(why) => return Err(AskError::File { path: path.display().to_string(), why }),
        },
    };
    if hints.is_empty() {
        return Ok(node);
    }
    let mut map = Map::new();
    for hint in hints {
        let (name, value) = hint.split_once('=').ok_or_else(|| AskError::Hint(hint.clone()))?;
        map.insert(name.trim().to_owned(), value.trim().into());
    }
    let properties = node.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(properties) = properties {
        properties.insert("root_device".into(), map.into());
    }
    if let Some(Value::Object(instance)) = node.get_mut("instance_info") {
        instance.shift_remove("root_device");
    }
    Ok(node)
}

/// Prints the choice among the disks of this machine; true if there is one.
///
/// # Errors
/// [`AskError`].
pub fn root_device(node: &Map<String, Value>, as_json: bool, out: &mut impl Write) -> Result<bool, AskError> {
    let disks = look_for(&Roots::machine(), &Scope::AllDisks, node)?;
    tell(&disks, node, as_json, out)
}

fn tell(disks: &[Disk], node: &Map<String, Value>, as_json: bool, out: &mut impl Write) -> Result<bool, AskError> {
    let verdicts = weigh(disks, node)?;
    let chosen = verdicts.iter().find(|(_, verdict)| *verdict == Verdict::Chosen).map(|(disk, _)| *disk);
    let reason = |verdict: &Verdict| match verdict {
        Verdict::Chosen => "chosen".to_owned(),
        Verdict::Beaten(why) | Verdict::Unfit(why) => clean(why.as_bytes(), 400),
    };
    if as_json {
        let one = |(disk, verdict): &(&Disk, Verdict)| {
            let fits = !matches!(verdict, Verdict::Unfit(_));
            json!({"name": disk.facts.name, "size": disk.facts.size, "fits": fits,
                "reason": if *verdict == Verdict::Chosen { Value::Null } else { reason(verdict).into() }})
        };
        let list: Vec<Value> = verdicts.iter().map(one).collect();
        let document = json!({"root_device": chosen.map(|disk| &disk.facts.name), "disks": list});
        writeln!(out, "{document:#}")?;
        return Ok(chosen.is_some());
    }
    match chosen {
        Some(disk) => writeln!(out, "{}", disk.facts.name)?,
        None => writeln!(out, "no disk fits")?,
    }
    for (disk, verdict) in verdicts.iter().filter(|(_, verdict)| *verdict != Verdict::Chosen) {
        let size = super::human(disk.facts.size);
        writeln!(out, "  not {} ({size}): {}", clean(disk.facts.name.as_bytes(), 100), reason(verdict))?;
    }
    Ok(chosen.is_some())
}

#[cfg(test)]
mod tests {
    use super::{node, tell};
    use crate::disk::facts::Disk;
    use common::root_hint::DiskFacts;
    use serde_json::{Value, json};

    fn disk(name: &str, gib: u64) -> Disk {
        let facts = DiskFacts {
            name: format!("/dev/{name}"),
            size: gib << 30,
            model: Some("A\x1b[2J".into()),
            ..Default::default()
        };
        Disk { kernel_name: name.into(), facts, relatives: [name.to_string()].into(), ..Default::default() }
    }

    fn asked(hints: &[&str], file: Option<Value>) -> (bool, String) {
        let saved = file.map(|value| {
            let saved = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(saved.path(), value.to_string()).unwrap();
            saved
        });
        let hints: Vec<String> = hints.iter().map(|hint| hint.to_string()).collect();
        let node = node(saved.as_ref().map(|saved| saved.path()), &hints).unwrap();
        let mut out = Vec::new();
        let found = tell(&[disk("sda", 3), disk("sdb", 500), disk("sdc", 600)], &node, false, &mut out).unwrap();
        (found, String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_disk_and_why_each_other_one_lost() {
        let (found, text) = asked(&["size=>= 400"], None);
        assert!(found);
        assert_eq!(
            text,
            "/dev/sdb\n  not /dev/sda (3.0 GiB): size is 3.00 GiB, wanted `>= 400`\n  not /dev/sdc (600.0 GiB): fits, too, but /dev/sdb comes first in the kernel's order\n"
        );
        let (_, text) = asked(&[], None);
        assert!(
            text.starts_with("/dev/sdb\n")
                && text.contains("less than 4 GiB")
                && text.contains("but /dev/sdb is smaller, or"),
            "{text}"
        );
        let (found, text) = asked(&["size=>= 400", "model=other"], None);
        assert!(
            !found && text.starts_with("no disk fits\n") && text.lines().count() == 4 && !text.contains('\x1b'),
            "{text}"
        );
        let saved = json!({"uuid": "u", "properties": {"root_device": {"size": "> 550"}, "skip_block_devices": [{"name": "/dev/sdb"}]}});
        assert!(asked(&[], Some(saved.clone())).1.starts_with("/dev/sdc\n"));
        assert!(
            asked(&["name=/dev/sdb"], Some(saved)).1.contains("on the skip list"),
            "hints replace hints, not the skip list"
        );
    }

    #[test]
    fn json_for_scripts_and_mistakes_are_errors() {
        let mut out = Vec::new();
        assert!(tell(&[disk("sda", 5)], &node(None, &[]).unwrap(), true, &mut out).unwrap());
        let document: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(document["root_device"], "/dev/sda");
        assert_eq!(document["disks"][0]["reason"], Value::Null);
        assert!(node(None, &["size".into()]).is_err());
        assert!(node(Some("/nowhere.json".as_ref()), &[]).is_err());
        let odd = node(None, &["colour=red".into()]).unwrap();
        assert!(tell(&[disk("sda", 5)], &odd, false, &mut Vec::new()).is_err());
    }
}
