//! The command that is under way, noted for an agent that is started again within this boot. Without the note that agent would
//! show an empty list, which a conductor takes for a fresh boot: Ironic then goes on with the next step, and an erase that was
//! interrupted would count as done.
//!
//! Beside the boot memory, under the same rules: in memory, for root, bound to the boot, in a ramdisk only.

use super::boot_memory::boot_id;
use super::boot_note;
use super::ramdisk::root_is_ramdisk;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

const FILE: &str = "under-way.json";

/// One command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    boot_id: String,
    /// Of its result.
    pub id: String,
    /// `execute_clean_step`.
    pub command: String,
    /// The step it runs, if it runs one.
    pub step: Option<String>,
}

impl UnderWay {
    /// Notes that it begins. A note that cannot be written is only logged: then the token was not left either, and an agent
    /// that is started again is refused.
    pub fn note(folder: &Path, id: &str, command: &str, step: Option<&str>) {
        let Some(boot_id) = boot_id().filter(|_| root_is_ramdisk()) else { return };
        let note = Self {
            boot_id,
            id: id.to_owned(),
            command: command.to_owned(),
            step: step.map(|step| step.chars().take(200).collect()),
        };
        if let Err(cause) = note.write(folder) {
            tracing::warn!(error = %cause, "a restarted agent will not know what was under way");
        }
    }

    /// One of no boot, for tests of those who show it.
    #[cfg(test)]
    pub fn of(id: &str, command: &str, step: Option<&str>) -> Self {
        Self { boot_id: String::new(), id: id.into(), command: command.into(), step: step.map(str::to_owned) }
    }

    /// It has ended well. After another end the note stays: nobody may have heard of it yet.
    pub fn is_done(folder: &Path) {
        let _ = fs::remove_file(folder.join(FILE));
    }

    /// What an earlier agent of this boot did not bring to a good end.
    pub fn recall(folder: &Path) -> Option<Self> {
        if root_is_ramdisk() { Self::read(folder, &boot_id()?) } else { None }
    }

    fn read(folder: &Path, boot_id: &str) -> Option<Self> {
        boot_note::read(folder, FILE).filter(|note: &Self| note.boot_id == boot_id)
    }

    fn write(&self, folder: &Path) -> std::io::Result<()> {
        boot_note::write(folder, FILE, self)
    }
}

#[cfg(test)]
mod tests {
    use super::{FILE, UnderWay};
    use crate::sys::ramdisk::root_is_ramdisk;

    #[test]
    fn the_note_is_read_in_the_same_boot_until_the_command_has_ended_well() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let note = |id: &str| UnderWay {
            boot_id: "this".into(),
            id: id.into(),
            command: "execute_clean_step".into(),
            step: Some("erase_devices".into()),
        };
        note("1").write(&run).unwrap();
        note("2").write(&run).unwrap();
        assert_eq!(UnderWay::read(&run, "this"), Some(note("2")));
        assert_eq!(UnderWay::read(&run, "another"), None);
        UnderWay::is_done(&run);
        assert_eq!(UnderWay::read(&run, "this"), None);
        std::fs::write(run.join(FILE), "{").unwrap();
        assert_eq!(UnderWay::read(&run, "this"), None);
    }

    #[test]
    fn outside_a_ramdisk_nothing_is_noted_or_recalled() {
        let folder = tempfile::tempdir().unwrap();
        if !root_is_ramdisk() {
            UnderWay::note(folder.path(), "1", "execute_clean_step", None);
            assert!(!folder.path().join(FILE).exists() && UnderWay::recall(folder.path()).is_none());
        }
    }
}
