//! Node sub-resources that are not kept yet: each answers what the contract has for a node without one.

use super::call::{Answer, Call};
use super::error::ApiError;
use super::nodes::node_of;

/// `GET` and `DELETE .../allocation`.
pub async fn allocation(call: &Call) -> Result<Answer, ApiError> {
    let node = node_of(call).await?;
    Err(ApiError::not_found(format!("Allocation for node {} was not found", node.uuid)))
}
