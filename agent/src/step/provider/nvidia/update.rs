//! Step `update_nvidia_nic_firmware_image`: the right image to each adapter, only where the version differs.

use super::tools::{Port, Tools};
use super::{shown, wrong};
use crate::step::{StepContext, StepError};
use crate::stream::fetch::Download;
use crate::stream::request::Request;
use common::digest::Hasher;
use common::image_ref::DigestKind;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use tempfile::NamedTempFile;
use url::Url;

/// Largest firmware; today's have 64 MiB at most.
const MAX_IMAGE: u64 = 512 << 20;

/// One entry of the list.
pub struct Image {
    /// http, https or file.
    pub url: Url,
    /// What the file must hash to.
    pub checksum: String,
    /// With this.
    pub digest: DigestKind,
    /// The board that it is for.
    pub psid: String,
    /// Its version.
    pub version: String,
}

/// Updates. Nothing is written before the whole list is understood, and no image before its digest, its board and its
/// version are what the list says.
pub fn run(tools: &Tools, given: &Value, context: &StepContext) -> Result<Value, StepError> {
    let list = given
        .as_array()
        .ok_or_else(|| invalid(format!("The images must be a list of images, {}", shown(&given.to_string()))))?;
    let images = list.iter().map(|image| read(image, context.rules.md5_enabled)).collect::<Result<Vec<_>, _>>()?;
    tools.check()?;
    let mut ports: Vec<(Port, String)> = Vec::new();
    for port in tools.ports()? {
        let psid = tools.firmware(&port.address)?.psid.unwrap_or_default();
        ports.push((port, psid));
    }
    let boards: BTreeSet<&str> = ports.iter().map(|(_, psid)| psid.as_str()).collect();
    let mut chosen: BTreeMap<&str, &Image> = BTreeMap::new();
    for image in images.iter().filter(|image| boards.contains(image.psid.as_str())) {
        if chosen.insert(&image.psid, image).is_some() {
            return Err(wrong("DuplicateComponentFlavor", format!("Duplicate componentFlavor {}", image.psid)));
        }
    }
    let mut done = BTreeSet::new();
    for (port, psid) in &ports {
        let Some(image) = chosen.get(psid.as_str()).filter(|_| done.insert(port.adapter())) else { continue };
        context.progress.say(format!("firmware {} for {}", image.version, port.address));
        let file = fetch(image, context)?;
        let found = tools.image(file.path())?;
        if found.psid.as_deref() != Some(&image.psid) {
            let details = format!("The provided psid {} does not match the image psid {:?}", image.psid, found.psid);
            return Err(wrong("MismatchComponentFlavor", details));
        }
        if found.version.as_deref() != Some(&image.version) {
            let (said, is) = (&image.version, found.version);
            return Err(wrong(
                "MismatchFWVersion",
                format!("The provided firmware version {said} does not match image firmware version {is:?}"),
            ));
        }
        let now = tools.firmware(&port.address)?;
        if now.version.as_deref() == Some(&image.version) {
            tracing::info!(adapter = %port.address, version = %image.version, "the firmware is there already");
            continue;
        }
        if now.running.is_some() {
            // An earlier update was never started; the flash takes no second one before.
            tools.reset(&port.address)?;
        }
        tools.burn(&port.address, file.path())?;
    }
    Ok(Value::Null)
}

fn invalid(details: String) -> StepError {
    wrong("InvalidFirmwareImageConfig", details)
}

/// Reads an entry. MD5 only where the agent's options allow it.
///
/// # Errors
/// What is missing or cannot be used.
pub fn read(entry: &Value, md5: bool) -> Result<Image, StepError> {
    let text = |name: &str| {
        let value = entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        value.ok_or_else(|| invalid(format!("Invalid parameters for image {}: `{name}` is missing; please provide url, checksum, checksumType, componentFlavor, version", shown(&entry.to_string()))))
    };
    let digest = match text("checksumType")? {
        "sha256" => DigestKind::Sha256,
        "sha512" => DigestKind::Sha512,
        "md5" if md5 => DigestKind::Md5,
        other => {
            return Err(invalid(format!(
                "Checksum algorithm {} is not supported for image {}. Supported algorithms are: sha256, sha512",
                shown(other),
                shown(text("url")?)
            )));
        }
    };
    let (checksum, psid, version) =
        (text("checksum")?.to_ascii_lowercase(), text("componentFlavor")?, text("version")?);
    let url = text("url")?;
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https" | "file"));
    let url = url.ok_or_else(|| {
        wrong("InvalidURLScheme", "The supported firmware URL schemes are http://, https://, file://".into())
    })?;
    Ok(Image { url, checksum, digest, psid: psid.into(), version: version.into() })
}

/// The image in a file of ours, with the digest that was promised.
fn fetch(image: &Image, context: &StepContext) -> Result<NamedTempFile, StepError> {
    let failed = |cause: &dyn std::fmt::Display| {
        let details =
            format!("the firmware image {} could not be fetched: {cause}", common::url_text::shown(&image.url));
        wrong("ImageDownloadError", details)
    };
    let mut file = NamedTempFile::new().map_err(|error| failed(&error))?;
    let mut hasher = Hasher::new(image.digest);
    let mut take = |bytes: &[u8]| {
        hasher.update(bytes);
        file.write_all(bytes)
    };
    if image.url.scheme() == "file" {
        let path = image.url.to_file_path().map_err(|()| failed(&"the URL names no file"))?;
        let mut source = std::fs::File::open(path).map_err(|error| failed(&error))?.take(MAX_IMAGE);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let length = source.read(&mut buffer).map_err(|error| failed(&error))?;
            if length == 0 {
                break;
            }
            take(&buffer[..length]).map_err(|error| failed(&error))?;
        }
    } else {
        let (request, rules) = (Request::plain(image.url.clone()), context.rules.downloads());
        let mut download =
            Download::start(request, rules, MAX_IMAGE, &context.progress).map_err(|error| failed(&error))?;
        while let Some(piece) = download.next_piece().map_err(|error| failed(&error))? {
            take(&piece).map_err(|error| failed(&error))?;
        }
    }
    file.flush().map_err(|error| failed(&error))?;
    if hasher.hex() != image.checksum {
        let details =
            format!("Mismatch provided checksum {} for image {}", image.checksum, common::url_text::shown(&image.url));
        return Err(wrong("MismatchChecksumError", details));
    }
    Ok(file)
}
