//! BIOS settings and firmware components of a node, as they were read last (rest-api section 8.2).

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::link;
use super::nodes::node_of;
use super::out::time;
use crate::model::machine_parts::{BiosSetting, FirmwareComponent};
use crate::model::record::{Meta, Recorded};
use crate::store::Page;
use crate::store::records::RecordFilter;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Everything that `fields` of a setting may name, in the order in which refusals list it.
const BIOS_KNOWN: &[&str] = &[
    "allowable_values",
    "attribute_type",
    "created_at",
    "lower_bound",
    "links",
    "max_length",
    "min_length",
    "name",
    "node_uuid",
    "read_only",
    "reset_required",
    "unique",
    "updated_at",
    "upper_bound",
    "value",
];
/// What every answer about a setting shows.
const BIOS_SHORT: &[&str] = &["name", "value"];
/// What `detail` adds (1.74).
const BIOS_MORE: &[&str] = &[
    "allowable_values",
    "attribute_type",
    "lower_bound",
    "max_length",
    "min_length",
    "read_only",
    "reset_required",
    "unique",
    "upper_bound",
];
const FIRMWARE: &[&str] = &["component", "initial_version", "current_version", "last_version_flashed"];
/// Since 1.114.
const IDENTITY: &[&str] = &["vendor", "model", "serial_number"];
/// Fields that can be asked for by name besides the above.
const TIMES: &[&str] = &["created_at", "updated_at"];

/// All of one kind that a node has.
async fn parts<T: Recorded>(call: &Call, node: Uuid) -> Result<Vec<T>, ApiError> {
    let filter = RecordFilter::of_node(node);
    Ok(call.conductor.store.list(&call.visible("node"), &filter, &Page::default()).await?)
}

/// The fields that an answer shows: those asked for by name, else `default`.
fn fields(args: &Args, known: &[&str], default: Vec<&'static str>) -> Result<Vec<String>, ApiError> {
    let asked = args.list("fields")?;
    if asked.is_empty() {
        return Ok(default.into_iter().map(str::to_owned).collect());
    }
    if args.boolean("detail")?.unwrap_or(false) {
        return Err(ApiError::invalid("Can not specify ?detail=True and fields in the same request."));
    }
    match asked.iter().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => {
            let known: Vec<String> = known.iter().map(|name| format!("'{name}'")).collect();
            let text = format!("Schema error: '{}' is not one of [{}]", cut(unknown), known.join(", "));
            Err(ApiError::invalid(text))
        }
        None => Ok(asked),
    }
}

/// The chosen fields of a part; its times are always shown.
fn chosen(part: &Value, meta: &Meta, wanted: &[String]) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("created_at".into(), time(meta.created_at));
    shown.insert("updated_at".into(), time(meta.updated_at));
    for name in wanted {
        if let Some(value) = part.get(name) {
            shown.insert(name.clone(), value.clone());
        }
    }
    shown
}

fn setting(call: &Call, ident: &str, setting: &BiosSetting, wanted: &[String]) -> Value {
    let mut part = json!(setting);
    part["node_uuid"] = json!(setting.node);
    if part["allowable_values"].is_null() {
        part["allowable_values"] = json!([]);
    }
    let mut shown = chosen(&part, &setting.meta, wanted);
    let path = format!("nodes/{ident}/bios/{}", setting.name);
    shown.insert("links".into(), link::pair(&call.base, &path));
    Value::Object(shown)
}

fn bios_detail() -> Vec<&'static str> {
    [BIOS_SHORT, BIOS_MORE].concat()
}

/// `GET /v1/nodes/{}/bios`.
pub async fn bios(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::query(call, &["detail", "fields"])?;
    if let Some(name) = ["detail", "fields"].into_iter().find(|name| args.has(name) && !call.version.has(74)) {
        let text = format!("Schema error: Additional properties are not allowed ('{name}' was unexpected)");
        return Err(ApiError::invalid(text));
    }
    let detail = args.boolean("detail")?.unwrap_or(false);
    let default = if detail { bios_detail() } else { BIOS_SHORT.to_vec() };
    let wanted = fields(&args, BIOS_KNOWN, default)?;
    let node = node_of(call).await?;
    let mut settings: Vec<BiosSetting> = parts(call, node.uuid).await?;
    settings.sort_by(|left, right| left.name.cmp(&right.name));
    let shown: Vec<Value> = settings.iter().map(|one| setting(call, call.param(0), one, &wanted)).collect();
    Ok(Answer::ok(json!({ "bios": shown })))
}

/// `GET /v1/nodes/{}/bios/{}`.
pub async fn bios_setting(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let node = node_of(call).await?;
    let name = call.param(1);
    let settings: Vec<BiosSetting> = parts(call, node.uuid).await?;
    let Some(found) = settings.iter().find(|setting| setting.name == name) else {
        let text = format!("Node {} doesn't have a BIOS setting '{}'", node.uuid, cut(name));
        return Err(ApiError::not_found(text));
    };
    let names = if call.version.has(74) { bios_detail() } else { BIOS_SHORT.to_vec() };
    let wanted: Vec<String> = names.into_iter().map(str::to_owned).collect();
    Ok(Answer::ok(json!({ name: setting(call, &node.uuid.to_string(), found, &wanted) })))
}

/// `GET /v1/nodes/{}/firmware`. `detail=true` shows the same (the reference answers 400: its defect 9).
pub async fn firmware(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::query(call, &["detail", "fields"])?;
    args.boolean("detail")?;
    if !call.version.has(114) {
        let mut early: Vec<String> =
            args.list("fields")?.into_iter().filter(|name| IDENTITY.contains(&name.as_str())).collect();
        early.sort_unstable();
        if !early.is_empty() {
            return Err(ApiError::invalid(format!(
                "Fields {} are not allowed in this API version. They require at least API version 1.114.",
                early.join(", ")
            )));
        }
    }
    let known = [TIMES, FIRMWARE, IDENTITY].concat();
    let default = if call.version.has(114) { [FIRMWARE, IDENTITY].concat() } else { FIRMWARE.to_vec() };
    let wanted = fields(&args, &known, default)?;
    let node = node_of(call).await?;
    let mut components: Vec<FirmwareComponent> = parts(call, node.uuid).await?;
    components.sort_by(|left, right| left.component.cmp(&right.component));
    let shown: Vec<Value> =
        components.iter().map(|component| Value::Object(chosen(&json!(component), &component.meta, &wanted))).collect();
    Ok(Answer::ok(json!({ "firmware": shown })))
}
