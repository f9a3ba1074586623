//! Step and command `execute_bootc_install`: podman pulls a bootable container image, and its own `bootc` installs it
//! (ipa-features 23). The image's code runs privileged in this ramdisk; that is what bootc is. Therefore the pull secret is
//! on the file system, in a folder of its own, only while podman pulls: never in an environment, argument or log, and deleted before
//! the image's code starts. That code gets the processes of a namespace of its own for `--pid=host`: bootc wants to see its
//! first process, and this agent, whose memory had the secret, is not among them.

use super::reach::Reach;
use super::write_image::{bad_params, drive, drive_failed, fail};
use super::{StepContext, StepError, image};
use crate::disk::config_drive;
use crate::disk::gpt::Gpt;
use crate::disk::table;
use crate::sys::block::{Access, BlockDevice};
use crate::sys::child::{ChildError, Output, Program};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::step::{Step, StepKind};
use serde_json::{Map, Value, json};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// Longest pull and longest installation.
const PULL_TIME: Duration = Duration::from_secs(2 * 3600);
const INSTALL_TIME: Duration = Duration::from_secs(2 * 3600);
/// How long others may look at the disk afterwards.
const BUSY: Duration = Duration::from_secs(10);
/// Left free for the EFI system partition and the config drive, MiB.
const RESERVED: u64 = 768;

/// What this step uses of the machine; tests put others in their place.
struct Tools {
    podman: PathBuf,
    /// Podman's configuration fragments.
    configuration: PathBuf,
    /// Below it folders for the secret and the keys are made.
    scratch: PathBuf,
    selinux: PathBuf,
}

impl Tools {
    fn of_this_machine() -> Self {
        Self {
            podman: "podman".into(),
            configuration: "/etc/containers/containers.conf.d".into(),
            scratch: "/run".into(),
            selinux: "/sys/fs/selinux/enforce".into(),
        }
    }
}

/// The order, typed.
struct Wanted {
    /// As given, for messages.
    source: String,
    /// `registry.example/name:tag`.
    container: String,
    /// `registry.example`.
    registry: String,
    /// What goes into `auth`.
    secret: Option<Zeroizing<String>>,
    keys: Option<String>,
    luks: bool,
}

/// The step's name, and the command's.
pub const NAME: &str = "execute_bootc_install";

/// The step: instance details come from the node.
pub fn install(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    let empty = Map::new();
    let args = step.args.as_ref().unwrap_or(&empty);
    let info = context.node.get("instance_info").and_then(Value::as_object).unwrap_or(&empty);
    run(kind, args, args.get("oci_pull_secret"), info, context, &Tools::of_this_machine())
}

/// The command: everything is in its arguments.
///
/// # Errors
/// [`StepError`].
pub fn execute_bootc_install(params: &Map<String, Value>, context: &StepContext) -> Result<Value, StepError> {
    let empty = Map::new();
    let info = params.get("instance_info").and_then(Value::as_object).unwrap_or(&empty);
    Reach::Anything.permit(StepKind::Deploy, NAME, context)?;
    run(StepKind::Deploy, params, params.get("pull_secret"), info, context, &Tools::of_this_machine())
}

fn run(
    kind: StepKind,
    args: &Map<String, Value>,
    secret: Option<&Value>,
    info: &Map<String, Value>,
    context: &StepContext,
    tools: &Tools,
) -> Result<Value, StepError> {
    if context.rules.disable_bootc_deploy {
        let text = "The bootc deploy interface is administratively disabled (option disable_bootc_deploy). Deployment cannot proceed.";
        return Err(fail("CommandExecutionError", text.into()));
    }
    let wanted = wanted(args, secret, info)?;
    // Fetched before anything is touched: a bad config drive must not cost the old system.
    let drive = drive(args.get("configdrive").and_then(Value::as_str), &context.rules, &context.progress)?;
    let device =
        image::target(context).map_err(|error| StepError::disk(kind, "execute_bootc_install", false, &error))?;
    image::forget_written();
    context.progress.say(format!("pulling {}", wanted.container));
    pull(&wanted, tools)?;
    context.progress.say(format!("{} installs itself on {}", wanted.container, device.display()));
    to_disk(&wanted, &device, tools)?;
    finish(&device, drive, context)?;
    let text =
        format!("execute_bootc_install: Container image ({}) written to device {}", wanted.source, device.display());
    context.progress.say(text.clone());
    Ok(json!({"result": text}))
}

