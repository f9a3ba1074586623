//! Lists in pieces: limit, marker, order, and the link to the next piece (rest-api section 4).

use super::args::{Args, cut};
use super::call::Call;
use super::error::ApiError;
use super::field::{Field, Selection};
use super::ident;
use crate::store::Page;
use serde_json::{Value, json};

/// The arguments that every list knows.
pub const ARGS: &[&str] = &["limit", "marker", "sort_key", "sort_dir", "fields", "detail"];

/// Which piece of a list is asked for.
#[derive(Clone, Debug)]
pub struct Paging {
    /// For the store.
    pub page: Page,
}

/// Reads limit, marker and order.
///
/// # Errors
/// 400 for values that mean nothing, 406 for sort keys that the version does not have.
pub fn read<T>(call: &Call, args: &Args, table: &[Field<T>]) -> Result<Paging, ApiError> {
    let mut paging = order(call, args, table)?;
    if let Some(text) = args.text("marker")? {
        let bad = || ApiError::invalid(format!("Expected UUID for marker: {}", cut(text)));
        paging.page.marker = Some(ident::uuid(text).ok_or_else(bad)?);
    }
    Ok(paging)
}

/// As [`read`], for what is not known by UUIDs: the marker is the caller's to read.
///
/// # Errors
/// As [`read`].
pub fn order<T>(call: &Call, args: &Args, table: &[Field<T>]) -> Result<Paging, ApiError> {
    let most = call.conductor.config.api.max_limit.max(1) as usize;
    let limit = match args.integer("limit")? {
        None => most,
        Some(limit) if limit <= 0 => return Err(ApiError::invalid("Limit must be positive")),
        Some(limit) => usize::try_from(limit).unwrap_or(most).min(most),
    };
    let sort_key = args.text("sort_key")?.unwrap_or("id").to_owned();
    if sort_key != "id" {
        match table.iter().find(|field| field.name == sort_key) {
            None => {
                let text = format!("The sort_key value \"{}\" is an invalid field for sorting", cut(&sort_key));
                return Err(ApiError::invalid(text));
            }
            Some(field) if !call.version.has(field.since) => return Err(ApiError::too_new()),
            Some(field) if !field.sortable => {
                let text = format!("The sort_key value {sort_key} is an invalid field for sorting");
                return Err(ApiError::invalid(text));
            }
            Some(_) => {}
        }
    }
    let descending = match args.text("sort_dir")?.unwrap_or("asc") {
        "asc" => false,
        "desc" => true,
        other => {
            let text = format!("Invalid sort direction: {}. Acceptable values are 'asc' or 'desc'", cut(other));
            return Err(ApiError::invalid(text));
        }
    };
    Ok(Paging { page: Page { limit, marker: None, sort_key, descending } })
}

/// Puts a list together. `carried` are the further arguments that the next link repeats, as they were given;
/// `path` is where the list is.
pub fn list(
    call: &Call,
    paging: &Paging,
    (name, path): (&str, &str),
    selection: &Selection,
    carried: &[(&str, String)],
    items: Vec<Value>,
    last: Option<String>,
) -> Value {
    let mut answer = json!({ name: items });
    let full = answer[name].as_array().map_or(0, Vec::len) == paging.page.limit;
    if let (true, Some(marker)) = (full, last) {
        answer["next"] = json!(next(call, paging, path, selection, carried)(&marker));
    }
    answer
}

/// The link to the next piece of a list, from the marker of the last element.
pub fn next(
    call: &Call,
    paging: &Paging,
    path: &str,
    selection: &Selection,
    carried: &[(&str, String)],
) -> impl Fn(&str) -> String + Send + Sync + use<> {
    let page = &paging.page;
    let direction = if page.descending { "desc" } else { "asc" };
    let mut query = vec![("sort_key", page.sort_key.clone()), ("sort_dir", direction.to_owned())];
    query.extend(carried.iter().map(|(name, value)| (*name, value.clone())));
    if let Selection::These(fields) = selection {
        query.push(("fields", fields.join(",")));
    }
    query.push(("limit", page.limit.to_string()));
    let text: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    let begin = format!("{}/v1/{path}?{}", call.base, text.join("&"));
    move |marker| format!("{begin}&marker={}", escape(marker))
}

/// Commas stay readable: lists of fields are what people look at in these links.
fn escape(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>().replace("%2C", ",")
}
