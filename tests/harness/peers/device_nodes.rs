//! What the kernel does in a real machine's /dev and nobody does in a sandbox's: a node for each partition that comes,
//! and none for one that is gone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

/// Agents look for a new partition's node for seconds.
const LOOK: Duration = Duration::from_millis(50);

/// Keeps the nodes until dropped.
#[derive(Debug)]
pub struct DeviceNodes {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DeviceNodes {
    /// For partitions of `disks` (`loop3`), in the `/dev` that process `pid` sees.
    pub fn keep(pid: u32, disks: Vec<String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let dev = PathBuf::from(format!("/proc/{pid}/root/dev"));
        let thread = std::thread::spawn(move || {
            let mut made = BTreeSet::new();
            while !stopped.load(Ordering::Relaxed) {
                let there: Vec<(String, u64)> = disks.iter().flat_map(|disk| partitions(disk)).collect();
                made.retain(|(name, device): &(String, u64)| {
                    let stays = there.iter().any(|(other, number)| (other, number) == (name, device));
                    stays || fs::remove_file(dev.join(name)).is_err()
                });
                for (name, device) in there {
                    let node = mknod(&dev.join(&name), SFlag::S_IFBLK, Mode::from_bits_truncate(0o660), device);
                    if matches!(node, Ok(()) | Err(Errno::EEXIST)) {
                        made.insert((name, device));
                    }
                }
                std::thread::sleep(LOOK);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

/// Name and number of every partition the kernel has of a disk.
fn partitions(disk: &str) -> Vec<(String, u64)> {
    let folder = Path::new("/sys/block").join(disk);
    let names =
        fs::read_dir(&folder).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let parts = names.filter(|name| name.strip_prefix(disk).is_some_and(|rest| rest.starts_with('p')));
    parts.filter_map(|name| Some((number(&folder.join(&name))?, name))).map(|(number, name)| (name, number)).collect()
}

fn number(part: &Path) -> Option<u64> {
    let text = fs::read_to_string(part.join("dev")).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some(makedev(major.parse().ok()?, minor.parse().ok()?))
}

impl Drop for DeviceNodes {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