fn wanted(args: &Map<String, Value>, secret: Option<&Value>, info: &Map<String, Value>) -> Result<Wanted, StepError> {
    let source = args.get("image_source").and_then(Value::as_str).unwrap_or_default();
    let container = source.strip_prefix("oci://").unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@+[]".contains(&byte);
    let (registry, name) = container.split_once('/').unwrap_or_default();
    if registry.is_empty()
        || name.is_empty()
        || registry.starts_with('-')
        || container.len() > 1024
        || !container.bytes().all(plain)
    {
        return Err(bad_params("image_source must be oci:// and the name of a container image, with its registry: oci://registry.example/name:tag".into()));
    }
    let secret = match secret {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.is_empty() => None,
        Some(value) => {
            let decoded = value.as_str().and_then(|text| STANDARD.decode(text).ok()).map(Zeroizing::new);
            let text =
                decoded.and_then(|bytes| std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_string())));
            Some(text.ok_or_else(|| bad_params("the pull secret is not base64 of text".into()))?)
        }
    };
    let keys =
        info.get("bootc_authorized_keys").and_then(Value::as_str).filter(|keys| !keys.is_empty()).map(str::to_string);
    let luks = matches!(info.get("bootc_tpm2_luks"), Some(Value::Bool(true)))
        || info.get("bootc_tpm2_luks").and_then(Value::as_str).is_some_and(|text| text.eq_ignore_ascii_case("true"));
    Ok(Wanted { source: source.into(), container: container.into(), registry: registry.into(), secret, keys, luks })
}

/// A folder nobody else reads, with one file; gone when dropped.
struct PrivateFile {
    folder: PathBuf,
    file: PathBuf,
    bytes: usize,
}

impl PrivateFile {
    fn new(below: &Path, name: &str, content: &[u8]) -> io::Result<Self> {
        let folder = below.join(format!("bootc-{}", uuid::Uuid::new_v4().simple()));
        DirBuilder::new().mode(0o700).create(&folder)?;
        let private = Self { file: folder.join(name), folder, bytes: content.len() };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&private.file)?;
        file.write_all(content)?;
        Ok(private)
    }

    /// Overwrites and deletes it.
    fn remove(&self) -> io::Result<()> {
        if self.file.exists() {
            OpenOptions::new().write(true).open(&self.file)?.write_all(&vec![0; self.bytes])?;
            fs::remove_file(&self.file)?;
        }
        if self.folder.exists() { fs::remove_dir_all(&self.folder) } else { Ok(()) }
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::error!(%error, "a private file could not be deleted");
        }
    }
}

fn pull(wanted: &Wanted, tools: &Tools) -> Result<(), StepError> {
    let failed = |error: io::Error| fail("CommandExecutionError", format!("preparing podman: {error}"));
    // A ramdisk cannot pivot_root.
    fs::create_dir_all(&tools.configuration).map_err(failed)?;
    fs::write(tools.configuration.join("01-wrought.conf"), "[engine]\nno_pivot_root = true\n").map_err(failed)?;
    let mut program = podman(tools).arg("pull").time_limit(PULL_TIME);
    let auth = match &wanted.secret {
        None => None,
        Some(secret) => {
            let text = Zeroizing::new(json!({"auths": {&wanted.registry: {"auth": secret.as_str()}}}).to_string());
            let auth = PrivateFile::new(&tools.scratch, "auth.json", text.as_bytes()).map_err(failed)?;
            program = program.arg(format!("--authfile={}", auth.file.display()));
            Some(auth)
        }
    };
    // No `--retry-delay`, which the reference gives: before 5.0 podman does not know it and ends; it tries thrice in any case.
    let pulled = program.arg(&wanted.container).succeed();
    // Before the error, before anything of the image runs; an image must not start beside its registry's password.
    if let Some(auth) = &auth {
        auth.remove().map_err(|error| {
            fail(
                "CommandExecutionError",
                format!("the pull secret could not be deleted, so the image is not started: {error}"),
            )
        })?;
    }
    pulled.map(|_| ()).map_err(|error| match missing(&error) {
        Some(error) => error,
        None => fail(
            "ImageDownloadError",
            format!("Download of image {} failed: Failed to pull container image: {error}", wanted.container),
        ),
    })
}

