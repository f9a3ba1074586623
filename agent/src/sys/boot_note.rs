//! Small files that an agent leaves for one that is started again within the same boot: for root only, of bounded length, whole
//! or not there. Whose boot a note belongs to is in the note; `boot_memory` and `under_way` look at it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// A longer file is not ours, bytes.
const LONGEST: u64 = 4096;

/// What is in it, if it can be read.
pub fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Option<T> {
    let path = folder.join(name);
    if fs::metadata(&path).ok()?.len() > LONGEST {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Whole or not at all: a power cut does not matter, a killed process does.
///
/// # Errors
/// The file system's.
pub fn write(folder: &Path, name: &str, note: &impl Serialize) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let beside = folder.join(format!("{name}.new"));
    // A new inode: an old file's mode, or a link planted there, must not decide who reads it.
    let _ = fs::remove_file(&beside);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(serde_json::to_string(note)?.as_bytes())?;
    fs::rename(&beside, folder.join(name))
}
