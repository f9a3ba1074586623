//! Step `write_image`: chooses the root disk, passes the safety gate, writes; and what follows it in a deployment: which
//! identifiers the written system has, and its boot entries.

use super::write_image::write_image;
use super::{StepContext, StepError};
use crate::disk::boot_entry::{self, Wanted};
use crate::disk::choose;
use crate::disk::error::DiskError;
use crate::disk::facts::look_for;
use crate::disk::guard::Gate;
use crate::disk::protect;
use crate::disk::raid;
use crate::sys::sysfs::Roots;
use common::image_ref::ImageInfo;
use common::step::{Step, StepKind};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// What was written since this agent started. Kept beside the steps because three commands of one deployment share it.
static WRITTEN: Mutex<Option<Written>> = Mutex::new(None);

#[derive(Clone)]
struct Written {
    device: PathBuf,
    uuids: Map<String, Value>,
}

/// Writes the image of `image_info` and the config drive; the result is `{"result": "prepare_image: image (..) ..."}`.
pub fn write(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    let empty = Map::new();
    let args = step.args.as_ref().unwrap_or(&empty);
    let bad = |why: String| StepError {
        kind: "InvalidCommandParamsError",
        code: 400,
        message: "Invalid command parameters",
        details: why,
    };
    let info = args.get("image_info").ok_or_else(|| bad("write_image needs the argument image_info".into()))?;
    let info: ImageInfo = serde_json::from_value(info.clone()).map_err(|cause| bad(format!("image_info: {cause}")))?;
    let drive = match args.get("configdrive") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.as_str()),
        Some(_) => return Err(bad("configdrive is neither a URL nor base64 text".into())),
    };
    let device = target(context).map_err(|error| StepError::disk(kind, &step.step, false, &error))?;
    // From here on the disk holds neither the old system nor a whole new one.
    forget_written();
    let report = write_image(&info, drive, &device, context)?;
    let written = Written { device, uuids: report.uuids };
    *WRITTEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(written);
    Ok(json!({"result": report.text}))
}

/// The disk for the system, checked and let through by the gate.
pub(super) fn target(context: &StepContext) -> Result<PathBuf, DiskError> {
    let gate = Gate::of_this_machine(&context.rules.allow_erase)?;
    raid::assemble(&gate);
    let disks = look_for(&Roots::machine(), gate.scope(), &context.node)?;
    let disk = choose::root(&disks, &context.node)?;
    tracing::info!(device = %disk.path.display(), size = disk.facts.size, "root disk chosen");
    let path = gate.permit(&disk.path)?;
    protect::check(disk, protect::is_on(context.rules.guard_special_filesystems, &context.node))?;
    Ok(path)
}

/// The disk that holds the system: the one written since this agent started, or the one the hints choose.
fn system_disk(context: &StepContext) -> Result<PathBuf, DiskError> {
    let written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match written {
        Some(written) => Ok(written.device),
        None => chosen(context),
    }
}

/// The disk that the hints choose.
pub(super) fn chosen(context: &StepContext) -> Result<PathBuf, DiskError> {
    let gate = Gate::of_this_machine(&context.rules.allow_erase)?;
    raid::assemble(&gate);
    let disks = look_for(&Roots::machine(), gate.scope(), &context.node)?;
    choose::root(&disks, &context.node).map(|disk| disk.path.clone())
}

/// Forgets what was written: the disk is about to be written in another way.
pub(super) fn forget_written() {
    *WRITTEN.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Result of `standby.get_partition_uuids`: empty before an image was written. Keys contain spaces.
pub fn partition_uuids() -> Value {
    match &*WRITTEN.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(written) => Value::Object(written.uuids.clone()),
        None => json!({}),
    }
}

