//! The real counterparts: Ironic, its agent and its client, from PyPI in a virtual environment.

pub mod cli;
pub mod ironic;
pub mod loop_disk;
pub mod sandbox;

use crate::workspace;
use std::path::PathBuf;

/// The virtual environment that `make setup-peers` made.
///
/// # Panics
/// When it is not there, with the command that makes it.
pub fn venv() -> PathBuf {
    let path = std::env::var_os("WROUGHT_PEERS_VENV").map_or_else(|| workspace::root().join(".cache/peers"), PathBuf::from);
    assert!(path.join("bin/baremetal").exists(), "{} has no `baremetal`; run `make setup-peers`", path.display());
    path
}
