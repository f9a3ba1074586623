//! How many nodes each shard has (rest-api section 10).

use super::args::Args;
use super::call::{Answer, Call};
use super::error::ApiError;
use serde_json::json;

/// `GET /v1/shards/{}`: shards have no documents of their own.
pub async fn show(_: &Call) -> Result<Answer, ApiError> {
    Err(ApiError::not_found("The resource could not be found."))
}

/// `GET /v1/shards`. Nodes without a shard are counted under null (the reference writes the word "None": its defect 11).
pub async fn list(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let counts = call.conductor.store.shard_counts(&call.visible("node")).await?;
    let shards: Vec<_> = counts.into_iter().map(|(name, count)| json!({"name": name, "count": count})).collect();
    Ok(Answer::ok(json!({ "shards": shards })))
}
