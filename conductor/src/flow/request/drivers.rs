//! Facts about hardware types (rest-api section 10).

use super::Conductor;
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

/// `GET /v1/drivers/{name}/properties`: key to description; `None` for an unknown or disabled hardware type.
pub fn driver_properties(conductor: &Conductor, driver: &str) -> Option<Map<String, Value>> {
    let properties = conductor.drivers.properties(driver).ok()?;
    Some(properties.into_iter().map(|(key, text)| (key.to_owned(), Value::String(text.to_owned()))).collect())
}
