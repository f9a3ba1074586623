//! The step write_image: stream joined with disk. Image, spare partition table, config drive, in this order.
//! Partition images branch off to `partition_image`.
//!
//! Which disk, and whether it may be destroyed, was decided before; agent-protocol sections 11 and 12.

use super::{Rules, StepContext, StepError, partition_image};
use crate::disk::config_drive::{self, ConfigDriveError, Placed};
use crate::disk::gpt::{Gpt, GptError};
use crate::disk::mbr::{self, disk_id};
use crate::disk::signature::look;
use crate::disk::write::{DiskWriter, WriteError};
use crate::stream::checksum::{ChecksumError, choose};
use crate::stream::error::{FetchError, SinkError, StreamError};
use crate::stream::fetch::Download;
use crate::stream::origin::{self, Authorization};
use crate::stream::pour::{Job, Poured, Sink, pour};
use crate::stream::request::{Proxies, Request};
use crate::sys::block::BlockDevice;
use crate::sys::progress::Progress;
use bytes::Bytes;
use common::config_drive::MAX_BYTES;
use common::image_ref::ImageInfo;
use common::token::Token;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What was written.
#[derive(Clone, Debug)]
pub struct WriteReport {
    /// `prepare_image: image (ID) written to device DEV root_uuid=U`.
    pub text: String,
    /// The disk identifier as `0x%08x`; zeroes on most disks with a GPT. Of a partition image the root file system's UUID.
    pub root_uuid: String,
    /// What `get_partition_uuids` answers.
    pub uuids: Map<String, Value>,
    /// About the image.
    pub image: Poured,
    /// Where the config drive is, if there was one.
    pub config_drive: Option<Placed>,
    /// From the first request to the last flush.
    pub time: Duration,
}

/// Downloads, verifies and writes a whole-disk image to `device`, then the config drive (the argument wins over the one
/// in `info`). Until the image was verified the disk does not boot. Blocks; not for a thread that drives a runtime.
///
/// # Errors
/// [`StepError`] with the types of agent-protocol 6.2.
pub fn write_image(
    info: &ImageInfo,
    configdrive: Option<&str>,
    device: &Path,
    context: &StepContext,
) -> Result<WriteReport, StepError> {
    let (rules, progress) = (&context.rules, &context.progress);
    let job = job(info, rules)?;
    // Fetched before anything is touched: a bad config drive must not cost the old system.
    let drive = drive(configdrive.or(info.configdrive.as_ref().map(Token::expose)), rules, progress)?;
    if info.image_type.as_deref() == Some("partition") {
        return partition_image::write(info, job, drive, device, context);
    }
    let (disk, mut report) = write(job, &info.id, device, None, progress)?;
    settle(&disk).map_err(write_failed)?;
    if let Some(image) = drive {
        progress.say("writing the config drive");
        let image =
            config_drive::fit(image, disk.logical_sector(), rules.config_drive_rebuild).map_err(drive_failed)?;
        report.config_drive = Some(config_drive::place(&disk, &image).map_err(drive_failed)?);
    }
    if let Err(cause) = disk.sync() {
        return Err(fail("ImageWriteError", format!("{}: {cause}", device.display())));
    }
    // Fails on good disks that have no partitions for the kernel, or were just looked at by udev.
    if let Err(cause) = disk.reread_partitions() {
        tracing::warn!(disk = %device.display(), %cause, "the kernel did not read the partition table again");
    }
    progress.say(report.text.clone());
    Ok(report)
}

/// Writes the image behind `url`, whose SHA-256 is `sha256`, to a device or a plain file, and nothing else. For
/// measuring, and for trying an image by hand.
///
/// # Errors
/// As from [`write_image`].
pub fn write_url(
    url: &str,
    sha256: &str,
    device: &Path,
    rules: &Rules,
    progress: &Progress,
) -> Result<WriteReport, StepError> {
    let info = json!({"id": "image", "urls": [url], "os_hash_algo": "sha256", "os_hash_value": sha256});
    let info: ImageInfo = serde_json::from_value(info).map_err(|cause| bad_params(cause.to_string()))?;
    Ok(write(job(&info, rules)?, &info.id, device, None, progress)?.1)
}

/// Writes the image of `info` to `target`, which may be a partition, and nothing behind its first `limit` bytes but zeroes
/// at its very end (where an old RAID superblock would be). No table is moved, no config drive written. The target is
/// returned open.
///
/// # Errors
/// As from [`write_image`].
pub fn write_into(
    info: &ImageInfo,
    target: &Path,
    limit: Option<u64>,
    rules: &Rules,
    progress: &Progress,
) -> Result<(Arc<BlockDevice>, WriteReport), StepError> {
    write(job(info, rules)?, &info.id, target, limit, progress)
}

