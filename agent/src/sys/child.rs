//! Runs a program by argument list: bounded time, bounded output, clean environment, no shell.
//!
//! The child leads a process group of its own; when time is up the whole group is killed.

use crate::sys::apart::apart;
use crate::sys::child_pipes::{LineListener, Pipes, pidfd, timeout};
use crate::sys::command_log;
use crate::sys::text::clean;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The only folders in which programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a killed child may take to go; one stuck in the kernel on a dead disk never does.
const PATIENCE_AFTER_KILL: Duration = Duration::from_secs(2);

/// A program to run. Thirty seconds and one MiB of output unless told otherwise.
pub struct Program {
    name: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    input: Vec<u8>,
    folder: OsString,
    time: Duration,
    output: usize,
    listener: Option<LineListener>,
    apart: bool,
}

/// What a program left behind.
#[derive(Debug)]
pub struct Output {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// Standard output, up to the limit.
    pub stdout: Vec<u8>,
    /// Standard error, up to the limit.
    pub stderr: Vec<u8>,
    /// One of the two was longer than the limit; the rest was dropped.
    pub truncated: bool,
}

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// Not installed.
    #[error("the program `{program}` is not installed here; add it to the ramdisk")]
    Missing {
        /// Its name.
        program: String,
    },
    /// The kernel refused.
    #[error("`{program}` could not be run")]
    Start {
        /// Its name.
        program: String,
        /// The cause.
        source: io::Error,
    },
    /// Killed by us.
    #[error("`{program}` did not end within {} s and was killed", after.as_secs_f64())]
    TimedOut {
        /// Its name.
        program: String,
        /// The limit.
        after: Duration,
    },
    /// Ended badly.
    #[error("`{program}` ended with {status}: {message}")]
    Failed {
        /// Its name.
        program: String,
        /// Code or signal.
        status: ExitStatus,
        /// End of its standard error (or output), cleaned.
        message: String,
    },
}

impl Program {
    /// A bare name is looked for in the system folders; a path is taken as it is.
    pub fn new(name: impl AsRef<OsStr>) -> Program {
        let (time, output) = (Duration::from_secs(30), 1 << 20);
        Program {
            name: name.as_ref().into(),
            args: vec![],
            env: vec![],
            input: vec![],
            folder: "/".into(),
            time,
            output,
            listener: None,
            apart: false,
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Program {
        self.args.push(arg.as_ref().into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Program {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().into()));
        self
    }

    /// One variable of its environment, which holds only `PATH` and `LC_ALL=C` otherwise.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Program {
        self.env.push((name.into(), value.as_ref().into()));
        self
    }

    /// What it reads from standard input; nothing otherwise.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Program {
        self.input = bytes.into();
        self
    }

    /// It runs in this folder; in `/` otherwise.
    #[must_use]
    pub fn within(mut self, folder: impl AsRef<OsStr>) -> Program {
        self.folder = folder.as_ref().into();
        self
    }

    /// It is killed when it takes longer.
    #[must_use]
    pub fn time_limit(mut self, time: Duration) -> Program {
        self.time = time;
        self
    }

    /// Most bytes kept of each output; the rest is read and dropped.
    #[must_use]
    pub fn output_limit(mut self, bytes: usize) -> Program {
        self.output = bytes;
        self
    }

    /// Gets each line of standard error while the program runs.
    #[must_use]
    pub fn on_stderr_line(mut self, listener: impl FnMut(&[u8]) + Send + 'static) -> Program {
        self.listener = Some(Box::new(listener));
        self
    }

    /// It is code of strangers: it sees no other process and reaches into none (see [`super::apart`]).
    #[must_use]
    pub fn apart(mut self) -> Program {
        self.apart = true;
        self
    }

    fn shown(&self) -> String {
        clean(self.name.as_encoded_bytes(), 128)
    }

    /// Runs it to its end, whatever its status. Blocks: not for async tasks.
    ///
    /// # Errors
    /// [`ChildError::Missing`], [`ChildError::Start`], [`ChildError::TimedOut`].
    pub fn run(self) -> Result<Output, ChildError> {
        let (line, begun) = (command_log::shown(&self.shown(), &self.args), Instant::now());
        let ended = self.run_unnoted();
        command_log::note(&line, begun.elapsed(), &ended);
        ended
    }

