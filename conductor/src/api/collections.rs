//! Collections that this server does not keep yet: there are none, so lists are empty and nothing is found.
//! Making one is answered 405.

use super::args::cut;
use super::call::{Answer, Call};
use super::error::ApiError;
use serde_json::json;

macro_rules! empty {
    ($($(#[$doc:meta])* $list:ident $key:literal $(, $(#[$one_doc:meta])* $one:ident $noun:literal)?;)*) => {
        $(
            $(#[$doc])*
            pub async fn $list(_call: &Call) -> Result<Answer, ApiError> {
                Ok(Answer::ok(json!({ $key: [] })))
            }
            $(
                $(#[$one_doc])*
                pub async fn $one(call: &Call) -> Result<Answer, ApiError> {
                    Err(ApiError::not_found(format!("{} {} could not be found.", $noun, cut(call.param(0)))))
                }
            )?
        )*
    };
}

empty! {
    /// `GET /v1/allocations`.
    allocations "allocations",
    /// `GET /v1/allocations/{}`.
    one_allocation "Allocation";
}