fn write(
    mut job: Job,
    id: &str,
    device: &Path,
    limit: Option<u64>,
    progress: &Progress,
) -> Result<(Arc<BlockDevice>, WriteReport), StepError> {
    let started = Instant::now();
    let mut writer = DiskWriter::open(device).map_err(|error| fail("ImageWriteError", error.to_string()))?;
    if let Some(limit) = limit {
        writer.limit(limit);
    }
    job.room = writer.room();
    let mut sink = DiskSink(writer);
    let image = pour(&job, &mut sink, progress).map_err(stream_failed)?;
    progress.say("image verified, making the disk bootable");
    let disk = sink.0.finish().map_err(|error| fail("ImageWriteError", error.to_string()))?;
    let id440 = disk_id(&mut disk.cursor()).map_err(|cause| fail("ImageWriteError", cause.to_string()))?;
    let (root_uuid, time) = (format!("{id440:#010x}"), started.elapsed());
    tracing::info!(image = %id, disk = %device.display(), bytes = image.size, downloaded = image.downloaded,
        qcow2 = image.qcow2, seconds = time.as_secs_f64(), "image written");
    let text = format!("prepare_image: image ({id}) written to device {} root_uuid={root_uuid}", device.display());
    let uuids = Map::from_iter([("root uuid".to_string(), json!(root_uuid))]);
    Ok((disk, WriteReport { text, root_uuid, uuids, image, config_drive: None, time }))
}

/// The stream's end in the disk.
struct DiskSink(DiskWriter);

impl Sink for DiskSink {
    fn begin(&mut self, size: Option<u64>) -> Result<(), SinkError> {
        self.0.begin(size).map_err(WriteError::into)
    }

