//! Graphics processors: the program `gpu_burn`, which the operator's ramdisk brings along.

use super::settings::Settings;
use super::{BurnIn, report};
use crate::step::StepContext;
use crate::sys::child::Program;
use std::path::{Path, PathBuf};
use std::time::Duration;

const DAY: u64 = 86_400;
/// For the list of processors, and on top of the time that was asked for.
const SLACK: Duration = Duration::from_secs(300);

/// `agent_burnin_gpu_count` processors must be there (0: not counted); they burn for `agent_burnin_gpu_timeout`.
pub fn run(settings: &Settings<'_>, context: &StepContext) -> Result<(), BurnIn> {
    let folder = settings.path("gpu_install_dir")?.unwrap_or_else(|| PathBuf::from("/opt/gpu-burn"));
    let time = settings.time("gpu_timeout", DAY)?;
    let memory = settings.text("gpu_memory")?.unwrap_or("95%");
    let count = settings.number("gpu_count", 0)?;
    let digits = memory.strip_suffix('%').unwrap_or(memory);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BurnIn::Settings(format!(
            "driver_info.agent_burnin_gpu_memory is {memory:?}; give megabytes, or a share like 95%"
        )));
    }
    if count > 0 {
        let listed = burn(&folder).arg("-l").time_limit(SLACK).succeed().map_err(failed)?;
        let found = listed.text().lines().filter(|line| line.starts_with("ID")).count() as u64;
        if found != count {
            return Err(BurnIn::Settings(format!(
                "gpu-burn failed to find the correct number of gpus. {found} found but {count} expected."
            )));
        }
    }
    context.progress.say(format!("burn-in: gpu_burn for {} s", time.as_secs()));
    let seconds = time.as_secs().to_string();
    burn(&folder).args(["-m", memory, &seconds]).time_limit(time + SLACK).succeed().map_err(failed)?;
    report::leave(None, &format!("gpu: {seconds} s, all right"))
}

/// It looks for its kernels beside itself.
fn burn(folder: &Path) -> Program {
    Program::new(folder.join("gpu_burn")).within(folder)
}

fn failed(error: crate::sys::child::ChildError) -> BurnIn {
    BurnIn::Failed(format!("gpu-burn failed with error {error}"))
}
