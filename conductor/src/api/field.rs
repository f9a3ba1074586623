//! Fields of a resource as one table: name, first version, who may set it, how it is shown and set.
//!
//! The tables are in `node_fields` and `port_fields`; what they mean for lists, `fields=`, creation and PATCH is here, once.

use super::args::{boolean, cut};
use super::body::{Content, JSON};
use super::call::Call;
use super::error::ApiError;
use super::out::Out;
use super::python;
use super::version::Version;
use crate::policy::{Credentials, Target, may};
use serde_json::{Map, Value};

/// What showing a resource needs besides the record.
pub struct View<'a> {
    /// Where links begin.
    pub base: &'a str,
    /// What the request speaks.
    pub version: Version,
    /// Name of the conductor that serves the resource.
    pub host: &'a str,
    /// Who reads, when there are fields that he may see only as a remark; `None`: everything is shown.
    pub reader: Option<&'a Credentials>,
}

impl<'a> View<'a> {
    /// For the answer to `call`.
    pub fn of(call: &'a Call) -> Self {
        Self::shared(call, Self::is_whole(call))
    }

    /// Does the caller see every field of every node?
    pub fn is_whole(call: &Call) -> bool {
        may(&call.caller.credentials, "baremetal:node:get:filter_threshold", &Target::NONE)
    }

    /// The same view for many rows, for which [`View::is_whole`] was asked once.
    pub fn shared(call: &'a Call, whole: bool) -> Self {
        let reader = (!whole).then_some(&call.caller.credentials);
        View { base: &call.base, version: call.version, host: &call.conductor.host, reader }
    }
}

/// Who may set a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nobody.
    Read,
    /// POST.
    Create,
    /// PATCH.
    Patch,
    /// Both.
    Both,
}

/// Sets a field; null means its default. The text of a refusal is the contract's.
pub type Set<T> = fn(&mut T, &str, Value) -> Result<(), String>;

/// Shows a field as people see it: secrets are masked.
pub type Show<T> = fn(&T, &View, Out);

/// One row.
pub struct Field<T: 'static> {
    /// Its name on the wire.
    pub name: &'static str,
    /// First minor version that has it.
    pub since: u16,
    /// Who may set it.
    pub access: Access,
    /// Lists can be sorted by it.
    pub sortable: bool,
    /// How it is shown.
    pub show: Show<T>,
    /// How it is set; does nothing for fields that nobody sets.
    pub set: Set<T>,
}

impl<T> Field<T> {
    /// What it shows, as a value.
    pub fn value(&self, resource: &T, view: &View) -> Value {
        let mut value = Value::Null;
        (self.show)(resource, view, Out::Value(&mut value));
        value
    }

    /// POST may carry it.
    pub fn on_create(&self) -> bool {
        matches!(self.access, Access::Create | Access::Both)
    }

    /// PATCH may change it.
    pub fn on_patch(&self) -> bool {
        matches!(self.access, Access::Patch | Access::Both)
    }
}

/// The setter of fields that nobody sets.
pub fn unset<T>(_: &mut T, name: &str, _: Value) -> Result<(), String> {
    Err(format!("{name} cannot be set"))
}

/// Which fields an answer shows.
#[derive(Clone, Debug)]
pub enum Selection {
    /// All that the version has.
    All,
    /// These, and links.
    These(Vec<String>),
}

impl Selection {
    /// The fields that are shown; `None`: all.
    pub fn names(&self) -> Option<Vec<String>> {
        match self {
            Selection::All => None,
            Selection::These(names) => Some(names.clone()),
        }
    }
}

/// The fields of an answer, in the order of their table.
pub fn wanted<'t, T>(table: &'t [Field<T>], selection: &Selection, version: Version) -> Vec<&'t Field<T>> {
    let is_wanted = |field: &&Field<T>| {
        version.has(field.since)
            && match selection {
                Selection::All => true,
                Selection::These(names) => field.name == "links" || names.iter().any(|name| name == field.name),
            }
    };
    table.iter().filter(is_wanted).collect()
}

/// One resource, in the order of its table.
pub fn shown<T>(table: &[Field<T>], resource: &T, selection: &Selection, view: &View) -> Value {
    let fields = wanted(table, selection, view.version);
    Value::Object(fields.into_iter().map(|field| (field.name.to_owned(), field.value(resource, view))).collect())
}

/// The same as text, behind what is in `text` already. Lists look once which fields are [`wanted`], and not for each row.
pub fn write<T>(fields: &[&Field<T>], resource: &T, view: &View, text: &mut Vec<u8>) {
    text.push(b'{');
    for (number, field) in fields.iter().enumerate() {
        if number > 0 {
            text.push(b',');
        }
        // Names of fields are plain words.
        text.push(b'"');
        text.extend_from_slice(field.name.as_bytes());
        text.extend_from_slice(b"\":");
        (field.show)(resource, view, Out::Text(text));
    }
    text.push(b'}');
}

