//! `make demo`: a virtual server with a BMC is provisioned before your eyes, with its serial console.
//!
//! The outer process starts itself again in namespaces of its own, where the whole site lives, and passes the API through
//! to a port of this machine. Ctrl-C, or the end, and nothing is left: namespaces, processes and files go together.

mod door;
mod phases;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use tests::{needs, network, workspace, world};
use tokio::signal::unix::{SignalKind, signal};

/// Set for the inner process: the demo's folder.
const MARK: &str = "WROUGHT_DEMO_DIR";
/// The API's port on this machine, unless it is taken.
const PORT: u16 = 6385;

fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let keep = std::env::var("KEEP").map_or(true, |word| !matches!(word.as_str(), "0" | "no" | "false"));
    match std::env::var_os(MARK) {
        Some(dir) => {
            network::bring_up();
            runtime.block_on(phases::play(PathBuf::from(dir), keep))
        }
        None => {
            needs::require_lab();
            let prepared = phases::prepare();
            runtime.block_on(outside(prepared))
        }
    }
}

/// Starts the inner process, opens the door to its API, waits for its end or for Ctrl-C, and cleans up.
async fn outside(prepared: f64) -> ExitCode {
    let dir = workspace::target().join(format!("lab/demo-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let port = match door::open(&dir.join(door::SOCKET), PORT).await {
        Ok(port) => port,
        Err(error) => {
            eprintln!("demo: no port of 127.0.0.1 can be listened on: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = inner(&dir, port, prepared).await;
    let _ = fs::remove_dir_all(&dir);
    code
}

async fn inner(dir: &Path, port: u16, prepared: f64) -> ExitCode {
    let me = std::env::current_exe().expect("the path of this program");
    let mut command = world::command(me);
    command.env(MARK, dir).env(door::PORT_VARIABLE, port.to_string()).stdin(Stdio::null());
    command.env(phases::PREPARED_VARIABLE, prepared.to_string());
    // Ctrl-C reaches the whole process group; the inner process must not die of it before we say so.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = match tokio::process::Command::from(command).kill_on_drop(true).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("demo: unshare (package util-linux): {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut interrupt = signal(SignalKind::interrupt()).expect("signals");
    let mut terminate = signal(SignalKind::terminate()).expect("signals");
    let ended = tokio::select! {
        ended = child.wait() => ended.is_ok_and(|status| status.success()),
        _ = interrupt.recv() => stop(&mut child).await,
        _ = terminate.recv() => stop(&mut child).await,
    };
    if ended { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The kernel ends everything in the inner process namespace with its first process.
async fn stop(child: &mut tokio::process::Child) -> bool {
    println!("\ndemo: cleaning up");
    let _ = child.kill().await;
    true
}
