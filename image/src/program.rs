//! Runs the few programs a build needs: by argument list, with a clean environment, bounded in time and output.
//! What is run, and what its output means, is the caller's business.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The longest output kept of one stream: apt's list of a few dozen packages is a few kilobytes.
const OUTPUT_LIMIT: u64 = 1 << 20;
/// Downloading the kernel package (70 MB) over a slow line is the longest thing run here.
const PATIENCE: Duration = Duration::from_secs(900);
/// Programs are looked for here, so an ordinary user finds `depmod` too.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a program gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not on this machine.
    #[error("the program `{program}` is not here; install the Debian package `{package}`")]
    Missing {
        /// What was to be run.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// The system would not start it, or its output could not be read.
    #[error("`{program}` could not be run")]
    Io {
        /// What was to be run.
        program: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It said no.
    #[error("`{program}` failed ({status}): {said}")]
    Failed {
        /// What was run.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The end of its standard error.
        said: String,
    },
    /// It was still running at the deadline and was stopped.
    #[error("`{program}` did not end within {} s and was stopped", PATIENCE.as_secs())]
    Slow {
        /// What was run.
        program: &'static str,
    },
}

/// One program with its arguments.
pub struct Program {
    name: &'static str,
    package: &'static str,
    command: Command,
}

impl Program {
    /// `name` is looked up in the system's own program folders; `package` is named when it is missing.
    pub fn new(name: &'static str, package: &'static str) -> Self {
        let mut command = Command::new(find(name).unwrap_or_else(|| PathBuf::from(name)));
        command.env_clear().env("PATH", SEARCH_PATH).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        Program { name, package, command }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments in order.
    pub fn args<A: AsRef<std::ffi::OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets one environment variable; nothing else is inherited.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs in this folder.
    pub fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs to the end and returns what was printed.
    ///
    /// # Errors
    /// The program is missing, failed, or ran past the deadline.
    pub fn output(mut self) -> Result<String, ProgramError> {
        let program = self.name;
        let io = |source| ProgramError::Io { program, source };
        tracing::debug!(command = ?self.command, "running");
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match self.command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ProgramError::Missing { program, package: self.package });
            }
            Err(error) => return Err(io(error)),
        };
        let out = drain(child.stdout.take());
        let err = drain(child.stderr.take());
        let status = wait(&mut child).map_err(io)?.ok_or(ProgramError::Slow { program })?;
        let (out, err) = (collect(out), collect(err));
        if status.success() { Ok(out) } else { Err(ProgramError::Failed { program, status, said: tail(&err) }) }
    }
}

fn find(name: &str) -> Option<PathBuf> {
    SEARCH_PATH.split(':').map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// Reads a stream on its own thread, so a talkative program never blocks on a full pipe. What exceeds the limit is
/// read and dropped.
fn drain(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.by_ref().take(OUTPUT_LIMIT).read_to_end(&mut kept);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
        kept
    })
}

fn collect(reader: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned()
}

fn wait(child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The last lines: where programs say why.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::{Program, ProgramError};

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = Program::new("no-such-program", "no-such-package").output().unwrap_err();
        assert!(matches!(error, ProgramError::Missing { .. }));
        assert!(error.to_string().contains("`no-such-package`"), "{error}");
    }

    #[test]
    fn a_failure_keeps_what_the_program_said() {
        let error = Program::new("ls", "coreutils").arg("/no/such/folder").output().unwrap_err();
        assert!(error.to_string().contains("/no/such/folder"), "{error}");
    }

    #[test]
    fn nothing_of_our_environment_is_inherited() {
        let seen = Program::new("env", "coreutils").env("ONLY", "this").output().unwrap();
        assert!(seen.contains("ONLY=this") && !seen.contains("HOME="), "{seen}");
    }
}
