//! What an emulated machine boots: the real agent or ours, and the configuration that a kernel command line would carry.

use std::fs;
use std::path::{Path, PathBuf};

use super::loop_disk::LoopDisk;
use super::sandbox;
use crate::workspace;

/// What our agent runs from a ramdisk only, or by name: the sandbox is one, but its `/` is not in memory.
const STEPS_OF_A_RAMDISK: [&str; 8] = [
    "burnin_cpu",
    "burnin_memory",
    "burnin_disk",
    "burnin_network",
    "burnin_gpu",
    "generic_container_step",
    "container_clean_step",
    "execute_bootc_install",
];

/// Whose agent is in the ramdisk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// ironic-python-agent from PyPI.
    Real,
    /// This repository's.
    Ours,
}

/// What the machine is booted for; the conductor would say it on the kernel's command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Send what the machine has.
    Inspection,
    /// The same, and stay for what comes next (fast track).
    InspectionAndSteps,
    /// Look the node up and wait for commands.
    Steps,
}

impl Agent {
    /// Writes the configuration into a folder below `dir` and returns program and arguments.
    ///
    /// # Panics
    /// When the folder cannot be written or the program is not there.
    pub fn command(self, dir: &Path, api: &str, purpose: Purpose, disks: &[&LoopDisk]) -> Vec<String> {
        let folder = dir.join(match purpose {
            Purpose::Inspection | Purpose::InspectionAndSteps => "agent-inspection.d",
            Purpose::Steps => "agent-steps.d",
        });
        fs::create_dir_all(&folder).expect("a folder for the agent's configuration");
        // A ramdisk is as new at every boot.
        let _ = fs::remove_dir_all(sandbox::etc(dir));
        fs::create_dir_all(sandbox::etc(dir).join("ipa-rescue-config")).expect("a folder that ramdisks have");
        let way = match purpose {
            Purpose::Inspection => format!("inspection_callback_url = {api}/v1/continue_inspection\n"),
            Purpose::InspectionAndSteps => {
                format!("inspection_callback_url = {api}/v1/continue_inspection\napi_url = {api}\n")
            }
            Purpose::Steps => format!("api_url = {api}\n"),
        };
        let rest = "debug = true\ndisk_wait_attempts = 1\ninspection_dhcp_wait_timeout = 0\n\
                    inspection_collectors = default\nlookup_interval = 1\n\
                    image_download_connection_retries = 1\nimage_download_connection_retry_interval = 1\n";
        fs::write(folder.join("agent.conf"), format!("[DEFAULT]\n{way}{rest}")).expect("the agent's configuration");
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        match self {
            Agent::Real => {
                vec![text(super::venv().join("bin/ironic-python-agent")), "--config-dir".into(), text(folder)]
            }
            Agent::Ours => {
                let mut line = vec![text(workspace::program("agent")), "serve".into(), "--debug".into()];
                line.extend(["--config-dir".into(), text(folder)]);
                // The sandbox's shim of this name notes the call.
                line.extend(["--power-program".into(), "systemctl".into()]);
                // Below the sandbox's working folder, and kept when the agent has ended.
                line.extend(["--etc".into(), "etc".into()]);
                for disk in disks {
                    line.extend(["--allow-erase".into(), text(disk.device.clone())]);
                }
                line.extend(STEPS_OF_A_RAMDISK.iter().flat_map(|step| ["--allow-step".into(), (*step).into()]));
                line
            }
        }
    }
}
