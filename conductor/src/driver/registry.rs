//! Which hardware types and interfaces are enabled, and what a node gets by default.

mod open;

use super::fake::FakeDelays;
use super::interface::{HARDWARE_TYPES, HardwareType, known};
use super::ipmi::{IpmiOptions, Pool};
use super::properties;
use super::traits::DriverError;
use crate::model::node::InterfaceKind;
use std::collections::BTreeMap;

/// What the configuration enables: `enabled_hardware_types`, `enabled_<kind>_interfaces`, `default_<kind>_interface`.
#[derive(Clone, Debug, Default)]
pub struct Enabled {
    /// Hardware types.
    pub hardware_types: Vec<String>,
    /// Interfaces of each kind.
    pub interfaces: BTreeMap<InterfaceKind, Vec<String>>,
    /// Defaults written down.
    pub defaults: BTreeMap<InterfaceKind, String>,
}

impl Enabled {
    /// Everything there is.
    pub fn everything() -> Self {
        let own = |names: Vec<&str>| names.into_iter().map(String::from).collect();
        Self {
            hardware_types: own(HARDWARE_TYPES.iter().map(|hardware| hardware.name).collect()),
            interfaces: InterfaceKind::ALL.iter().map(|&kind| (kind, own(known(kind)))).collect(),
            defaults: BTreeMap::new(),
        }
    }
}

/// Enabled hardware, with the sessions of its BMCs.
pub struct Registry {
    enabled: Enabled,
    ipmi: Pool,
    delays: FakeDelays,
}

impl Registry {
    /// Refuses names nobody knows, and hardware types that lack an interface: a typing error in the configuration should
    /// not wait for the first node.
    ///
    /// # Errors
    /// The option and what it may hold.
    pub fn new(enabled: Enabled, options: IpmiOptions, delays: FakeDelays) -> Result<Self, DriverError> {
        let names: Vec<_> = HARDWARE_TYPES.iter().map(|hardware| hardware.name).collect();
        for name in &enabled.hardware_types {
            if !names.contains(&name.as_str()) {
                return unknown("enabled_hardware_types", name, &names);
            }
        }
        for (kind, enabled) in &enabled.interfaces {
            let known = known(*kind);
            if let Some(name) = enabled.iter().find(|name| !known.contains(&name.as_str())) {
                return unknown(&format!("enabled_{}_interfaces", kind.name()), name, &known);
            }
        }
        for (kind, name) in &enabled.defaults {
            let known: Vec<_> = enabled.interfaces.get(kind).into_iter().flatten().map(String::as_str).collect();
            if !known.contains(&name.as_str()) {
                return unknown(&format!("default_{}_interface", kind.name()), name, &known);
            }
        }
        Ok(Self { enabled, ipmi: Pool::new(options), delays })
    }

    /// Enabled hardware types, by name.
    pub fn hardware_types(&self) -> impl Iterator<Item = &'static HardwareType> + '_ {
        HARDWARE_TYPES.iter().filter(|hardware| self.enabled.hardware_types.iter().any(|name| name == hardware.name))
    }

    /// An enabled hardware type.
    ///
    /// # Errors
    /// The contract's sentence.
    pub fn hardware_type(&self, name: &str) -> Result<&'static HardwareType, DriverError> {
        self.hardware_types().find(|hardware| hardware.name == name).ok_or_else(|| {
            DriverError::Invalid(format!("Could not find the following driver(s) or hardware type(s): {name}."))
        })
    }

    /// The enabled interfaces of a kind that a type supports, in its order of preference.
    ///
    /// # Errors
    /// Unknown hardware type.
    pub fn interfaces(&self, hardware_type: &str, kind: InterfaceKind) -> Result<Vec<&'static str>, DriverError> {
        let supported = self.hardware_type(hardware_type)?.supported(kind);
        Ok(supported.iter().copied().filter(|name| self.is_enabled(kind, name)).collect())
    }

    /// What a node of this type gets when it names none.
    ///
    /// # Errors
    /// The contract's sentence.
    pub fn default_interface(&self, hardware_type: &str, kind: InterfaceKind) -> Result<&'static str, DriverError> {
        let hardware = self.hardware_type(hardware_type)?;
        let found = match self.enabled.defaults.get(&kind) {
            Some(written) => known(kind)
                .into_iter()
                .find(|name| name == written && (hardware.takes_all || hardware.supported(kind).contains(name))),
            None => self.interfaces(hardware_type, kind)?.into_iter().next(),
        };
        found.ok_or_else(|| {
            DriverError::Invalid(format!(
                "For hardware type '{hardware_type}', no default value found for {} interface could be determined. \
                 Please ensure the interfaces are enabled.",
                kind.name()
            ))
        })
    }

    /// May a node of this type use this interface?
    ///
    /// # Errors
    /// The contract's sentences.
    pub fn check_interface(&self, hardware_type: &str, kind: InterfaceKind, name: &str) -> Result<(), DriverError> {
        let hardware = self.hardware_type(hardware_type)?;
        let shown: String = name.chars().take(255).collect();
        if !self.is_enabled(kind, name) {
            let mut valid: Vec<_> = self.enabled.interfaces.get(&kind).into_iter().flatten().collect();
            valid.sort_unstable();
            let valid: Vec<_> = valid.into_iter().map(|name| format!("'{name}'")).collect();
            return Err(DriverError::Invalid(format!(
                "Could not find the following interface in the 'ironic.hardware.interfaces.{}' entrypoint: {shown}. \
                 Valid interfaces are [{}].",
                kind.name(),
                valid.join(", ")
            )));
        }
        if hardware.takes_all || hardware.supported(kind).contains(&name) {
            return Ok(());
        }
        Err(DriverError::Invalid(format!(
            "{} interface implementation '{name}' is not supported by hardware type {}.",
            kind.name(),
            hardware.class
        )))
    }

    /// Keys of driver_info and their meaning, for `GET /v1/drivers/{name}/properties`: those of its default interfaces.
    ///
    /// # Errors
    /// Unknown hardware type.
    pub fn properties(&self, hardware_type: &str) -> Result<BTreeMap<&'static str, &'static str>, DriverError> {
        self.hardware_type(hardware_type)?;
        let of = |&kind: &InterfaceKind| {
            let name = self.default_interface(hardware_type, kind).unwrap_or_default();
            properties::of(kind, name)
        };
        Ok(InterfaceKind::ALL.iter().flat_map(of).collect())
    }

    /// Closes all BMC sessions; for a graceful stop.
    pub async fn close(&self) {
        self.ipmi.close().await;
    }

    fn is_enabled(&self, kind: InterfaceKind, name: &str) -> bool {
        self.enabled.interfaces.get(&kind).is_some_and(|names| names.iter().any(|enabled| enabled == name))
    }
}

fn unknown<T>(option: &str, name: &str, known: &[&str]) -> Result<T, DriverError> {
    Err(DriverError::Invalid(format!("{option} names '{name}', which is none of: {}", known.join(", "))))
}

#[cfg(test)]
mod tests;
