//! One QEMU process, from power-on to its end, spoken to over QMP on its standard streams.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// A running emulator.
#[derive(Debug)]
pub struct Emulator {
    child: Arc<Mutex<Child>>,
    input: Mutex<ChildStdin>,
}

impl Emulator {
    /// Starts QEMU. `ended` is called once, on another thread, with QMP's reason (`guest-reset`, `guest-shutdown` …)
    /// when the process has ended, whoever ended it.
    ///
    /// # Panics
    /// When QEMU cannot be started.
    pub fn start(arguments: &[OsString], errors: &Path, ended: impl FnOnce(&str) + Send + 'static) -> Self {
        let errors = File::options().create(true).append(true).open(errors).expect("the machine's folder");
        let mut command = Command::new("qemu-system-x86_64");
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("qemu-system-x86_64: {error}"));
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let child = Arc::new(Mutex::new(child));
        let waited = Arc::clone(&child);
        std::thread::spawn(move || {
            let mut reason = "the emulator ended without a word; see qemu.err".to_owned();
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(said) = shutdown_reason(&line) {
                    reason = said;
                }
            }
            // Its output is closed: it has ended, or is about to.
            let _ = waited.lock().unwrap_or_else(PoisonError::into_inner).wait();
            ended(&reason);
        });
        let emulator = Emulator { child, input: Mutex::new(input) };
        emulator.say(r#"{"execute":"qmp_capabilities"}"#);
        emulator
    }

    /// Sends one QMP command. A process that has just ended does not hear it, as a server without power would not.
    pub fn say(&self, command: &str) {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(input, "{command}").and_then(|()| input.flush());
    }

    /// Ends it now.
    pub fn kill(self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// `{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}`.
fn shutdown_reason(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    (event["event"] == "SHUTDOWN").then(|| event["data"]["reason"].as_str().map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::shutdown_reason;

    #[test]
    fn the_reason_is_read_from_the_event() {
        let line = r#"{"timestamp": {}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}"#;
        assert_eq!(shutdown_reason(line).as_deref(), Some("guest-reset"));
        assert_eq!(shutdown_reason(r#"{"event": "RESET"}"#), None);
        assert_eq!(shutdown_reason("garbage"), None);
    }
}
