//! Loop devices for tests: a sparse temporary file behind a real block device, detached when dropped.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A loop device over a file of its own.
pub struct LoopDevice {
    path: PathBuf,
    file: tempfile::NamedTempFile,
}

impl LoopDevice {
    /// None, with the reason printed, where loop devices cannot be made: the test then has nothing to say.
    pub fn new(bytes: u64, sector: u32) -> Option<Self> {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        file.as_file().set_len(bytes).expect("sparse file");
        let run = Command::new("losetup")
            .args(["--find", "--show", "--partscan", "--sector-size", &sector.to_string()])
            .arg(file.path())
            .output();
        match run {
            Ok(output) if output.status.success() => {
                let path = PathBuf::from(String::from_utf8(output.stdout).expect("a device name").trim());
                Some(Self { path, file })
            }
            Ok(output) => {
                println!("skipped: no loop device: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                println!("skipped: no loop device: losetup: {error}");
                None
            }
        }
    }

    /// `/dev/loopN`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file behind it.
    pub fn file(&self) -> &Path {
        self.file.path()
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.path).status();
    }
}
