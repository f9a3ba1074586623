//! Traits of a node (rest-api section 8.2).

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::nodes::{ident_of, node_of};
use super::python::repr;
use crate::flow::request::{self, RequestError};
use crate::model::node::Node;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// Most traits of one node.
const MOST: usize = 50;

/// The standard list, sorted.
const STANDARD: &str = include_str!("standard_traits.txt");

/// The lines of [`STANDARD`], looked up in halves.
static STANDARD_NAMES: LazyLock<Vec<&str>> =
    LazyLock::new(|| STANDARD.lines().filter(|line| !line.starts_with('#')).collect());

/// What a PUT that is neither is told.
const ONE_OR_ALL: &str = "A single node trait may be added via PUT /v1/nodes/<node identifier>/traits/<trait> with no body, \
    or all node traits may be replaced via PUT /v1/nodes/<node identifier>/traits with the list of traits specified in the \
    request body.";

/// `GET .../traits`.
pub async fn list(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    Ok(Answer::ok(json!({"traits": node_of(call).await?.traits})))
}

/// `PUT .../traits`: replaces all.
pub async fn replace(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::read(call, &["traits"])?;
    let items = match args.value("traits") {
        Some(Value::Array(items)) => items,
        Some(other) => {
            return Err(ApiError::invalid(format!("Schema error for body: {} is not of type 'array'", repr(other))));
        }
        None => return Err(ApiError::invalid(ONE_OR_ALL)),
    };
    let mut traits = Vec::with_capacity(items.len().min(MOST));
    for item in items {
        let Some(name) = item.as_str() else {
            return Err(ApiError::invalid(format!("Schema error for body: {} is not of type 'string'", repr(item))));
        };
        check(name, "body")?;
        traits.push(name.to_owned());
    }
    update(call, move |_, present| {
        *present = traits;
        Ok(())
    })
    .await?;
    Ok(Answer::no_content())
}

/// `DELETE .../traits`.
pub async fn clear(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    update(call, |_, present| {
        present.clear();
        Ok(())
    })
    .await?;
    Ok(Answer::no_content())
}

/// `PUT .../traits/{}`.
pub async fn add(call: &Call) -> Result<Answer, ApiError> {
    let body = call.json()?;
    if let Some(key) = body.as_ref().and_then(Value::as_object).and_then(|map| map.keys().find(|key| *key != "traits"))
    {
        let text = format!("Additional properties are not allowed ('{}' was unexpected)", cut(key));
        return Err(ApiError::invalid(format!("Schema error for body: {text}")));
    }
    if body.is_some_and(|body| body != json!({})) {
        return Err(ApiError::invalid("No body should be provided when setting one trait"));
    }
    Args::query(call, &[])?;
    let name = call.param(1).to_owned();
    check(&name, "trait")?;
    let location = format!("{}/v1/nodes/{}/traits/{name}", call.base, call.param(0));
    update(call, move |_, present| {
        present.push(name);
        Ok(())
    })
    .await?;
    Ok(Answer::no_content_at(location))
}

/// `DELETE .../traits/{}`.
pub async fn remove(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    let name = call.param(1).to_owned();
    update(call, move |uuid, present| {
        let count = present.len();
        present.retain(|present| *present != name);
        if present.len() == count {
            return Err(RequestError::NotFound(format!("Node {uuid} doesn't have a trait '{}'", cut(&name))));
        }
        Ok(())
    })
    .await?;
    Ok(Answer::no_content())
}

async fn update(
    call: &Call,
    change: impl FnOnce(uuid::Uuid, &mut Vec<String>) -> Result<(), RequestError> + Send + 'static,
) -> Result<(), ApiError> {
    let change = Box::new(move |node: &mut Node| {
        let uuid = node.uuid;
        change(uuid, &mut node.traits)?;
        node.traits.sort_unstable();
        node.traits.dedup();
        if node.traits.len() > MOST {
            return Err(RequestError::Invalid(format!("Node {uuid} can have at most {MOST} traits")));
        }
        Ok(())
    });
    let node = call.conductor.store.node(&ident_of(call)?).await?;
    request::update_node(&call.conductor, node, &call.caller, change).await?;
    Ok(())
}

/// A trait name: somebody's own, or a standard one.
pub fn is_trait(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let custom = name.strip_prefix("CUSTOM_").is_some_and(|tail| !tail.is_empty() && tail.bytes().all(plain));
    name.len() <= 255 && (custom || STANDARD_NAMES.binary_search(&name).is_ok())
}

/// A trait as the schema of other resources demands it.
///
/// # Errors
/// The schema's words.
pub fn trait_name(value: Value) -> Result<String, String> {
    match value {
        Value::String(name) if is_trait(&name) => Ok(name),
        Value::String(name) => {
            let name = cut(&name);
            Err(format!(
                "'{name}' is not valid under any of the given schemas. Possible root cause: '{name}' does not match \
                 '^CUSTOM_[A-Z0-9_]+$'"
            ))
        }
        Value::Null => Err("None is not of type 'string'".into()),
        other => Err(format!("{} is not of type 'string'", cut(&other.to_string()))),
    }
}

fn check(name: &str, what: &str) -> Result<(), ApiError> {
    if is_trait(name) {
        return Ok(());
    }
    let name = cut(name);
    Err(ApiError::invalid(format!(
        "Schema error for {what}: '{name}' is not valid under any of the given schemas. \
         Possible root cause: '{name}' does not match '^CUSTOM_[A-Z0-9_]+$'"
    )))
}

#[cfg(test)]
mod tests {
    use super::{STANDARD_NAMES, is_trait};

    #[test]
    fn custom_and_standard_names_are_traits() {
        assert!(STANDARD_NAMES.is_sorted() && STANDARD_NAMES.len() > 300);
        for name in ["CUSTOM_A1", "HW_CPU_X86_VMX", "STORAGE_DISK_SSD"] {
            assert!(is_trait(name), "{name}");
        }
        for name in ["CUSTOM_", "custom_a", "FOO", "HW_cpu", "HW_NO_SUCH_THING", "CUSTOM_A-B", ""] {
            assert!(!is_trait(name), "{name}");
        }
    }
}
