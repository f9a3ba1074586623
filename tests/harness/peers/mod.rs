//! The real counterparts: Ironic, its agent and its client, from PyPI in a virtual environment; and ours beside them.

pub mod api;
pub mod cable;
pub mod cli;
pub mod emulated;
pub mod ironic;
pub mod loop_disk;
pub mod netboot;
pub mod ours;
pub mod pair;
pub mod program;
pub mod rabbit;
pub mod ramdisk;
pub mod sandbox;

use crate::workspace;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The virtual environment that `.ci/setup-peers` made; `PEERS_VENV` names another.
///
/// # Panics
/// When it is not there, with the command that makes it.
pub fn venv() -> PathBuf {
    let path = std::env::var_os("PEERS_VENV").map_or_else(|| workspace::root().join(".cache/peers"), PathBuf::from);
    assert!(
        path.join("bin/baremetal").exists(),
        "{} has no `baremetal`; run `.ci/setup-peers` as root",
        path.display()
    );
    path
}

/// What a story with the real client needs: the virtual environment, our programs, a namespace.
///
/// # Panics
/// When something is missing, with what to do.
pub fn require_client() {
    venv();
    workspace::program("conductor");
}

/// A program that reads the description of the API; `API_TOOLS_VENV` names another virtual environment than `.ci/setup-peers`'.
///
/// # Panics
/// When it is not there, with the command that makes it.
pub fn api_tool(name: &str) -> PathBuf {
    let venv = std::env::var_os("API_TOOLS_VENV");
    let path = venv.map_or_else(|| workspace::root().join(".cache/api-tools"), PathBuf::from).join("bin").join(name);
    assert!(path.exists(), "{} is not there; run `.ci/setup-peers` as root", path.display());
    path
}

/// What a story with such programs needs.
///
/// # Panics
/// When something is missing, with what to do.
pub fn require_api_tools() {
    for name in ["st", "openapi-python-client", "python"] {
        api_tool(name);
    }
    workspace::program("conductor");
}

/// What a story with a real agent in the sandbox needs besides: root, loop devices.
///
/// # Panics
/// When something is missing, with what to do.
pub fn require_sandbox() {
    require_client();
    workspace::program("agent");
    assert!(
        nix::unistd::geteuid().is_root(),
        "the stories with real agents make loop devices and mounts: run them as root"
    );
    let free = Command::new("losetup").arg("--find").stdin(Stdio::null()).output();
    let free = free.unwrap_or_else(|error| panic!("losetup (package mount): {error}"));
    assert!(
        free.status.success(),
        "this machine has no free loop device ({}); a container needs --privileged",
        String::from_utf8_lossy(&free.stderr).trim()
    );
}
