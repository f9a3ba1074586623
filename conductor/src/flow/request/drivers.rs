//! Facts about hardware types (rest-api section 10).

use super::{Conductor, RequestError};
use crate::model::node::InterfaceKind;
use serde_json::{Map, Value};

/// One enabled hardware type.
#[derive(Clone, Debug)]
pub struct DriverFacts {
    /// Its name.
    pub name: String,
    /// Per kind: the default, if one can be computed, and all enabled ones.
    pub interfaces: Vec<(InterfaceKind, Option<String>, Vec<String>)>,
}

/// Hardware types that are enabled, each with its enabled interfaces and defaults per kind: the facts of `GET /v1/drivers`.
pub fn driver_facts(conductor: &Conductor) -> Vec<DriverFacts> {
    let drivers = &conductor.drivers;
    drivers
        .hardware_types()
        .map(|hardware| DriverFacts {
            name: hardware.name.into(),
            interfaces: InterfaceKind::ALL
                .iter()
                .map(|&kind| {
                    let default = drivers.default_interface(hardware.name, kind).ok().map(str::to_owned);
                    let all = drivers.interfaces(hardware.name, kind).unwrap_or_default();
                    (kind, default, all.into_iter().map(str::to_owned).collect())
                })
                .collect(),
        })
        .collect()
}

/// An enabled hardware type, or 404 in the words of the calls below one.
pub(super) fn known(conductor: &Conductor, driver: &str) -> Result<(), RequestError> {
    let shown: String = driver.chars().take(255).collect();
    match conductor.drivers.hardware_type(driver) {
        Ok(_) => Ok(()),
        Err(_) => Err(RequestError::NotFound(format!("The driver '{shown}' is unknown."))),
    }
}

/// `GET /v1/drivers/{name}/properties`: key to description.
///
/// # Errors
/// 404 for an unknown or disabled hardware type.
pub fn driver_properties(conductor: &Conductor, driver: &str) -> Result<Map<String, Value>, RequestError> {
    known(conductor, driver)?;
    let properties = conductor.drivers.properties(driver)?;
    Ok(properties.into_iter().map(|(key, text)| (key.to_owned(), Value::String(text.to_owned()))).collect())
}
