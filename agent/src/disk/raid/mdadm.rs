//! mdadm, by argument list, and what goes with it: its kernel modules, free device names, waiting for udev.

use crate::disk::error::DiskError;
use crate::disk::guard::{Gate, Scope};
use crate::sys::block::{Access, BlockDevice};
use crate::sys::child::{ChildError, Output, Program};
use crate::sys::md;
use crate::sys::sysfs::Roots;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest run of mdadm: it waits for slow disks, but never for a resync.
const PATIENCE: Duration = Duration::from_secs(120);
/// Most arrays a machine may have.
const MOST: u32 = 128;
/// Kernel names that carry no members worth a look.
const NEVER: [&str; 6] = ["loop", "ram", "zram", "sr", "fd", "dm-"];

fn run(what: &str, program: Program) -> Result<Output, DiskError> {
    program.time_limit(PATIENCE).succeed().map_err(|error| DiskError::Raid(format!("{what}: {error}")))
}

/// Loads what mdadm needs. Modules may be built in: whether it worked shows soon enough.
pub fn load_modules() {
    let modules = ["md_mod", "raid0", "raid1", "raid10", "raid456"];
    if let Err(error) = Program::new("modprobe").args(["-a", "-q"]).args(modules).run() {
        tracing::info!(%error, "RAID modules were not loaded by name");
    }
}

/// Does the kernel have software RAID at all? Asked before a disk is written for it.
///
/// # Errors
/// [`DiskError::Raid`] when it has none.
pub fn must_be_known(roots: &Roots) -> Result<(), DiskError> {
    if roots.exists("/proc/mdstat") {
        return Ok(());
    }
    Err(DiskError::Raid(
        "this ramdisk's kernel has no software RAID (no /proc/mdstat, and md_mod could not be loaded), so no array can be made. Nothing was written; boot the node with a ramdisk that has it"
            .into(),
    ))
}

/// Assembles what is on the disks, if anything is that no running array has. Arrays come up read-only until somebody
/// writes (`md_mod.start_ro`, set by the ramdisk), so nothing is resynchronised by being looked at. Outside a ramdisk the
/// machine's arrays are its own business: nothing is done.
pub fn assemble(gate: &Gate) {
    if *gate.scope() != Scope::AllDisks {
        return;
    }
    let roots = Roots::machine();
    let found = strays(&roots);
    if found.is_empty() {
        return;
    }
    load_modules();
    tracing::info!(members = ?found, "assembling software RAID");
    match Program::new("mdadm").args(["--assemble", "--scan", "--verbose"]).time_limit(PATIENCE).run() {
        Ok(output) => {
            let arrays: Vec<String> = md::arrays(&roots).into_iter().map(|array| array.kernel_name).collect();
            tracing::debug!(said = %String::from_utf8_lossy(&output.stderr), "mdadm --assemble");
            tracing::info!(?arrays, code = output.code(), "software RAID assembled");
        }
        Err(ChildError::Missing { .. }) => tracing::warn!("mdadm is not here: software RAID is not found"),
        Err(error) => tracing::warn!(%error, "software RAID was not assembled"),
    }
    settle();
}

/// Devices with a superblock that no array the kernel runs has as a member.
fn strays(roots: &Roots) -> BTreeSet<String> {
    let used: BTreeSet<String> = md::arrays(roots).into_iter().flat_map(|array| array.members).collect();
    let names = roots.entries("/sys/class/block").into_iter();
    let worth = |name: &String| !used.contains(name) && !NEVER.iter().any(|kind| name.starts_with(kind));
    let marked = |name: &String| {
        let path = PathBuf::from(format!("/dev/{}", name.replace('!', "/")));
        let device = BlockDevice::open(&path, Access::Read);
        device.is_ok_and(|device| md::superblock(&device).is_ok_and(|found| found.is_some()))
    };
    names.filter(worth).filter(marked).collect()
}

/// Waits until udev has handled what it knows of.
pub fn settle() {
    if let Err(error) = Program::new("udevadm").args(["settle", "--timeout=60"]).time_limit(PATIENCE).run() {
        tracing::debug!(%error, "not waited for udev");
    }
}

/// The first `/dev/mdN` that the kernel does not have.
///
/// # Errors
/// [`DiskError::Raid`] when all are taken.
pub fn free_name(roots: &Roots) -> Result<PathBuf, DiskError> {
    let free = (0..MOST).map(|number| format!("md{number}")).find(|name| !roots.exists(format!("/sys/block/{name}")));
    let free = free.ok_or_else(|| DiskError::Raid(format!("there are {MOST} arrays already")))?;
    Ok(Path::new("/dev").join(free))
}

/// Makes an array of these partitions and starts it; what mdadm left out is added after. Returns its device.
///
/// # Errors
/// [`DiskError::Raid`] with mdadm's words.
pub fn create(level: &str, metadata: &str, name: Option<&str>, members: &[PathBuf]) -> Result<PathBuf, DiskError> {
    let roots = Roots::machine();
    let device = free_name(&roots)?;
    let kernel_name = device.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let text = format!("{} of {members:?} was not made", device.display());
    let program = Program::new("mdadm").arg("--create").arg(&device).args(["--force", "--run", "--homehost=any"]);
    let program = program.arg(format!("--metadata={metadata}")).args(["--level", level]);
    let program = program.args(["--name", name.unwrap_or(&kernel_name)]);
    let program = program.args(["--raid-devices", &members.len().to_string()]).args(members);
    let output = run(&text, program)?;
    tracing::info!(device = %device.display(), level, said = %String::from_utf8_lossy(&output.stderr).trim(), "array made");
    let has = md::arrays(&roots).into_iter().find(|array| array.kernel_name == kernel_name).map(|array| array.members);
    let has =
        has.ok_or_else(|| DiskError::Raid(format!("{text}: mdadm said it was, but the kernel does not have it")))?;
    let missing = members.iter().filter(|member| {
        let name = member.file_name().and_then(|name| name.to_str());
        name.is_none_or(|name| !has.contains(name))
    });
    for member in missing {
        tracing::warn!(array = kernel_name, member = %member.display(), "a member is missing; it is added");
        let text = format!("{} is missing in {} and cannot be added", member.display(), device.display());
        run(&text, Program::new("mdadm").args(["--manage"]).arg(&device).arg("--add").arg(member))?;
    }
    Ok(device)
}

/// Stops an array.
///
/// # Errors
/// [`DiskError::Raid`] with mdadm's words: somebody has it open.
pub fn stop(device: &Path) -> Result<(), DiskError> {
    settle(); // udev looks at what was just written to
    run(&format!("{} cannot be stopped", device.display()), Program::new("mdadm").arg("--stop").arg(device)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::must_be_known;
    use crate::sys::test_tree::TestTree;

    #[test]
    fn a_kernel_without_software_raid_is_noticed() {
        let tree = TestTree::new();
        let error = must_be_known(&tree.roots()).unwrap_err().to_string();
        assert!(error.contains("no software RAID") && error.contains("Nothing was written"), "{error}");
        tree.file("proc/mdstat", "Personalities : [raid1]\n");
        must_be_known(&tree.roots()).unwrap();
    }
}
