//! A disk for a sandbox: a loop device over a file of the story, detached when the story ends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One loop device.
#[derive(Debug)]
pub struct LoopDisk {
    /// `/dev/loopN`.
    pub device: PathBuf,
    /// The file behind it.
    pub file: PathBuf,
}

impl LoopDisk {
    /// Makes a sparse file of `bytes` and attaches it.
    ///
    /// # Panics
    /// When the machine has no loop devices for us (needs root), with that sentence.
    pub fn new(folder: &Path, name: &str, bytes: u64) -> Self {
        let file = folder.join(name);
        File::create(&file).and_then(|made| made.set_len(bytes)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let output = Command::new("losetup").args(["--find", "--show"]).arg(&file).output().expect("losetup (package mount)");
        assert!(
            output.status.success(),
            "no loop device: {}. The tests with real agents need root and loop devices",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Self { device: String::from_utf8_lossy(&output.stdout).trim().into(), file }
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.device).status();
    }
}