    fn run_unnoted(mut self) -> Result<Output, ChildError> {
        let program = self.shown();
        let start = |source: io::Error| match source.kind() {
            ErrorKind::NotFound => ChildError::Missing { program: program.clone() },
            _ => ChildError::Start { program: program.clone(), source },
        };
        let deadline = Instant::now() + self.time;
        let mut command = Command::new(&self.name);
        command
            .args(&self.args)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .current_dir(&self.folder)
            .process_group(0);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if self.apart {
            apart(&mut command);
        }
        let stdin = if self.input.is_empty() { Stdio::null() } else { Stdio::piped() };
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(start)?;
        tracing::debug!(%program, pid = child.id(), "started");
        let ended = Pipes::new(&mut child, std::mem::take(&mut self.input), self.output).and_then(|mut pipes| {
            pipes.listen(self.listener.take());
            let ended = pipes.pump(deadline)?;
            Ok((pipes, ended))
        });
        match ended {
            Ok((pipes, true)) => {
                let status = child.wait().map_err(start)?;
                let (stdout, stderr, truncated) = pipes.into_outputs();
                Ok(Output { status, stdout, stderr, truncated })
            }
            Ok((_, false)) => {
                kill(child);
                Err(ChildError::TimedOut { program: program.clone(), after: self.time })
            }
            Err(source) => {
                kill(child);
                Err(ChildError::Start { program: program.clone(), source })
            }
        }
    }

    /// Runs it and takes any status but 0 as a failure.
    ///
    /// # Errors
    /// As [`Program::run`], and [`ChildError::Failed`].
    pub fn succeed(self) -> Result<Output, ChildError> {
        let program = self.shown();
        let output = self.run()?;
        if output.status.success() {
            return Ok(output);
        }
        let said = if output.stderr.trim_ascii().is_empty() { &output.stdout } else { &output.stderr };
        let tail = said.get(said.len().saturating_sub(512)..).unwrap_or_default();
        let message = match clean(tail, 512) {
            text if text.is_empty() => "it said nothing".to_owned(),
            text => text,
        };
        Err(ChildError::Failed { program, status: output.status, message })
    }
}

impl Output {
    /// Standard output as text; bad bytes become `U+FFFD`.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Exit code; `None` when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        if self.status.signal().is_some() { None } else { self.status.code() }
    }
}

/// Kills the whole group, then reaps the child; a child that will not go is left to a thread.
fn kill(mut child: Child) {
    let group = Pid::from_raw(child.id().cast_signed());
    let _ = killpg(group, Signal::SIGKILL).or_else(|_| nix::sys::signal::kill(group, Signal::SIGKILL));
    if let Ok(handle) = pidfd(&child) {
        let _ =
            poll(&mut [PollFd::new(handle.as_fd(), PollFlags::POLLIN)], timeout(Instant::now() + PATIENCE_AFTER_KILL));
    }
    if !matches!(child.try_wait(), Ok(Some(_))) {
        std::thread::spawn(move || child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::{ChildError, Program};
    use std::time::{Duration, Instant};

    #[test]
    fn arguments_arrive_unchanged_and_no_shell_reads_them() {
        let output = Program::new("printf").args(["%s|", "$(id)", "a b", ";"]).succeed().unwrap();
        assert_eq!(output.text(), "$(id)|a b|;|");
        assert_eq!(output.code(), Some(0));
    }

    #[test]
    fn the_environment_is_clean() {
        let output = Program::new("env").env("EXTRA", "1").succeed().unwrap();
        let mut names: Vec<_> = output.text().lines().map(|line| line.split('=').next().unwrap().to_owned()).collect();
        names.sort();
        assert_eq!(names, ["EXTRA", "LC_ALL", "PATH"]);
    }

    #[test]
    fn a_slow_program_and_its_children_are_killed_in_time() {
        let begun = Instant::now();
        let program = Program::new("timeout").args(["60", "sleep", "60"]).time_limit(Duration::from_millis(200));
        assert!(matches!(program.run(), Err(ChildError::TimedOut { .. })));
        assert!(begun.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn endless_output_is_bounded_in_memory_and_time() {
        let program = Program::new("yes").output_limit(1000).time_limit(Duration::from_millis(200));
        assert!(matches!(program.run(), Err(ChildError::TimedOut { .. })));
        let output = Program::new("seq").arg("100000").output_limit(1000).run().unwrap();
        assert!(output.truncated && output.stdout.len() == 1000);
    }

    #[test]
    fn input_larger_than_a_pipe_goes_through_and_a_deaf_child_does_not_block() {
        let big = vec![b'x'; 300_000];
        let output = Program::new("wc").arg("-c").input(big.clone()).succeed().unwrap();
        assert_eq!(output.text().trim(), "300000");
        assert!(Program::new("true").input(big).succeed().is_ok());
    }

    #[test]
    fn failures_say_what_happened() {
        assert!(matches!(Program::new("no-such-program-here").run(), Err(ChildError::Missing { .. })));
        let error = Program::new("ls").arg("/no/such/\u{7}place").succeed().unwrap_err().to_string();
        assert!(error.contains("`ls` ended with") && error.contains("/no/such") && !error.contains('\u{7}'), "{error}");
    }
}
