//! Which hardware types and interfaces are enabled, what a node gets by default, and the one place that opens drivers.

use super::fake::{FakeBoot, FakeManagement, FakePower};
use super::interface::{HARDWARE_TYPES, HardwareType, is_stand_in, known};
use super::ipmi::{CONSOLE_PROPERTIES, IpmiInfo, IpmiOptions, PROPERTIES, Pool};
use super::manual::ManualPower;
use super::traits::{Driver, DriverError, Management, Power, Target};
use crate::model::node::InterfaceKind;
use std::collections::BTreeMap;
use std::sync::Arc;

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
    fake_boot: FakeBoot,
}

impl Registry {
    /// Refuses names nobody knows: a typing error in the configuration should not wait for the first node.
    pub fn new(enabled: Enabled, options: IpmiOptions) -> Result<Self, DriverError> {
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
        Ok(Self { enabled, ipmi: Pool::new(options), fake_boot: FakeBoot::default() })
    }

    /// Enabled hardware types.
    pub fn hardware_types(&self) -> impl Iterator<Item = &'static HardwareType> + '_ {
        self.enabled.hardware_types.iter().filter_map(|name| HardwareType::by_name(name))
    }

    /// An enabled hardware type.
    pub fn hardware_type(&self, name: &str) -> Result<&'static HardwareType, DriverError> {
        self.hardware_types().find(|hardware| hardware.name == name).ok_or_else(|| {
            DriverError::Invalid(format!("Could not find the following driver(s) or hardware type(s): {name}."))
        })
    }

    /// The enabled interfaces of a kind that a type supports, in its order of preference.
    pub fn interfaces(&self, hardware_type: &str, kind: InterfaceKind) -> Result<Vec<&'static str>, DriverError> {
        let hardware = self.hardware_type(hardware_type)?;
        let mut names: Vec<_> = hardware.supported(kind).to_vec();
        if hardware.takes_all {
            names.extend(known(kind).into_iter().filter(|name| !hardware.supported(kind).contains(name)));
        }
        names.retain(|name| self.is_enabled(kind, name));
        Ok(names)
    }

    /// What a node of this type gets when it names none.
    pub fn default_interface(&self, hardware_type: &str, kind: InterfaceKind) -> Result<&'static str, DriverError> {
        let usable = self.interfaces(hardware_type, kind)?;
        let found = match self.enabled.defaults.get(&kind) {
            Some(written) => usable.into_iter().find(|name| name == written),
            None => {
                let preferred = self.hardware_type(hardware_type)?.supported(kind);
                usable.into_iter().find(|name| preferred.contains(name))
            }
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
    pub fn check_interface(&self, hardware_type: &str, kind: InterfaceKind, name: &str) -> Result<(), DriverError> {
        let hardware = self.hardware_type(hardware_type)?;
        if !self.is_enabled(kind, name) {
            let valid: Vec<_> = self.enabled.interfaces.get(&kind).into_iter().flatten().collect();
            let valid: Vec<_> = valid.into_iter().map(|name| format!("'{name}'")).collect();
            return Err(DriverError::Invalid(format!(
                "Could not find the following interface in the 'ironic.hardware.interfaces.{}' entrypoint: {name}. \
                 Valid interfaces are [{}].",
                kind.name(),
                valid.join(", ")
            )));
        }
        if hardware.takes_all || hardware.supported(kind).contains(&name) {
            return Ok(());
        }
        Err(DriverError::Invalid(format!(
            "{} interface implementation '{name}' is not supported by hardware type {hardware_type}.",
            kind.name()
        )))
    }

    /// Opens the driver of a node. Nothing is sent yet.
    pub fn open(
        &self,
        hardware_type: &str,
        power_interface: &str,
        management_interface: &str,
        target: Target,
    ) -> Result<Driver, DriverError> {
        self.check_interface(hardware_type, InterfaceKind::Power, power_interface)?;
        self.check_interface(hardware_type, InterfaceKind::Management, management_interface)?;
        let power: Arc<dyn Power> = match power_interface {
            "ipmitool" => self.ipmi.open(&target)?.0,
            "fake" => Arc::new(FakePower::new(&target)),
            "agent" => Arc::new(ManualPower::new(&target)),
            _ => return Err(not_supported(hardware_type, InterfaceKind::Power)),
        };
        let management: Option<Arc<dyn Management>> = match management_interface {
            "ipmitool" => Some(self.ipmi.open(&target)?.1),
            "fake" => Some(Arc::new(FakeManagement::new(&self.fake_boot, &target))),
            _ => None,
        };
        Ok(Driver { power, management })
    }

    /// The driver's share of `/validate`: enabled, supported, driver_info complete. What depends on the rest of the node
    /// (images, ports) is the caller's. BMCs are not asked: it is called too often.
    pub fn validate(
        &self,
        hardware_type: &str,
        kind: InterfaceKind,
        interface: &str,
        target: &Target,
    ) -> Result<(), DriverError> {
        if is_stand_in(interface) {
            return Err(not_supported(hardware_type, kind));
        }
        self.check_interface(hardware_type, kind, interface)?;
        match (kind, interface) {
            (InterfaceKind::Power | InterfaceKind::Management | InterfaceKind::Vendor, "ipmitool") => {
                IpmiInfo::parse(&target.driver_info).map(drop)
            }
            (InterfaceKind::Console, "ipmitool-socat") => match IpmiInfo::parse(&target.driver_info)?.terminal_port {
                Some(_) => Ok(()),
                None => Err(DriverError::Invalid(
                    "Missing 'ipmi_terminal_port' parameter in node's driver_info: the console needs it.".into(),
                )),
            },
            _ => Ok(()),
        }
    }

    /// Keys of driver_info and their meaning, for `GET /v1/drivers/{name}/properties`.
    pub fn properties(&self, hardware_type: &str) -> Result<BTreeMap<&'static str, &'static str>, DriverError> {
        let hardware = self.hardware_type(hardware_type)?;
        let mut properties = BTreeMap::new();
        let enabled = |kind| self.interfaces(hardware.name, kind).unwrap_or_default();
        if enabled(InterfaceKind::Boot).iter().any(|name| matches!(*name, "ipxe" | "pxe")) {
            properties.extend(BOOT_PROPERTIES.iter().copied());
        }
        let has_ipmi = |kind| hardware.supported(kind).contains(&"ipmitool") && enabled(kind).contains(&"ipmitool");
        if has_ipmi(InterfaceKind::Power) || has_ipmi(InterfaceKind::Management) {
            properties.extend(PROPERTIES.iter().copied());
        }
        if hardware.supported(InterfaceKind::Console).contains(&"ipmitool-socat") {
            properties.extend(CONSOLE_PROPERTIES.iter().copied());
        }
        Ok(properties)
    }

    /// Closes all BMC sessions; for a graceful stop.
    pub async fn close(&self) {
        self.ipmi.close().await;
    }

    fn is_enabled(&self, kind: InterfaceKind, name: &str) -> bool {
        self.enabled.interfaces.get(&kind).is_some_and(|names| names.iter().any(|enabled| enabled == name))
    }
}

/// Keys of the network boot interfaces.
const BOOT_PROPERTIES: &[(&str, &str)] = &[
    ("deploy_kernel", "URL or path of the deploy ramdisk's kernel; the conductor's own if not set. Optional."),
    ("deploy_ramdisk", "URL or path of the deploy ramdisk; the conductor's own if not set. Optional."),
    ("kernel_append_params", "Kernel arguments of the ramdisk; `%default%` stands for the conductor's. Optional."),
];

fn unknown<T>(option: &str, name: &str, known: &[&str]) -> Result<T, DriverError> {
    Err(DriverError::Invalid(format!("{option} names '{name}', which is none of: {}", known.join(", "))))
}

/// The text of rest-api section 2.2.
fn not_supported(hardware_type: &str, kind: InterfaceKind) -> DriverError {
    let name = kind.name();
    DriverError::Unsupported(format!("Driver {hardware_type} does not support {name} (disabled or not implemented)."))
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
