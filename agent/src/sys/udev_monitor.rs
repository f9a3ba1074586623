//! Block devices that udev has finished with, as they come: what a look into `/sys` sees before that has no label yet.

use super::child_pipes::timeout;
use nix::poll::{PollFd, PollFlags, poll};
use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

/// Most events taken at once; a storm must not keep us here.
const MAX_EVENTS: usize = 256;

/// A source of such news, from its opening on.
pub struct BlockMonitor(udev::MonitorSocket);

impl BlockMonitor {
    /// Opens it. Look at what is there afterwards, or what came in between is missed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open() -> io::Result<Self> {
        Ok(Self(udev::MonitorBuilder::new()?.match_subsystem("block")?.listen()?))
    }

    /// Blocks until there is news, true, or until `end`, false.
    pub fn wait(&self, end: Instant) -> bool {
        while Instant::now() < end {
            match poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], timeout(end)) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => return self.0.iter().take(MAX_EVENTS).count() > 0 || Instant::now() < end,
                Err(_) => return false,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::BlockMonitor;
    use std::time::{Duration, Instant};

    #[test]
    fn it_opens_and_its_waits_end() {
        let monitor = BlockMonitor::open().unwrap();
        let begun = Instant::now();
        // News may come at any time on a living machine.
        while monitor.wait(begun + Duration::from_millis(100)) && begun.elapsed() < Duration::from_secs(2) {}
        assert!(begun.elapsed() >= Duration::from_millis(100) && begun.elapsed() < Duration::from_secs(2));
    }
}