/// `image.install_bootloader`: boot entries for the written disk, or for the one the hints choose if this agent wrote none.
///
/// # Errors
/// [`StepError`]; not if `ignore_bootloader_failure` is true.
pub fn install_bootloader(params: &Map<String, Value>, context: &StepContext) -> Result<Value, StepError> {
    let text = |name: &str| params.get(name).and_then(Value::as_str).map(str::to_string);
    let wanted = Wanted {
        root_uuid: text("root_uuid"),
        efi_system_part_uuid: text("efi_system_part_uuid"),
        target_boot_mode: text("target_boot_mode"),
    };
    let device = system_disk(context);
    // A partition image's loader is copied to the disk: that passes the gate like every write.
    let device = device.and_then(|device| match wanted.root_uuid.as_deref() {
        Some(root) if !root.starts_with("0x") => Gate::of_this_machine(&context.rules.allow_erase)?.permit(&device),
        _ => Ok(device),
    });
    let ignore = params.get("ignore_bootloader_failure").and_then(Value::as_bool);
    let install = |device: PathBuf| {
        if Roots::machine()
            .exists(format!("/sys/block/{}/md", device.file_name().unwrap_or_default().to_string_lossy()))
        {
            let gate = Gate::of_this_machine(&context.rules.allow_erase)?;
            return raid::start::install(&device, &wanted, &context.rules.efivars, &gate);
        }
        boot_entry::install(&device, &wanted, &context.rules.efivars)
    };
    match device.and_then(install) {
        Ok(made) => {
            context.progress.say(format!("{} boot entries written", made.len()));
            Ok(Value::Null)
        }
        Err(error) if ignore.unwrap_or(context.rules.ignore_bootloader_failure) => {
            tracing::warn!(%error, "boot entries failed, which is to be ignored");
            Ok(Value::Null)
        }
        Err(error) => Err(StepError::disk(StepKind::Deploy, "install_bootloader", false, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::{install_bootloader, partition_uuids};
    use crate::step::{execute, tests::context};
    use common::step::{Step, StepKind};
    use serde_json::{Map, Value, json};
    use sha2::{Digest, Sha256};
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Serves one body to every request until the test ends.
    fn serve(body: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes());
                if !request.starts_with(b"HEAD") {
                    let _ = stream.write_all(&body);
                }
            }
        });
        format!("http://{address}/image")
    }

    fn step(args: Value) -> Step {
        serde_json::from_value(json!({"step": "write_image", "interface": "deploy", "args": args})).unwrap()
    }

    /// 4 MiB with a boot sector and the disk identifier 0x1234abcd.
    fn image() -> Vec<u8> {
        let mut image = vec![0x77; 4 << 20];
        image[440..444].copy_from_slice(&[0xcd, 0xab, 0x34, 0x12]);
        image[446..510].fill(0);
        image[446..462].copy_from_slice(&[0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0]);
        image[510..512].copy_from_slice(&[0x55, 0xaa]);
        image
    }

    #[test]
    fn an_image_goes_to_the_chosen_disk_and_its_identity_is_told_afterwards() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let disks: Vec<_> = (0..2).map(|_| tempfile::NamedTempFile::new().unwrap()).collect();
        disks.iter().for_each(|disk| disk.as_file().set_len(16 << 20).unwrap());
        let paths: Vec<_> = disks.iter().map(|disk| disk.path().canonicalize().unwrap()).collect();
        let node = json!({"instance_info": {"root_device": {"name": paths[1]}}});
        let context = context(paths.clone(), node);
        let image = image();
        let hex: String = Sha256::digest(&image).iter().map(|byte| format!("{byte:02x}")).collect();
        let info = json!({"id": "img", "urls": [serve(image.clone())], "disk_format": "raw",
            "os_hash_algo": "sha256", "os_hash_value": hex});
        let result = execute(StepKind::Deploy, &step(json!({"image_info": info})), &context).unwrap();
        let text = format!("prepare_image: image (img) written to device {} root_uuid=0x1234abcd", paths[1].display());
        assert_eq!(result, json!({"result": text}));
        assert_eq!(std::fs::read(&paths[1]).unwrap()[..4 << 20], image[..]);
        assert_eq!(std::fs::read(&paths[0]).unwrap(), vec![0; 16 << 20], "the other disk stays");
        assert_eq!(partition_uuids(), json!({"root uuid": "0x1234abcd"}));

        let params = |value: Value| -> Map<String, Value> { value.as_object().unwrap().clone() };
        let bios = params(json!({"root_uuid": "0x1234abcd", "efi_system_part_uuid": null, "target_boot_mode": "bios"}));
        assert_eq!(install_bootloader(&bios, &context).unwrap(), Value::Null);
        let partition = json!({"root_uuid": "3b1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff", "target_boot_mode": "bios"});
        let error = install_bootloader(&params(partition.clone()), &context).unwrap_err();
        assert_eq!((error.kind, error.code), ("CommandExecutionError", 500));
        let mut lenient = params(partition);
        lenient.insert("ignore_bootloader_failure".into(), true.into());
        assert_eq!(install_bootloader(&lenient, &context).unwrap(), Value::Null);
    }

    #[test]
    fn no_disk_and_bad_arguments_are_told_by_their_types() {
        let context = context(vec![], json!({}));
        let image = json!({"image_info": {"id": "x", "urls": ["http://127.0.0.1:1/x"]}});
        let error = execute(StepKind::Deploy, &step(image), &context).unwrap_err();
        assert_eq!((error.kind, error.code), ("DeviceNotFound", 404));
        assert!(error.details.contains("no disks at all"), "{error}");
        for args in
            [json!({}), json!({"image_info": 5}), json!({"image_info": {"id": "x", "urls": []}, "configdrive": 5})]
        {
            let error = execute(StepKind::Deploy, &step(args), &context).unwrap_err();
            assert_eq!(error.kind, "InvalidCommandParamsError");
        }
    }
}
