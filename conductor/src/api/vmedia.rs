//! Virtual media of a node (rest-api section 8.2).

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::nodes::ident_of;
use crate::flow::request;
use crate::model::power::MediaDevice;
use serde_json::{Value, json};

/// Where images may come from. The URL is checked before the node is looked up.
const SCHEMES: &[&str] = &["http", "https", "nfs", "cifs", "smb"];
/// Longest URL.
const URL_MAX: usize = 4096;

/// `GET .../vmedia`.
pub async fn list(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    Ok(Answer::ok(json!(request::virtual_media(&call.conductor, &ident_of(call)?).await?)))
}

fn refused(text: &str) -> ApiError {
    ApiError::invalid(format!("Schema error for vmedia: {text}"))
}

/// A text of the body.
fn word<'a>(body: &'a serde_json::Map<String, Value>, name: &str) -> Result<&'a str, ApiError> {
    match body.get(name) {
        None => Err(refused(&format!("'{name}' is a required property"))),
        Some(Value::String(text)) if text.len() <= URL_MAX => Ok(text),
        Some(Value::String(_)) => Err(refused(&format!("{name} is too long"))),
        Some(other) => Err(refused(&format!("{} is not of type 'string'", cut(&other.to_string())))),
    }
}

/// `POST .../vmedia`.
pub async fn attach(call: &Call) -> Result<Answer, ApiError> {
    let body = call.object("vmedia")?;
    let device = word(&body, "device_type")?;
    let Some(device) = MediaDevice::from_name(device) else {
        return Err(refused(&format!("'{}' is not one of ['disk', 'cdrom', 'floppy']", cut(device))));
    };
    let url = word(&body, "image_url")?;
    let known = ["device_type", "image_url", "image_download_source"];
    if let Some(name) = body.keys().find(|name| !known.contains(&name.as_str())) {
        let name = cut(name);
        return Err(refused(&format!("Additional properties are not allowed ('{name}' was unexpected)")));
    }
    if body.contains_key("image_download_source") {
        let source = word(&body, "image_download_source")?;
        if !["http", "local", "swift"].contains(&source) {
            return Err(refused(&format!("'{}' is not one of ['http', 'local', 'swift']", cut(source))));
        }
    }
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    if !SCHEMES.contains(&scheme.as_str()) {
        return Err(ApiError::invalid(format!("Unsupported or missing URL scheme: {}", cut(&scheme))));
    }
    let ident = ident_of(call)?;
    request::attach_virtual_media(&call.conductor, &ident, device, url.to_owned(), &call.caller).await?;
    Ok(Answer::no_content())
}

/// The devices that the query (`cdrom,disk`) or the body (a list, or the same text) names.
fn devices(args: &Args) -> Result<Option<Vec<MediaDevice>>, ApiError> {
    let words: Vec<String> = match args.value("device_types") {
        Some(Value::Array(list)) => list.iter().map(|item| item.as_str().unwrap_or_default().to_owned()).collect(),
        _ => args.list("device_types")?,
    };
    let unknown: Vec<String> =
        words.iter().filter(|word| MediaDevice::from_name(word).is_none()).map(|word| cut(word)).collect();
    if !unknown.is_empty() {
        let text = format!("Invalid device type(s) {} (valid are disk, cdrom, floppy)", unknown.join(", "));
        return Err(ApiError::invalid(text));
    }
    let devices: Vec<_> = words.iter().filter_map(|word| MediaDevice::from_name(word)).collect();
    Ok(Some(devices).filter(|devices| !devices.is_empty()))
}

/// `DELETE .../vmedia`.
pub async fn detach(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::read(call, &["device_types"])?;
    let devices = devices(&args)?;
    request::detach_virtual_media(&call.conductor, &ident_of(call)?, devices, &call.caller).await?;
    Ok(Answer::no_content())
}