    fn data(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SinkError> {
        self.0.data(offset, bytes).map_err(WriteError::into)
    }

    fn piece(&mut self, offset: u64, bytes: Bytes) -> Result<(), SinkError> {
        self.0.piece(offset, &bytes).map_err(WriteError::into)
    }

    fn zero(&mut self, offset: u64, length: u64) -> Result<(), SinkError> {
        self.0.zero(offset, length).map_err(WriteError::into)
    }
}

/// Moves the spare GPT to the real end; refuses what cannot boot on this disk.
fn settle(disk: &BlockDevice) -> Result<(), GptError> {
    let (size, sector) = (disk.size(), u64::from(disk.logical_sector()));
    match Gpt::read(&mut disk.cursor(), size, sector) {
        Ok(Some(mut gpt)) => match gpt.settle(&mut disk.cursor()) {
            Ok(settled) => tracing::info!(?settled, partitions = gpt.partitions().len(), "partition table"),
            Err(GptError::Io(cause)) => return Err(cause.into()),
            Err(error) => tracing::warn!(%error, "the spare partition table stays where the image has it"),
        },
        Ok(None) => in_mbr(disk, size, sector)?,
        // Firmware and kernel use the copy that they can read.
        Err(error @ GptError::Damaged(_)) if Gpt::has_spare(&mut disk.cursor(), size, sector)? => {
            tracing::warn!(%error, "the partition table stays as it is in the image: its spare copy is whole");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Without a GPT: there must be partitions on the disk, or one file system over all of it.
fn in_mbr(disk: &BlockDevice, size: u64, sector: u64) -> Result<(), GptError> {
    let mut first = [0; 512];
    disk.read_at(0, &mut first)?;
    if first[510..] != [0x55, 0xaa] {
        return Err(GptError::Damaged("there is neither a partition table nor a boot sector"));
    }
    let parts = mbr::read(&mut disk.cursor(), size, sector)?.unwrap_or_default();
    let inside = parts.iter().filter(|part| part.start.saturating_add(part.length) <= size).count();
    if inside == parts.len() && inside > 0 {
        return Ok(());
    }
    let found = look(disk).map_err(|error| GptError::Io(std::io::Error::other(error)))?;
    match (parts.is_empty(), found.types.is_empty()) {
        (true, false) => Ok(()),
        (true, true) => Err(GptError::Damaged("its table has no partitions, and there is no file system either")),
        (false, _) => Err(GptError::Outside { disk: sector }),
    }
}

fn job(info: &ImageInfo, rules: &Rules) -> Result<Job, StepError> {
    if info.id.is_empty() || info.id.contains(['/', '\\']) || info.id.chars().any(char::is_control) {
        return Err(bad_params("image_info.id must be a file name without path separators".into()));
    }
    if info.urls.is_empty() {
        return Err(bad_params("image_info.urls is empty: there is nothing to download".into()));
    }
    let urls = info.urls.iter().map(|url| origin::parse(url)).collect::<Result<Vec<_>, _>>().map_err(bad_params)?;
    let checksum = choose(info, rules.md5_enabled).map_err(|error| bad_params(error.to_string()))?;
    let authorization = authorization(info, rules, &urls).map_err(bad_params)?;
    let proxy = |scheme| info.proxies.as_ref().and_then(|all| all.get(scheme)).filter(|url| !url.is_empty()).cloned();
    let proxies = Proxies { http: proxy("http"), https: proxy("https"), no_proxy: info.no_proxy.clone() };
    Ok(Job {
        request: Request { urls, authorization, proxies, accept: None },
        rules: rules.downloads(),
        checksum,
        md5: rules.md5_enabled,
        declared: info.disk_format.clone(),
        permitted: rules.permitted_image_formats.clone(),
        inspect: !rules.disable_deep_image_inspection,
        room: 0,
        spool_dir: std::env::temp_dir(),
    })
}

/// The ready-made header, else what the image brings, else what is configured.
fn authorization(info: &ImageInfo, rules: &Rules, urls: &[url::Url]) -> Result<Option<Authorization>, String> {
    if let Some(encoded) = info.image_request_authorization.as_ref().map(Token::expose).filter(|text| !text.is_empty())
    {
        return Authorization::ready_made(encoded, urls).map(Some);
    }
    match info.image_server_auth_strategy.as_deref() {
        None | Some("") => match &rules.image_server {
            Some((user, password)) => Authorization::basic(user, password.expose(), urls).map(Some),
            None => Ok(None),
        },
        Some("noauth") => Ok(None),
        Some("http_basic") => match (&info.image_server_user, &info.image_server_password) {
            (Some(user), Some(password)) => Authorization::basic(user, password.expose(), urls).map(Some),
            _ => Err(
                "image_server_auth_strategy is http_basic, but image_server_user or image_server_password is missing"
                    .into(),
            ),
        },
        Some(other) => Err(format!("image_server_auth_strategy `{other}` is not known; noauth and http_basic are")),
    }
}

/// The config drive's image, if one was given.
pub(super) fn drive(given: Option<&str>, rules: &Rules, progress: &Progress) -> Result<Option<Vec<u8>>, StepError> {
    let given = given.map(str::trim).filter(|text| !text.is_empty());
    given.map(|given| unwrap_drive(given, rules, progress)).transpose()
}

/// The config drive's image. A URL is fetched without the image's proxies and credentials.
fn unwrap_drive(given: &str, rules: &Rules, progress: &Progress) -> Result<Vec<u8>, StepError> {
    if !given.starts_with("http://") && !given.starts_with("https://") {
        return config_drive::decode(given.as_bytes()).map_err(drive_failed);
    }
    progress.say("downloading the config drive");
    let request = Request::plain(origin::parse(given).map_err(bad_params)?);
    let body = Download::small(request, rules.downloads(), MAX_BYTES * 3 / 2, progress).map_err(stream_failed)?;
    config_drive::from_body(body).map_err(drive_failed)
}

pub(super) fn stream_failed(error: StreamError) -> StepError {
    let kind = match &error {
        StreamError::Fetch(FetchError::NoRoom { .. }) => "ImageDownloadOutofSpaceError",
        StreamError::Fetch(cause) if cause.is_timeout() => "ImageDownloadTimeoutError",
        StreamError::Fetch(_) | StreamError::Oci(_) | StreamError::Spool { .. } => "ImageDownloadError",
        StreamError::Checksum(ChecksumError::Mismatch { .. } | ChecksumError::File { .. }) => "ImageChecksumError",
        StreamError::Checksum(_) => "InvalidCommandParamsError",
        StreamError::Format(_) | StreamError::Qcow2(_) | StreamError::Compressed { .. } => "InvalidImage",
        StreamError::Sink(_) | StreamError::ThreadEnded(_) => "ImageWriteError",
        StreamError::Cancelled => "CommandExecutionError",
    };
    fail(kind, error.to_string())
}

fn write_failed(error: GptError) -> StepError {
    fail(if matches!(error, GptError::Io(_)) { "ImageWriteError" } else { "InvalidImage" }, error.to_string())
}

pub(super) fn drive_failed(error: ConfigDriveError) -> StepError {
    let kind = match error {
        ConfigDriveError::Wrapping(_) | ConfigDriveError::TooLarge | ConfigDriveError::Rebuild(_) => {
            "InvalidCommandParamsError"
        }
        _ => "ImageWriteError",
    };
    fail(kind, error.to_string())
}

pub(super) fn bad_params(details: String) -> StepError {
    fail("InvalidCommandParamsError", details)
}

/// Type, code and constant message as agent-protocol 6.2 lists them.
pub(super) fn fail(kind: &'static str, details: String) -> StepError {
    let (code, message) = match kind {
        "InvalidCommandParamsError" => (400, "Invalid command parameters"),
        "ImageDownloadError" | "ImageDownloadOutofSpaceError" => (500, "Error downloading image"),
        "ImageDownloadTimeoutError" => (408, "Image download timeout"),
        "ImageChecksumError" => (500, "Error verifying image checksum"),
        "ImageWriteError" => (500, "Error writing image to device"),
        "InvalidImage" => (500, "The provided image is not valid for use"),
        _ => (500, "Command execution failed"),
    };
    StepError { kind, code, message, details }
}

#[cfg(test)]
mod tests;
