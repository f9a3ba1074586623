//! Step `inject_files`: files from the node's properties and from the step's argument into the written system
//! (ipa-features 23). Everything is checked before the first file is touched.

use super::write_image::{bad_params, fail, stream_failed};
use super::{StepContext, StepError, image};
use crate::disk::error::DiskError;
use crate::disk::guard::Gate;
use crate::disk::inject::{Change, Injector, Place, below_root};
use crate::stream::fetch::Download;
use crate::stream::origin;
use crate::stream::request::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::step::{Step, StepKind};
use serde_json::{Map, Value};
use std::path::Path;

pub mod template;

/// The step's name.
pub const NAME: &str = "inject_files";
/// What it takes, in the words of the reference (operators' tools show them).
pub const ARGUMENTS: &[(&str, &str, bool)] = &[
    (
        "files",
        "Files to inject, a list of file structures with keys: 'path' (path to the file), 'partition' (partition specifier), 'content' (base64 encoded string), 'mode' (new file mode) and 'dirmode' (mode for the leaf directory, if created). Merged with the values from node.properties[inject_files].",
        false,
    ),
    ("verify_ca", "Whether to verify TLS certificates. Global agent options are used by default.", false),
];
/// Largest file by URL, bytes: it is held in memory.
const MAX_FILE: u64 = 64 << 20;
/// Most files of one step.
const MAX_FILES: usize = 1000;
const FIELDS: [&str; 8] = ["path", "partition", "content", "deleted", "mode", "dirmode", "owner", "group"];

/// Puts the files where they belong; the result is null.
pub fn inject(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    let empty = Map::new();
    let args = step.args.as_ref().unwrap_or(&empty);
    let files = checked(context.node.get("properties").and_then(|all| all.get("inject_files")), args.get("files"))?;
    if files.is_empty() {
        tracing::info!("no files to inject");
        return Ok(Value::Null);
    }
    let mut rules = context.rules.downloads();
    match args.get("verify_ca") {
        None | Some(Value::Null) => {}
        Some(Value::Bool(verify)) => rules.insecure = !verify,
        Some(other) => return Err(bad_params(format!("verify_ca is {other}, and neither true nor false"))),
    }
    let disk_failed = |error: DiskError| StepError::disk(kind, NAME, false, &error);
    let gate = Gate::of_this_machine(&context.rules.allow_erase).map_err(disk_failed)?;
    let disk = image::chosen(context).and_then(|disk| gate.permit(&disk)).map_err(disk_failed)?;
    let mut injector = Injector::new(&disk);
    for (number, file) in files.iter().enumerate() {
        let broken = |error: DiskError| match error {
            DiskError::NotFound(_) => disk_failed(error),
            other => failed(&file.path, &other.to_string()),
        };
        context.progress.say(format!("injecting file {} of {}: {}", number + 1, files.len(), file.path));
        let content = match &file.content {
            None if file.deleted => None,
            None => Some(Vec::new()),
            Some(text) if text.contains("://") => {
                let url = template::fill(text, &context.node, &context.ports)
                    .map_err(|why| bad_params(format!("content of {}: {why}", file.path)))?;
                let request = Request::plain(origin::parse(&url).map_err(bad_params)?);
                Some(Download::small(request, rules.clone(), MAX_FILE, &context.progress).map_err(stream_failed)?)
            }
            Some(text) => {
                let compact: String = text.split_ascii_whitespace().collect();
                Some(STANDARD.decode(compact).map_err(|cause| {
                    failed(&file.path, &format!("its content is neither a URL nor base64: {cause}"))
                })?)
            }
        };
        let place = match &file.place {
            Place::Device(device) if injector.holds(device) => file.place.clone(),
            Place::Device(device) => {
                injector.finish().map_err(broken)?; // what we hold ourselves is in use, and would be refused
                Place::Device(gate.permit(device).map_err(disk_failed)?)
            }
            other => other.clone(),
        };
        let change = Change {
            path: below_root(&file.path),
            content,
            mode: file.mode,
            dir_mode: file.dir_mode,
            owner: file.owner,
            group: file.group,
        };
        injector.apply(&place, &change).map_err(broken)?;
        if number + 1 == files.len() {
            injector.finish().map_err(broken)?;
        }
    }
    Ok(Value::Null)
}

