//! Traits of a runbook, from 1.112 on: it may be used on nodes that have one of them (rest-api section 12).

use super::args::Args;
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::schema;
use super::resource::{self, BadIdent};
use super::traits::trait_name;
use crate::model::record::Recorded;
use crate::model::runbook::{Runbook, TRAITS_MAX};
use serde_json::{Value, json};

const ONE_OR_ALL: &str = "A single runbook trait may be added via PUT /v1/runbooks/<runbook identifier>/traits/<trait> \
                          with no body, or all runbook traits may be replaced via PUT /v1/runbooks/<runbook identifier>/traits \
                          with the list of traits specified in the request body.";

/// `GET /v1/runbooks/{}/traits`.
pub async fn list(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let runbook = resource::of_path_as::<Runbook>(call, BadIdent::Logical).await?;
    Ok(Answer::ok(json!({"traits": runbook.traits})))
}

/// `PUT /v1/runbooks/{}/traits`: replaces all.
pub async fn replace(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let mut body = call.object("body")?;
    let value = body.shift_remove("traits");
    if let Some(name) = body.keys().next() {
        let text = format!("Additional properties are not allowed ('{}' was unexpected)", super::args::cut(name));
        return Err(schema("body", text));
    }
    let items = match value {
        Some(Value::Array(items)) => items,
        Some(other) => return Err(schema("body", format!("{} is not of type 'array'", shown(&other)))),
        None => return Err(ApiError::invalid(ONE_OR_ALL)),
    };
    let traits: Vec<String> = items
        .into_iter()
        .map(|item| trait_name(item).map_err(|text| schema("body", text)))
        .collect::<Result<_, _>>()?;
    change(call, move |present| present.clone_from(&traits)).await?;
    Ok(Answer::no_content())
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{}'", super::args::cut(text)),
        other => super::args::cut(&other.to_string()),
    }
}

/// `DELETE /v1/runbooks/{}/traits`.
pub async fn clear(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    change(call, Vec::clear).await?;
    Ok(Answer::no_content())
}

/// `PUT /v1/runbooks/{}/traits/{}`.
pub async fn add(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let body = call.json()?;
    let unknown = body.as_ref().and_then(Value::as_object).and_then(|body| body.keys().find(|key| *key != "traits"));
    if let Some(name) = unknown {
        let name = super::args::cut(name);
        return Err(schema("body", format!("Additional properties are not allowed ('{name}' was unexpected)")));
    }
    if body.is_some_and(|body| body != json!({})) {
        return Err(ApiError::invalid("No body should be provided when adding a trait"));
    }
    let name = trait_name(Value::String(call.param(1).to_owned())).map_err(|text| schema("trait", text))?;
    let location = format!("{}/v1/runbooks/{}/traits/{name}", call.base, call.param(0));
    change(call, move |present| present.push(name.clone())).await?;
    Ok(Answer::no_content_at(location))
}

/// `DELETE /v1/runbooks/{}/traits/{}`: one that is not there is no error.
pub async fn remove(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    let name = call.param(1).to_owned();
    change(call, move |present| present.retain(|present| *present != name)).await?;
    Ok(Answer::no_content())
}

async fn change(call: &Call, change: impl Fn(&mut Vec<String>) + Send + Sync) -> Result<(), ApiError> {
    resource::again(async || {
        let before = resource::of_path_as::<Runbook>(call, BadIdent::Logical).await?;
        let mut after = before.clone();
        change(&mut after.traits);
        after.traits.sort_unstable();
        after.traits.dedup();
        if after.traits.len() > TRAITS_MAX {
            let text = format!("Runbook {} can have at most {TRAITS_MAX} traits", before.meta().uuid);
            return Err(ApiError::invalid(text));
        }
        if after != before {
            call.conductor.store.put_unchanged(&after).await?;
        }
        Ok(())
    })
    .await
}
