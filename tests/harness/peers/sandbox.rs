//! Starts a program in the sandbox, with a cable to the story's bridge: one "boot" of an emulated machine.

use super::cable::{self, Cable};
use super::loop_disk::LoopDisk;
use crate::machine::Firmware;
use crate::workspace;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What runs, and what it sees.
#[derive(Debug)]
pub struct Boot<'a> {
    /// Folder for the log, the scratch mount, and what outlasts a boot.
    pub folder: &'a Path,
    /// Its disks.
    pub disks: &'a [&'a LoopDisk],
    /// Its NIC.
    pub mac: &'a str,
    /// Its address on the story's network, without prefix length.
    pub address: &'a str,
    /// What it seems to have been started by.
    pub firmware: Firmware,
    /// What runs containers in it.
    pub containers: Containers,
    /// Program and arguments.
    pub command: &'a [String],
}

/// What runs containers in a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Containers {
    /// Stand-ins that only note the call.
    #[default]
    Noted,
    /// The machine's podman, with folders and settings of the sandbox.
    Real,
}

/// A program in the sandbox; killed with everything it started when dropped.
#[derive(Debug)]
pub struct Sandbox {
    child: Child,
    /// What it said.
    pub log: PathBuf,
    /// Pulled out when nobody is there any more.
    _cable: Cable,
}

/// Where a sandbox of this folder has its `/etc` that outlasts it.
pub fn etc(folder: &Path) -> PathBuf {
    folder.join("keeps/etc")
}

/// Where it has the variables of its firmware.
pub fn variables(folder: &Path) -> PathBuf {
    folder.join("keeps/efivars")
}

/// Starts it.
///
/// # Panics
/// When the sandbox cannot be built, with its reason.
pub fn start(boot: &Boot<'_>) -> Sandbox {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let scratch = boot.folder.join(format!("sandbox{number}"));
    for place in [&scratch, &etc(boot.folder), &variables(boot.folder)] {
        fs::create_dir_all(place).expect("a folder of the sandbox");
    }
    let firmware = if boot.firmware == Firmware::Uefi { "uefi" } else { "bios" };
    let containers = if boot.containers == Containers::Real { "real" } else { "noted" };
    let log = boot.folder.join(format!("sandbox{number}.log"));
    let file = File::create(&log).expect("a log");
    let disks: Vec<_> = boot.disks.iter().map(|disk| disk.device.to_string_lossy().into_owned()).collect();
    let mut child = Command::new("unshare")
        .args(["--mount", "--uts", "--pid", "--net", "--fork", "--kill-child", "--propagation", "private", "--"])
        .arg(workspace::own_program("sandbox"))
        .args(["--disks", &disks.join(" "), "--mac", boot.mac, "--scratch"])
        .arg(&scratch)
        .arg("--keeps")
        .arg(boot.folder.join("keeps"))
        .args(["--firmware", firmware, "--containers", containers, "--"])
        .args(boot.command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(file.try_clone().expect("the log again"))
        .spawn()
        .expect("unshare (package util-linux)");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("the sandbox speaks");
    assert_eq!(line.trim(), "ready", "the sandbox did not start: {}", fs::read_to_string(&log).unwrap_or_default());
    let cable = cable::plug_in(&format!("veth{number}"), child.id(), boot.mac, boot.address);
    child.stdin.take().expect("piped").write_all(b"go\n").expect("the sandbox listens");
    let mut copy = file;
    std::thread::spawn(move || std::io::copy(&mut out, &mut copy));
    Sandbox { child, log, _cable: cable }
}

impl Sandbox {
    /// It still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end; whether it ended well.
    ///
    /// # Panics
    /// When the system does not know its child.
    pub fn ends(&mut self) -> bool {
        self.child.wait().expect("the sandbox's process").success()
    }

    /// Everything it said so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
