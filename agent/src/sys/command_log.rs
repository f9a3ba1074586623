//! Which programs the agent ran, how each ended and how long it took: a bounded log of its own, so that the bundle tells it
//! although the usual log does not (the reference logs every program at debug level).
//!
//! Arguments are masked before they are kept; outputs are not kept at all, they go to the debug log masked.

use super::child::{ChildError, Output};
use super::log_ring::LogRing;
use super::mask::{mask_arguments, mask_secrets};
use super::text::clean;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Duration;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// Bytes kept; some thousand lines.
const CAPACITY: usize = 256 * 1024;
/// Bytes of one program's arguments.
const MAX_ARGUMENTS: usize = 512;
/// Bytes of an output in the debug log: its end, where errors are.
const MAX_SHOWN: usize = 1024;

/// The log of this process, oldest first: time, duration, end, program with arguments.
pub fn of_this_process() -> LogRing {
    static RING: OnceLock<LogRing> = OnceLock::new();
    RING.get_or_init(|| LogRing::new(CAPACITY)).clone()
}

/// A program with its arguments, as one line that may be shown.
pub fn shown(name: &str, arguments: &[OsString]) -> String {
    let arguments = mask_arguments(arguments.iter().map(|argument| argument.as_encoded_bytes()), MAX_ARGUMENTS);
    format!("{name} {arguments}").trim_end().to_owned()
}

/// Notes how a program ended.
pub(super) fn note(line: &str, took: Duration, ended: &Result<Output, ChildError>) {
    let end = match ended {
        Ok(output) => output.status.to_string(),
        Err(ChildError::Missing { .. }) => "not installed".to_owned(),
        Err(ChildError::TimedOut { .. }) => "killed: time is up".to_owned(),
        Err(_) => "not started".to_owned(),
    };
    let mut row = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut row));
    let _ = write!(row, " {:>8.3} s  {end}  {line}", took.as_secs_f64());
    let _ = writeln!(of_this_process(), "{row}");
    tracing::debug!(command = %line, %end, seconds = took.as_secs_f64(), "ran");
    if tracing::enabled!(tracing::Level::DEBUG)
        && let Ok(output) = ended
    {
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            let tail = bytes.get(bytes.len().saturating_sub(MAX_SHOWN)..).unwrap_or_default();
            let text = mask_secrets(&clean(tail, MAX_SHOWN));
            if !text.is_empty() {
                tracing::debug!(command = %line, "{name}: {text}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::sys::child::Program;
    use std::time::Duration;

    fn log() -> String {
        String::from_utf8_lossy(&super::of_this_process().contents()).into_owned()
    }

    #[test]
    fn every_program_is_noted_with_its_end_and_without_secrets() {
        let mark = "command-log-test";
        Program::new("true").args([mark, "--password", "hunter2"]).run().unwrap();
        Program::new("false").arg(mark).succeed().unwrap_err();
        Program::new("no-such-program-there").arg(mark).run().unwrap_err();
        Program::new("sleep").arg("61.25").time_limit(Duration::from_millis(50)).run().unwrap_err();
        let log = log();
        let row = |program: &str| {
            let wanted = format!("  {program}");
            log.lines().find(|line| line.contains(mark) && line.contains(&wanted)).unwrap_or_default().to_owned()
        };
        let good = row("true ");
        assert!(good.ends_with(" s  exit status: 0  true command-log-test --password ******"), "{good}");
        assert!(good.starts_with("20") && good.contains('T'), "{good}");
        assert!(row("false ").contains("exit status: 1"), "{log}");
        assert!(row("no-such-program-there ").contains("not installed"), "{log}");
        assert!(log.contains("  killed: time is up  sleep 61.25\n"), "{log}");
        assert!(!log.contains("hunter2"));
    }
}
