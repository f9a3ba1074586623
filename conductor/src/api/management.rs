//! Boot device, NMI, indicators (rest-api section 8.2).

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::nodes::{ident_of, node_of};
use crate::flow::request;
use crate::model::power::BootDevice;
use serde_json::json;

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
    let Some(device) = BootDevice::from_name(word) else {
        node_of(call).await?;
        return Err(ApiError::invalid(format!("Invalid boot device {} specified.", cut(word))));
    };
    request::set_boot_device(&call.conductor, &ident, device, persistent, &call.caller).await?;
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

/// `GET .../management/indicators`: no driver here has any.
pub async fn indicators(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &["component"])?;
    node_of(call).await?;
    Ok(Answer::ok(json!({"indicators": []})))
}