/// One resource as a whole answer.
pub fn document<T>(table: &[Field<T>], resource: &T, selection: &Selection, view: &View) -> Content {
    let mut text = Vec::with_capacity(4096);
    write(&wanted(table, selection, view.version), resource, view, &mut text);
    Content::Bytes(JSON, text.into())
}

/// What `fields=` and `detail=` of a list ask for; `short` when they are silent.
///
/// # Errors
/// 400 for unknown fields and for both at once, 406 for what the version does not have.
pub fn selection<T>(
    table: &[Field<T>],
    fields: Option<&str>,
    detail: bool,
    short: &[&str],
    version: Version,
) -> Result<Selection, ApiError> {
    let Some(fields) = fields else {
        let short = short.iter().map(|name| (*name).to_owned()).collect();
        return Ok(if detail { Selection::All } else { Selection::These(short) });
    };
    if detail {
        return Err(ApiError::invalid("Can not specify ?detail=True and fields in the same request."));
    }
    if !version.has(8) {
        return Err(ApiError::too_new());
    }
    let names: Vec<String> =
        fields.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    for name in &names {
        match table.iter().find(|field| field.name == name) {
            None => return Err(ApiError::invalid(format!("Field {} is not a valid field.", cut(name)))),
            Some(field) if !version.has(field.since) => return Err(ApiError::too_new()),
            Some(_) => {}
        }
    }
    Ok(Selection::These(names))
}

/// Makes a resource out of the body of a POST.
///
/// # Errors
/// 400 in the words of the schema, 406 for fields the version does not have.
pub fn fill<T>(
    table: &[Field<T>],
    what: &str,
    resource: &mut T,
    body: Map<String, Value>,
    version: Version,
) -> Result<(), ApiError> {
    for (name, value) in body {
        let Some(field) = table.iter().find(|field| field.name == name && field.on_create()) else {
            return Err(ApiError::invalid(format!(
                "Schema error for {what}: Additional properties are not allowed ('{}' was unexpected)",
                cut(&name)
            )));
        };
        if !version.has(field.since) {
            return Err(ApiError::too_new());
        }
        (field.set)(resource, field.name, value).map_err(|text| schema(what, text))?;
    }
    Ok(())
}

/// Setters speak either a whole sentence (upper case) or the schema's half of one.
pub fn schema(what: &str, text: String) -> ApiError {
    ApiError::invalid(schema_text(what, text))
}

/// The text of [`schema`].
pub fn schema_text(what: &str, text: String) -> String {
    // Halves of sentences that begin with a capital all the same.
    let half = ["None ", "True ", "False ", "Additional properties"].iter().any(|word| text.starts_with(word));
    let whole = !half && text.starts_with(|first: char| first.is_ascii_uppercase());
    if whole { text } else { format!("Schema error for {what}: {text}") }
}

/// A text of at most `max` characters, or null.
///
/// # Errors
/// The schema's words.
pub fn text(value: Value, max: usize) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.chars().count() > max => Err(format!("'{}' is too long", cut(&text))),
        Value::String(text) => Ok(Some(text)),
        other => Err(format!("{} is not of type 'string', 'null'", python::repr(&other))),
    }
}

/// An object; null is an empty one.
///
/// # Errors
/// The schema's words. The value is not repeated where it may hold secrets.
pub fn object(name: &str, value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Null => Ok(Map::new()),
        Value::Object(map) => Ok(map),
        _ if ["driver_info", "instance_info"].contains(&name) => Err(format!("{name} is not of type 'object', 'null'")),
        other => Err(format!("{} is not of type 'object', 'null'", python::repr(&other))),
    }
}

/// A boolean or one of its words; null is `None`.
///
/// # Errors
/// The sentence of the contract.
pub fn flag(name: &str, value: Value) -> Result<Option<bool>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(_) | Value::String(_) => boolean(name, &value).map(Some),
        other => Err(format!("{} is not of type 'string', 'boolean', 'null'", python::repr(&other))),
    }
}

/// A UUID in its canonical spelling; null is `None`.
///
/// # Errors
/// The sentence of the contract.
pub fn uuid(name: &str, value: Value) -> Result<Option<uuid::Uuid>, String> {
    let Some(text) = text(value, 255)? else { return Ok(None) };
    super::ident::uuid(&text).map(Some).ok_or_else(|| format!("Expected UUID for {name}: {}", cut(&text)))
}

/// A row of a table of fields: name, version, access, whether lists are sorted by it, how it is shown, how it is set.
macro_rules! row {
    ($name:literal $since:literal $access:ident $sortable:literal, $show:expr, $set:expr) => {
        Field { name: $name, since: $since, access: Access::$access, sortable: $sortable, show: $show, set: $set }
    };
}
pub(super) use row;
