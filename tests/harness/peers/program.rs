//! A long-running program of a story: its log in the story's folder, stopped when the story ends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What a program gets between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(10);

/// One running program.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Everything it said.
    pub log: PathBuf,
}

impl Running {
    /// Starts it; both outputs go to `log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let open = || File::options().create(true).append(true).open(log).expect("a log in the story's folder");
        let child = command.stdin(Stdio::null()).stdout(open()).stderr(open()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, log: log.to_owned() }
    }

    /// It has not ended.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Everything it said so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let deadline = Instant::now() + GRACE;
        while self.runs() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
