//! Boot device, NMI, indicators (rest-api section 8.2).

use super::args::Args;
use super::call::{Answer, Call};
use super::error::ApiError;
use super::link;
use super::nodes::ident_of;
use crate::driver::traits::Indicator;
use crate::flow::request;
use serde_json::{Value, json};

/// `GET .../management/boot_device`.
pub async fn boot_device(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let setting = request::boot_device(&call.conductor, &ident_of(call)?).await?;
    Ok(Answer::ok(json!({"boot_device": setting.device, "persistent": setting.persistent})))
}

/// `PUT .../management/boot_device`.
pub async fn set_boot_device(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::read(call, &["boot_device", "persistent"])?;
    let word = args.required("boot_device")?;
    let ident = ident_of(call)?;
    let persistent = args.boolean("persistent")?.unwrap_or(false);
    request::set_boot_device(&call.conductor, &ident, word, persistent, &call.caller).await?;
    Ok(Answer::no_content())
}

/// `GET .../management/boot_device/supported`.
pub async fn supported(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let devices = request::supported_boot_devices(&call.conductor, &ident_of(call)?).await?;
    Ok(Answer::ok(json!({"supported_boot_devices": devices})))
}

/// `PUT .../management/inject_nmi`.
pub async fn inject_nmi(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    request::inject_nmi(&call.conductor, &ident_of(call)?, &call.caller).await?;
    Ok(Answer::no_content())
}

fn light(call: &Call, ident: &str, indicator: &Indicator) -> Value {
    let name = format!("{}@{}", indicator.name, indicator.component);
    json!({
        "name": name,
        "component": indicator.component,
        "readonly": indicator.readonly,
        "states": indicator.states,
        "links": link::pair(&call.base, &format!("nodes/{ident}/management/indicators/{name}")),
    })
}

/// `GET .../management/indicators`.
pub async fn indicators(call: &Call) -> Result<Answer, ApiError> {
    // The reference takes anything in this query and looks at nothing of it.
    let ident = ident_of(call)?;
    let indicators = request::indicators(&call.conductor, &ident).await?;
    let lights: Vec<Value> = indicators.iter().map(|indicator| light(call, &ident, indicator)).collect();
    Ok(Answer::ok(json!({ "indicators": lights })))
}

/// `GET .../management/indicators/{}`.
pub async fn indicator(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let state = request::indicator(&call.conductor, &ident_of(call)?, call.param(1)).await?;
    Ok(Answer::ok(json!({ "state": state })))
}

/// `PUT .../management/indicators/{}`.
pub async fn set_indicator(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::read(call, &["state"])?;
    let state = args.required("state")?;
    request::set_indicator(&call.conductor, &ident_of(call)?, call.param(1), state, &call.caller).await?;
    Ok(Answer::no_content())
}