fn failed(path: &str, why: &str) -> StepError {
    fail("CommandExecutionError", format!("Failed to process file {path}. {why}"))
}

/// One item of the list, typed.
struct File {
    path: String,
    place: Place,
    content: Option<String>,
    deleted: bool,
    mode: Option<u32>,
    dir_mode: Option<u32>,
    owner: Option<u32>,
    group: Option<u32>,
}

/// Both lists together, every mistake told at once. Contents are not repeated: they may be secrets.
fn checked(properties: Option<&Value>, argument: Option<&Value>) -> Result<Vec<File>, StepError> {
    let list = |given: Option<&Value>, what: &str| match given {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => Ok(list.clone()),
        Some(_) => Err(bad_params(format!("The {what} must be a list"))),
    };
    let mut items = list(properties, "`inject_files` node property")?;
    items.extend(list(argument, "`files` argument")?);
    if items.len() > MAX_FILES {
        return Err(bad_params(format!("{} files are too many; {MAX_FILES} are allowed", items.len())));
    }
    let mut wrong = Vec::new();
    let files: Vec<File> = items.iter().enumerate().filter_map(|(at, item)| file(at, item, &mut wrong)).collect();
    if wrong.is_empty() {
        Ok(files)
    } else {
        Err(bad_params(format!("Validation of files failed: {}", wrong.join("; "))))
    }
}

fn file(at: usize, item: &Value, wrong: &mut Vec<String>) -> Option<File> {
    let before = wrong.len();
    let Some(item) = item.as_object() else {
        wrong.push(format!("file {} is no object", at + 1));
        return None;
    };
    let path = item.get("path").and_then(Value::as_str).unwrap_or_default().to_string();
    let name = if path.is_empty() { format!("file {}", at + 1) } else { path.clone() };
    let unknown: Vec<&str> = item.keys().map(String::as_str).filter(|key| !FIELDS.contains(key)).collect();
    if !unknown.is_empty() {
        wrong.push(format!("unexpected fields in {name}: {}", unknown.join(", ")));
    }
    let place = match item.get("partition") {
        None | Some(Value::Null) => Some(Place::Auto),
        Some(Value::String(text)) if text.is_empty() => Some(Place::Auto),
        Some(Value::String(text)) if text.starts_with("/dev/") => Some(Place::Device(text.into())),
        Some(Value::String(text)) => text.parse().ok().map(Place::Number),
        Some(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()).map(Place::Number),
    };
    if place.is_none() {
        wrong.push(format!("partition of {name} is neither a number nor a device"));
    }
    if path.is_empty() {
        wrong.push(format!("expected a path in {name}"));
    } else if path.ends_with('/') {
        wrong.push(format!("directories not supported for {name}"));
    } else if place == Some(Place::Auto) && below_root(&path).parent().is_none_or(|folder| folder == Path::new("")) {
        wrong.push(format!("{name} in root directory requires \"partition\""));
    }
    let truthy = |key: &str| {
        item.get(key).is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)) && *value != "")
    };
    if truthy("content") && truthy("deleted") {
        wrong.push(format!("content cannot be used with deleted in {name}"));
    }
    let content = item.get("content").filter(|value| !value.is_null());
    if content.is_some_and(|content| !content.is_string()) || (content.is_none() && !truthy("deleted")) {
        wrong.push(format!("content must be text in {name}"));
    }
    let mut number = |key: &str, most: u64| {
        let value = item.get(key)?;
        let number = value.as_u64().filter(|number| *number <= most);
        if number.is_none() {
            wrong.push(format!("{key} must be a number in {name}"));
        }
        number.and_then(|number| u32::try_from(number).ok())
    };
    // As in the reference, a mode of 0 means none.
    let (mode, dir_mode) =
        (number("mode", 0o7777).filter(|mode| *mode > 0), number("dirmode", 0o7777).filter(|mode| *mode > 0));
    let (owner, group) = (number("owner", u64::from(u32::MAX - 1)), number("group", u64::from(u32::MAX - 1)));
    let content = content.and_then(Value::as_str).map(str::to_string);
    let deleted = truthy("deleted");
    (wrong.len() == before).then_some(File { path, place: place?, content, deleted, mode, dir_mode, owner, group })
}

#[cfg(test)]
mod tests;