fn to_disk(wanted: &Wanted, device: &Path, tools: &Tools) -> Result<(), StepError> {
    let size = BlockDevice::open(device, Access::Read).map(|device| device.size() >> 20);
    let size = size.map_err(|error| fail("ImageWriteError", format!("{}: {error}", device.display())))?;
    let root = size.checked_sub(RESERVED).filter(|root| *root > 0);
    let root = root.ok_or_else(|| {
        fail(
            "ImageWriteError",
            format!("{} has {size} MiB; bootc needs more than {RESERVED}. Choose a larger disk", device.display()),
        )
    })?;
    let selinux = tools.selinux.exists();
    let keys = wanted
        .keys
        .as_ref()
        .map(|keys| PrivateFile::new(&tools.scratch, "authorized_keys", keys.as_bytes()))
        .transpose();
    let keys = keys.map_err(|error| fail("CommandExecutionError", format!("preparing the keys: {error}")))?;
    let mut program =
        podman(tools).args(["--log-level=debug", "run", "--rm", "--privileged", "--pid=host", "--pull=never"]);
    program = program.args(["-v", "/var/lib/containers:/var/lib/containers", "-v", "/dev:/dev"]);
    if let Some(keys) = &keys {
        // The folder of the keys alone, not the ramdisk's /tmp.
        program = program.arg("-v").arg(format!("{0}:{0}", keys.folder.display()));
    }
    if selinux {
        program = program.args(["--security-opt", "label=type:unconfined_t"]);
    }
    program = program.arg(&wanted.container).args(["bootc", "install", "to-disk", "--wipe", "--skip-fetch-check"]);
    program = program.arg(format!("--root-size={root}M"));
    if wanted.luks {
        program = program.arg("--block-setup=tpm2-luks");
    }
    if let Some(keys) = &keys {
        program = program.arg(format!("--root-ssh-authorized-keys={}", keys.file.display()));
    }
    if !selinux {
        program = program.arg("--disable-selinux");
    }
    let output = program.arg(device).time_limit(INSTALL_TIME).apart().run().map_err(|error| {
        missing(&error).unwrap_or_else(|| {
            fail("ImageWriteError", format!("Writing image to device {} failed: {error}", device.display()))
        })
    })?;
    judge(wanted, device, &output)
}

/// What podman's end means.
fn judge(wanted: &Wanted, device: &Path, output: &Output) -> Result<(), StepError> {
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    if stdout.contains("executable file `bootc` not found") || stderr.contains("executable file `bootc` not found") {
        let text = "Container does not contain the required bootc binary and thus cannot be deployed.";
        return Err(fail("ImageDownloadError", format!("Download of image {} failed: {text}", wanted.source)));
    }
    if output.status.success() {
        return Ok(());
    }
    let tail = |text: &str| text.chars().rev().take(1000).collect::<Vec<_>>().into_iter().rev().collect::<String>();
    let code = output.code().map_or_else(|| "none, a signal ended it".into(), |code| code.to_string());
    Err(fail(
        "ImageWriteError",
        format!(
            "Writing image to device {} failed with exit code {code}. stdout: {}. stderr: {}",
            device.display(),
            tail(&stdout),
            tail(&stderr)
        ),
    ))
}

/// The partitions must be there; the config drive goes behind them.
fn finish(device: &Path, drive: Option<Vec<u8>>, context: &StepContext) -> Result<(), StepError> {
    let failed = |error: io::Error| fail("ImageWriteError", format!("{}: {error}", device.display()));
    let disk = BlockDevice::open_when_free(device, BUSY).map_err(failed)?;
    let table = table::read(&disk).map_err(|error| fail("DeploymentError", error.to_string()))?;
    if table.parts.is_empty() {
        return Err(fail(
            "DeploymentError",
            format!("No partitions found on the device {} after writing the image.", device.display()),
        ));
    }
    if let Some(image) = drive {
        context.progress.say("writing the config drive");
        if let Ok(Some(mut gpt)) = Gpt::read(&mut disk.cursor(), disk.size(), u64::from(disk.logical_sector())) {
            gpt.settle(&mut disk.cursor()).map_err(|error| fail("ImageWriteError", error.to_string()))?;
        }
        let image = config_drive::fit(image, disk.logical_sector(), context.rules.config_drive_rebuild)
            .map_err(drive_failed)?;
        config_drive::place(&disk, &image).map_err(drive_failed)?;
    }
    disk.sync().map_err(failed)?;
    if let Err(cause) = disk.reread_partitions() {
        tracing::warn!(disk = %device.display(), %cause, "the kernel did not read the partition table again");
    }
    Ok(())
}

fn podman(tools: &Tools) -> Program {
    Program::new(&tools.podman).env("HOME", "/root")
}

fn missing(error: &ChildError) -> Option<StepError> {
    matches!(error, ChildError::Missing { .. }).then(|| {
        fail("CommandExecutionError", "this ramdisk has no podman, so it cannot deploy bootc images. Build one that has it, or deploy a disk image".into())
    })
}

#[cfg(test)]
mod tests;
