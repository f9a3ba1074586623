//! Maintenance on and off (rest-api section 7.4).

use super::args::Args;
use super::call::{Answer, Call};
use super::error::ApiError;
use super::nodes::ident_of;
use crate::flow::request;

/// `PUT /v1/nodes/{}/maintenance`.
pub async fn set(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::read(call, &["reason"])?;
    let reason = args.text("reason")?.map(str::to_owned);
    request::set_maintenance(&call.conductor, &ident_of(call)?, true, reason, &call.caller).await?;
    Ok(Answer::accepted())
}

/// `DELETE /v1/nodes/{}/maintenance`.
pub async fn clear(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    request::set_maintenance(&call.conductor, &ident_of(call)?, false, None, &call.caller).await?;
    Ok(Answer::accepted())
}
