//! Vendor methods of nodes and of hardware types: any verb, any body (rest-api sections 8.2 and 10).

use super::args::Args;
use super::call::{Answer, Call};
use super::error::ApiError;
use super::nodes::{ident_of, node_of};
use crate::driver::vendor::VendorMethod;
use crate::flow::request::{self, VendorOutcome};
use serde_json::{Map, Value, json};

fn listed(methods: &[VendorMethod]) -> Answer {
    let row = |method: &VendorMethod| {
        let shown = json!({
            "http_methods": method.http_methods,
            "async": method.is_async,
            "description": method.description,
            "attach": false,
            "require_exclusive_lock": method.exclusive,
        });
        (method.name.to_owned(), shown)
    };
    Answer::ok(Value::Object(methods.iter().map(row).collect()))
}

/// The method that the path or the query names.
fn method_of(call: &Call) -> Result<String, ApiError> {
    let named = match call.params.get(1) {
        Some(name) => {
            Args::query(call, &[])?;
            Some(name.clone())
        }
        // What else is in the query is for nobody, as in the reference.
        None => call.query.iter().find(|(name, _)| name == "method").map(|(_, value)| value.clone()),
    };
    named.filter(|name| !name.is_empty()).ok_or_else(|| ApiError::invalid("Missing mandatory parameter: method"))
}

fn answer(outcome: VendorOutcome) -> Answer {
    match outcome {
        VendorOutcome::Begun => Answer::accepted(),
        VendorOutcome::Done(Value::Null) => Answer::no_content(),
        VendorOutcome::Done(value) => Answer::ok(value),
    }
}

/// `GET /v1/nodes/{}/vendor_passthru/methods`.
pub async fn methods(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    Ok(listed(request::vendor_methods(&call.conductor, &ident_of(call)?).await?))
}

/// Any verb on `/v1/nodes/{}/vendor_passthru[/{}]`.
pub async fn call(call: &Call) -> Result<Answer, ApiError> {
    let ident = ident_of(call)?;
    let method = method_of(call)?;
    node_of(call).await?;
    let args: Map<String, Value> = call.object("vendor method arguments")?;
    let verb = call.method.as_str();
    let outcome = request::vendor_call(&call.conductor, &ident, &method, verb, args, &call.caller).await?;
    Ok(answer(outcome))
}

/// `GET /v1/drivers/{}/vendor_passthru/methods`.
pub async fn driver_methods(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    Ok(listed(request::driver_vendor_methods(&call.conductor, call.param(0))?))
}

/// Any verb on `/v1/drivers/{}/vendor_passthru[/{}]`.
pub async fn driver_call(call: &Call) -> Result<Answer, ApiError> {
    let method = method_of(call)?;
    call.object("vendor method arguments")?;
    let outcome = request::driver_vendor_call(&call.conductor, call.param(0), &method, call.method.as_str())?;
    Ok(answer(outcome))
}
