//! The `baremetal` command line of python-ironicclient, as an operator types it.

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A client of one API.
#[derive(Clone, Debug)]
pub struct Baremetal {
    program: PathBuf,
    endpoint: String,
}

impl Baremetal {
    /// For `http://host:port`.
    pub fn new(endpoint: &str) -> Self {
        Self { program: super::venv().join("bin/baremetal"), endpoint: endpoint.into() }
    }

    /// Runs one command and returns what it printed.
    ///
    /// # Panics
    /// When it ends badly, with all that it said.
    pub fn run(&self, line: &[&str]) -> String {
        let (good, out, err) = self.attempt(line);
        assert!(good, "baremetal {}\n{out}\n{err}", line.join(" "));
        out
    }

    /// Runs one command; success, standard output, standard error.
    pub fn attempt(&self, line: &[&str]) -> (bool, String, String) {
        let output = Command::new(&self.program)
            .args(line)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/nonexistent")
            .env("OS_AUTH_TYPE", "none")
            .env("OS_ENDPOINT", &self.endpoint)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    }

    /// Runs one command with `-f json` and returns the document.
    ///
    /// # Panics
    /// When it ends badly or prints no JSON.
    pub fn json(&self, line: &[&str]) -> Value {
        let out = self.run(&[line, &["-f", "json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("baremetal {}: {error}\n{out}", line.join(" ")))
    }

    /// One field of a node.
    pub fn field(&self, node: &str, field: &str) -> Value {
        self.json(&["node", "show", node, "--fields", field])[field].clone()
    }
}
