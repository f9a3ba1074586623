//! The fields of an allocation, in the order of the answer (rest-api section 11).

use super::args::cut;
use super::field::{Access, Field, object, row, text, unset, uuid};
use super::resource::{BadIdent, Resource};
use super::{ident, python, traits};
use crate::model::allocation::Allocation;
use serde_json::Value;

fn list(value: Value, check: impl Fn(&str) -> Result<(), String>) -> Result<Vec<String>, String> {
    let items = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items,
        other => return Err(format!("{} is not of type 'array', 'null'", python::repr(&other))),
    };
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Value::String(text) => {
                check(&text)?;
                texts.push(text);
            }
            other => return Err(format!("{} is not of type 'string'", python::repr(&other))),
        }
    }
    Ok(texts)
}

fn is_trait(name: &str) -> Result<(), String> {
    if traits::is_trait(name) {
        return Ok(());
    }
    let name = cut(name);
    Err(format!(
        "'{name}' is not valid under any of the given schemas. Possible root cause: '{name}' does not match '^CUSTOM_[A-Z0-9_]+$'"
    ))
}

fn is_ident(text: &str) -> Result<(), String> {
    if ident::uuid(text).is_some() || ident::is_name(text) {
        return Ok(());
    }
    let text = cut(text);
    Err(format!("'{text}' is not valid under any of the given schemas. Possible root cause: '{text}' is not a 'uuid'"))
}

/// Every field. Candidates are named here and looked up by the request.
#[rustfmt::skip]
const TABLE: &[Field<Allocation>] = &[
    row!("uuid" 52 Create true, |it, _, out| out.put(&it.meta.uuid), |it, name, value| {
        if let Some(uuid) = uuid(name, value)? { it.meta.uuid = uuid; }
        Ok(())
    }),
    row!("created_at" 52 Read true, |it, _, out| out.time(it.meta.created_at), unset),
    row!("updated_at" 52 Read true, |it, _, out| out.time(it.meta.updated_at), unset),
    row!("candidate_nodes" 52 Create false, |it, _, out| out.put(&it.candidate_nodes), |it, _, value| {
        it.candidate_nodes = list(value, is_ident)?;
        Ok(())
    }),
    row!("last_error" 52 Read true, |it, _, out| out.put(&it.last_error), unset),
    row!("name" 52 Both true, |it, _, out| out.put(&it.name), |it, _, value| {
        it.name = text(value, 255)?.filter(|name| !name.is_empty());
        Ok(())
    }),
    row!("extra" 52 Both false, |it, _, out| out.put(&it.extra), |it, name, value| {
        it.extra = object(name, value)?;
        Ok(())
    }),
    row!("owner" 60 Create true, |it, _, out| out.put(&it.owner), |it, _, value| {
        it.owner = text(value, 255)?;
        Ok(())
    }),
    row!("resource_class" 52 Create true, |it, _, out| out.put(&it.resource_class), |it, _, value| {
        it.resource_class = text(value, 80)?.filter(|class| !class.is_empty());
        Ok(())
    }),
    row!("state" 52 Read true, |it, _, out| out.put(&it.state), unset),
    row!("traits" 52 Create false, |it, _, out| out.put(&it.traits), |it, _, value| {
        it.traits = list(value, is_trait)?;
        Ok(())
    }),
    row!("links" 52 Read false, |it, view, out| out.links(view, format_args!("allocations/{}", it.meta.uuid)), unset),
    row!("node_uuid" 52 Read true, |it, _, out| out.put(&it.node_uuid), unset),
];

impl Resource for Allocation {
    fn table() -> &'static [Field<Self>] {
        TABLE
    }
    const SHORT: &'static [&'static str] = &[];
    const LIST: &'static str = "allocations";
    const PATH: &'static str = "allocations";
    const NOUN: &'static str = "allocation";
    const BAD_IDENT: BadIdent = BadIdent::Logical;
    const DETAIL_SINCE: u16 = u16::MAX;
    const LISTS_ALL: bool = true;
}
