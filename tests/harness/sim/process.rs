//! The conductor's process: started, killed, started again; what it logs.

use super::machine::lock;
use crate::workspace::own_program;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// Lines of the log that a failed story shows.
const TAIL: usize = 60;

/// One conductor, alive or dead.
pub struct Process {
    program: PathBuf,
    folder: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, PathBuf)>,
    child: Mutex<Option<Child>>,
    starts: AtomicU32,
}

impl Process {
    /// Not started yet.
    pub fn new(folder: &Path, arguments: Vec<String>, environment: Vec<(String, PathBuf)>) -> Self {
        let folder = folder.to_owned();
        Self {
            program: own_program("site-conductor"),
            folder,
            arguments,
            environment,
            child: Mutex::default(),
            starts: AtomicU32::new(0),
        }
    }

    /// Starts it, unless it runs.
    ///
    /// # Panics
    /// When the program cannot be run.
    pub fn start(&self) {
        self.start_as(Command::new(&self.program));
    }

    /// The same with a thousand open files at most, as service managers start programs, and the right to more.
    ///
    /// # Panics
    /// When the program cannot be run.
    pub fn start_with_few_files(&self) {
        let mut command = Command::new("prlimit");
        command.arg("--nofile=1024:").arg(&self.program);
        self.start_as(command);
    }

    fn start_as(&self, mut command: Command) {
        let mut child = lock(&self.child);
        if child.is_some() {
            return;
        }
        let log = OpenOptions::new().create(true).append(true).open(self.log_file()).expect("a log in our own folder");
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WROUGHT_")) {
            command.env_remove(name);
        }
        // Looks at nodes would drown everything else.
        command.env("WROUGHT_LOG", "info,conductor=debug,conductor::api::door=warn");
        command.envs(self.environment.iter().map(|(name, path)| (name, path)));
        *child = Some(command.spawn().expect("the conductor starts"));
        self.starts.fetch_add(1, Ordering::Relaxed);
    }

    /// SIGKILL.
    pub fn kill(&self) {
        if let Some(mut child) = lock(&self.child).take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM; waits for the end and says how it ended.
    ///
    /// # Panics
    /// When it does not run.
    pub fn stop(&self) -> std::process::ExitStatus {
        let mut child = lock(&self.child).take().expect("the conductor runs");
        let id = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).expect("our own child");
        child.wait().expect("our own child")
    }

    /// It has ended by itself. Its place is free afterwards.
    pub fn has_died(&self) -> bool {
        let mut child = lock(&self.child);
        let died = child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))));
        if died {
            *child = None;
        }
        died
    }

    /// Its process, while it runs.
    pub fn id(&self) -> Option<u32> {
        lock(&self.child).as_ref().map(Child::id)
    }

    /// How often it was started.
    pub fn starts(&self) -> u32 {
        self.starts.load(Ordering::Relaxed)
    }

    /// The whole log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("conductor.log")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
